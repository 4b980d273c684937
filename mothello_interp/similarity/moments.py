"""The measures that need no pairs of rows, from batches of any number of rows, in memory that does not grow with them."""

import torch

from mothello_interp.similarity.canonical import VARIANCE, mean_correlation, weighted_correlation, whitening
from mothello_interp.similarity.cka import more_than_rounding, ratio
from mothello_interp.similarity.procrustes import OrthogonalMap, best_map, distance
from mothello_interp.similarity.rows import Rows, check_count, check_varied, finite, pairs

_AT_ONCE = 2048  # rows in float64 at a time


class Moments:
    """Sums over paired rows, float64, from which linear CKA, SVCCA, PWCCA and Procrustes come out exactly.

    `moments = Moments(); for x, y in batches: moments.add(x, y); moments.linear_cka(debiased=True)`: the same as the
    functions give for all rows at once, but for rounding. About 8 * (d + d')^2 bytes, and as much for a while on reading.

    The debiased HSIC leaves each row's product with itself out, sum_i |x_i|^2 |y_i|^2 about means that are known only at
    the end. It is a polynomial in them, whose coefficients are sums over rows: of |x|^2 |y|^2, |x|^2 y, |y|^2 x and x y'.
    Sums are taken about the mean of the first rows, so that rows far from the origin lose no digits.
    """

    def __init__(self) -> None:
        self.n = 0

    def add(self, x: Rows, y: Rows) -> "Moments":
        """Count more rows, `[n d]` and `[n d']`, paired; any n. Gives itself back.

        Raises:
            ValueError: for unpaired rows, values that are not finite, or other widths than before.
        """
        x, y = pairs(x, y)
        if self.n and (x.shape[1], y.shape[1]) != self._widths:
            raise ValueError(f"rows of widths {x.shape[1]} and {y.shape[1]}: those before had {self._widths}")
        for first in range(0, len(x), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            self._add(finite(x[part], y[part]))
        return self

    def linear_cka(self, debiased: bool = False) -> float:
        """As `mothello_interp.similarity.linear_cka` of all rows, debiased too.

        Raises:
            ValueError: as the function, and if too few rows were added.
        """
        x_spread, y_spread = (float(self._covariance(side, side).trace()) / self.n for side in (0, 1))
        between, of_x, of_y = (self._hsic(*pair, debiased=debiased) for pair in ((0, 1), (0, 0), (1, 1)))
        spreads = (torch.tensor(spread**2) for spread in (x_spread, y_spread))
        return ratio(between, *(more_than_rounding(*own) for own in zip((of_x, of_y), spreads, strict=True)))

    def svcca(self, variance: float = VARIANCE) -> float:
        """As `mothello_interp.similarity.svcca` of all rows."""
        (x_map, _), (y_map, _) = (whitening(self._covariance(side, side), variance, self.n) for side in (0, 1))
        return mean_correlation(x_map.T @ self._covariance(0, 1) @ y_map)

    def pwcca(self) -> float:
        """As `mothello_interp.similarity.pwcca` of all rows."""
        (x_map, loadings), (y_map, _) = (whitening(self._covariance(side, side), 1.0, self.n) for side in (0, 1))
        return weighted_correlation(x_map.T @ self._covariance(0, 1) @ y_map, loadings)

    def procrustes_distance(self) -> float:
        """As `mothello_interp.similarity.procrustes_distance` of all rows."""
        return distance(self._covariance(0, 1), *(self._covariance(side, side).trace() for side in (0, 1)))

    def fit_procrustes(self, *, scaled: bool = False) -> OrthogonalMap:
        """As `mothello_interp.similarity.fit_procrustes` on all rows."""
        cross = self._covariance(0, 1)
        if cross.shape[0] != cross.shape[1]:
            raise ValueError(f"rows of widths {self._widths}: a rotation needs one width")
        spread = self._covariance(0, 0).trace() if scaled else None
        x_mean, y_mean = (self._origin[side] + self._offset(side) for side in (0, 1))
        return best_map(cross, x_mean, y_mean, self.n, spread)

    @property
    def _widths(self) -> tuple[int, int]:
        return len(self._origin[0]), len(self._origin[1])

    def _start(self, rows: tuple[torch.Tensor, torch.Tensor]) -> None:
        both = (0, 1)
        self._first = [part[0].clone() for part in rows]
        self._origin = [part.mean(dim=0) for part in rows]
        self._constant = [True, True]
        self._sums = [part.new_zeros(part.shape[1]) for part in rows]
        self._products = {
            (i, j): rows[0].new_zeros(rows[i].shape[1], rows[j].shape[1]) for i in both for j in both if i <= j
        }
        self._lengths = rows[0].new_zeros(2)  # sum of |x|^2
        self._length_products = rows[0].new_zeros(2, 2)  # of |x|^2 |y|^2
        self._weighted = [part.new_zeros(2, part.shape[1]) for part in rows]  # of |x|^2 y

    def _add(self, rows: tuple[torch.Tensor, torch.Tensor]) -> None:
        if self.n == 0:
            self._start(rows)
        for side, part in enumerate(rows):
            self._constant[side] &= bool((part == self._first[side]).all())
        shifted = [part - origin for part, origin in zip(rows, self._origin, strict=True)]
        lengths = torch.stack([part.square().sum(dim=1) for part in shifted])
        self.n += len(rows[0])
        self._lengths += lengths.sum(dim=1)
        self._length_products += lengths @ lengths.T
        for (i, j), products in self._products.items():
            products.addmm_(shifted[i].T, shifted[j])
        for part, sums, weighted in zip(shifted, self._sums, self._weighted, strict=True):
            sums += part.sum(dim=0)
            weighted += lengths @ part

    def _offset(self, side: int) -> torch.Tensor:
        """Mean of all rows, from the origin of the sums, `[d]`."""
        return self._sums[side] / self.n

    def _covariance(self, i: int, j: int) -> torch.Tensor:
        """Products of the columns of all rows less their means, `[d d']`, after checking that they can be compared."""
        check_count(self.n)
        for side, name in enumerate("xy"):
            variance = float(self._products[side, side].trace() / self.n - self._offset(side).square().sum())
            check_varied(name, constant=self._constant[side], variance=variance)
        return self._products[i, j] - self.n * torch.outer(self._offset(i), self._offset(j))

    def _hsic(self, i: int, j: int, *, debiased: bool) -> torch.Tensor:
        """HSIC, up to a constant if not debiased."""
        squares = self._covariance(i, j).square().sum()
        if not debiased:
            return squares
        n = self.n
        a, b = self._offset(i), self._offset(j)
        a_length, b_length = a @ a, b @ b
        own = self._length_products[i, j] + 4 * a @ self._products[i, j] @ b - 3 * n * a_length * b_length
        own = own - 2 * (self._weighted[j][i] @ b + self._weighted[i][j] @ a)
        own = own + b_length * self._lengths[i] + a_length * self._lengths[j]
        totals = (self._lengths[i] - n * a_length) * (self._lengths[j] - n * b_length)
        return (squares - n / (n - 2) * own + totals / ((n - 1) * (n - 2))) / (n * (n - 3))
