"""Two languages of a model, or of two models, on the same games: similarity at every layer, with its floor."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations
from mothello_interp.arguments import checked
from mothello_interp.forward import hook_name
from mothello_interp.measure import Measure, Side, paired, rotated, row_mean
from mothello_interp.similarity import MEASURES
from mothello_interp.stats import permutation_p

MIN_BOARDS = 50  # moves with fewer distinct boards are left out: a handful of points says nothing about geometry
POOLED_ROWS = 2000  # pooled, measures whose memory grows with the square of the rows take no more
FOLDS = 10


@checked
def compare(
    source: Activations,
    source_language: int,
    target: Activations,
    target_language: int,
    *,
    measures: Sequence[str | Callable[[torch.Tensor, torch.Tensor], float]] = ("cka", "retrieval", "cosine"),
    layer_by_layer: bool = False,
    pooled: bool = False,
    permutations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Value, interval and floor of similarity measures at every layer, within move number.

    Only games that fill the board count, so that every move number has the same games. Measures are averaged over moves;
    "cka" and "rbf_cka" are debiased and sum HSICs over moves before their ratio. "procrustes" is `OrthogonalMap.score` of a
    map fitted on half of the games, on the other half, both ways averaged. The others are the functions of `similarity`.

    Args:
        source, target: rows of the same games; the same object for two languages of one model.
        measures: names in `MEASURES`, or functions of your own, from paired float64 rows `[game d]` of one move number to a
            number, called by their name. For two widths those that need one width are left out.
        layer_by_layer: compare every layer of the source with every layer of the target, not with the same one alone.
        pooled: compare the rows of all moves at once; what depends on the move number alone then counts, as in the floor.
            Measures whose memory grows with the square of the rows take the first games that make 2,000 rows.
        permutations: random mismatches of complete games, the floor; 0 for values alone. The floor of "principal_angles",
            which do not depend on the pairing, is the target's coordinates rotated at random.
        seed: of the mismatches.

    Returns:
        One row per layer, target_layer and measure: layer, hook (the source's), target_layer, measure, value; low, high (95%
        over games, from a jackknife over tenths of the games, for "retrieval" and "cosine" over single games); floor,
        floor_high (mean and 95% quantile over mismatches); above (value - floor_high); p (`stats.permutation_p`); games, moves.
        For no permutations without the columns from low to p.

    Raises:
        ValueError: if the games differ, are fewer than 4 * d_model (of the wider), or show too few different boards; for
            fewer than 0 permutations, unknown measures, two of one name, or none that these widths allow; as the measures.
    """
    if permutations < 0:
        raise ValueError(f"permutations={permutations}: expected 1 or more, the floor, or 0 for values alone")
    if source.games != target.games:
        raise ValueError("source and target rows come from different games: collect both on the same ones")
    chosen = _chosen(measures, source.values.shape[-1], target.values.shape[-1])
    kept, moves = _complete(source, max(source.values.shape[-1], target.values.shape[-1]))
    rows = []
    pairs = product(source.layers, target.layers) if layer_by_layer else zip(source.layers, source.layers, strict=True)
    for layer, target_layer in pairs:
        x = _by_move(source, source_language, layer, kept, moves)
        y = _by_move(target, target_language, target_layer, kept, moves)
        for name, measure in chosen.items():
            games = min(POOLED_ROWS // len(moves), len(kept)) if pooled and measure.quadratic else len(kept)
            value, error, floor = _finding(measure, x[:, :games], y[:, :games], permutations, seed, pooled=pooled)
            row = {
                "layer": layer,
                "hook": hook_name(layer),
                "target_layer": target_layer,
                "measure": name,
                "value": value,
            }
            row |= _around(value, error, floor) if permutations else {}
            rows.append({**row, "games": games, "moves": len(moves)})
    return pd.DataFrame(rows)


def _around(value: float, error: float, floor: np.ndarray) -> dict[str, float]:
    """The columns from low to p."""
    high = float(np.quantile(floor, 0.95))
    row = {"low": value - 1.96 * error, "high": value + 1.96 * error}
    return row | {"floor": floor.mean(), "floor_high": high, "above": value - high, "p": permutation_p(value, floor)}


def _finding(
    measure: Measure, x: torch.Tensor, y: torch.Tensor, permutations: int, seed: int, *, pooled: bool
) -> tuple[float, float, np.ndarray]:
    """Value, standard error over games (none without a floor) and floor `[permutation]` of rows `[move game d]`."""
    moves, games, width = x.shape
    generator, game = torch.Generator().manual_seed(seed), torch.arange(games)
    if measure.mismatch is rotated:
        normal = (torch.randn(width, width, generator=generator, dtype=x.dtype) for _ in range(permutations))
        orders = [torch.linalg.qr(axes).Q for axes in normal]
    else:
        orders = [torch.randperm(games, generator=generator) for _ in range(permutations)]
    if pooled:
        x, y = (rows.transpose(0, 1).flatten(0, 1)[None] for rows in (x, y))
        game = game.repeat_interleave(moves)
        if measure.mismatch is not rotated:
            orders = [(order[:, None] * moves + torch.arange(moves)).flatten() for order in orders]
    scores, folds = [], []
    for group in zip(x, y, strict=True):
        paired(*group)
        sides = [measure.prepare(rows)._replace(game=game) for rows in group]
        scores.append(measure.scores(sides[0], sides[1], orders))
        if permutations and measure.finish is not row_mean:
            folds.append(_without(measure, group, sides))
    parts = torch.stack(scores).mean(dim=0)
    values = measure.finish(parts).numpy()
    if not permutations:
        error = torch.tensor(torch.nan)
    elif measure.finish is row_mean:
        error = parts[0].reshape(games, -1).mean(dim=1).std() / games**0.5
    else:
        error = measure.finish(torch.stack(folds).mean(dim=0)).std(unbiased=False) * (FOLDS - 1) ** 0.5
    return float(values[0]), float(error), values[1:]


def _without(measure: Measure, rows: Sequence[torch.Tensor], sides: Sequence[Side]) -> torch.Tensor:
    """Parts without each fold of the games, `[fold ...]`."""
    game = sides[0].game
    kept = [game % FOLDS != fold for fold in range(FOLDS)]
    if measure.without:
        return measure.without(sides[0], sides[1], kept)
    parts = [measure.score(*(measure.prepare(side[keep])._replace(game=game[keep]) for side in rows)) for keep in kept]
    return torch.stack(parts)


def _chosen(measures: Sequence[str | Callable[..., float]], x_width: int, y_width: int) -> dict[str, Measure]:
    """The measures that these widths allow, by name, each once."""
    chosen: dict[str, Measure] = {}
    for measure in dict.fromkeys(measures):
        name = measure if isinstance(measure, str) else measure.__name__
        if isinstance(measure, str) and name not in MEASURES:
            raise ValueError(f"no measure {name!r}: there are {', '.join(MEASURES)}, or a function of your own")
        if not isinstance(measure, str) and name in (*MEASURES, *chosen):
            raise ValueError(f"there is a measure {name!r} already: call your function something else")
        found = MEASURES[name] if isinstance(measure, str) else _own(measure)
        if x_width == y_width or not found.one_width:
            chosen[name] = found
    if not chosen:
        raise ValueError(
            f"measures={list(measures)} for rows of widths {x_width} and {y_width}: name one that compares them"
        )
    return chosen


def _own(function: Callable[..., float]) -> Measure:
    def score(x: Side, y: Side) -> torch.Tensor:
        value = torch.tensor(float(function(x.values, y.values)), dtype=torch.float64)
        if not value.isfinite():
            shapes = f"{tuple(x.values.shape)} and {tuple(y.values.shape)}"
            raise ValueError(f"{function.__name__} gave {value} on rows of shapes {shapes}: expected a finite number")
        return value

    return Measure(Side, score, lambda parts: parts)


def _complete(activations: Activations, d_model: int) -> tuple[np.ndarray, np.ndarray]:
    """The games that fill the board, and the move numbers at which they show enough different boards."""
    games = activations.games
    kept = np.flatnonzero(games.lengths == games.moves.shape[1])
    if len(kept) < 4 * d_model:
        raise ValueError(f"{len(kept)} games that fill the board: rows of width {d_model} need at least {4 * d_model}")
    states = activations.boards.state[kept]
    distinct = np.array([len(np.unique(states[:, move], axis=0)) for move in range(games.moves.shape[1] - 1)])
    if distinct.max() < MIN_BOARDS:
        raise ValueError(
            f"at most {distinct.max()} different boards at a move number: expected {MIN_BOARDS}; pass more games"
        )
    return kept, np.flatnonzero(distinct >= MIN_BOARDS)


def _by_move(activations: Activations, language: int, layer: int, kept: np.ndarray, moves: np.ndarray) -> torch.Tensor:
    """Rows `[move game d_model]`, float64."""
    rows = activations.at(language, layer)
    place = np.full(activations.games.moves.shape, -1)
    place[activations.game, activations.move] = np.arange(len(activations.game))
    return rows[torch.from_numpy(place[kept][:, moves].T)].double()
