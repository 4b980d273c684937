"""Each measure on rows within move number: its value, its error over games, and its values for re-paired games."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from mothello_interp.similarity.canonical import VARIANCE, mean_correlation, weighted_correlation, white
from mothello_interp.similarity.cka import (
    BANDWIDTH,
    centred_kernel,
    gaussian,
    hsic_debiased,
    hsic_without,
    own,
    own_kernel,
    own_without,
    ratio,
)
from mothello_interp.similarity.coordinates import SHARE, leading, overlap, principal_angles
from mothello_interp.similarity.moments import Moments
from mothello_interp.similarity.pairs import NEIGHBOURS, mutual_knn, neighbours, rank_correlation, ranks, shared
from mothello_interp.similarity.procrustes import fit_procrustes
from mothello_interp.similarity.rows import centred, unit

FOLDS = 10


class Paired(NamedTuple):
    """Paired rows of both sides, grouped: one group a move number, or one in all.

    Attributes:
        x, y: float64 `[group row d]`.
        game: int64 `[row]`, of every group's rows.
        orders: for each re-pairing of games, which row of y goes with each row of x, int64 `[row]`.
        others: for each fold of the games, the rows that are not in it, int64 `[kept]`.
        seed: of any other null.
    """

    x: torch.Tensor
    y: torch.Tensor
    game: torch.Tensor
    orders: list[torch.Tensor]
    others: list[torch.Tensor]
    seed: int


class Finding(NamedTuple):
    """A value, its standard error over games, and what the null gives, `[permutation]`."""

    value: float
    error: float
    null: np.ndarray


# value and null, `[1 + permutation parts]`; values without each fold, `[fold parts]`
Table = tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]


def _jackknife(parts: np.ndarray) -> float:
    """Standard error from values without each fold of the games."""
    return float(np.sqrt((len(parts) - 1) / len(parts) * ((parts - parts.mean()) ** 2).sum()))


def _cka(rows: Paired) -> Finding:
    """Debiased HSICs, summed over groups."""
    of_x, of_y = own(hsic_debiased, rows.x), own(hsic_debiased, rows.y)
    folds = [torch.nonzero(rows.game % FOLDS == fold).flatten() for fold in range(FOLDS)]
    between = hsic_without(rows.x, rows.y, folds).sum(dim=1)
    parts = between / (own_without(rows.x, folds) * own_without(rows.y, folds)).sqrt()
    x, y = centred(rows.x).float(), centred(rows.y).float()  # enough for the null, in half the time
    null = [ratio(hsic_debiased(x, y[:, order]).double(), of_x, of_y) for order in rows.orders]
    return Finding(ratio(hsic_debiased(rows.x, rows.y), of_x, of_y), _jackknife(parts.numpy()), np.array(null))


def _over_groups(measure: Callable[[torch.Tensor, torch.Tensor, Paired], Table]) -> Callable[[Paired], Finding]:
    """A measure of one group `[row d]`, averaged over groups: three parts are HSICs, whose ratio is taken at the end."""

    def finding(rows: Paired) -> Finding:
        tables = [measure(x, y, rows) for x, y in zip(rows.x, rows.y, strict=True)]
        means = (np.mean([table[side] for table in tables], axis=0) for side in (0, 1))
        paired, parts = (mean[:, 0] / np.sqrt(mean[:, 1:].prod(axis=1)) for mean in means)
        return Finding(float(paired[0]), _jackknife(parts), paired[1:])

    return finding


def own_measure(measure: Callable[[torch.Tensor, torch.Tensor], float]) -> Callable[[Paired], Finding]:
    """A function of paired rows, averaged over groups."""

    def score(x: torch.Tensor, y: torch.Tensor) -> Sequence[float]:
        value = float(measure(x, y))
        if not np.isfinite(value):
            raise ValueError(f"{measure.__name__} gave {value} on rows of shapes {tuple(x.shape)} and {tuple(y.shape)}")
        return [value]

    def table(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
        return [score(x, y[order]) for order in _with_itself(rows)], [score(x[rest], y[rest]) for rest in rows.others]

    return _over_groups(table)


def _with_itself(rows: Paired) -> list[torch.Tensor]:
    """The pairing that is, then those at random."""
    return [torch.arange(len(rows.game)), *rows.orders]


def _rbf_cka(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    """The Gaussian's width is that of all games, without a fold too."""
    x_kernel, y_kernel = gaussian(x, BANDWIDTH), gaussian(y, BANDWIDTH)

    def hsics(keep: torch.Tensor) -> Sequence[float]:
        a, b = (centred_kernel(_both(kernel, keep), debiased=True) for kernel in (x_kernel, y_kernel))
        return [float(part) for part in ((a * b).sum(), own_kernel(a), own_kernel(b))]

    x_centred, y_centred = (centred_kernel(kernel, debiased=True) for kernel in (x_kernel, y_kernel))
    of_x, of_y = float(own_kernel(x_centred)), float(own_kernel(y_centred))
    between = [float((x_centred * _both(y_centred, order)).sum()) for order in _with_itself(rows)]
    return [(value, of_x, of_y) for value in between], [hsics(rest) for rest in rows.others]


def _svcca(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    (x_white, _), (y_white, _) = white(x, VARIANCE), white(y, VARIANCE)
    paired = [[mean_correlation(x_white.T @ y_white[order])] for order in _with_itself(rows)]
    return paired, [[Moments().add(x[rest], y[rest]).svcca()] for rest in rows.others]


def _pwcca(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    (x_white, loadings), (y_white, _) = white(x, 1.0), white(y, 1.0)
    paired = [[weighted_correlation(x_white.T @ y_white[order], loadings)] for order in _with_itself(rows)]
    return paired, [[Moments().add(x[rest], y[rest]).pwcca()] for rest in rows.others]


def _procrustes(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    """Fitted on half of the games and scored on the other, both ways."""
    half = (rows.game // FOLDS) % 2 == 0  # so that a fold is half of each

    def both_ways(x: torch.Tensor, y: torch.Tensor, half: torch.Tensor) -> Sequence[float]:
        scores = [fit_procrustes(x[one], y[one]).score(x[~one], y[~one]) for one in (half, ~half)]
        return [sum(scores) / 2]

    paired = [both_ways(x, y[order], half) for order in _with_itself(rows)]
    return paired, [both_ways(x[rest], y[rest], half[rest]) for rest in rows.others]


def _rsa(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    """Ranked once: a tenth of the games less hardly changes the order of the rest."""
    x_ranks, y_ranks = ranks(x, "correlation"), ranks(y, "correlation")
    paired = [[rank_correlation(x_ranks, _both(y_ranks, order))] for order in _with_itself(rows)]
    return paired, [[rank_correlation(_both(x_ranks, rest), _both(y_ranks, rest))] for rest in rows.others]


def _mutual_knn(x: torch.Tensor, y: torch.Tensor, rows: Paired) -> Table:
    x_near, y_near = neighbours(x, NEIGHBOURS), neighbours(y, NEIGHBOURS)
    paired = [[float(shared(x_near, _both(y_near, order)).mean())] for order in _with_itself(rows)]
    return paired, [[mutual_knn(x[rest], y[rest])] for rest in rows.others]


def _principal_angles(rows: Paired) -> Finding:
    """Subspaces do not know which game is which, so the null turns those of y at random instead."""
    axes = [(leading(x, SHARE), leading(y, SHARE)) for x, y in zip(rows.x, rows.y, strict=True)]
    generator = torch.Generator().manual_seed(rows.seed)
    null = []
    for _ in rows.orders:
        width = rows.x.shape[2]
        turn = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=rows.x.dtype)).Q
        null.append(np.mean([overlap(x, turn @ y) for x, y in axes]))
    parts = [
        np.mean([principal_angles(x[rest], y[rest]) for x, y in zip(rows.x, rows.y, strict=True)])
        for rest in rows.others
    ]
    return Finding(float(np.mean([overlap(*pair) for pair in axes])), _jackknife(np.array(parts)), np.array(null))


def _per_row(rows: Paired, values: torch.Tensor, null: list[torch.Tensor]) -> Finding:
    """A measure that is a mean over rows, from each row's own value, averaged over groups `[row]`."""
    games = len(torch.unique(rows.game))
    per_game = values.reshape(games, -1).mean(dim=1)
    return Finding(float(per_game.mean()), float(per_game.std()) / games**0.5, np.array([float(part) for part in null]))


def _retrieval(rows: Paired) -> Finding:
    x, y = unit(rows.x).float(), unit(rows.y).float()
    nearest = (x @ y.transpose(1, 2)).argmax(dim=2)
    found = (nearest == torch.arange(x.shape[1])).float().mean(dim=0)
    return _per_row(rows, found, [(nearest == order).float().mean() for order in rows.orders])


def _cosine(rows: Paired) -> Finding:
    x, y = unit(rows.x).float(), unit(rows.y).float()
    cosine = (x * y).sum(dim=2).mean(dim=0)
    return _per_row(rows, cosine, [(x * y[:, order]).sum(dim=2).mean() for order in rows.orders])


def _both(square: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Rows and columns of a matrix `[n n]`."""
    return square.index_select(0, keep).index_select(1, keep)


MEASURES: dict[str, Callable[[Paired], Finding]] = {
    "cka": _cka,
    "rbf_cka": _over_groups(_rbf_cka),
    "svcca": _over_groups(_svcca),
    "pwcca": _over_groups(_pwcca),
    "procrustes": _over_groups(_procrustes),
    "rsa": _over_groups(_rsa),
    "mutual_knn": _over_groups(_mutual_knn),
    "retrieval": _retrieval,
    "cosine": _cosine,
    "principal_angles": _principal_angles,
}
SAME_COORDINATES = ("retrieval", "cosine", "principal_angles")
ONE_WIDTH = ("procrustes", *SAME_COORDINATES)
PAIRS_OF_ROWS = ("rbf_cka", "rsa", "mutual_knn", "retrieval")  # their memory grows with the square of the rows
