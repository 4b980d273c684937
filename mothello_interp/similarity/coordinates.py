"""Measures that need the same coordinates: what a rotation destroys. They stand beside the others, which do not see it."""

import torch

from mothello_interp.similarity.canonical import directions
from mothello_interp.similarity.rows import Rows, centred, paired, same_width, unit

SHARE = 0.9  # of the variance, for the subspaces


def retrieval(x: Rows, y: Rows) -> float:
    """Share of rows of x whose nearest row of y, by cosine after centring both, is their own pair: 0 to 1, chance 1/n.

    Raises:
        ValueError: for unpaired rows, different widths, fewer than 4 rows, values that are not finite, or rows that are
            all equal.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 8))
        >>> retrieval(x, x), retrieval(x, np.roll(x, 1, axis=1)) < 0.1  # other coordinates, nothing found
        (1.0, True)
    """
    x, y = same_width(*paired(x, y))
    nearest = (unit(x) @ unit(y).T).argmax(dim=1)
    return float((nearest == torch.arange(len(x))).double().mean())


def centred_cosine(x: Rows, y: Rows) -> float:
    """Mean cosine of the paired rows after centring both: -1 to 1, 0 for unrelated rows.

    Raises:
        ValueError: as `retrieval`.
    """
    x, y = same_width(*paired(x, y))
    return float((unit(x) * unit(y)).sum(dim=1).mean())


def principal_angles(x: Rows, y: Rows, variance: float = SHARE) -> float:
    """Mean squared cosine of the principal angles between the subspaces in which both vary most (Bjoerck and Golub 1973).

    Which row is paired with which plays no part: two codes may fill one subspace and share nothing.

    Args:
        x, y: rows `[n d]` of one width.
        variance: of each, the fewest directions with this share of the variance span the subspace.

    Returns:
        0 (orthogonal) to 1 (one holds the other); in expectation the larger dimension over d, for subspaces at random.

    Raises:
        ValueError: as `retrieval`; for a share outside (0, 1]; for no more rows than directions + 1.
    """
    x, y = same_width(*paired(x, y))
    return overlap(leading(x, variance), leading(y, variance))


def leading(rows: torch.Tensor, variance: float) -> torch.Tensor:
    """The fewest directions with a share of the variance of rows `[n d]`, as orthonormal columns `[d k]`."""
    rows = centred(rows)
    variances, axes = torch.linalg.eigh(rows.T @ rows)
    return axes.flip(1)[:, : directions(variances.flip(0), variance, len(rows))]


def overlap(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean squared cosine of the principal angles between the spans of orthonormal columns `[d k]`, `[d k']`."""
    return float((x.T @ y).square().sum() / min(x.shape[1], y.shape[1]))
