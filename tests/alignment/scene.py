"""Planted languages: rows that say which board they mean, in the words of a symmetry or of another game.

The rows of a planted language are one-hot: class * 16 + square. A probe that copies them reads exactly what they say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations, Frame
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Boards, Games, Symmetry, full_length, replay
from mothello_interp.probes import Probes
from tests.conftest import tiny_spec


@dataclass(frozen=True)
class Scene:
    """Parallel rows before any language has written them down."""

    games: Games
    boards: Boards
    game: np.ndarray
    move: np.ndarray

    @classmethod
    def of(cls, games: Games) -> "Scene":
        game, move = np.nonzero(games.moves[:, : full_length(games.board) - 1] >= 0)
        return cls(games, replay(games), game, move)

    def truth(self, frame: Frame = "absolute") -> np.ndarray:
        """What a probe should say, `[row square]`; rows that the relative frame leaves out included."""
        state = self.boards.state[self.game, self.move]
        mover = self.boards.mover[self.game, self.move + 1][:, None]
        return np.asarray(state * (mover if frame == "relative" else 1) + 1)


Code = Callable[[int, int, Scene], np.ndarray]
"""What the rows of (language, layer) say: classes `[row square]`."""


def written(code: Code, games: Games, *, layers: Sequence[int], languages: Sequence[int]) -> Activations:
    """The rows of planted languages."""
    scene = Scene.of(games)
    said = np.array([[code(language, layer, scene) for layer in layers] for language in languages])
    values = torch.nn.functional.one_hot(torch.from_numpy(said).long(), 3).transpose(-1, -2).flatten(-2).float()
    return Activations(values, tuple(languages), tuple(layers), games, scene.boards, scene.game, scene.move)


def planted(code: Code) -> Checkpoint:
    """A code where a checkpoint is expected."""
    return Checkpoint(cast(Any, code), tiny_spec(), name="planted")


def copying(
    *, languages: int = 2, layers: Sequence[int] = (0,), frame: Frame = "absolute", seed: int | None = None
) -> Probes:
    """Probes that read what the rows say; the majority class is empty everywhere, or random."""
    weight = torch.eye(48).expand(languages, len(layers), 48, 48).clone()
    weights = {"weight": weight, "bias": torch.zeros(languages, len(layers), 48)}
    majority = np.ones((11, 16)) if seed is None else np.random.default_rng(seed).integers(0, 3, (9, 16))
    return Probes("linear", frame, 4, tuple(range(languages)), tuple(layers), weights, majority.astype(np.int8))


def reading(*symmetries: Symmetry) -> Probes:
    """Probes at home in the languages of `through`: the kth undoes the kth symmetry."""
    probes = copying(languages=len(symmetries))
    for language, symmetry in enumerate(symmetries):
        said = np.concatenate([16 * label + symmetry.squares(4) for label in range(3)])
        probes.weights["weight"][language, 0] = torch.eye(48)[np.argsort(said)]
    return probes


def truthful(language: int, layer: int, scene: Scene) -> np.ndarray:
    """Every language says the board."""
    return scene.truth()


def through(*symmetries: Symmetry) -> Code:
    """Language k says the board as the kth symmetry shows it."""
    return lambda language, layer, scene: symmetries[language].boards(scene.truth())


def mismatched(scene: Scene, rows: np.ndarray, *, seed: int, frame: Frame = "absolute") -> np.ndarray:
    """The truth, but in some rows the board of a random game at the same move, if there is another."""
    rng = np.random.default_rng(seed)
    said = scene.truth(frame).copy()
    for move in np.unique(scene.move):
        here = np.flatnonzero(scene.move == move)
        if len(here) > 1:
            other = here[(np.arange(len(here)) + rng.integers(1, len(here), len(here))) % len(here)]
            said[here[rows[here]]] = scene.truth(frame)[other[rows[here]]]
    return said


def noisy(language: int, layer: int, scene: Scene, frame: Frame = "absolute") -> np.ndarray:
    """A language that is wrong on some squares, another on each."""
    rng = np.random.default_rng(10 * language + layer + 3)
    said = scene.truth(frame)
    return np.where(rng.random(said.shape) < 0.2 + 0.1 * language, rng.integers(0, 3, said.shape), said)


def row_of(table: pd.DataFrame, **key: Any) -> dict[str, Any]:
    """The one row of a table with these values."""
    for name, value in key.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return {str(name): value for name, value in row.items()}


def pair(table: pd.DataFrame, source: int, target: int, symmetry: str = "identity") -> dict[str, Any]:
    """The one row of a pair of languages and a symmetry."""
    return row_of(table, source=source, target=target, symmetry=symmetry)


def agreement(scene: Scene, one: Symmetry, other: Symmetry) -> float:
    """In how many squares the boards of a scene look the same through two symmetries, square by square."""
    image, second = one.squares(4), other.squares(4)
    same = 0
    for board in scene.truth():
        through_one, through_other = np.empty(16), np.empty(16)
        for square in range(16):
            through_one[image[square]] = board[square]
            through_other[second[square]] = board[square]
        same += int((through_one == through_other).sum())
    return same / scene.truth().size
