"""Cross-lingual probe transfer: does a board probe of one language read the board in another?

A probe P_src, fitted on games written in the source language, is applied unchanged to games written in the target
language (Hua et al. 2024). Its accuracy there is the alignment of source to target. Two readings go beyond the paper:

- Scale. Each accuracy stands between two zeros (`guess`, the best guess from square and move number; `floor`, the same
  probe read against another game's board at the same move number) and two ceilings (P_src on the source, P_tgt on the
  target). `normalised` is (accuracy - floor) / (ceiling - floor).
- Symmetry. Random play is the same under four symmetries of the board, so without anchors nothing says WHICH of four
  maps relates two languages. Every accuracy is therefore taken against g(board) for each g: `accuracy` of symmetry g is
  the share of squares where P_src, reading the target's rows of a board b, says g(b).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import Activations, collect, hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, Symmetry
from mothello_interp.probes import Probes

_BLANK_BELOW = 0.1  # a ceiling closer to its floor than this leaves nothing to normalise by


def align(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    targets: Sequence[int] | None = None,
    symmetries: Sequence[Symmetry] = tuple(SYMMETRIES.values()),
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
        ValueError: for games without rows, and as `collect`.
    """
    targets = probes.languages if targets is None else targets
    languages = list(dict.fromkeys([*probes.languages, *targets]))
    scores = _Scores(probes, collect(checkpoint, games, layers=probes.layers, languages=languages), symmetries)
    weights = np.random.default_rng(seed).multinomial(len(games), np.full(len(games), 1 / len(games)), resamples)
    rows = []
    for layer in probes.layers:
        own = {language: scores.hits(layer, language, language) for language in probes.languages}
        for source in probes.languages:
            for target in targets:
                hits = scores.hits(layer, source, target)
                floor = scores.per_game(hits.floor)
                ceiling = scores.per_game(own[source].plain)
                for index, symmetry in enumerate(symmetries):
                    accuracy = scores.per_game(hits.right[index])
                    row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), "source": source, "target": target}
                    row |= {"symmetry": symmetry.name, "accuracy": scores.mean(accuracy)}
                    row |= dict(zip(("low", "high"), scores.interval(weights, accuracy), strict=True))
                    row |= {"moved": hits.moved[index], "occupied": hits.occupied[index], "guess": scores.guess[index]}
                    row["predicted"] = scores.mean(scores.per_game(own[source].right[index]))
                    row |= {"floor": scores.mean(floor), "ceiling": scores.mean(ceiling)}
                    row["ceiling_target"] = scores.mean(scores.per_game(own[target].plain)) if target in own else np.nan
                    row |= _normalised(row)
                    between = (np.nan, np.nan)
                    if not np.isnan(row["normalised"]):
                        between = scores.interval(weights, accuracy, floor, ceiling)
                    row |= {"normalised_low": between[0], "normalised_high": between[1], "games": len(games)}
                    rows.append(row)
    return pd.DataFrame(rows)


def align_by_move(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    symmetries: Sequence[Symmetry] = tuple(SYMMETRIES.values()),
) -> pd.DataFrame:
    """`align` at one layer, resolved by move number (from 0): the curves tell the symmetries apart.

    Returns:
        One row per source, target, symmetry and move: accuracy, guess, predicted, floor, ceiling, games, as in `align`.
    """
    _check_layer(probes, layer)
    scores = _Scores(probes, collect(checkpoint, games, layers=[layer], languages=probes.languages), symmetries)
    tables = []
    for source in probes.languages:
        own = scores.hits(layer, source, source)
        ceiling = scores.per_move(own.plain)
        for target in probes.languages:
            hits = scores.hits(layer, source, target)
            for index, symmetry in enumerate(symmetries):
                columns = {"accuracy": hits.right[index], "guess": scores.guessed[index]}
                columns |= {"predicted": own.right[index], "floor": hits.floor}
                table = pd.DataFrame({name: scores.per_move(value) for name, value in columns.items()})
                table = table.assign(ceiling=ceiling, games=scores.games_at_move)
                table.insert(0, "move", scores.moves)
                table.insert(0, "symmetry", symmetry.name)
                table.insert(0, "target", target)
                table.insert(0, "source", source)
                tables.append(table)
    return pd.concat(tables, ignore_index=True)


def align_up_to_symmetry(probes: Probes, checkpoint: Checkpoint, games: Games, *, layer: int) -> pd.DataFrame:
    """The symmetry through which each pair is aligned best, chosen on half of the games and scored on the other half.

    Args:
        layer: named beforehand, so that it is not chosen by what it shows.

    Returns:
        One row per source and target: symmetry, accuracy, moved, runner_up and runner_up_accuracy (the next best
        symmetry), floor, ceiling, normalised, all from the second half of the games.

    Raises:
        ValueError: for a layer without probes, or fewer than two games.
    """
    _check_layer(probes, layer)
    half = len(games) // 2
    chosen = align(probes, checkpoint, games[:half], resamples=1)
    scored = align(probes, checkpoint, games[half:], resamples=1)
    rows = []
    for pair, group in chosen[chosen["layer"] == layer].groupby(["source", "target"]):
        source, target = pair if isinstance(pair, tuple) else (pair, pair)
        ranked = group.sort_values("accuracy", ascending=False)["symmetry"].tolist()
        here = scored[(scored["layer"] == layer) & (scored["source"] == source) & (scored["target"] == target)]
        by_name = {row["symmetry"]: row for row in here.to_dict("records")}
        best, next_best = by_name[ranked[0]], by_name[ranked[1]]
        row = {"layer": layer, "source": source, "target": target, "symmetry": ranked[0]}
        row |= {key: best[key] for key in ("accuracy", "moved", "floor", "ceiling", "normalised")}
        rows.append(
            {**row, "runner_up": ranked[1], "runner_up_accuracy": next_best["accuracy"], "games": len(games) - half}
        )
    return pd.DataFrame(rows)


def best_layer(table: pd.DataFrame, source: int) -> int:
    """The layer at which the source's own accuracy is highest, from a table of `align`.

    Take the table from other games than the number you report at that layer.
    """
    own = table[(table["source"] == source) & (table["target"] == source) & (table["symmetry"] == "identity")]
    return int(own["layer"].iloc[own["accuracy"].to_numpy().argmax()])


def _check_layer(probes: Probes, layer: int) -> None:
    if layer not in probes.layers:
        raise ValueError(f"layer {layer}: these probes were fitted at layers {list(probes.layers)}")


class _Hits:
    """How many squares of each row one probe reads right, on one language's rows."""

    def __init__(
        self, right: np.ndarray, plain: np.ndarray, floor: np.ndarray, moved: list[float], occupied: list[float]
    ):
        self.right = right  # share of squares, [symmetry row]
        self.plain = plain  # under the identity, [row]
        self.floor = floor  # expected against another game's board, [row]
        self.moved = moved
        self.occupied = occupied


class _Scores:
    """Predictions and truths of parallel rows, and their sums over games and moves."""

    def __init__(self, probes: Probes, activations: Activations, symmetries: Sequence[Symmetry]):
        self.probes = probes
        self.activations = activations
        self.kept, self.truth = activations.labels(probes.frame)
        if len(self.kept) == 0:
            raise ValueError(
                f"{len(activations.games)} games leave no rows to score: pass more, of two moves or longer"
            )
        self.game = activations.game[self.kept]
        self.move = activations.move[self.kept]
        self.images = [symmetry.boards(self.truth) for symmetry in symmetries]
        known = np.minimum(self.move, len(probes.guess) - 1)
        self.guessed = np.stack([(probes.guess[known] == image).mean(axis=1) for image in self.images])
        self.guess = [float(row.mean()) for row in self.guessed]
        self.class_counts = np.stack([_counts(self.truth == label, self.move) for label in range(3)], axis=-1)
        self.sizes = np.bincount(self.game, minlength=len(activations.games))
        self.moves, self.games_at_move = np.unique(self.move, return_counts=True)

    def hits(self, layer: int, source: int, target: int) -> _Hits:
        predicted = self.probes.predict(self.activations.at(target, layer), source, layer)[self.kept]
        right = [predicted == image for image in self.images]
        moved, occupied = [], []
        for hit, image in zip(right, self.images, strict=True):
            moved.append(_share(hit, image != self.truth))
            occupied.append(_share(hit, image != 1))
        shares = np.stack([hit.mean(axis=1) for hit in right])
        return _Hits(shares, (predicted == self.truth).mean(axis=1), self._floor(predicted), moved, occupied)

    def _floor(self, predicted: np.ndarray) -> np.ndarray:
        """Expected agreement of each row's prediction with the boards of all OTHER games at its move, `[row]`."""
        at_move = self.class_counts[self.move]
        agreeing = np.where(predicted == 0, at_move[..., 0], np.where(predicted == 1, at_move[..., 1], at_move[..., 2]))
        others = (agreeing - (predicted == self.truth)).mean(axis=1)
        return others / np.maximum(np.bincount(self.move)[self.move] - 1, 1)

    def per_game(self, share: np.ndarray) -> np.ndarray:
        """Sum over the rows of each game, `[game]`."""
        return np.bincount(self.game, weights=share, minlength=len(self.sizes))

    def per_move(self, share: np.ndarray) -> np.ndarray:
        """Mean over the rows of each move number, `[move]`."""
        return np.bincount(self.move, weights=share)[self.moves] / self.games_at_move

    def mean(self, sums: np.ndarray) -> float:
        return float(sums.sum() / self.sizes.sum())

    def interval(self, weights: np.ndarray, value: np.ndarray, *between: np.ndarray) -> tuple[float, float]:
        """95% bootstrap interval over games of a mean, or of (mean - floor) / (ceiling - floor)."""
        n = weights @ self.sizes
        means = weights @ value / n
        if between:
            floor, ceiling = (weights @ part / n for part in between)
            means = (means - floor) / (ceiling - floor)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


def _counts(mask: np.ndarray, move: np.ndarray) -> np.ndarray:
    """How many rows of each move number are True on each square, int32 `[move square]`."""
    counts = np.zeros((move.max() + 1, mask.shape[1]), np.int32)
    np.add.at(counts, move, mask)
    return counts


def _share(hit: np.ndarray, among: np.ndarray) -> float:
    """Share of hits among some cells, NaN if there are none."""
    cells = among.sum()
    return float((hit & among).sum() / cells) if cells else np.nan


def _normalised(row: dict[str, Any]) -> dict[str, float]:
    pairs = {"normalised": ("floor", "ceiling"), "normalised_guess": ("guess", "ceiling")}
    pairs["normalised_target"] = ("floor", "ceiling_target")
    result = {}
    for name, (zero, one) in pairs.items():
        room = row[one] - row[zero]
        result[name] = (row["accuracy"] - row[zero]) / room if room >= _BLANK_BELOW else np.nan
    return result
