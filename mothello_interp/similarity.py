"""How alike two representations of the same games are, with what could fool such a measure held beside it.

`f(x, y)` measures take paired rows `[n d]` as numpy arrays or tensors and return a float, computed in float64.
`compare` applies them to two languages of a model, within move number: position embeddings are shared between
languages, so rows pooled over moves look alike however unaligned the boards are.

CKA does not see a rotation: two languages in orthogonal subspaces can score near 1 with nothing shared, even under
random weights, for both carry the same bag of moves. So beside it stand measures that need the same coordinates:
parallel-game retrieval and centred cosine.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations, hook_name

Rows = np.ndarray | torch.Tensor
MIN_BOARDS = 50  # moves with fewer distinct boards are left out: a handful of points says nothing about geometry
_FOLDS = 10
_ROUNDING = 1e-10  # of the squared spread: a debiased HSIC below this is rounding, not signal


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
    """
    x, y = _paired(x, y)
    hsic = _hsic_debiased if debiased else _hsic
    return _ratio(hsic(x, y), _own(hsic, x), _own(hsic, y))


def retrieval(x: Rows, y: Rows) -> float:
    """Share of rows of x whose nearest row of y, by cosine after centring both, is their own pair: 0 to 1, chance 1/n.

    Raises:
        ValueError: as `linear_cka`, and for different widths.
    """
    x, y = _same_width(*_paired(x, y))
    nearest = (_unit(x) @ _unit(y).transpose(1, 2)).argmax(dim=2)
    return float((nearest == torch.arange(x.shape[1])).double().mean())


def centred_cosine(x: Rows, y: Rows) -> float:
    """Mean cosine of the paired rows after centring both: -1 to 1, 0 for unrelated rows.

    Raises:
        ValueError: as `retrieval`.
    """
    x, y = _same_width(*_paired(x, y))
    return float((_unit(x) * _unit(y)).sum(dim=2).mean())


def compare(
    source: Activations,
    source_language: int,
    target: Activations,
    target_language: int,
    *,
    permutations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Two languages of a model, or of two models, on the same games, within move number, at every layer.

    Debiased linear CKA sums its HSICs over moves before taking their ratio; retrieval and cosine are averaged over
    moves. Only games that fill the board count, so that every move number has the same games.

    Args:
        source, target: rows of the same games; the same object for two languages of one model.
        permutations: re-pairings of whole games at random, for the null.
        seed: of the re-pairings.

    Returns:
        One row per layer and measure ("cka", "retrieval", "cosine"; the last two for equal widths only): layer, hook,
        measure, value; low, high (95% over games, of CKA by a jackknife); null, null_high (mean and 95% quantile over
        re-paired games); p (share of re-pairings at least as high, counting the data itself); games, moves.

    Raises:
        ValueError: if the games differ, are fewer than 4 * d_model, or show too few different boards; for no permutations.
    """
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: expected 1 or more, since they are the null")
    if source.games != target.games:
        raise ValueError("source and target rows come from different games: collect both on the same ones")
    kept, moves = _complete(source)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(kept), generator=generator) for _ in range(permutations)]
    rows = []
    for layer in source.layers:
        x = _by_move(source, source_language, layer, kept, moves)
        y = _by_move(target, target_language, layer, kept, moves)
        found = {"cka": _cka_with_null(x, y, orders)}
        if x.shape[2] == y.shape[2]:
            found |= _same_coordinates_with_null(x, y, orders)
        for measure, (value, error, null) in found.items():
            row = {"layer": layer, "hook": hook_name(layer), "measure": measure, "value": value}
            row |= {"low": value - 1.96 * error, "high": value + 1.96 * error}
            row |= {"null": null.mean(), "null_high": np.quantile(null, 0.95)}
            rows.append(
                {**row, "p": (1 + (null >= value).sum()) / (1 + len(null)), "games": len(kept), "moves": len(moves)}
            )
    return pd.DataFrame(rows)


def _complete(activations: Activations) -> tuple[np.ndarray, np.ndarray]:
    """The games that fill the board, and the move numbers at which they show enough different boards."""
    games = activations.games
    kept = np.flatnonzero(games.lengths == games.moves.shape[1])
    d_model = activations.values.shape[-1]
    if len(kept) < 4 * d_model:
        raise ValueError(
            f"{len(kept)} games that fill the board, for rows of width {d_model}: similarity needs at least "
            f"{4 * d_model}, or it measures the sample"
        )
    states = activations.boards.state[kept]
    distinct = np.array([len(np.unique(states[:, move], axis=0)) for move in range(games.moves.shape[1] - 1)])
    if distinct.max() < MIN_BOARDS:
        raise ValueError(
            f"at most {distinct.max()} different boards at a move number: similarity needs {MIN_BOARDS}; pass more games, "
            f"or games that differ more"
        )
    return kept, np.flatnonzero(distinct >= MIN_BOARDS)


def _by_move(activations: Activations, language: int, layer: int, kept: np.ndarray, moves: np.ndarray) -> torch.Tensor:
    """Rows `[move game d_model]`, float64."""
    rows = activations.at(language, layer)
    place = np.full(activations.games.moves.shape, -1)
    place[activations.game, activations.move] = np.arange(len(activations.game))
    return rows[torch.from_numpy(place[kept][:, moves].T)].double()


Finding = tuple[float, float, np.ndarray]  # value, standard error, values under re-pairing


def _cka_with_null(x: torch.Tensor, y: torch.Tensor, orders: list[torch.Tensor]) -> Finding:
    """CKA of rows `[move game d]`, HSICs summed over moves; its error by leaving out a share of the games at a time."""

    def cka(x: torch.Tensor, y: torch.Tensor) -> float:
        return _ratio(_hsic_debiased(x, y), _own(_hsic_debiased, x), _own(_hsic_debiased, y))

    x_single, y_single = _centred(x).float(), _centred(y).float()  # enough for the error and the null, in half the time
    fold = torch.arange(x.shape[1]) % _FOLDS
    others = [fold != left_out for left_out in range(_FOLDS)]
    parts = np.array([cka(x_single[:, rest], y_single[:, rest]) for rest in others])
    error = np.sqrt((_FOLDS - 1) / _FOLDS * ((parts - parts.mean()) ** 2).sum())
    of_x, of_y = _own(_hsic_debiased, x), _own(_hsic_debiased, y)
    null = [_ratio(_hsic_debiased(x_single, y_single[:, order]).double(), of_x, of_y) for order in orders]
    return cka(x, y), float(error), np.array(null)


def _same_coordinates_with_null(x: torch.Tensor, y: torch.Tensor, orders: list[torch.Tensor]) -> dict[str, Finding]:
    """Retrieval and cosine of rows `[move game d]`; their errors over games."""
    x, y = _unit(x).float(), _unit(y).float()
    nearest = (x @ y.transpose(1, 2)).argmax(dim=2)
    n = x.shape[1]

    def finding(per_game: torch.Tensor, null: list[torch.Tensor]) -> Finding:
        return float(per_game.mean()), float(per_game.std()) / n**0.5, np.array([float(value) for value in null])

    found = (nearest == torch.arange(n)).float().mean(dim=0)
    cosine = (x * y).sum(dim=2).mean(dim=0)
    return {
        "retrieval": finding(found, [(nearest == order).float().mean() for order in orders]),
        "cosine": finding(cosine, [(x * y[:, order]).sum(dim=2).mean() for order in orders]),
    }


def _hsic(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """HSIC up to a constant, for rows `[... n d]`: squared norm of the cross-covariance."""
    return (_centred(x).transpose(-1, -2) @ _centred(y)).square().sum(dim=(-1, -2))


def _hsic_debiased(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The U-statistic of HSIC (Song et al. 2007) with linear kernels, for rows `[... n d]`, without Gram matrices."""
    x, y = _centred(x), _centred(y)
    n = x.shape[-2]
    x_norms, y_norms = x.square().sum(dim=-1), y.square().sum(dim=-1)
    trace = (x.transpose(-1, -2) @ y).square().sum(dim=(-1, -2)) - (x_norms * y_norms).sum(dim=-1)
    x_total, y_total = x.sum(dim=-2), y.sum(dim=-2)
    x_sums = (x @ x_total.unsqueeze(-1)).squeeze(-1) - x_norms
    y_sums = (y @ y_total.unsqueeze(-1)).squeeze(-1) - y_norms
    totals = x_sums.sum(dim=-1) * y_sums.sum(dim=-1) / ((n - 1) * (n - 2))
    return (trace + totals - 2 / (n - 2) * (x_sums * y_sums).sum(dim=-1)) / (n * (n - 3))


def _own(hsic: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """HSIC of rows `[... n d]` with themselves, checked to be more than rounding."""
    value = hsic(rows, rows).sum()
    if not value > _ROUNDING * _centred(rows).square().sum(dim=-1).mean(dim=-1).square().sum():
        raise ValueError(
            "the rows have no variance to compare: all distances are equal, or too few for the debiased estimator"
        )
    return value


def _ratio(between: torch.Tensor, of_x: torch.Tensor, of_y: torch.Tensor) -> float:
    return float(between.sum() / (of_x * of_y).sqrt())


def _paired(x: Rows, y: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float64 `[1 n d]`, checked."""
    x, y = (torch.as_tensor(rows).detach().cpu().double() for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"rows of shapes {tuple(x.shape)} and {tuple(y.shape)}: expected [n d] and [n d'], paired row by row"
        )
    if len(x) < 4:
        raise ValueError(f"{len(x)} rows: at least 4 are needed")
    for name, rows in (("x", x), ("y", y)):
        if not torch.isfinite(rows).all():
            raise ValueError(f"{name} holds values that are not finite")
        if (rows == rows[0]).all():
            raise ValueError(f"all rows of {name} are equal: there is no variance to compare")
    return x.unsqueeze(0), y.unsqueeze(0)


def _same_width(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if x.shape[2] != y.shape[2]:
        raise ValueError(f"rows of widths {x.shape[2]} and {y.shape[2]}: this measure needs the same coordinates")
    return x, y


def _centred(rows: torch.Tensor) -> torch.Tensor:
    return rows - rows.mean(dim=-2, keepdim=True)


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(_centred(rows), dim=-1)
