"""Two languages of a model, or of two models, on the same games: every measure at every layer, beside its null."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations, hook_name
from mothello_interp.similarity.findings import FOLDS, MEASURES, ONE_WIDTH, PAIRS_OF_ROWS, Finding, Paired, own_measure
from mothello_interp.similarity.rows import paired

MIN_BOARDS = 50  # moves with fewer distinct boards are left out: a handful of points says nothing about geometry
Measure = str | Callable[[torch.Tensor, torch.Tensor], float]
POOLED_ROWS = 2000  # pooled, measures on all pairs of rows take no more: their cost grows with the square


def compare(
    source: Activations,
    source_language: int,
    target: Activations,
    target_language: int,
    *,
    measures: Sequence[Measure] = ("cka", "retrieval", "cosine"),
    layer_by_layer: bool = False,
    pooled: bool = False,
    permutations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Two languages of a model, or of two models, on the same games, within move number, at every layer.

    Only games that fill the board count, so that every move number has the same games. Each measure is taken within move
    number and averaged over moves. Measures that do not see a rotation:

    - "cka", "rbf_cka": debiased; HSICs are summed over moves before their ratio.
    - "svcca" (99% of the variance), "pwcca": as the functions; biased upward, which their null shows.
    - "procrustes": `OrthogonalMap.score` of a map fitted on half of the games, on the other half; both ways, averaged.
    - "rsa" ("correlation"), "mutual_knn" (10 neighbours): as the functions.

    Measures that need the same coordinates, to stand beside every one of those: "retrieval", "cosine" (`centred_cosine`),
    "principal_angles" (90% of the variance).

    Args:
        source, target: rows of the same games; the same object for two languages of one model.
        measures: which, of `MEASURES`, or functions of your own, from paired rows, float64 tensors `[game d]` of one move
            number (all rows if pooled), to a number; the table calls them by their name. For two widths "procrustes" and
            those of the same coordinates are left out.
        layer_by_layer: compare every layer of the source with every layer of the target, not with the same one alone.
        pooled: compare the rows of all these moves at once instead. What depends on the move number alone then counts:
            the null, which re-pairs games within each move, shows how much. "rbf_cka", "rsa", "mutual_knn" and
            "retrieval" then take the first games that make 2,000 rows.
        permutations: re-pairings of whole games at random, for the null. Principal angles do not depend on the pairing;
            their null turns the target's coordinates at random.
        seed: of the re-pairings and turns.

    Returns:
        One row per layer, target_layer and measure: layer, hook (the source's), target_layer, measure, value; low, high (95%
        over games, from the spread of a mean over games for "retrieval" and "cosine", else by a jackknife over tenths of
        the games: a bootstrap repeats games, and a game is too much like itself for debiased, nearest-neighbour and
        canonical measures); null, null_high (mean and 95% quantile over re-paired games); above (value - null_high); p
        (share of re-pairings at least as high, counting the data itself); games, moves.

    Raises:
        ValueError: if the games differ, are fewer than 4 * d_model (of the wider), or show too few different boards; for no
            permutations, unknown measures, two of one name, or none that these widths allow; for rows that are not finite,
            or equal in all games; for a function that gives what is not finite; as the measures.
    """
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: expected 1 or more, since they are the null")
    if source.games != target.games:
        raise ValueError("source and target rows come from different games: collect both on the same ones")
    chosen = _chosen(measures, source.values.shape[-1], target.values.shape[-1])
    kept, moves = _complete(source, max(source.values.shape[-1], target.values.shape[-1]))
    few = min(POOLED_ROWS // len(moves), len(kept)) if pooled else len(kept)
    rows = []
    pairs = product(source.layers, target.layers) if layer_by_layer else ((layer, layer) for layer in source.layers)
    for layer, target_layer in pairs:
        x = _by_move(source, source_language, layer, kept, moves)
        y = _by_move(target, target_language, target_layer, kept, moves)
        by_games = {n: _paired(x[:, :n], y[:, :n], permutations, seed, pooled=pooled) for n in {few, len(kept)}}
        for name, finding in chosen.items():
            games = few if name in PAIRS_OF_ROWS else len(kept)
            value, error, null = finding(by_games[games])
            row = {
                "layer": layer,
                "hook": hook_name(layer),
                "target_layer": target_layer,
                "measure": name,
                "value": value,
            }
            row |= {"low": value - 1.96 * error, "high": value + 1.96 * error}
            null_high = float(np.quantile(null, 0.95))
            row |= {"null": null.mean(), "null_high": null_high, "above": value - null_high}
            row["p"] = (1 + (null >= value).sum()) / (1 + len(null))
            rows.append({**row, "games": games, "moves": len(moves)})
    return pd.DataFrame(rows)


def _chosen(measures: Sequence[Measure], x_width: int, y_width: int) -> dict[str, Callable[[Paired], Finding]]:
    """The measures that these widths allow, by name, each once."""
    chosen: dict[str, Callable[[Paired], Finding]] = {}
    for measure in dict.fromkeys(measures):
        if isinstance(measure, str):
            if measure not in MEASURES:
                raise ValueError(f"no measure {measure!r}: there are {', '.join(MEASURES)}, or a function of your own")
            if x_width == y_width or measure not in ONE_WIDTH:
                chosen[measure] = MEASURES[measure]
        elif measure.__name__ in (*MEASURES, *chosen):
            raise ValueError(f"there is a measure {measure.__name__!r} already: call your function something else")
        else:
            chosen[measure.__name__] = own_measure(measure)
    if not chosen:
        raise ValueError(
            f"measures={list(measures)} for rows of widths {x_width} and {y_width}: name at least one that can compare them, "
            f"such as 'cka'"
        )
    return chosen


def _complete(activations: Activations, d_model: int) -> tuple[np.ndarray, np.ndarray]:
    """The games that fill the board, and the move numbers at which they show enough different boards."""
    games = activations.games
    kept = np.flatnonzero(games.lengths == games.moves.shape[1])
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


def _paired(x: torch.Tensor, y: torch.Tensor, permutations: int, seed: int, *, pooled: bool) -> Paired:
    """Rows `[move game d]` with their re-pairings; pooled, as one group whose rows are moved a game at a time."""
    moves, games, _ = x.shape
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(games, generator=generator) for _ in range(permutations)]
    game = torch.arange(games)
    if pooled:
        x, y = (rows.transpose(0, 1).flatten(0, 1).unsqueeze(0) for rows in (x, y))
        orders = [(order[:, None] * moves + torch.arange(moves)).flatten() for order in orders]
        game = game.repeat_interleave(moves)
    for groups in zip(x, y, strict=True):
        paired(*groups)
    others = [torch.nonzero(game % FOLDS != fold).flatten() for fold in range(FOLDS)]
    return Paired(x, y, game, orders, others, seed)
