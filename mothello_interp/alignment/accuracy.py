"""Accuracy of every language's probe in every language, by layer or by move number, under each symmetry."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import Activations, collect, hook_name
from mothello_interp.alignment.scores import ALL_FOUR, Scores, at_layer, share
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry
from mothello_interp.probes import Probes

_BLANK_BELOW = 0.1  # a ceiling closer to its floor than this leaves nothing to normalise by


def align(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    targets: Sequence[int] | None = None,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy of every language's probe in every language, at every layer, under each symmetry.

    Args:
        probes: from `fit_probes`, on other games.
        checkpoint: the model they were fitted on.
        games: games to score on, parallel in all languages.
        targets: languages to read, those of the probes by default.
        symmetries: maps of the board to read the target through.
        resamples: bootstrap resamples over games.
        seed: of the bootstrap.

    Returns:
        One row per layer, source, target and symmetry. Columns, all accuracies from 0 to 1 over squares and moves:
        layer, hook, source, target, symmetry;
        accuracy, low, high: with its 95% interval over games;
        moved: on the squares where board and image differ (NaN for the identity);
        occupied: on the squares where the image is not empty;
        guess: of the best guess from square and move number;
        predicted: what P_src scores on the source itself read against the image: a pair aligned through the identity has
        this accuracy under the other symmetries;
        floor: of the same predictions against other games' boards (not their images) at the same move number;
        ceiling, ceiling_target: of P_src on the source and P_tgt on the target, under the identity (NaN for a target
        without a probe);
        normalised, normalised_low, normalised_high: (accuracy - floor) / (ceiling - floor), with its 95% interval, NaN
        where ceiling - floor < 0.1; normalised_guess: with `guess` for the floor; normalised_target: with
        ceiling_target for the ceiling;
        games: how many.

    Raises:
        ValueError: for games without rows, fewer than one resample, and as `collect`.

    Examples:
        >>> from mothello_interp import fit_probes, load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> probes = fit_probes(m, random_games(50, board=6, seed=0), layers=[1], batch=256, seed=0)
        >>> table = align(probes, m, random_games(20, board=6, seed=1), resamples=100)
        >>> across = table[(table.source == 0) & (table.target == 1)]
        >>> print(across[["symmetry", "accuracy", "floor", "ceiling"]].round(1).to_string(index=False))
            symmetry  accuracy  floor  ceiling
            identity       0.9    0.5      0.9
            diagonal       0.6    0.5      0.9
        antidiagonal       0.6    0.5      0.9
           half_turn       0.5    0.5      0.9
    """
    languages = list(dict.fromkeys([*probes.languages, *(targets or ())]))
    rows = collect(checkpoint, games, layers=probes.layers, languages=languages)
    return align_on(probes, rows, targets=targets, symmetries=symmetries, resamples=resamples, seed=seed)


def align_on(
    probes: Probes,
    activations: Activations,
    *,
    targets: Sequence[int] | None = None,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """`align` on rows collected already, or changed since: by a map between languages, say."""
    targets = probes.languages if targets is None else targets
    scores = Scores(probes, activations, symmetries)
    games = len(activations.games)
    weights = scores.resamplings(resamples, seed)
    rows = []
    for layer in probes.layers:
        own = {language: scores.hits(layer, language, language) for language in probes.languages}
        for source in probes.languages:
            for target in targets:
                hits = scores.hits(layer, source, target)
                floor = scores.per_game(hits.floor)
                ceiling = scores.per_game(own[source].plain)
                for index, symmetry in enumerate(scores.symmetries):
                    accuracy = scores.per_game(hits.right[index])
                    row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), "source": source, "target": target}
                    row |= {"symmetry": symmetry.name, "accuracy": scores.mean(accuracy)}
                    row |= dict(zip(("low", "high"), scores.interval(weights, accuracy), strict=True))
                    row["moved"] = share(hits.moved[index].sum(), scores.moved[index].sum())
                    row |= {"occupied": hits.occupied[index], "guess": scores.guess[index]}
                    row["predicted"] = scores.mean(scores.per_game(own[source].right[index]))
                    row |= {"floor": scores.mean(floor), "ceiling": scores.mean(ceiling)}
                    row["ceiling_target"] = scores.mean(scores.per_game(own[target].plain)) if target in own else np.nan
                    row |= _normalised(row)
                    between = (np.nan, np.nan)
                    if not np.isnan(row["normalised"]):
                        between = scores.interval(weights, accuracy, floor, ceiling)
                    row |= {"normalised_low": between[0], "normalised_high": between[1], "games": games}
                    rows.append(row)
    return pd.DataFrame(rows)


def align_by_move(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
) -> pd.DataFrame:
    """`align` at one layer, resolved by move number (from 0): the curves tell the symmetries apart.

    Returns:
        One row per source, target, symmetry and move: accuracy, guess, predicted, floor, ceiling, games, as in `align`;
        moved, unmoved: of the squares where board and image differ, the share read as the image shows them, and as the
        board does (NaN at moves at which no square differs; of a source in itself `unmoved` is what can be reached).
    """
    scores = at_layer(probes, checkpoint, games, layer, symmetries)
    tables = []
    for source in probes.languages:
        own = scores.hits(layer, source, source)
        ceiling = scores.per_move(own.plain)
        for target in probes.languages:
            hits = scores.hits(layer, source, target)
            for index, symmetry in enumerate(scores.symmetries):
                columns = {"accuracy": hits.right[index], "guess": scores.guessed[index]}
                columns |= {"predicted": own.right[index], "floor": hits.floor}
                table = pd.DataFrame({name: scores.per_move(value) for name, value in columns.items()})
                differing = scores.per_move(scores.moved[index])
                moved, unmoved = (scores.per_move(read[index]) for read in (hits.moved, hits.unmoved))
                table = table.assign(ceiling=ceiling, moved=share(moved, differing), unmoved=share(unmoved, differing))
                table["games"] = scores.games_at_move
                table.insert(0, "move", scores.moves)
                table.insert(0, "symmetry", symmetry.name)
                table.insert(0, "target", target)
                table.insert(0, "source", source)
                tables.append(table)
    return pd.concat(tables, ignore_index=True)


def best_layer(table: pd.DataFrame, source: int) -> int:
    """The layer at which the source's own accuracy is highest, from a table of `align`.

    Take the table from other games than the number you report at that layer.

    Raises:
        ValueError: for a source that the table does not have as its own target.
    """
    own = table[(table["source"] == source) & (table["target"] == source) & (table["symmetry"] == "identity")]
    if own.empty:
        raise ValueError(f"source {source}: the table has no row of it read in itself, under the identity")
    return int(own["layer"].iloc[own["accuracy"].to_numpy().argmax()])


def _normalised(row: dict[str, Any]) -> dict[str, float]:
    pairs = {"normalised": ("floor", "ceiling"), "normalised_guess": ("guess", "ceiling")}
    pairs["normalised_target"] = ("floor", "ceiling_target")
    result = {}
    for name, (zero, one) in pairs.items():
        room = row[one] - row[zero]
        result[name] = (row["accuracy"] - row[zero]) / room if room >= _BLANK_BELOW else np.nan
    return result
