"""Measures on pairs of rows: is what lies close in the one close in the other? Take memory of n squared."""

from typing import Literal, get_args

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from mothello_interp.similarity.rows import Rows, centred, paired

Dissimilarity = Literal["correlation", "cosine", "euclidean"]
NEIGHBOURS = 10
_TIED = 1e-10  # cosines and dissimilarities this close are equal but for rounding


def rsa(x: Rows, y: Rows, dissimilarity: Dissimilarity = "correlation") -> float:
    """Representational similarity analysis: rank correlation of all dissimilarities (Kriegeskorte et al. 2008).

    Args:
        x, y: paired rows `[n d]`; the two widths may differ.
        dissimilarity: of two rows: 1 - their Pearson correlation over the d columns, 1 - their cosine, or their distance.

    Returns:
        Spearman's correlation between the upper triangles, -1 to 1. With "euclidean" 1 for a rotated, scaled or shifted
        copy; "cosine" sees a shift; "correlation" sees a rotation too, unless the rows have mean 0 over the columns.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, or rows that are all equal; for another
            dissimilarity; for a row without variance ("correlation") or of zeros ("cosine"), dissimilarities all equal.
    """
    x, y = paired(x, y)
    return rank_correlation(ranks(x, dissimilarity), ranks(y, dissimilarity))


def mutual_knn(x: Rows, y: Rows, k: int = NEIGHBOURS) -> float:
    """Share of the k nearest neighbours, by cosine, that a row has in common in both (Huh et al. 2024).

    Args:
        x, y: paired rows `[n d]`, scaled to length 1 here, not centred; the two widths may differ.
        k: neighbours of each row, itself left out. Those that tie for the last places share them.

    Returns:
        0 to 1, chance k / (n - 1); 1 for a rotated or scaled copy.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, or rows that are all equal; for a k
            below 1, or above n - 2, where all are neighbours; for a row of zeros.
    """
    x, y = paired(x, y)
    return float(shared(neighbours(x, k), neighbours(y, k)).mean())


def ranks(rows: torch.Tensor, dissimilarity: Dissimilarity) -> torch.Tensor:
    """Ranks of the dissimilarities of all pairs of rows, `[n n]`, about 0, up to 1/2; 0 on the diagonal."""
    found = np.round(_dissimilarities(rows, dissimilarity) / _TIED)  # ties stay ties, whatever the rounding
    if not found.max() > found.min():
        raise ValueError("all pairs of rows are equally dissimilar: there is nothing to rank")
    return torch.from_numpy(squareform((rankdata(found) - (len(found) + 1) / 2) / len(found)))


def rank_correlation(x: torch.Tensor, y: torch.Tensor) -> float:
    """Pearson's correlation of two symmetric matrices `[n n]` off the diagonal, where both are 0."""
    n = len(x) * (len(x) - 1)
    x_mean, y_mean = x.sum() / n, y.sum() / n
    covariance = (x * y).sum() / n - x_mean * y_mean
    variances = (x.square().sum() / n - x_mean**2) * (y.square().sum() / n - y_mean**2)
    if not variances > 0:
        raise ValueError("the ranks do not vary: all pairs of rows are equally dissimilar")
    return float(covariance / variances.sqrt())


def neighbours(rows: torch.Tensor, k: int) -> torch.Tensor:
    """How far row j is among the k nearest neighbours of row i, `[n n]`: 0 or 1, a share where several tie."""
    n = len(rows)
    if not 1 <= k <= n - 2:
        raise ValueError(f"k={k} neighbours among {n} rows: expected 1 to {n - 2}")
    directions = _directions(rows, "with no cosine: leave it out")
    cosines = (directions @ directions.T).fill_diagonal_(-torch.inf)
    last = cosines.topk(k, dim=1).values[:, -1:]
    nearer, tied = cosines > last + _TIED, (cosines - last).abs() <= _TIED
    places = (k - nearer.sum(dim=1, keepdim=True)).double() / tied.sum(dim=1, keepdim=True)
    return nearer.double() + tied * places


def shared(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Share of each row's neighbours `[n n]` that are its neighbours in both, `[n]`."""
    return torch.minimum(x, y).sum(dim=1) / x.sum(dim=1)


def _dissimilarities(rows: torch.Tensor, kind: Dissimilarity) -> np.ndarray:
    """Of all pairs of rows, `[n * (n - 1) / 2]`, at most about 1."""
    if kind not in get_args(Dissimilarity):
        raise ValueError(f"dissimilarity={kind!r}: choose one of {', '.join(get_args(Dissimilarity))}")
    if kind == "euclidean":
        found = pdist(centred(rows).numpy())
        return found / found.max()
    if kind == "correlation":
        rows = rows - rows.mean(dim=1, keepdim=True)
    return pdist(_directions(rows, f"with no {kind}: choose another dissimilarity").numpy(), "sqeuclidean") / 4


def _directions(rows: torch.Tensor, message: str) -> torch.Tensor:
    """Each row of length 1."""
    lengths = rows.norm(dim=1, keepdim=True)
    if not (lengths > 1e-12 * lengths.max()).all():
        raise ValueError(f"a row is the same in every column, or zero, {message}")
    return rows / lengths
