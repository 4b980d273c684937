"""The same games in several languages, as rows of the residual stream: one row a move. See `reading` for the glossary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mothello_interp.arguments import checked, several
from mothello_interp.models import Checkpoint
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.othello import Boards, Games

Frame = Literal["absolute", "relative"]


@dataclass(frozen=True, repr=False)
class Activations:
    """Residual rows of parallel games.

    Attributes:
        values: float32 `[language layer row d_model]`; row r is the same move of the same game in every language.
        languages: which languages the first axis holds.
        layers: which layers the second axis holds.
        games: the games.
        boards: their positions.
        game: int64 `[row]`, index of the row's game.
        move: int64 `[row]`, number of the row's move, from 0.
        model: the `fingerprint` of the model that they were collected from; empty if unknown.
    """

    values: torch.Tensor
    languages: tuple[int, ...]
    layers: tuple[int, ...]
    games: Games
    boards: Boards
    game: np.ndarray
    move: np.ndarray
    model: str = ""

    def __repr__(self) -> str:
        sites = f"languages {list(self.languages)}, layers {list(self.layers)}"
        return f"Activations({len(self.games)} games, {len(self.game)} rows, {sites})"

    def at(self, language: int, layer: int) -> torch.Tensor:
        """The rows of one language and layer, float32 `[row d_model]`.

        Raises:
            ValueError: for what was not collected, naming what was.
        """
        if language not in self.languages or layer not in self.layers:
            raise ValueError(
                f"language {language} at layer {layer} was not collected: there are languages {list(self.languages)} "
                f"at layers {list(self.layers)}"
            )
        return self.values[self.languages.index(language), self.layers.index(layer)]

    def numpy(self, language: int, layer: int) -> dict[str, np.ndarray]:
        """The rows of one language and layer with all their labels, for any library: arrays of one length, by name.

        Returns:
            - `activation`: float32 `[row d_model]`, the activation after the row's move.
            - `language`, `game`, `move`: int64 `[row]`; moves count from 0.
            - `square`: int8 `[row]`, where the move was played, row-major.
            - `mover`, `next_mover`: int8 `[row]`, who played it and who is to move then by the rules: 1 black, -1 white,
              0 for nobody, where the game is over.
            - `absolute`: int8 `[row square]`, the board after the move: 0 white, 1 empty, 2 black.
            - `relative`: int8 `[row square]`, the same to `next_mover`: 0 theirs, 1 empty, 2 mine; -1 where there is none.
            - `legal`: bool `[row square]`, the legal moves of `next_mover`.

        Raises:
            ValueError: as `at`.
        """
        (_, absolute), (rows, mine) = self.labels("absolute"), self.labels("relative")
        relative = np.full_like(absolute, -1)
        relative[rows] = mine
        return {
            "activation": self.at(language, layer).numpy(),
            "language": np.full(len(self.game), language),
            "game": self.game,
            "move": self.move,
            "square": self.games.moves[self.game, self.move],
            "mover": self.boards.mover[self.game, self.move],
            "next_mover": self.boards.mover[self.game, self.move + 1],
            "absolute": absolute,
            "relative": relative,
            "legal": self.boards.legal[self.game, self.move + 1],
        }

    def labels(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """The classes that a board probe is to decode: (rows int64 `[kept]`, classes int8 `[kept square]`).

        Absolute: 0 white, 1 empty, 2 black. Relative: 0 theirs, 1 empty, 2 mine, where "mine" is the player who moves
        next by the rules; rows where the game is over have no such player and are left out.
        """
        state = self.boards.state[self.game, self.move]
        if frame == "absolute":
            return np.arange(len(state)), state + np.int8(1)
        if frame != "relative":
            raise ValueError(
                f'frame={frame!r}: choose "absolute" (white, empty, black) or "relative" (theirs, empty, mine)'
            )
        mover = self.boards.mover[self.game, self.move + 1]
        rows = np.flatnonzero(mover)
        return rows, state[rows] * mover[rows, None] + np.int8(1)


def paper_layer(n_layers: int) -> int:
    """The layer that the paper reads, three quarters up: 5 of 0 to 7 (its "layer 6"), 2 of 0 to 3."""
    return 3 * (n_layers - 1) // 4


def all_layers(checkpoint: Checkpoint) -> tuple[int, ...]:
    """Every layer of a model, the embeddings (-1) first."""
    return tuple(range(-1, checkpoint.spec.model.n_layers))


@checked
def collect(
    checkpoint: Checkpoint,
    games: Games,
    *,
    layers: int | Sequence[int] | None = None,
    languages: int | Sequence[int] | None = None,
) -> Activations:
    """The residual stream at each move of the games, read in several languages side by side.

    Args:
        layers: which layer or layers, all by default.
        languages: which input language or languages, all by default.

    Returns:
        Activations; they take 4 * d_model bytes a row, layer and language.

    Raises:
        ValueError: for a layer or language that the model does not have, naming those it has.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> acts = collect(load("mini/atomic-atomic-anchors4"), random_games(5, board=6, seed=0), layers=[0, 1])
        >>> acts.values.shape  # [language layer row d_model]
        torch.Size([2, 2, 155, 128])
        >>> acts.at(language=1, layer=0).shape, acts.game[:3], acts.move[:3]
        (torch.Size([155, 128]), array([0, 0, 0]), array([0, 1, 2]))
    """
    wanted = all_layers(checkpoint) if layers is None else several("layers", layers)
    readings = checkpoint.readings(games, languages)
    if not wanted or not readings:
        raise ValueError(f"layers={list(wanted)}, languages={languages}: name at least one of each")
    game, move = readings[0].rows
    shape = len(readings), len(wanted), len(game), checkpoint.spec.model.d_model
    values = torch.empty(shape, dtype=torch.float32)
    for index, reading in enumerate(readings):
        for rows, states in reading.stream(wanted):
            values[index, :, rows] = torch.stack([states[layer] for layer in wanted])
    spoken = tuple(reading.language for reading in readings)
    return Activations(values, spoken, wanted, games, readings[0].boards, game, move, fingerprint(checkpoint))
