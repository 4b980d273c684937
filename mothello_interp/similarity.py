"""Measures of how alike two representations of the same games are: functions f(x, y) of paired rows `[n d]`, in float64.

CKA, SVCCA, PWCCA, Procrustes, RSA and nearest neighbours are blind to a rotation: two languages in orthogonal subspaces can
score near 1 with nothing shared, even under random weights, since both represent the same sets of moves. Measures that need
the same coordinates are reported with them: `retrieval`, `centred_cosine` and `principal_angles`.

| measure | range | 1 for a copy that is rotated, scaled, shifted | 1 for any invertible linear map | needs one width |
|---|---|---|---|---|
| `linear_cka`, `rbf_cka`, `minibatch_cka` | 0 to 1; debiased -1 to 1 | yes | no | no |
| `svcca` | 0 to 1 | yes | only with variance=1 | no |
| `pwcca` | 0 to 1 | yes | yes | no |
| `procrustes_distance` | 0 (alike) to sqrt 2 | 0 | no | no |
| `rsa` | -1 to 1 | "euclidean" | no | no |
| `mutual_knn` | 0 to 1 | rotated, scaled | no | no |
| `retrieval`, `centred_cosine`, `principal_angles` | 0 or -1 to 1 | only scaled, shifted | no | yes |

Every measure raises ValueError for unpaired rows, fewer than 4, values that are not finite, rows that are all equal, or
widths that differ where it needs one. `comparison.compare` applies `MEASURES` to two languages, within move number.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from mothello_interp.arguments import checked
from mothello_interp.measure import Measure, Rows, Side, both, centred, finite_pairs, rotated, row_mean, square
from mothello_interp.procrustes import OrthogonalMap, fit_procrustes, procrustes_distance

__all__ = [
    "MEASURES",
    "SAME_COORDINATES",
    "OrthogonalMap",
    "centred_cosine",
    "fit_procrustes",
    "linear_cka",
    "minibatch_cka",
    "mutual_knn",
    "principal_angles",
    "procrustes_distance",
    "pwcca",
    "rbf_cka",
    "retrieval",
    "rsa",
    "svcca",
]

Values = Callable[[torch.Tensor], torch.Tensor]
Hsic = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Dissimilarity = Literal["correlation", "cosine", "euclidean"]
HALVES = 10  # games in a row that belong to one half where a map is fitted on the other
_ROUNDING = 1e-10  # of the squared spread: an HSIC below this is rounding
_TIED = 1e-10  # cosines, dissimilarities and correlations this close are equal but for rounding


def _cka(values: Values, hsic: Hsic, size: Values, **options: Any) -> Measure:
    """Parts: the HSIC of both sides, and of each with itself (0 if it is rounding)."""

    def prepare(rows: torch.Tensor) -> Side:
        found = values(rows)
        own = hsic(found, found)
        return Side(found, own * (own > _ROUNDING * size(found)))

    def score(x: Side, y: Side) -> torch.Tensor:
        return torch.stack([hsic(x.values, y.values), x.own, y.own])

    return Measure(prepare, score, _ratio, **options)


def _ratio(parts: torch.Tensor) -> torch.Tensor:
    between, of_x, of_y = parts.unbind(-1)
    if not (parts[..., 1:] > 0).all():
        raise ValueError("no variance to compare: no rows, equal distances, or too few for the debiased estimator")
    return (between / (of_x * of_y).sqrt()).clamp(-1, 1)


def _linear(debiased: bool) -> Measure:
    def hsic(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return _hsic(x.T @ y, _lengths(x), _lengths(y), debiased)

    def without(x: Side, y: Side, kept: Sequence[torch.Tensor]) -> torch.Tensor:
        """The products of the rows that are left out are taken from those of all rows."""
        keep = torch.stack(list(kept))
        n, folds = keep.sum(dim=1), [(~fold).nonzero().flatten() for fold in keep]

        def each(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            # of the kept rows: those of all sum to 0
            means = [-(~keep).to(rows) @ rows / n[:, None] for rows in (a, b)]
            left_out = torch.stack([a[fold].T @ b[fold] for fold in folds])
            cross = a.T @ b - left_out - n[:, None, None] * means[0][:, :, None] * means[1][:, None]
            lengths = [
                (_lengths(rows) - 2 * mean @ rows.T + _lengths(mean)[:, None]) * keep
                for rows, mean in zip((a, b), means, strict=True)
            ]
            return _hsic(cross, lengths[0], lengths[1], debiased, n)

        return torch.stack([each(x.values, y.values), each(x.values, x.values), each(y.values, y.values)], dim=1)

    def many(x: Side, y: Side, orders: Sequence[torch.Tensor]) -> torch.Tensor:
        """The floor in float32, all orders in one product."""
        order = torch.stack(list(orders))
        cross = x.values.float().T @ y.values.float()[order]
        between = [
            hsic(x.values, y.values)[None],
            _hsic(cross, _lengths(x.values), _lengths(y.values)[order], debiased),
        ]
        found = torch.cat(between)
        return torch.stack([found, x.own.expand_as(found), y.own.expand_as(found)], dim=1)

    return _cka(centred, hsic, lambda rows: _lengths(rows).mean() ** 2, many=many, without=without)


def _hsic(
    cross: torch.Tensor, a: torch.Tensor, b: torch.Tensor, debiased: bool, n: torch.Tensor | int = 0
) -> torch.Tensor:
    """HSIC `[...]` from products `[... d d']` of n centred rows and their squared lengths `[... row]` (0 for others' rows)."""
    n, squares = n if isinstance(n, torch.Tensor) else a.shape[-1], cross.square().sum(dim=(-2, -1)).double()
    if not debiased:
        return squares / n**2
    together, apart = (a * b).sum(dim=-1), a.sum(dim=-1) * b.sum(dim=-1)
    return (squares - n / (n - 2) * together + apart / ((n - 1) * (n - 2))) / (n * (n - 3))


def _lengths(rows: torch.Tensor) -> torch.Tensor:
    """Squared length of each row, float64 `[n]`."""
    return rows.square().sum(dim=1).double()


def linear_cka(x: Rows, y: Rows, debiased: bool = False) -> float:
    """Centred kernel alignment with a linear kernel: |x'y|^2 / (|x'x| |y'y|) of centred rows (Kornblith et al. 2019).

    `debiased` uses the unbiased estimator of HSIC (Song et al. 2007), which is 0 in expectation for independent rows and
    may be negative; the plain one grows with d / n.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 8))
        >>> round(linear_cka(x, 3 * x[:, ::-1]), 6)  # the same rows, mirrored and scaled
        1.0
        >>> linear_cka(x, rng.normal(size=(200, 8)), debiased=True) < 0.05
        True
    """
    return _linear(debiased)(x, y)


def minibatch_cka(batches: Iterable[tuple[Rows, Rows]]) -> float:
    """Debiased linear CKA with each HSIC summed over batches before the ratio (Nguyen et al. 2021), -1 to 1.

    Memory does not grow with the batches. Rows of different batches are never compared; each batch counts the same.
    Rows may be equal in some batches (pairs of rows `[n d]`), but not in all.
    """
    measure, sums = _linear(debiased=True), torch.zeros(3, dtype=torch.float64)
    for batch in batches:
        sums += measure.score(*(measure.prepare(rows) for rows in finite_pairs(*batch)))
    return float(measure.finish(sums))


def _gaussian(bandwidth: float, debiased: bool) -> Measure:
    def centred_kernel(kernel: torch.Tensor) -> torch.Tensor:
        """Less its row and column means; debiased: U-centred, without the diagonal (Szekely and Rizzo 2014)."""
        less = 2 if debiased else 0
        kernel = kernel.clone().fill_diagonal_(0) if debiased else kernel
        means = kernel.sum(dim=0) / (len(kernel) - less)
        kernel = kernel - means - means[:, None] + means.sum() / (len(kernel) - less // 2)
        return kernel.fill_diagonal_(0) if debiased else kernel

    def hsic(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x * y).mean()

    measure = _cka(lambda rows: centred_kernel(_kernel(rows, bandwidth)), hsic, lambda _: torch.ones(()))
    return square(measure, _cka(centred_kernel, hsic, lambda _: torch.ones(())).prepare)


def _kernel(rows: torch.Tensor, bandwidth: float) -> torch.Tensor:
    if not bandwidth > 0:
        raise ValueError(f"bandwidth={bandwidth}: expected a positive share of the median distance, such as 0.5")
    rows = centred(rows)
    squared = (_lengths(rows)[:, None] + _lengths(rows) - 2 * rows @ rows.T).clamp(min=0).fill_diagonal_(0)
    median = float(np.median(squared.numpy()))
    if not median > 0:
        raise ValueError("the median distance is 0: half or more of all pairs of rows are equal; pass rows that differ")
    return (-squared / (2 * bandwidth**2 * median)).exp()


def rbf_cka(x: Rows, y: Rows, bandwidth: float = 0.5, debiased: bool = False) -> float:
    """Centred kernel alignment with a Gaussian kernel (Kornblith et al. 2019). Takes memory of n squared.

    The width of the Gaussian is `bandwidth` times the square root of the median of all n * n squared distances. Raises
    ValueError for a bandwidth that is not positive, or if that median is 0.
    """
    return _gaussian(bandwidth, debiased)(x, y)


def _white(rows: torch.Tensor, variance: float) -> Side:
    """The leading left singular vectors `[n k]`; own: what gives the rows back from them, `[k d]`."""
    axes = _leading(rows, variance).values
    projected = centred(rows) @ axes
    scales = projected.norm(dim=0)
    return Side(projected / scales, scales[:, None] * axes.T)


def _leading(rows: torch.Tensor, variance: float) -> Side:
    """The fewest directions with a share of the variance, as orthonormal columns `[d k]`."""
    if not 0 < variance <= 1:
        raise ValueError(f"variance={variance}: expected a share above 0, at most 1, such as 0.99")
    rows, n = centred(rows), len(rows)
    variances, axes = torch.linalg.eigh(rows.T @ rows)
    most = variances.flip(0).clamp(min=0).cumsum(0)
    k = 1 + int((most < variance * most[-1] * (1 - 1e-12)).sum())  # directions with less are rounding of float32
    if n <= k + 1:
        raise ValueError(
            f"{n} rows fill {k} directions, so that every correlation is 1: pass more rows, or less variance"
        )
    return Side(axes.flip(1)[:, :k])


def _mean_correlation(x: Side, y: Side) -> torch.Tensor:
    return torch.linalg.svdvals(x.values.T @ y.values).mean()


def _weighted_correlation(x: Side, y: Side) -> torch.Tensor:
    axes, correlations, _ = torch.linalg.svd(x.values.T @ y.values, full_matrices=False)
    tie = torch.cat([torch.zeros(1), correlations.diff() < -_TIED]).cumsum(0).long()
    size = torch.bincount(tie)
    squares = x.own.new_zeros(len(size), x.own.shape[1]).index_add_(0, tie, (axes.T @ x.own).square())
    factor = (torch.lgamma(size / 2) - torch.lgamma((size + 1) / 2)).double().exp() * size / math.sqrt(math.pi)
    weights = factor * squares.sqrt().sum(dim=1)
    return weights @ correlations.new_zeros(len(size)).index_add_(0, tie, correlations).div(size) / weights.sum()


def svcca(x: Rows, y: Rows, variance: float = 0.99) -> float:
    """Mean canonical correlation between the leading subspaces of both (Raghu et al. 2017), 0 to 1.

    The fewest directions with a share `variance` of the squared singular values are kept of each. Biased upward: unrelated
    rows score about 0.85 times the square root of k / n in k directions each. Raises ValueError for a share outside (0, 1],
    and for no more rows than directions + 1, when every correlation is 1.
    """
    return Measure(partial(_white, variance=variance), _mean_correlation)(x, y)


def pwcca(x: Rows, y: Rows) -> float:
    """Canonical correlations, each weighted by how much of x its direction accounts for (Morcos et al. 2018), 0 to 1.

    The weight of canonical variate h_i is sum_j |<h_i, x_j>| over the centred columns x_j of x: not symmetric. Variates of
    k equal correlations are not unique; their joint weight is its mean over all bases P of the space they span,
    k G(k/2) / (sqrt(pi) G((k+1)/2)) sum_j |P' x_j| with the gamma function G. Biased upward and raises as `svcca`.
    """
    return MEASURES["pwcca"](x, y)


def _held_out(x: Side, y: Side) -> torch.Tensor:
    """Score of a map fitted on half of the games, on the other half; both ways."""
    half = x.game // HALVES % 2 == 0
    scores = [
        fit_procrustes(x.values[fit], y.values[fit]).score(x.values[~fit], y.values[~fit]) for fit in (half, ~half)
    ]
    return torch.tensor(sum(scores) / 2, dtype=torch.float64)


def _ranks(rows: torch.Tensor, dissimilarity: Dissimilarity) -> Side:
    if dissimilarity == "euclidean":
        found = pdist(centred(rows).numpy())
        found = found / found.max()
    elif dissimilarity in get_args(Dissimilarity):
        rows = rows - rows.mean(dim=1, keepdim=True) if dissimilarity == "correlation" else rows
        found = pdist(_of_length_one(rows).numpy(), "sqeuclidean") / 4
    else:
        raise ValueError(f"dissimilarity={dissimilarity!r}: choose one of {', '.join(get_args(Dissimilarity))}")
    return _standardised(torch.from_numpy(squareform(rankdata(np.round(found / _TIED)))))


def _standardised(ranks: torch.Tensor) -> Side:
    """Ranks `[n n]` of mean 0 and norm 1 off the diagonal, so that a sum of products is a correlation."""
    n = len(ranks)
    found = (ranks - ranks.sum() / (n * (n - 1))).fill_diagonal_(0)
    if not found.norm() > _ROUNDING * ranks.norm():
        raise ValueError("all pairs of rows are equally dissimilar: there is nothing to rank")
    return Side(found / found.norm())


def _rank_correlation(x: Side, y: Side) -> torch.Tensor:
    return (x.values * y.values).sum()


def _of_length_one(rows: torch.Tensor) -> torch.Tensor:
    lengths = rows.norm(dim=1, keepdim=True)
    if not (lengths > 1e-12 * lengths.max()).all():
        raise ValueError("a row is the same in every column, or zero: leave it out, or choose another dissimilarity")
    return rows / lengths


def rsa(x: Rows, y: Rows, dissimilarity: Dissimilarity = "correlation") -> float:
    """Spearman's correlation of the dissimilarities of all pairs of rows, -1 to 1 (Kriegeskorte et al. 2008).

    Args:
        x, y: paired rows `[n d]`; the two widths may differ. Takes memory of n squared.
        dissimilarity: of two rows: 1 - their Pearson correlation over the d columns, 1 - their cosine, or their distance.
            "euclidean" is 1 for a rotated, scaled or shifted copy; "cosine" sees a shift; "correlation" a rotation too.

    Raises:
        ValueError: for another dissimilarity; a row without variance ("correlation") or of zeros ("cosine"); if all are equal.
    """
    return Measure(partial(_ranks, dissimilarity=dissimilarity), _rank_correlation)(x, y)


def _neighbours(rows: torch.Tensor, k: int) -> Side:
    """How far row j is among the k nearest of row i, `[n n]`: 0 or 1, a share where several tie."""
    if not 1 <= k <= len(rows) - 2:
        raise ValueError(f"k={k} neighbours among {len(rows)} rows: expected 1 to {len(rows) - 2}")
    rows = _of_length_one(rows)
    cosines = (rows @ rows.T).fill_diagonal_(-torch.inf)
    last = cosines.topk(k, dim=1).values[:, -1:]
    nearer, tied = cosines > last + _TIED, (cosines - last).abs() <= _TIED
    places = (k - nearer.sum(dim=1, keepdim=True)).double() / tied.sum(dim=1, keepdim=True)
    return Side(nearer.double() + tied * places)


def _shared(x: Side, y: Side) -> torch.Tensor:
    return (torch.minimum(x.values, y.values).sum(dim=1) / x.values.sum(dim=1)).mean()


@checked
def mutual_knn(x: Rows, y: Rows, k: int = 10) -> float:
    """Share of the k nearest neighbours, by cosine, that a row has in common in both, 0 to 1 (Huh et al. 2024).

    Rows `[n d]` are not centred. Neighbours that tie for the last places share them. Chance is k / (n - 1); memory of n
    squared. Raises ValueError for a k below 1 or above n - 2, where all are neighbours, and for a row of zeros.
    """
    return Measure(partial(_neighbours, k=k), _shared)(x, y)


def _unit(rows: torch.Tensor) -> Side:
    """Rows centred, then each of length 1 (0 if it is the mean)."""
    return Side(torch.nn.functional.normalize(centred(rows), dim=1, eps=1e-100))


def _found(x: Side, y: Side, orders: Sequence[torch.Tensor]) -> torch.Tensor:
    """Whether the nearest row of y to a row of x is its own, or one equal to it, `[1 + order row]`."""
    nearest = (x.values.float() @ y.values.float().T).argmax(dim=1)
    equal = y.values @ y.values.T > 1 - _TIED  # which rows of y are one another's copies, their own included
    partners = [torch.arange(len(nearest)), *orders]
    return torch.stack([equal[nearest, own] for own in partners]).double()


def retrieval(x: Rows, y: Rows) -> float:
    """Share of rows of x whose nearest row of y, by cosine after centring both, is their own pair: 0 to 1, chance 1/n.

    A row of y that is equal to the own pair, as where games begin alike, counts as found.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 8))
        >>> retrieval(x, x), retrieval(x, np.roll(x, 1, axis=1)) < 0.1  # other coordinates, nothing found
        (1.0, True)
    """
    return MEASURES["retrieval"](x, y)


def centred_cosine(x: Rows, y: Rows) -> float:
    """Mean cosine of the paired rows after centring both: -1 to 1, 0 for unrelated rows."""
    return MEASURES["cosine"](x, y)


def _overlap(x: Side, y: Side) -> torch.Tensor:
    return (x.values.T @ y.values).square().sum() / min(x.values.shape[1], y.values.shape[1])


def principal_angles(x: Rows, y: Rows, variance: float = 0.9) -> float:
    """Mean squared cosine of the principal angles between the subspaces in which both vary most (Bjoerck and Golub 1973).

    0 (orthogonal) to 1 (one holds the other); in expectation the larger dimension over d, for subspaces at random. Which row
    is paired with which plays no part. The fewest directions with a share `variance` of each span its subspace; raises
    ValueError for a share outside (0, 1], and for no more rows than directions + 1.
    """
    return Measure(partial(_leading, variance=variance), _overlap, one_width=True)(x, y)


MEASURES = {
    "cka": _linear(debiased=True),
    "rbf_cka": _gaussian(0.5, debiased=True),
    "svcca": Measure(partial(_white, variance=0.99), _mean_correlation),
    "pwcca": Measure(partial(_white, variance=1.0), _weighted_correlation),
    "procrustes": Measure(Side, _held_out, one_width=True),
    "rsa": square(Measure(partial(_ranks, dissimilarity="correlation"), _rank_correlation), _standardised),
    "mutual_knn": Measure(partial(_neighbours, k=10), _shared, mismatch=both, quadratic=True),
    "retrieval": Measure(
        _unit, lambda x, y: _found(x, y, [])[0], row_mean, many=_found, one_width=True, quadratic=True
    ),
    "cosine": Measure(
        _unit, lambda x, y: (x.values * y.values).sum(dim=1).double(), row_mean, one_width=True, single=True
    ),
    "principal_angles": Measure(partial(_leading, variance=0.9), _overlap, mismatch=rotated, one_width=True),
}
SAME_COORDINATES = ("retrieval", "cosine", "principal_angles")
