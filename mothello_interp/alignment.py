"""Cross-lingual probe transfer: does a board probe of one language decode the board in another?

A probe P_src, fitted on games written in the source language, is applied unchanged to games written in the target
language (Hua et al. 2024). Its accuracy there is the alignment of source to target. Two things go beyond the paper:

- Scale. Each accuracy stands between two baselines (`majority`, the commonest class of a square at a move number; `floor`,
  the same predictions scored on mismatched games) and two ceilings (P_src on the source, P_tgt on the target).
  `normalised` is (accuracy - floor) / (ceiling - floor), by the smaller of the two ceilings. It depends on the kind of probe:
  report the accuracy between its baselines, and a second kind. Intervals are over games, for the probe as it is: they leave
  out how a probe varies that is fitted on other games.
- Symmetry. Random play is the same under four symmetries of the board, so without anchors nothing says WHICH of four
  maps relates two languages. Every accuracy is therefore taken against g(board) for each g: `accuracy` of symmetry g is
  the share of squares where P_src, given the target's rows of a board b, predicts g(b).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import Activations, collect
from mothello_interp.arguments import checked, several
from mothello_interp.forward import hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, Symmetry
from mothello_interp.probes import Probes
from mothello_interp.stats import Bootstrap, class_counts, normalised, per_game

ALL_FOUR = tuple(SYMMETRIES.values())


@checked
def align(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    targets: int | Sequence[int] | None = None,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy of every language's probe in every language, at every layer, under each symmetry.

    Args:
        probes: from `fit_probes`, on other games.
        checkpoint: the model they were fitted on.
        games: games to score on, parallel in all languages.
        targets: languages to decode, those of the probes by default.
        symmetries: maps of the board through which the target is decoded.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per layer, source, target and symmetry. Columns, all accuracies from 0 to 1 over squares and moves (higher
        is more aligned):
        layer, hook, source, target, symmetry;
        accuracy, low, high: with its 95% interval over games;
        differing: accuracy on the squares where board and image differ (NaN for the identity);
        occupied: accuracy on the squares where the image is not empty;
        majority: of the commonest class at each square and move number;
        predicted: what P_src scores on the source itself against the image: a pair aligned through the identity has this
        accuracy under the other symmetries;
        floor: of the same predictions against other games' boards (not their images) at the same move number;
        ceiling, ceiling_target: of P_src on the source and P_tgt on the target, under the identity (NaN for a target
        without a probe);
        normalised, normalised_low, normalised_high: (accuracy - floor) / (the smaller ceiling - floor), with its 95%
        interval, NaN where that room is below 0.1; normalised_majority: with `majority` as the floor;
        games, games_fitted: how many, and how many of them the probes were fitted on.

    Raises:
        ValueError: for probes of another model (see `Probes.on`), games that they were all fitted on, games without rows,
            fewer than one resample, and as `collect`.

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
    targets = probes.languages if targets is None else several("targets", targets)
    languages = list(dict.fromkeys([*probes.languages, *targets]))
    rows = collect(checkpoint, games, layers=probes.layers, languages=languages)
    return align_on(probes, rows, targets=targets, symmetries=symmetries, resamples=resamples, seed=seed)


@checked
def align_on(
    probes: Probes,
    activations: Activations,
    *,
    own: Activations | None = None,
    targets: int | Sequence[int] | None = None,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """`align` on rows collected already: changed since by a map between languages, say, or of another model.

    Args:
        activations: the target's rows.
        own: rows of the same games in the model that the probes were fitted on, if `activations` are another model's:
            `predicted` and both ceilings are measured on them.
    """
    targets = probes.languages if targets is None else several("targets", targets)
    own = activations if own is None else own
    probes.check(own.model)
    if not np.array_equal(own.games.moves, activations.games.moves):
        raise ValueError("own: rows of other games than those to score; collect the same games on both models")
    labels = BoardLabels(probes, activations, symmetries)
    bootstrap = Bootstrap(len(activations.games), resamples, seed)
    tables = []
    for layer in probes.layers:
        home = {language: labels.count(probes, own, layer, language, language) for language in probes.languages}
        for source in probes.languages:
            for target in targets:
                counts = labels.count(probes, activations, layer, source, target)
                place = {"layer": layer, "hook": hook_name(layer), "source": source, "target": target}
                row = scores(labels, counts, home[source], home.get(target), bootstrap)
                tables.append(
                    pd.DataFrame({**place, **row, "games": len(activations.games), "games_fitted": labels.fitted})
                )
    return pd.concat(tables, ignore_index=True)


@checked
def align_by_move(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layer: int,
    symmetries: Sequence[Symmetry | str] = ALL_FOUR,
) -> pd.DataFrame:
    """`align` at one layer, by move number (from 0): the curves distinguish the symmetries.

    Returns:
        One row per source, target, symmetry and move: accuracy, majority, predicted, floor, ceiling, games, as in `align`;
        differing, differing_as_board: on the squares where board and image differ, the share decoded as the image and as
        the board (NaN at moves at which no square differs; of a source in itself `differing_as_board` is the ceiling).
    """
    labels, rows, _ = at_layer(probes, checkpoint, games, layer, symmetries)
    tables = []
    for source in probes.languages:
        own = labels.count(probes, rows, layer, source, source)
        for target in probes.languages:
            counts = labels.count(probes, rows, layer, source, target)
            shares = {"accuracy": counts.accuracy, "majority": labels.majority, "predicted": own.accuracy}
            shares |= {"floor": counts.floor, "ceiling": own.as_board}
            by_move = {name: labels.per_move(share) for name, share in shares.items()}
            for name in ("differing", "differing_as_board"):
                by_move[name] = ratio(labels.per_move(getattr(counts, name)), labels.per_move(labels.differing))
            for index, symmetry in enumerate(labels.symmetries):
                place = {"source": source, "target": target, "symmetry": symmetry.name, "move": labels.moves}
                here = {name: share if share.ndim == 1 else share[index] for name, share in by_move.items()}
                tables.append(pd.DataFrame({**place, **here, "games": labels.games_at_move}))
    return pd.concat(tables, ignore_index=True)


@checked
def best_layer(table: pd.DataFrame, source: int) -> int:
    """The layer at which the source's own accuracy is highest, from a table of `align`.

    Take the table from other games than the number you report at that layer.

    Raises:
        ValueError: for a source that the table does not have as its own target.
    """
    own = table[(table["source"] == source) & (table["target"] == source) & (table["symmetry"] == "identity")]
    if own.empty:
        raise ValueError(f"source {source}: the table has no row with it as its own target, under the identity")
    return int(own["layer"].iloc[own["accuracy"].to_numpy().argmax()])


@dataclass(frozen=True, eq=False)
class ProbeCounts:
    """How many squares of each row one probe gets right on one language's rows, as shares of all squares.

    Attributes:
        predicted: int8 `[row square]`.
        accuracy: decoded as the image shows them, `[symmetry row]`.
        differing: the same, counting only the squares where board and image differ, `[symmetry row]`.
        differing_as_board: there decoded as the board, `[symmetry row]`.
        as_board: decoded as the board, `[row]`.
        floor: expected agreement with the boards of all OTHER games at the row's move number, `[row]`.
    """

    predicted: np.ndarray
    accuracy: np.ndarray
    differing: np.ndarray
    differing_as_board: np.ndarray
    as_board: np.ndarray
    floor: np.ndarray


class BoardLabels:
    """What probes should decode in parallel rows: the board, its images, and what stands for chance.

    Attributes:
        symmetries: of the images.
        images: int8 `[symmetry row square]`.
        differing: share of squares where board and image differ, `[symmetry row]`.
        majority: share of squares where the image is as the majority baseline has it, `[symmetry row]`.
        game, move: int64 `[row]`.
        sizes: rows of each game, int64 `[game]`.
        fitted: how many of the games the probes were fitted on.
        moves, games_at_move: move numbers that there are, and games that have them, `[move]`.
    """

    def __init__(self, probes: Probes, activations: Activations, symmetries: Sequence[Symmetry | str]):
        self.symmetries = tuple(Symmetry.of(symmetry) for symmetry in symmetries)
        self._rows, self._board = activations.labels(probes.frame)
        if len(self._rows) == 0:
            raise ValueError(
                f"{len(activations.games)} games leave no rows to score: pass more, of two moves or longer"
            )
        self.fitted = 0 if probes.games is None else int(activations.games.among(probes.games).sum())
        if self.fitted == len(activations.games):
            raise ValueError("the probes were fitted on all of these games: score on others, of another seed")
        self.game, self.move = activations.game[self._rows], activations.move[self._rows]
        self.sizes = np.bincount(self.game, minlength=len(activations.games))
        self.moves, self.games_at_move = np.unique(self.move, return_counts=True)
        self.images = np.stack([symmetry.boards(self._board) for symmetry in self.symmetries])
        self.differing = _share(self.images != self._board)
        known = probes.majority[np.minimum(self.move, len(probes.majority) - 1)]
        self.majority = _share(known == self.images)
        self._classes = class_counts(self._board, self.move)

    def predict(self, probes: Probes, activations: Activations, layer: int, source: int, target: int) -> np.ndarray:
        """What P_src decodes in the target's rows, int8 `[row square]`."""
        return probes.predict(activations.at(target, layer), source, layer)[self._rows]

    def count(self, probes: Probes, activations: Activations, layer: int, source: int, target: int) -> ProbeCounts:
        """What P_src gets right in the target's rows."""
        predicted = self.predict(probes, activations, layer, source, target)
        right, plain = predicted == self.images, predicted == self._board
        differ = self.images != self._board
        accuracy, differing, as_board_there = (_share(cells) for cells in (right, right & differ, plain & differ))
        return ProbeCounts(predicted, accuracy, differing, as_board_there, _share(plain), self._floor(predicted))

    def _floor(self, predicted: np.ndarray) -> np.ndarray:
        agreeing = np.take_along_axis(self._classes[self.move], predicted[..., None].astype(np.int64), 2)[..., 0]
        others = (agreeing - (predicted == self._board)).mean(axis=1)
        return others / np.maximum(np.bincount(self.move)[self.move] - 1, 1)

    def per_game(self, share: np.ndarray) -> np.ndarray:
        """Sums over the rows of each game, `[... game]`, of `[... row]`."""
        return np.apply_along_axis(per_game, -1, share, self.game, len(self.sizes))

    def per_move(self, share: np.ndarray) -> np.ndarray:
        """Means over the rows of each move number, `[... move]`, of `[... row]`."""
        sums = np.apply_along_axis(per_game, -1, share, self.move, self.moves[-1] + 1)
        return sums[..., self.moves] / self.games_at_move


def at_layer(
    probes: Probes,
    checkpoint: Checkpoint,
    games: Games,
    layer: int,
    symmetries: Sequence[Symmetry | str],
    own: Checkpoint | None = None,
) -> tuple[BoardLabels, Activations, Activations]:
    """Labels, the rows to score at one layer, and those of the model `own` that the probes were fitted on, if it is another one."""
    if layer not in probes.layers:
        raise ValueError(f"layer {layer}: these probes were fitted at layers {list(probes.layers)}")
    home = collect(own or checkpoint, games, layers=[layer], languages=probes.languages)
    probes.check(home.model)
    rows = collect(checkpoint, games, layers=[layer], languages=checkpoint.mothello.inputs) if own else home
    return BoardLabels(probes, home, symmetries), rows, home


def _share(cells: np.ndarray) -> np.ndarray:
    """Which share of the squares is True, float64 `[...]`, of bool `[... square]`."""
    return np.bitwise_count(np.packbits(cells, axis=-1)).sum(axis=-1) / cells.shape[-1]


def ratio(part: Any, total: Any) -> Any:
    """part / total, NaN where the total is 0."""
    with np.errstate(invalid="ignore"):
        return np.divide(part, total)


def scores(
    labels: BoardLabels, counts: ProbeCounts, own: ProbeCounts, own_target: ProbeCounts | None, bootstrap: Bootstrap
) -> dict[str, Any]:
    """The columns of `align` from "symmetry" on, `[symmetry]` or one for all."""
    smaller = min((own, own_target or own), key=lambda of: float(of.as_board.mean()))
    accuracy, floor, ceiling = (labels.per_game(share) for share in (counts.accuracy, counts.floor, smaller.as_board))
    low, high = bootstrap.interval(accuracy, labels.sizes)
    row: dict[str, Any] = {"symmetry": [symmetry.name for symmetry in labels.symmetries]}
    row |= {"accuracy": counts.accuracy.mean(axis=1), "low": low, "high": high}
    row["differing"] = ratio(counts.differing.sum(axis=1), labels.differing.sum(axis=1))
    occupied = labels.images != 1
    row["occupied"] = ratio(
        (counts.predicted == labels.images).sum(axis=(1, 2), where=occupied), occupied.sum(axis=(1, 2))
    )
    row |= {"majority": labels.majority.mean(axis=1), "predicted": own.accuracy.mean(axis=1)}
    row |= {"floor": counts.floor.mean(), "ceiling": own.as_board.mean()}
    row["ceiling_target"] = np.nan if own_target is None else own_target.as_board.mean()
    row["normalised"] = normalised(row["accuracy"], row["floor"], smaller.as_board.mean())
    row["normalised_majority"] = normalised(row["accuracy"], row["majority"], smaller.as_board.mean())
    with np.errstate(invalid="ignore"):
        between = bootstrap.interval(accuracy - floor, ceiling - floor)
    blank = np.isnan(row["normalised"])
    row["normalised_low"], row["normalised_high"] = (np.where(blank, np.nan, end) for end in between)
    return row
