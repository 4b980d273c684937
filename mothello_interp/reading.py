"""Some games, as a checkpoint reads them in one language, with edits or without: what every measure starts from.

`checkpoint.read(games, language)` says games and language once. A `Reading` is lazy: it runs the model when something is
asked for, batch by batch, and keeps only that. An edit (see `interventions`) is a value that implements `Edit`; an edited
reading changes its own games in its own language alone. A run that gives values that are not finite is a ValueError.

Glossary: `layer` -1 is the embeddings, k is block k; `hook` names the place there (`HOOKS`). A move's activation is that of
its last token. The last move of a full game has no row: models never read it.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from mothello_interp.arguments import several
from mothello_interp.decoding import Prefixes, prefixes
from mothello_interp.forward import BoundEdit, FwdHooks, Rows, StatePatch, batches, finite_runs, fwd_hooks, point
from mothello_interp.languages import PAD
from mothello_interp.othello import Boards, Games, full_length, replay

if TYPE_CHECKING:
    from mothello_interp.models import Checkpoint


class Edit(Protocol):
    """A change of activations. It is bound to a reading for every measurement."""

    def bind(self, reading: "Reading") -> BoundEdit:
        """The edit for these games in this language; ValueError where it cannot be made."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Some games, as a checkpoint reads them in one language. Made by `checkpoint.read`.

    Attributes:
        checkpoint: the model and its languages.
        games: the games.
        language: the input language that they are written in.
        edits: what changes the activations, first to last.
        allow_no_effect: whether an edit that changes nothing is an answer; else it is a NoEffectError.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> from mothello_interp.interventions import Steer
        >>> reading = load("mini/atomic-atomic-anchors4").read(random_games(5, board=6, seed=0), language=1)
        >>> reading.states(layer=1).shape  # [row d_model], one row a move
        torch.Size([155, 128])
        >>> edited = reading.edited(Steer(torch.ones(128), layer=1, moves=5))
        >>> bool((edited.next_moves() != reading.next_moves()).any())
        True
    """

    checkpoint: "Checkpoint"
    games: Games
    language: int
    edits: tuple[Edit, ...] = ()
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.games, Games):
            raise TypeError(f"games: {type(self.games).__name__}; expected Games, as random_games gives them")
        self.checkpoint.mothello.encode(self.games[:0], self.language)  # its errors, at once

    def __len__(self) -> int:
        return len(self.games)

    def __repr__(self) -> str:
        edits = "".join(f", {edit}" for edit in self.edits)
        return f"Reading({self.checkpoint.name or 'model'}, {len(self)} games, language {self.language}{edits})"

    @cached_property
    def boards(self) -> Boards:
        """The positions of the games."""
        return replay(self.games)

    @cached_property
    def tokens(self) -> torch.Tensor:
        """The games as the model is given them, int64 `[game pos]`; 0 after the end."""
        with torch.inference_mode(False):  # ordinary tensors, whoever asks first
            return self.checkpoint.tokens(self.games, self.language)

    @cached_property
    def last(self) -> np.ndarray:
        """The position of each move's last token, int64 `[game move]`; -1 after the end."""
        return self.checkpoint.mothello.encode(self.games, self.language).last.astype(np.int64)

    @cached_property
    def first(self) -> np.ndarray:
        """The position of each move's first token, int64 `[game move]`; -1 after the end."""
        lengths = np.append(self.checkpoint.mothello.token_counts[self.language], 1)[self.games.moves]
        return np.where(self.last >= 0, self.last - lengths + 1, -1)

    @property
    def output(self) -> int:
        """The language in which the model is to continue the games."""
        return self.checkpoint.mothello.output_of(self.language)

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(game, move) of every row: each move that the model is given, int64 `[row]` both."""
        game, move = np.nonzero(self.games.moves[:, : full_length(self.games.board) - 1] >= 0)
        return game, move

    def positions(self, game: np.ndarray, move: np.ndarray) -> np.ndarray:
        """The positions of some moves' last tokens, int64 of one shape with both.

        Raises:
            ValueError: for a move that a game does not have, or that the model never reads.
        """
        known = (move >= 0) & (move < self.games.lengths[game])
        position: np.ndarray = self.last[game, np.where(known, move, 0)]
        if not known.all() or position.max(initial=-1) >= self.tokens.shape[1]:
            raise ValueError(
                f"{self}: a game has no such move, or it is the last of a full game, which models never read"
            )
        return position

    def of(self, games: Games) -> "Reading":
        """Other games, read in the same way."""
        return replace(self, games=games)

    def edited(self, *edits: Edit, allow_no_effect: bool = False) -> "Reading":
        """The same games with edits in place, after those that there are.

        Raises:
            ValueError: for an edit that these games or this model have no place for.
            TypeError: for what is no edit.
        """
        for edit in edits:
            if not hasattr(edit, "bind"):
                raise TypeError(f"{edit!r} is no edit: wrap a function as Apply(function, layer=...)")
            edit.bind(self)
        return replace(self, edits=self.edits + edits, allow_no_effect=self.allow_no_effect or allow_no_effect)

    def patched(
        self,
        source: "Reading",
        layer: int,
        moves: str | int | np.ndarray = "last",
        *,
        hook: str = "resid_post",
        head: int | None = None,
    ) -> "Reading":
        """The same games with another reading's state in place of their own, at one move of each game.

        Args:
            source: a reading of as many games, in any language of any checkpoint of this width.
            layer, hook, head: the place, the same in both.
            moves: "last", or the number of the move, one or int `[game]`.
        """
        if len(source) != len(self):
            raise ValueError(f"{len(source)} games to patch from, {len(self)} to patch: expected one for each")
        move = _chosen(self.games, moves)
        values = source.states_at(np.arange(len(self)), move, layers=[layer], hook=hook, head=head)[0]
        return self.edited(StatePatch(layer, values[None], move[None], hook, head))

    @contextmanager
    def hooks(self) -> Iterator[Any]:
        """The model with the edits in place, for everything that TransformerLens does; then as it was.

        Yields:
            The model, `checkpoint.model`.

        Raises:
            ValueError: in a run of anything but this reading's own tokens, from their beginning.
            NoEffectError: at the end, for an edit that changed nothing.
        """
        model, game = self.checkpoint.model, np.arange(len(self))
        rows = Rows(game, np.zeros_like(game), np.full_like(game, self.tokens.shape[1]))
        met: list[bool] = []

        def check(_: Any, arguments: tuple[Any, ...]) -> None:
            tokens = arguments[0]
            if len(tokens) != len(self) or not torch.equal(tokens, self.tokens[:, : tokens.shape[1]].to(tokens)):
                raise ValueError(
                    f"tokens of shape {tuple(tokens.shape)} that are not those of {self}: inside hooks() run "
                    f"reading.tokens, or their first positions"
                )
            met.append(True)

        def guarded(act: Callable[[torch.Tensor], torch.Tensor], activation: torch.Tensor, hook: Any) -> torch.Tensor:
            if not met:
                raise ValueError(f"a run that does not start from tokens inside {self}.hooks(): pass reading.tokens")
            return act(activation)

        handles = [
            model.register_forward_pre_hook(lambda *_: met.clear()),
            model.embed.register_forward_pre_hook(check),
        ]
        try:
            with self.bound() as bound:
                placed: FwdHooks = [(one.name, partial(guarded, one.act)) for edit in bound for one in edit.hooks(rows)]
                with model.hooks(fwd_hooks=placed):
                    yield model
        finally:
            for handle in handles:
                handle.remove()

    def states(self, layer: int, hook: str = "resid_post", head: int | None = None) -> torch.Tensor:
        """The activation of every row at one place, float32 `[row d_model]` (see `HOOKS` for other places' shapes)."""
        found = [values[layer] for _, values in self.stream([layer], hook)]
        states = torch.cat(found) if found else torch.zeros(0, self.checkpoint.model.cfg.d_model, dtype=torch.float32)
        return states if head is None else states[:, head]

    def stream(
        self, layers: Sequence[int], hook: str = "resid_post"
    ) -> Iterator[tuple[slice, dict[int, torch.Tensor]]]:
        """The activations of every row at several layers, batch by batch: (which rows, float32 `[row ...]` by layer)."""
        game, move = self.rows
        for part, kept in self._cached(np.arange(len(self)), layers, hook):
            rows = slice(*np.searchsorted(game, [part[0], part[-1] + 1]))
            at = game[rows] - part[0], self.last[game[rows], move[rows]]
            yield rows, {layer: values[at].float().cpu() for layer, values in zip(layers, kept, strict=True)}

    def states_at(
        self,
        game: np.ndarray,
        move: np.ndarray,
        *,
        layers: Sequence[int],
        hook: str = "resid_post",
        head: int | None = None,
    ) -> torch.Tensor:
        """The activations of some moves, float32 `[layer ... d_model]`; the games that are named are run once.

        Args:
            game, move: int `[...]`, of one shape after broadcasting.
        """
        game, move = np.broadcast_arrays(game, move)
        needed, place = np.unique(game, return_inverse=True)
        place, position = place.reshape(-1), self.positions(game, move).reshape(-1)
        found: list[torch.Tensor] = []
        order = np.argsort(place, kind="stable")
        for part, kept in self._cached(needed, layers, hook):
            here = order[slice(*np.searchsorted(place[order], np.searchsorted(needed, [part[0], part[-1] + 1])))]
            rows = torch.from_numpy(place[here] - np.searchsorted(needed, part[0]))
            found.append(torch.stack([values[rows, torch.from_numpy(position[here])].float().cpu() for values in kept]))
        values = torch.empty(len(layers), len(order), *found[0].shape[2:], dtype=torch.float32)
        values[:, torch.from_numpy(order)] = torch.cat(found, dim=1)
        values = values.unflatten(1, game.shape)
        return values if head is None else values.select(1 + game.ndim, head)

    def next_moves(self, output: int | None = None) -> np.ndarray:
        """The probability of each square as the next move, float32 `[game move square]`; 0 from a game's last move on.

        A move's probability is the product of the conditionals along its tokens. What is missing to 1 the model spends on
        tokens that spell no move.

        Args:
            output: the language of the moves that are predicted, `self.output` by default. A move for whose tokens the
                context has no room has probability 0.
        """
        moves = self._move_tokens(output)
        return self._after_moves(lambda part: part.squares(moves).numpy(), (len(moves),), moves.shape[1])

    def final_moves(self, output: int | None = None, *, cells: int | None = None) -> np.ndarray:
        """The probability of each square as the move after each game's last one, float32 `[game square]`.

        Args:
            output: as in `next_moves`.
            cells: run each game so often, for edits that differ by cell (`StatePatch`): float32 `[cell game square]`.

        Raises:
            ValueError: for a game without moves, or one that fills the board; for one after which the context has no room
                for the longest move of another language than `self.output`.
        """
        moves = self._move_tokens(output)
        end = int(self.last.max(initial=-1) + moves.shape[1])
        if output not in (None, self.output) and end > self.checkpoint.mothello.n_ctx:
            raise ValueError(
                f"the longest game and a move of language {output} take {end} tokens, the context has room for "
                f"{self.checkpoint.mothello.n_ctx}: truncate the games"
            )
        return self._after_games(lambda part: part.squares(moves).numpy(), len(moves), cells, moves.shape[1])

    def next_tokens(self) -> np.ndarray:
        """The probability of each token after every move that another one follows, float32 `[game move token]`; else 0."""
        return self._after_moves(lambda part: part.first.numpy(), (self.checkpoint.mothello.d_vocab,))

    def final_tokens(self, *, cells: int | None = None) -> np.ndarray:
        """The probability of each token after each game's last move, float32 `[game token]`; arguments as `final_moves`."""
        return self._after_games(lambda part: part.first.numpy(), self.checkpoint.mothello.d_vocab, cells)

    def greedy_moves(self, outputs: int | Sequence[int] | None = None) -> np.ndarray:
        """The square that greedy decoding names after each move, int16 `[game move]`; -1 where it names none, and at the end.

        Args:
            outputs: languages in which a move counts, `self.output` alone by default. A move for whose tokens the context
                has no room does not count.
        """
        languages = [self.output] if outputs is None else several("outputs", outputs)
        if not set() < set(languages) <= set(range(len(self.checkpoint.mothello.languages))):
            known = len(self.checkpoint.mothello.languages) - 1
            raise ValueError(f"outputs={list(languages)}: expected one or more of the languages 0 to {known}")
        moves = np.concatenate([self.checkpoint.mothello.move_tokens[language] for language in languages])
        moves = moves[:, : int((moves != PAD).sum(axis=1).max())]
        found = self._after_moves(lambda part: part.greedy(moves) + 1, (), moves.shape[1]).astype(np.int16)
        return np.where(found > 0, (found - 1) % self.games.board**2, -1).astype(np.int16)

    def output_language_mass(self) -> np.ndarray:
        """The probability of each language's tokens after each move that another one follows, float32 `[game move language+1]`.

        Anchors belong to no single language: they and the padding are the last column. All 0 elsewhere.
        """
        mothello = self.checkpoint.mothello
        belongs = np.eye(len(mothello.languages) + 1, dtype=np.float32)[mothello.owners]
        return self._after_moves(lambda part: part.first.numpy() @ belongs, (belongs.shape[1],))

    def _after_moves(
        self, score: Callable[[Prefixes], np.ndarray], shape: tuple[int, ...], pieces: int = 1
    ) -> np.ndarray:
        """A score of every prefix that a move follows, float32 `[game move ...]`; 0 elsewhere."""
        result = np.zeros((*self.games.moves.shape, *shape), np.float32)
        for part in prefixes(self, final=False, pieces=pieces):
            result[part.game, part.move] = score(part)
        return result

    def _after_games(
        self, score: Callable[[Prefixes], np.ndarray], outcomes: int, cells: int | None, pieces: int = 1
    ) -> np.ndarray:
        """A score of every complete game, float32 `[game outcome]`, or `[cell game outcome]`."""
        result = np.zeros((cells or 1, len(self), outcomes), np.float32)
        for part in prefixes(self, final=True, cells=cells or 1, pieces=pieces):
            result[part.cell, part.game] = score(part)
        return result if cells else result[0]

    def _move_tokens(self, output: int | None) -> np.ndarray:
        """The tokens of every move in a language, int `[square piece]`."""
        mothello = self.checkpoint.mothello
        output = self.output if output is None else output
        if not 0 <= output < len(mothello.languages):
            raise ValueError(f"output={output}: expected one of the languages 0 to {len(mothello.languages) - 1}")
        return mothello.move_tokens[output][:, : int(mothello.token_counts[output].max())]

    def caches(
        self, names: Sequence[str], games: np.ndarray | None = None, *, stop_at_layer: int | None = None
    ) -> Iterator[tuple[np.ndarray, torch.Tensor, dict[str, torch.Tensor]]]:
        """Runs of the games (or of some), batch by batch: which games, the logits, and the activations at hook points.

        Args:
            names: hook points, as TransformerLens spells them.
            games: which games, int64 `[game]`, all by default.
            stop_at_layer: the block before which runs stop; then there is a residual stream in place of the logits.
        """
        model: Any = self.checkpoint.model
        with self.bound() as bound, torch.inference_mode():
            for part in batches(np.arange(len(self)) if games is None else games, self.tokens.shape[1]):
                rows = Rows(part, np.zeros_like(part), self.last[part].max(axis=1, initial=-1))
                placed = fwd_hooks(hook for edit in bound for hook in edit.hooks(rows))
                with model.hooks(fwd_hooks=placed):
                    found, cache = model.run_with_cache(
                        self.tokens[torch.from_numpy(part)],
                        names_filter=lambda name: name in names,
                        stop_at_layer=stop_at_layer,
                    )
                yield part, found, cache

    def _cached(
        self, games: np.ndarray, layers: Sequence[int], hook: str
    ) -> Iterator[tuple[np.ndarray, list[torch.Tensor]]]:
        """An activation of some games at every layer, batch by batch, `[batch pos ...]`."""
        names = [point(self.checkpoint.model, layer, hook) for layer in layers]
        for part, _, cache in self.caches(names, games, stop_at_layer=max(layers) + 1 or 1):
            yield part, [cache[name].transpose(1, 2) if hook == "pattern" else cache[name] for name in names]

    @contextmanager
    def bound(self) -> Iterator[list[BoundEdit]]:
        """The edits, bound to this reading for one measurement: runs must give finite numbers, each edit change something.

        A hook that somebody has left on the model is warned of; one in a `with model.hooks(...)` is meant.
        """
        places = self.checkpoint.model.hook_dict.items()
        left = ", ".join(name for name, place in places if any(one.context_level is None for one in place.fwd_hooks))
        if left:
            mend = "model.reset_hooks(including_permanent=True) removes them"
            warnings.warn(f"hooks were left on the model, at {left}, and change what is measured: {mend}", stacklevel=2)
        bound = [edit.bind(self) for edit in self.edits]
        with finite_runs(self.checkpoint.model, self):
            yield bound
        for edit in () if self.allow_no_effect else bound:
            edit.check()


def _chosen(games: Games, moves: str | int | np.ndarray) -> np.ndarray:
    """One move of each game, int64 `[game]`."""
    if isinstance(moves, str) and moves == "last":
        return games.lengths.astype(np.int64) - 1
    given = np.asarray(moves)
    if given.dtype.kind not in "iu":
        raise ValueError(f'moves={moves!r}: choose "last", a number, or one a game')
    return np.broadcast_to(given.astype(np.int64), len(games))
