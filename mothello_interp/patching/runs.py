"""Runs of some games in one language: their states, and what they answer when other states are put in."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from mothello_interp.activations import HOOKS, hook_name
from mothello_interp.languages import PAD
from mothello_interp.legality import Run, continuation_probabilities
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from mothello_interp.patching.attribution import slopes
from mothello_interp.patching.reading import Reading, cached, run_patched

Mass = Literal["word", "first"]
_GAMES = 32  # in one batch


class Runs:
    """Games in one language, each answered behind its last move.

    An *outcome* is a move in one of the languages that are listened to (mass "word": the product of the conditionals
    along its tokens), or a first token (mass "first": what begins several words counts for all of them).

    Args:
        games: of one move or more, each with room for another.
        language: that they are written in.
        answers: the languages listened to; by default the one in which the model should go on.
        mass: what an outcome is.

    Raises:
        ValueError: for another mass; as `Mothello.encode`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        games: Games,
        language: int,
        *,
        answers: Sequence[int] | None = None,
        mass: Mass = "word",
    ):
        if mass not in ("word", "first"):
            raise ValueError(f'mass={mass!r}: choose "word" or "first"')
        mothello = checkpoint.mothello
        self.checkpoint, self.games, self.language, self.mass = checkpoint, games, language, mass
        self.last = mothello.encode(games, language).last.astype(np.int64)  # [game move]
        self.tokens = checkpoint.tokens(games, language)[:, : self.last.max() + 1]  # behind the longest is padding
        self.answers = (mothello.output_of(language),) if answers is None else tuple(answers)
        self._here = torch.arange(len(games))
        self._kept: dict[str, list[torch.Tensor]] = {}
        self._slopes: dict[str, tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]] = {}

    def rows(
        self, layer: int, game: np.ndarray, move: np.ndarray, *, hook: str = "resid_post", head: int | None = None
    ) -> torch.Tensor:
        """The states at the last token of some moves, `[... d_model]` (`[... d_head]` of a head).

        Args:
            layer: -1 or a block.
            game, move: int `[...]`, of one shape after broadcasting.
        """
        found = self._states(*self._place(layer, hook))[torch.from_numpy(game), torch.from_numpy(self.last[game, move])]
        return found if head is None else found[..., head, :]

    def plain(self) -> torch.Tensor:
        """Probabilities of the outcomes in the runs as they are, float32 `[game outcome]`."""
        if not self._in_one_pass:
            return self._in_several(None)
        return self._read(self._reading.logits, self._here)

    def patched(
        self,
        layer: int,
        values: torch.Tensor,
        move: np.ndarray,
        *,
        hook: str = "resid_post",
        head: int | None = None,
    ) -> torch.Tensor:
        """The same with a state put in at the last token of one move of each game, float32 `[cell game outcome]`.

        Args:
            layer: -1 or a block.
            values: `[cell game d_model]`.
            move: int `[cell game]`.
        """
        (block, hook), at = self._place(layer, hook), self._at(move)
        if not self._in_one_pass:
            runs = [self._putting(block, hook, head, *cell) for cell in zip(values, at, strict=True)]
            return torch.stack([self._in_several(run) for run in runs])
        heads = None if head is None else torch.full((len(values),), head)
        result = torch.empty(len(values), *self.plain().shape)
        for games, reading in self._readings:

            def read(logits: torch.Tensor, games: torch.Tensor = games) -> torch.Tensor:
                return self._read(logits, games)

            some = values[:, games], at[:, games]
            result[:, games] = run_patched(self.checkpoint.model, reading, block, hook, *some, read, heads=heads)
        return result

    def estimated(
        self,
        layer: int,
        values: torch.Tensor,
        move: np.ndarray,
        weights: torch.Tensor,
        *,
        hook: str = "resid_post",
        head: int | None = None,
    ) -> torch.Tensor:
        """A first-order estimate of `(patched * weights).sum(-1)`, float32 `[cell game]`: one backward pass for all places.

        Args:
            layer, values, move, hook, head: as in `patched`.
            weights: float32 `[game outcome]`.

        Raises:
            ValueError: if outcomes are words of several tokens.
        """
        if not self._in_one_pass:
            raise ValueError('words of several tokens take several runs: an estimate needs mass="first"')
        block, hook = self._place(layer, hook)
        if hook not in self._slopes or self._slopes[hook][0] is not weights:
            model, tokens = self.checkpoint.model, self.tokens
            found = slopes(model, tokens, lambda logits: (self._read(logits, self._here) * weights).sum(-1), hook)
            self._slopes[hook] = (weights, *found)
        _, value, gradients = self._slopes[hook]
        slope, own = (part[self._here, self._at(move)] for part in (gradients[block], self._states(block, hook)))
        if head is not None:
            slope, own = slope[..., head, :], own[..., head, :]
        return value + (slope * (values - own)).sum(-1).cpu()

    def mask(self, squares: np.ndarray, answer: int | None = None) -> torch.Tensor:
        """The outcomes that stand for moves to some squares in one of the answer languages, bool `[game outcome]`.

        Args:
            squares: bool `[game square]`.
            answer: the first language listened to by default.
        """
        answer = self.answers[0] if answer is None else answer
        if self.mass == "first":
            return torch.from_numpy(squares @ self.checkpoint.mothello.first_tokens(answer))
        place = self.answers.index(answer)
        parts = [squares if index == place else np.zeros_like(squares) for index in range(len(self.answers))]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    @cached_property
    def _in_one_pass(self) -> bool:
        return self.mass == "first" or self.checkpoint.mothello.token_counts[list(self.answers)].max() == 1

    def _place(self, layer: int, hook: str) -> tuple[int, str]:
        """The block to run from, and the hook there: a layer's output is what the next block reads."""
        if hook == "resid_post" and layer < self.checkpoint.model.cfg.n_layers - 1:
            return layer + 1, "resid_pre"
        return layer, hook

    def _states(self, block: int, hook: str) -> torch.Tensor:
        """`[game pos d_model]`, read once for all blocks."""
        if hook not in self._kept:
            self._kept[hook] = cached(self.checkpoint.model, self.tokens, hook)
        return self._kept[hook][block]

    def _at(self, move: np.ndarray) -> torch.Tensor:
        """The position of the last token of a move of each game, int64 `[... game]`."""
        return torch.from_numpy(self.last[np.arange(len(self.games)), move])

    @cached_property
    def _reading(self) -> Reading:
        """All runs as they are."""
        return Reading.of(self.checkpoint.model, self.tokens)

    @cached_property
    def _readings(self) -> list[tuple[torch.Tensor, Reading]]:
        """The runs in batches of about one length, so that those patched late can start late: (games, their runs)."""
        order = np.argsort(self.last.max(axis=1), kind="stable")
        batches = np.array_split(order, -(-len(order) // _GAMES)) if len(order) else []
        ends = [int(self.last[games].max()) + 1 for games in batches]
        found = [torch.from_numpy(games) for games in batches]
        return [(games, self._reading.some(games, end)) for games, end in zip(found, ends, strict=True)]

    def _read(self, logits: torch.Tensor, games: torch.Tensor) -> torch.Tensor:
        """Outcomes `[game outcome]` from the logits `[game pos vocab]` of one run of some games."""
        end = torch.from_numpy(self.last.max(axis=1))[games]
        found = logits[torch.arange(len(games)), end].float().softmax(-1).cpu()
        if self.mass == "first":
            return found
        words = torch.from_numpy(self.checkpoint.mothello.move_tokens[list(self.answers), :, 0].reshape(-1)).long()
        return found[:, words] * (words != PAD)

    def _in_several(self, run: Run | None) -> torch.Tensor:
        """Outcomes `[game outcome]` of words of several tokens, one run for each of their beginnings."""
        parts = [
            continuation_probabilities(self.checkpoint, self.games, self.language, run=run, answer=answer)
            for answer in self.answers
        ]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def _putting(self, block: int, hook: str, head: int | None, values: torch.Tensor, at: torch.Tensor) -> Run:
        """A run of any of the games with a state put in: values `[game d_model]` at positions `[game]`."""

        def run(tokens: torch.Tensor, game: np.ndarray) -> torch.Tensor:
            where: tuple[Any, ...] = (torch.arange(len(game)), at[game])

            def put(activation: torch.Tensor, hook: Any) -> torch.Tensor:
                activation[where if head is None else (*where, head)] = values[game].to(activation)
                return activation

            found: torch.Tensor = self.checkpoint.model.run_with_hooks(
                tokens, fwd_hooks=[(hook_name(block, hook), put)]
            )
            return found

        return run


def places(checkpoint: Checkpoint, hook: str, *, last: bool = True) -> Iterator[tuple[int, int | None]]:
    """(layer, head) of all places that a hook names, from the embeddings on; head is None but for hook "z".

    Args:
        last: whether the last layer's resid_post is one.

    Raises:
        ValueError: for an unknown hook.
    """
    if hook not in (*HOOKS, "z"):
        raise ValueError(f"hook={hook!r}: choose one of {', '.join(HOOKS)}, or z for the heads")
    config = checkpoint.model.cfg
    whole = hook == "resid_post"
    for layer in range(-1 if whole else 0, config.n_layers - int(whole and not last)):
        yield from ((layer, head) for head in (range(config.n_heads) if hook == "z" else (None,)))
