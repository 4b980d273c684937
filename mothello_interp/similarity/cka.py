"""Centred kernel alignment: linear, Gaussian, and over batches."""

from collections.abc import Callable, Iterable, Sequence

import torch

from mothello_interp.similarity.rows import Rows, centred, check_count, finite, paired, pairs

BANDWIDTH = 0.5
_ROUNDING = 1e-10  # of the squared spread: an HSIC below this is rounding, not signal
_NO_VARIANCE = "the rows have no variance to compare: all distances are equal, or too few for the debiased estimator"


def linear_cka(x: Rows, y: Rows, debiased: bool = False) -> float:
    """Centred kernel alignment with a linear kernel (Kornblith et al. 2019).

    Args:
        x, y: paired rows `[n d]`; the two widths may differ.
        debiased: use the unbiased estimator of HSIC (Song et al. 2007), which is 0 in expectation for independent rows,
            and may then be negative; the plain one grows with d / n.

    Returns:
        At most 1; 1 for a rotated, scaled or shifted copy.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, or rows that are all equal.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 8))
        >>> round(linear_cka(x, 3 * x[:, ::-1]), 6)  # the same rows, turned and scaled
        1.0
        >>> linear_cka(x, rng.normal(size=(200, 8)), debiased=True) < 0.05
        True
    """
    x, y = paired(x, y)
    estimator = hsic_debiased if debiased else hsic
    return ratio(estimator(x, y), own(estimator, x), own(estimator, y))


def rbf_cka(x: Rows, y: Rows, bandwidth: float = BANDWIDTH, debiased: bool = False) -> float:
    """Centred kernel alignment with a Gaussian kernel (Kornblith et al. 2019). Takes memory of n squared.

    Args:
        x, y: paired rows `[n d]`; the two widths may differ.
        bandwidth: width of the Gaussian, as a share of the square root of the median of all n * n squared distances (the
            lower of the two in the middle).
        debiased: as `linear_cka`.

    Returns:
        At most 1; 1 for a rotated, scaled or shifted copy.

    Raises:
        ValueError: as `linear_cka`; for a bandwidth that is not positive; if more than half of all distances are 0.
    """
    x, y = paired(x, y)
    x_kernel, y_kernel = (centred_kernel(gaussian(rows, bandwidth), debiased=debiased) for rows in (x, y))
    return ratio((x_kernel * y_kernel).sum(), own_kernel(x_kernel), own_kernel(y_kernel))


def minibatch_cka(batches: Iterable[tuple[Rows, Rows]]) -> float:
    """Linear CKA of debiased HSICs, each summed over batches before the ratio (Nguyen et al. 2021).

    Args:
        batches: pairs of rows `[n d]`, one batch at a time; each counts the same, whatever its size.

    Returns:
        At most 1 but for rounding. Rows of different batches are never compared; `Moments` compares them all.

    Raises:
        ValueError: without a batch; as `linear_cka`, where rows may be equal in some batches but not in all.
    """
    sums, spread = torch.zeros(3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for mine, other in batches:
        x, y = finite(*pairs(mine, other))
        check_count(len(x))
        sums += torch.stack([hsic_debiased(x, y), hsic_debiased(x, x), hsic_debiased(y, y)])
        spread += torch.stack([_spread(x), _spread(y)])
    if not (sums[1:] > _ROUNDING * spread).all():
        raise ValueError(f"{_NO_VARIANCE}; or there was no batch")
    return ratio(*sums)


def hsic(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """HSIC up to a constant, for rows `[... n d]`: squared norm of the cross-covariance."""
    return (centred(x).transpose(-1, -2) @ centred(y)).square().sum(dim=(-1, -2))


def hsic_debiased(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The U-statistic of HSIC (Song et al. 2007) with linear kernels, for rows `[... n d]`, without Gram matrices."""
    x, y = centred(x), centred(y)
    return _hsic_of(_sums(x, y), x.shape[-2])


def hsic_without(x: torch.Tensor, y: torch.Tensor, folds: Sequence[torch.Tensor]) -> torch.Tensor:
    """`hsic_debiased` of the rows `[... n d]` without each fold `[row]`, `[fold ...]`, at the cost of about two of them."""
    x, y = centred(x), centred(y)  # about the mean of all rows: the statistic does not depend on the origin
    whole = _sums(x, y)
    without = []
    for fold in folds:
        less = [all_rows - part for all_rows, part in zip(whole, _sums(x[..., fold, :], y[..., fold, :]), strict=True)]
        without.append(_hsic_of(less, x.shape[-2] - len(fold)))
    return torch.stack(without)


def _sums(x: torch.Tensor, y: torch.Tensor) -> Sequence[torch.Tensor]:
    """What the debiased HSIC needs of rows `[... n d]`: x'y, |y|^2 x, |x|^2 y, |x|^2 |y|^2, x, y, |x|^2, |y|^2, summed."""
    a, b = (rows.square().sum(dim=-1, keepdim=True) for rows in (x, y))
    alone = (rows.sum(dim=-2, keepdim=True) for rows in (x, y, a, b))
    return x.mT @ y, b.mT @ x, a.mT @ y, a.mT @ b, *alone


def _hsic_of(sums: Sequence[torch.Tensor], n: int) -> torch.Tensor:
    """From the sums over n rows: of the kernels without diagonals, the product's trace, and of its rows and in all."""
    products, x_weighted, y_weighted, own_products, x, y, a, b = sums
    trace = products.square().sum(dim=(-1, -2), keepdim=True) - own_products
    along = _dot(x @ products, y) - _dot(x, x_weighted) - _dot(y, y_weighted) + own_products
    totals = (_dot(x, x) - a) * (_dot(y, y) - b)
    return ((trace - 2 / (n - 2) * along + totals / ((n - 1) * (n - 2))) / (n * (n - 3)))[..., 0, 0]


def _dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x * y).sum(dim=-1, keepdim=True)


def own_without(rows: torch.Tensor, folds: Sequence[torch.Tensor]) -> torch.Tensor:
    """Debiased HSIC of rows `[... n d]` with themselves without each fold, `[fold]`, each checked as by `own`."""
    found = hsic_without(rows, rows, folds).flatten(1).sum(dim=1)
    more_than_rounding(found.min(), _spread(rows))
    return found


def own(estimator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """HSIC of rows `[... n d]` with themselves, checked to be more than rounding."""
    return more_than_rounding(estimator(rows, rows).sum(), _spread(rows))


def more_than_rounding(value: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """An HSIC of rows with themselves, if it is signal, beside their squared spread."""
    if not value > _ROUNDING * spread:
        raise ValueError(_NO_VARIANCE)
    return value


def ratio(between: torch.Tensor, of_x: torch.Tensor, of_y: torch.Tensor) -> float:
    return float(between.sum() / (of_x * of_y).sqrt())


def gaussian(rows: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """Gaussian kernel `[n n]` of rows `[n d]`."""
    if not bandwidth > 0:
        raise ValueError(f"bandwidth={bandwidth}: expected a positive share of the median distance, such as 0.5")
    rows = centred(rows)
    norms = rows.square().sum(dim=1)
    squared = (norms[:, None] + norms - 2 * rows @ rows.T).clamp(min=0).fill_diagonal_(0)
    median = squared.median()
    if not median > 0:
        raise ValueError(
            "the median distance is 0: more than half of all pairs of rows are equal; pass rows that differ"
        )
    return (-squared / (2 * bandwidth**2 * median)).exp()


def centred_kernel(kernel: torch.Tensor, *, debiased: bool) -> torch.Tensor:
    """A kernel `[n n]` less its row and column means, so that the sum of a product of two is their HSIC up to a constant.

    Debiased: the diagonal left out of both (U-centring, Szekely and Rizzo 2014), which gives Song et al.'s estimator.
    """
    n = len(kernel)
    if not debiased:
        rows = kernel.mean(dim=0)
        return kernel - rows - rows[:, None] + rows.mean()
    hollow = kernel.clone().fill_diagonal_(0)
    rows = hollow.sum(dim=0) / (n - 2)
    return (hollow - rows - rows[:, None] + rows.sum() / (n - 1)).fill_diagonal_(0)


def own_kernel(kernel: torch.Tensor) -> torch.Tensor:
    """HSIC of a centred kernel of values up to 1 with itself, checked to be more than rounding."""
    return more_than_rounding(kernel.square().sum(), torch.tensor(_ROUNDING * len(kernel) ** 2))


def _spread(rows: torch.Tensor) -> torch.Tensor:
    """Squared mean squared length of rows `[... n d]`, centred, summed over all but the last two axes."""
    return centred(rows).square().sum(dim=-1).mean(dim=-1).square().sum()
