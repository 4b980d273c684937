"""Interventions become TransformerLens hooks, or a context in which a model is edited.

Both are made for some games in one language, because moves are where that language writes them: a run inside must read
these games, in this order. An edit that never ran, or that changed nothing, is an error and no null result.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mothello_interp.activations import hook_name
from mothello_interp.interventions.intervention import Context, Intervention, Reading, point
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games

FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]  # as TransformerLens declares them


class NoEffectError(RuntimeError):
    """An intervention that did not run, or ran and changed nothing."""


def fwd_hooks(
    checkpoint: Checkpoint,
    interventions: Sequence[Intervention],
    games: Games,
    language: int,
    *,
    rows: np.ndarray | None = None,
    allow_no_effect: bool = False,
) -> FwdHooks:
    """The interventions as hooks: `model.run_with_hooks(tokens, fwd_hooks=...)`; where two meet, the first acts first.

    Args:
        games: the games that will be read, as `checkpoint.tokens(games, language)` writes them.
        rows: which of the games stand in the batch, int `[batch]`; all of them, once each, by default.
        allow_no_effect: take an edit that changes nothing for an answer.

    Raises:
        ValueError: for a layer, head, move or language that is not there. In the run: for another batch, rows of
            another shape, or values that are not finite.
        NoEffectError: at the end of a run in which an intervention did nothing. A run that stops before the last layer
            (`stop_at_layer`) is not checked; use `edited`, which is.
    """
    return _named(_hooks(Reading(checkpoint, games, language), interventions, rows), checkpoint, allow_no_effect)


@contextmanager
def edited(
    checkpoint: Checkpoint,
    interventions: Sequence[Intervention],
    games: Games,
    language: int,
    *,
    rows: np.ndarray | None = None,
    allow_no_effect: bool = False,
) -> Iterator[Any]:
    """The model with the interventions in place, for plain calls, `run_with_cache` and all else; then as it was.

    Arguments and errors as `fwd_hooks`; what did nothing in any run is found when the context ends.

    Yields:
        The model, `checkpoint.model`.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> from mothello_interp.interventions import Apply
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> games = random_games(3, board=6, seed=0)
        >>> tokens = m.tokens(games, language=1)
        >>> before = m.model(tokens)
        >>> with edited(m, [Apply(lambda rows, context: 2 * rows, layer=0, moves=3)], games, language=1) as model:
        ...     after = model(tokens)
        >>> [bool((before - after)[:, move].abs().max() > 0.01) for move in range(5)]  # nothing before move 3 changes
        [False, False, False, True, True]
    """
    hooks = _hooks(Reading(checkpoint, games, language), interventions, rows)
    with checkpoint.model.hooks(fwd_hooks=_named(hooks, checkpoint, allow_no_effect)):
        yield checkpoint.model
    if not allow_no_effect:
        for hook in hooks:
            hook.check(hook.effective or _acted(hook, hooks))


class _Hook:
    """One intervention at one layer, in TransformerLens' form, keeping record of what it did."""

    def __init__(self, intervention: Intervention, layer: int, reading: Reading, rows: np.ndarray):
        self.intervention = intervention
        self.name = point(intervention, layer, reading.checkpoint)
        self.batch = len(rows)
        first, last = (positions[rows] for positions in reading.spans)
        row, move = np.nonzero(intervention.chosen(reading.games)[rows])
        before = 1 if intervention.tokens == "last" else int((last - first).max()) + 1
        position = (last[row, move][:, None] - np.arange(before)[::-1]).ravel()
        row, move = row.repeat(before), move.repeat(before)
        kept = position >= first[row, move]
        self.row, self.position = row[kept], position[kept]
        self.context = Context(reading, layer, intervention.hook, rows[self.row], move[kept], self.position)
        self.effective = False  # in some run so far
        self.forget()

    def forget(self) -> None:
        """Before a run."""
        self.rows_met, self.ran, self.changed = 0, False, False

    def __call__(self, activation: torch.Tensor, hook: Any) -> torch.Tensor:
        if activation.shape[0] != self.batch:
            raise ValueError(
                f"{self.intervention}: these hooks were made for a batch of {self.batch}, this run has "
                f"{activation.shape[0]}: make them for the games that are read, or name them with rows="
            )
        self.ran = True
        read = self.position < activation.shape[1]
        context = self.context if read.all() else _part(self.context, read)
        at: tuple[Any, ...] = (self.row[read], self.position[read])
        if self.intervention.head is not None:
            at = (*at, self.intervention.head)
        self.rows_met = len(at[0])
        if self.rows_met == 0:
            return activation
        before = activation[at]
        after = torch.as_tensor(self.intervention.apply(before.clone(), context)).to(before)
        if after.shape != before.shape:
            raise ValueError(f"{self.intervention}: rows {tuple(before.shape)} became {tuple(after.shape)}")
        if not torch.isfinite(after).all() and torch.isfinite(before).all():
            raise ValueError(f"{self.intervention}: gave values that are not finite")
        self.changed = not torch.equal(before, after)
        result = activation.clone()
        result[at] = after
        return result

    def check(self, effective: bool) -> None:
        if effective:
            return
        if not self.ran:
            why = "never ran: no run inside passed this layer"
        elif self.rows_met == 0:
            why = "met no token: the moves it names lie behind the tokens that were read"
        else:
            why = f"changed none of its {self.rows_met} rows"
            if not self.context.mover.any():
                why += ", all behind the end of a game, where nobody is to move: name earlier moves"
        raise NoEffectError(
            f"{self.intervention} at {self.name} {why}. Pass allow_no_effect=True if that is an answer to your question."
        )


def _acted(hook: _Hook, hooks: Sequence[_Hook]) -> bool:
    """Whether it changed something in this run, or was called where another layer of its intervention had done so."""
    if hook.changed or hook.intervention.every_layer:
        return hook.changed
    return hook.ran and any(other.changed for other in hooks if other.intervention is hook.intervention)


def _hooks(reading: Reading, interventions: Sequence[Intervention], rows: np.ndarray | None) -> list[_Hook]:
    for intervention in interventions:
        if not isinstance(intervention, Intervention):
            raise TypeError(f"{intervention!r} is no intervention: wrap a function as Apply(function, layer=...)")
    batch = np.arange(len(reading.games)) if rows is None else np.asarray(rows)
    return [_Hook(item, layer, reading, batch) for item in interventions for layer in item.layers]


def _named(hooks: Sequence[_Hook], checkpoint: Checkpoint, allow_no_effect: bool) -> FwdHooks:
    """In TransformerLens' form, with a check behind the last layer."""
    named: FwdHooks = [(hook.name, hook) for hook in hooks]
    if not allow_no_effect:
        named.append((hook_name(checkpoint.model.cfg.n_layers - 1), _check_at_the_end(hooks)))
    return named


def _part(context: Context, kept: np.ndarray) -> Context:
    game, move, position = context.game[kept], context.move[kept], context.position[kept]
    return Context(context.reading, context.layer, context.hook, game, move, position)


def _check_at_the_end(hooks: Sequence[_Hook]) -> Callable[..., None]:
    def check(activation: torch.Tensor, hook: Any) -> None:
        for item in hooks:
            item.check(_acted(item, hooks))
        for item in hooks:
            item.effective = True
            item.forget()

    return check
