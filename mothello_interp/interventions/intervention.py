"""What every intervention is: a scope (layers, moves, tokens, hook, heads) and a function of the rows in it.

A row is an activation vector at one token of one game: `[row d_model]` at the residual stream, attention and MLP outputs,
`[row d_mlp]` at "pre" and "post", `[row d_head]` at "q", "k", "v" or "z" of one head and `[row head d_head]` of several,
`[row key]` or `[row head key]` at "pattern" (a row is a query).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from mothello_interp.forward import HEAD_HOOKS, HOOKS, NEURON_HOOKS, Hook, NoEffectError, Rows, check_hook, point
from mothello_interp.othello import Games
from mothello_interp.reading import Reading

Moves = int | Sequence[int] | Literal["all", "last"] | np.ndarray


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
        hook: "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"; "pre" or "post" (the MLP's neurons before and
            after the nonlinearity); "q", "k", "v", "z" or "pattern" of attention heads.
        head: which head or heads, for the hooks of attention heads; all of them by default.
    """

    layer: int | Sequence[int]
    moves: Moves = "all"
    tokens: Literal["last", "all"] = "last"
    hook: str = "resid_post"
    head: int | Sequence[int] | None = None
    every_layer: ClassVar[bool] = True  # each layer must change something; else one of them is enough

    def __post_init__(self) -> None:
        check_hook(self.hook, (*HOOKS, *NEURON_HOOKS, *HEAD_HOOKS))
        if self.head is not None and self.hook not in HEAD_HOOKS:
            raise ValueError(f"hook={self.hook!r}, head={self.head}: heads go with one of {', '.join(HEAD_HOOKS)}")
        if self.tokens not in ("last", "all"):
            raise ValueError(f'tokens={self.tokens!r}: choose "last" or "all" of a move\'s tokens')
        named = isinstance(self.moves, str | np.ndarray)
        for name, given in {"layer": self.layer, "head": self.head, "moves": None if named else self.moves}.items():
            if given is not None and (not np.size(given) or np.asarray(given).dtype.kind not in "iu"):
                raise ValueError(f"{name}={given!r}: expected a whole number, or several, such as range(2, 4)")
        if isinstance(self.moves, str) and self.moves not in ("all", "last"):
            raise ValueError(f'moves={self.moves!r}: choose "all", "last", numbers, or a bool array [game move]')
        if not named and min(self._numbers) < 0:
            raise ValueError(f"moves={self.moves!r}: moves count from 0")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers it acts at."""
        return tuple(np.atleast_1d(np.asarray(self.layer, int)).tolist())

    @abstractmethod
    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        """The new rows, in the shape of those given, which are a copy."""

    def bind(self, reading: Reading) -> "Bound":
        """The intervention for some games in one language.

        Raises:
            ValueError: for a layer, head, hook point or move that is not there.
        """
        return Bound(self, reading)

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


class Bound:
    """An intervention for some games in one language, with a record of what it did at each layer."""

    def __init__(self, intervention: Intervention, reading: Reading):
        self.intervention, self.reading = intervention, reading
        model = reading.checkpoint.model
        heads = np.atleast_1d([] if intervention.head is None else np.asarray(intervention.head))
        if len(heads) and not 0 <= heads.min() <= heads.max() < model.cfg.n_heads:
            raise ValueError(f"{intervention}: this model has heads 0 to {model.cfg.n_heads - 1}")
        self.names = {layer: point(model, layer, intervention.hook) for layer in intervention.layers}
        self.game, self.move, self.position = _tokens_in_scope(intervention, reading)
        self.counts = np.bincount(self.game, minlength=len(reading))
        self.starts = np.cumsum(self.counts) - self.counts
        self.ran: set[int] = set()
        self.met, self.changed = dict.fromkeys(self.names, 0), dict.fromkeys(self.names, False)
        self.somebody_moves = False

    def first(self, rows: Rows) -> int:
        """The first position in scope of these rows; the context's end where there is none."""
        _, item = self._items(rows, self.reading.tokens.shape[1])
        return int(self.position[item].min(initial=self.reading.tokens.shape[1]))

    def hooks(self, rows: Rows) -> list[Hook]:
        """Its action on a batch, at every layer."""
        return [Hook(name, max(layer, 0), partial(self._act, layer, rows)) for layer, name in self.names.items()]

    def check(self) -> None:
        """Raise NoEffectError where it changed nothing: at a layer, or at all layers of an edit through probes."""
        if not self.intervention.every_layer and any(self.changed.values()):
            return
        for layer, name in self.names.items():
            if not self.changed[layer]:
                raise NoEffectError(
                    f"{self.intervention} at {name} {self._why(layer)}. Pass allow_no_effect=True to `edited` if that is an "
                    f"answer to your question."
                )

    def _why(self, layer: int) -> str:
        if layer not in self.ran:
            return "never ran: no run passed this layer"
        if not self.met[layer]:
            return "never ran: the moves it names come after the tokens that were run"
        over = (
            "" if self.somebody_moves else ", all after the end of a game, where nobody is to move: name earlier moves"
        )
        return f"changed none of its {self.met[layer]} rows{over}"

    def _act(self, layer: int, rows: Rows, activation: torch.Tensor) -> torch.Tensor:
        self.ran.add(layer)
        pattern = self.intervention.hook == "pattern"
        result = activation.clone()
        seen = result.transpose(1, 2) if pattern else result  # [row pos ...]
        row, item = self._items(rows, rows.start + seen.shape[1])
        self.met[layer] += len(row)
        if not len(row):
            return activation
        at: tuple[Any, ...] = (torch.from_numpy(row), torch.from_numpy(self.position[item] - rows.start))
        heads = self.intervention.head
        if isinstance(heads, int):
            at = (*at, heads)
        elif heads is not None:
            at = (at[0][:, None], at[1][:, None], torch.as_tensor(list(heads)))
        before = seen[at]
        context = Context(
            self.reading, layer, self.intervention.hook, self.game[item], self.move[item], self.position[item]
        )
        after = self.intervention.apply(before.clone(), context)
        seen[at] = self._checked(before, after)
        self.changed[layer] = self.changed[layer] or not torch.equal(before, seen[at])
        self.somebody_moves = self.somebody_moves or bool(context.mover.any())
        return result

    def _checked(self, before: torch.Tensor, after: Any) -> torch.Tensor:
        if not isinstance(after, torch.Tensor):
            raise ValueError(
                f"{self.intervention} gave {type(after).__name__}: expected rows {tuple(before.shape)}; return them"
            )
        if after.shape != before.shape:
            raise ValueError(f"{self.intervention}: rows {tuple(before.shape)} became {tuple(after.shape)}")
        if not torch.isfinite(after).all() and torch.isfinite(before).all():
            raise ValueError(f"{self.intervention}: gave values that are not finite")
        return after.to(before)

    def _items(self, rows: Rows, width: int) -> tuple[np.ndarray, np.ndarray]:
        """(row of the batch, token in scope), int64 `[item]` each, up to each row's end."""
        counts = self.counts[rows.game]
        row = np.repeat(np.arange(len(counts)), counts)
        item = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + self.starts[rows.game][row]
        kept = self.position[item] <= np.minimum(rows.end, width - 1)[row]
        return row[kept], item[kept]


def _tokens_in_scope(intervention: Intervention, reading: Reading) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(game, move, position) of every token in scope, int64 `[token]` each, game by game."""
    game, move = np.nonzero(intervention.chosen(reading.games))
    last = reading.last[game, move]
    before = last - reading.first[game, move] if intervention.tokens == "all" else np.zeros_like(last)
    token = np.repeat(np.arange(len(game)), before + 1)
    back = np.repeat(np.cumsum(before + 1), before + 1) - 1 - np.arange(len(token))
    return game[token], move[token], last[token] - back
