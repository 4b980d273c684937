"""Canonical correlations: how much of the one is a linear image of the other, whatever the map."""

import torch

from mothello_interp.similarity.rows import Rows, centred, paired

VARIANCE = 0.99
_ROUNDING = 1e-12  # of the variance: directions that hold no more are the rounding of float32 activations


def svcca(x: Rows, y: Rows, variance: float = VARIANCE) -> float:
    """Mean canonical correlation between the leading subspaces of both (Raghu et al. 2017).

    Args:
        x, y: paired rows `[n d]`; the two widths may differ.
        variance: of each, the fewest directions with this share of the squared singular values are kept.

    Returns:
        0 to 1; 1 for a rotated, scaled or shifted copy. Biased upward: unrelated rows score about 0.85 times the
        square root of k / n in k directions each, so look at it beside re-paired rows.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, or rows that are all equal; for a share
            outside (0, 1]; for no more rows than directions + 1, when every correlation is 1.
    """
    (x_white, _), (y_white, _) = (white(rows, variance) for rows in paired(x, y))
    return mean_correlation(x_white.T @ y_white)


def pwcca(x: Rows, y: Rows) -> float:
    """Canonical correlations, each weighted by how much of x its direction accounts for (Morcos et al. 2018).

    The weight of canonical variate h_i is the sum over the columns x_j of x, centred, of |<h_i, x_j>|.

    Args:
        x, y: paired rows `[n d]`; the two widths may differ. The weights are from x: not symmetric.

    Returns:
        0 to 1; 1 for any invertible linear map, shifted. Biased upward as `svcca`.

    Raises:
        ValueError: as `svcca`.
    """
    (x_white, loadings), (y_white, _) = (white(rows, 1.0) for rows in paired(x, y))
    return weighted_correlation(x_white.T @ y_white, loadings)


def white(rows: torch.Tensor, variance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The leading left singular vectors of rows `[n d]`, `[n k]`, and what gives the rows back from them, `[k d]`."""
    left, singular, right = torch.linalg.svd(centred(rows), full_matrices=False)
    k = directions(singular.square(), variance, len(rows))
    return left[:, :k], singular[:k, None] * right[:k]


def whitening(covariance: torch.Tensor, variance: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`white` from the covariance `[d d]`, times n, of n rows: the map `[d k]` that makes them white, and `[k d]`."""
    variances, axes = torch.linalg.eigh(covariance)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    k = directions(variances, variance, n)
    scales = variances[:k].sqrt()
    return axes[:, :k] / scales, scales[:, None] * axes[:, :k].T


def directions(variances: torch.Tensor, share: float, n: int) -> int:
    """The fewest leading directions with a share of the variance, largest first `[d]`, of n rows."""
    if not 0 < share <= 1:
        raise ValueError(f"variance={share}: expected a share above 0, at most 1, such as 0.99")
    k = 1 + int((variances.cumsum(0) < share * variances.sum() * (1 - _ROUNDING)).sum())
    if n <= k + 1:
        raise ValueError(
            f"{n} rows fill {k} directions, so that every correlation would be 1: pass more rows, or keep less variance"
        )
    return k


def mean_correlation(cross: torch.Tensor) -> float:
    """Mean canonical correlation of white rows with this product `[k k']`."""
    return float(torch.linalg.svdvals(cross).clamp(max=1).mean())


def weighted_correlation(cross: torch.Tensor, loadings: torch.Tensor) -> float:
    """Canonical correlations of white rows with this product `[k k']`, weighted by the first one's loadings `[k d]`."""
    axes, correlations, _ = torch.linalg.svd(cross, full_matrices=False)
    weights = (axes.T @ loadings).abs().sum(dim=1)
    return float(weights @ correlations.clamp(max=1) / weights.sum())
