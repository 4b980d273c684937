"""What an intervention is: a frozen value that knows where it acts and what becomes of the rows there.

Glossary: a *row* is one activation vector, at one token of one game; `[row d_model]` at HOOKS, `[row d_head]` at a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch

from mothello_interp.activations import HOOKS, hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Boards, Games, replay

Moves = int | Sequence[int] | Literal["all", "last"] | np.ndarray


@dataclass(frozen=True, eq=False)
class Reading:
    """Some games as a model reads them in one language."""

    checkpoint: Checkpoint
    games: Games
    language: int

    @cached_property
    def boards(self) -> Boards:
        """Their positions."""
        return replay(self.games)

    @cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """The positions of each move's first and last token, int64 `[game move]`; -1 after the end."""
        mothello = self.checkpoint.mothello
        last = mothello.encode(self.games, self.language).last.astype(np.int64)
        lengths = np.append(mothello.token_counts[self.language], 1)[self.games.moves]
        return np.where(last >= 0, last - lengths + 1, -1), last


@dataclass(frozen=True, eq=False)
class Context:
    """Where the rows that an intervention is given come from.

    Attributes:
        reading: the games (`.games`, `.boards`), the language and the checkpoint.
        layer, hook: the place in the model.
        game, move, position: int64 `[row]`, of each row.
    """

    reading: Reading
    layer: int
    hook: str
    game: np.ndarray
    move: np.ndarray
    position: np.ndarray

    @property
    def language(self) -> int:
        """The language that the games are written in."""
        return self.reading.language

    @property
    def state(self) -> np.ndarray:
        """The board after each row's move, int8 `[row square]`: -1 white, 0 empty, 1 black."""
        return self.reading.boards.state[self.game, self.move]

    @property
    def mover(self) -> np.ndarray:
        """Who moves next, int8 `[row]`: 1 black, -1 white, 0 where the game is over."""
        return self.reading.boards.mover[self.game, self.move + 1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Intervention(ABC):
    """Scope of every intervention, and its base class: a subclass says in `apply` what becomes of the rows.

    Attributes:
        layer: one or several, -1 for the embeddings, k for block k; `range(2, 4)` is layers 2 and 3.
        moves: "all" (of each game), "last" (the last one of each), a number, several numbers, or bool `[game move]`.
        tokens: of a move that is written as several tokens, the "last" or "all" of them.
        hook: one of HOOKS, or "z" with a `head`.
        head: which head, for "z" alone.
    """

    layer: int | Sequence[int]
    moves: Moves = "all"
    tokens: Literal["last", "all"] = "last"
    hook: str = "resid_post"
    head: int | None = None
    every_layer: ClassVar[bool] = True  # each layer must change something; else one of them is enough

    def __post_init__(self) -> None:
        if self.hook not in (*HOOKS, "z"):
            raise ValueError(f"hook={self.hook!r}: choose one of {', '.join(HOOKS)}, or z for a head")
        if (self.hook == "z") != (self.head is not None):
            raise ValueError(f'hook={self.hook!r}, head={self.head}: a head goes with hook="z", and only with it')
        if self.tokens not in ("last", "all"):
            raise ValueError(f'tokens={self.tokens!r}: choose "last" or "all" of a move\'s tokens')
        numbers = {"layer": self.layer} | ({} if isinstance(self.moves, str | np.ndarray) else {"moves": self.moves})
        for name, given in numbers.items():
            if np.size(given) and np.asarray(given).dtype.kind not in "iu":
                raise ValueError(f"{name}={given!r}: expected a whole number, or several, such as range(2, 4)")
        if not self.layers:
            raise ValueError("layer=[]: name at least one layer")
        if -1 in self.layers and self.hook != "resid_post":
            raise ValueError(f'layer=-1, hook={self.hook!r}: the embeddings are read at hook="resid_post" alone')
        if isinstance(self.moves, str) and self.moves not in ("all", "last"):
            raise ValueError(f'moves={self.moves!r}: choose "all", "last", numbers, or a bool array [game move]')
        if not isinstance(self.moves, str | np.ndarray) and min(self._numbers, default=-1) < 0:
            raise ValueError(f"moves={self.moves!r}: moves count from 0; name at least one")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers it acts at."""
        return tuple(np.atleast_1d(np.asarray(self.layer, int)).tolist())

    @abstractmethod
    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        """The new rows `[row d_model]`; the ones given are a copy."""

    def chosen(self, games: Games) -> np.ndarray:
        """The moves in scope, bool `[game move]`.

        Raises:
            ValueError: for a mask of another shape, or moves that no game has.
        """
        played = games.moves >= 0
        if isinstance(self.moves, np.ndarray):
            if self.moves.shape != played.shape or self.moves.dtype != bool:
                raise ValueError(
                    f"moves is {self.moves.dtype} of shape {self.moves.shape}: expected a bool array [game move], "
                    f"{played.shape} for these games (for numbers of moves pass a list)"
                )
            mask = self.moves
        elif self.moves == "all":
            mask = played
        elif self.moves == "last":
            mask = np.arange(played.shape[1]) == games.lengths[:, None] - 1
        else:
            mask = np.isin(np.arange(played.shape[1]), self._numbers) & played
        if not (mask & played).any() or (mask & ~played).any():
            raise ValueError(f"{self}: these games have no such move; the longest has {games.lengths.max(initial=0)}")
        return mask

    def __str__(self) -> str:
        moves = "[game move]" if isinstance(self.moves, np.ndarray) else self.moves
        head = "" if self.head is None else f", head={self.head}"
        return f"{type(self).__name__}(layer={self.layer}, hook={self.hook!r}{head}, moves={moves})"

    @property
    def _numbers(self) -> list[int]:
        assert not isinstance(self.moves, str)
        return [int(move) for move in np.atleast_1d(np.asarray(self.moves))]


@dataclass(frozen=True, eq=False)
class Apply(Intervention):
    """Any function of one's own, `(rows, context) -> rows`: `Apply(lambda rows, context: 2 * rows, layer=1)`."""

    function: Callable[[torch.Tensor, Context], torch.Tensor]

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        return self.function(rows, context)

    def __str__(self) -> str:
        name = getattr(self.function, "__name__", repr(self.function))
        return super().__str__().replace("Apply(", f"Apply({name}, ", 1)


def point(intervention: Intervention, layer: int, checkpoint: Checkpoint) -> str:
    """The hook point of one of an intervention's layers.

    Raises:
        ValueError: for a layer, head or hook point that the model does not have.
    """
    config, name = checkpoint.model.cfg, hook_name(layer, intervention.hook)
    if not -1 <= layer < config.n_layers:
        raise ValueError(f"{intervention}: layer {layer}; this model has layers -1 to {config.n_layers - 1}")
    if intervention.head is not None and not 0 <= intervention.head < config.n_heads:
        raise ValueError(f"{intervention}: this model has heads 0 to {config.n_heads - 1}")
    if name not in checkpoint.model.hook_dict:
        raise ValueError(f"{intervention}: this model has no hook point {name}")
    return name
