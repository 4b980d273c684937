"""Predictions and truths of parallel rows, and their sums over games and moves: what every table of alignment is made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mothello_interp.activations import Activations, collect
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, Symmetry
from mothello_interp.probes import Probes

ALL_FOUR = tuple(SYMMETRIES.values())


def at_layer(
    probes: Probes, checkpoint: Checkpoint, games: Games, layer: int, symmetries: Sequence[Symmetry | str]
) -> "Scores":
    """The scores of every language of the probes at one layer."""
    if layer not in probes.layers:
        raise ValueError(f"layer {layer}: these probes were fitted at layers {list(probes.layers)}")
    return Scores(probes, collect(checkpoint, games, layers=[layer], languages=probes.languages), symmetries)


class Hits:
    """How many squares of each row one probe reads right, on one language's rows."""

    def __init__(
        self,
        right: np.ndarray,
        moved: np.ndarray,
        unmoved: np.ndarray,
        plain: np.ndarray,
        floor: np.ndarray,
        occupied: list[float],
    ):
        self.right = right  # share of squares, [symmetry row]
        self.moved = moved  # the same, counting only where board and image differ
        self.unmoved = unmoved  # there read as the board, share of all squares, [symmetry row]
        self.plain = plain  # under the identity, [row]
        self.floor = floor  # expected against another game's board, [row]
        self.occupied = occupied


class Scores:
    """Predictions and truths of parallel rows, and their sums over games and moves."""

    def __init__(self, probes: Probes, activations: Activations, symmetries: Sequence[Symmetry | str]):
        self.probes = probes
        self.activations = activations
        self.symmetries = tuple(Symmetry.of(symmetry) for symmetry in symmetries)
        self.kept, self.truth = activations.labels(probes.frame)
        if len(self.kept) == 0:
            raise ValueError(
                f"{len(activations.games)} games leave no rows to score: pass more, of two moves or longer"
            )
        self.game = activations.game[self.kept]
        self.move = activations.move[self.kept]
        self.images = [symmetry.boards(self.truth) for symmetry in self.symmetries]
        self.moved = [(image != self.truth).mean(axis=1) for image in self.images]
        known = np.minimum(self.move, len(probes.guess) - 1)
        self.guessed = np.stack([(probes.guess[known] == image).mean(axis=1) for image in self.images])
        self.guess = [float(row.mean()) for row in self.guessed]
        self.class_counts = np.stack([_counts(self.truth == label, self.move) for label in range(3)], axis=-1)
        self.sizes = np.bincount(self.game, minlength=len(activations.games))
        self.moves, self.games_at_move = np.unique(self.move, return_counts=True)

    def predict(self, layer: int, source: int, target: int) -> np.ndarray:
        """What P_src reads in the target's rows, int8 `[row square]`."""
        return self.probes.predict(self.activations.at(target, layer), source, layer)[self.kept]

    def hits(self, layer: int, source: int, target: int) -> Hits:
        predicted = self.predict(layer, source, target)
        right = [predicted == image for image in self.images]
        plain = predicted == self.truth
        moved, unmoved, occupied = [], [], []
        for hit, image in zip(right, self.images, strict=True):
            moved.append((hit & (image != self.truth)).mean(axis=1))
            unmoved.append((plain & (image != self.truth)).mean(axis=1))
            occupied.append(share((hit & (image != 1)).sum(), (image != 1).sum()))
        shares = np.stack([hit.mean(axis=1) for hit in right])
        return Hits(shares, np.stack(moved), np.stack(unmoved), plain.mean(axis=1), self._floor(predicted), occupied)

    def _floor(self, predicted: np.ndarray) -> np.ndarray:
        """Expected agreement of each row's prediction with the boards of all OTHER games at its move, `[row]`."""
        at_move = self.class_counts[self.move]
        agreeing = np.where(predicted == 0, at_move[..., 0], np.where(predicted == 1, at_move[..., 1], at_move[..., 2]))
        others = (agreeing - (predicted == self.truth)).mean(axis=1)
        return others / np.maximum(np.bincount(self.move)[self.move] - 1, 1)

    def per_game(self, share: np.ndarray) -> np.ndarray:
        """Sum over the rows of each game, `[game]`."""
        return np.bincount(self.game, weights=share, minlength=len(self.sizes))

    def per_game_and_square(self, cells: np.ndarray) -> np.ndarray:
        """Sum over the rows of each game, `[game square]`, of cells `[row square]`."""
        sums = np.zeros((len(self.sizes), cells.shape[1]))
        np.add.at(sums, self.game, cells)
        return sums

    def differing(self, one: int, other: int) -> np.ndarray:
        """Share of squares where two images differ, `[row]`."""
        return (self.images[one] != self.images[other]).mean(axis=1)

    def resamplings(self, resamples: int, seed: int) -> np.ndarray:
        """How often each bootstrap sample has each game, `[resample game]`."""
        n = len(self.sizes)
        if resamples < 1:
            raise ValueError(f"resamples={resamples}: expected 1 or more, since the interval is theirs")
        return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)

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


def share(part: Any, whole: Any) -> Any:
    """part / whole, NaN where there is nothing to share."""
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole)
