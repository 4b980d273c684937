"""One checkpoint that reads positions: its probes, and runs of it with edits and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from mothello_interp.activations import all_layers
from mothello_interp.explorer.edits import Edit, intervention
from mothello_interp.forward import hook_name
from mothello_interp.interventions import Apply, Context, Intervention, NoEffectError, edited, fwd_hooks
from mothello_interp.legality import continuation_probabilities
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games
from mothello_interp.probes import Probes, fit_probes

FIT = {"games": 200, "epochs": 8, "batch": 256}  # seconds, and within 0.01 of the accuracy of 500 games and 16 epochs
_NOTHING = 1e-5  # of a row's length: what float32 leaves where a row is replaced by itself
_REMEMBERED = 256  # runs without edits: a flip or a step back asks for them again


@dataclass(frozen=True, eq=False)
class Run:
    """What came of one game, read in a language.

    Attributes:
        probabilities: float32 `[square]`, of every square as the next move.
        residuals: float32 `[layer d_model]`, embeddings first, at the last token of the last move.
        problems: one for each edit: None where it acted, NoEffectError where it changed nothing, ValueError where it
            could not be made here and was left out.
    """

    probabilities: np.ndarray
    residuals: torch.Tensor
    problems: tuple[Exception | None, ...] = ()


class Reader:
    """A checkpoint with what takes time: its probes, and the runs without edits that were asked for lately.

    Attributes:
        checkpoint: the model.
        probes: None until `fit`, if none are given.
        given: whether they are the user's own.

    Raises:
        ValueError: for probes of another board or width.
    """

    def __init__(self, checkpoint: Checkpoint, probes: Probes | None = None):
        self.checkpoint, self.probes, self.given = checkpoint, probes, probes is not None
        self._plain = lru_cache(_REMEMBERED)(self._run_plain)
        if probes is not None:
            spec = checkpoint.spec
            width = probes.weights["weight_in" if probes.kind == "mlp" else "weight"].shape[2]
            if (probes.board, width) != (spec.board, spec.model.d_model):
                raise ValueError(
                    f"probes of board {probes.board} and d_model {width}: {checkpoint.name or 'this model'} has board "
                    f"{spec.board} and d_model {spec.model.d_model}; fit them with fit_probes on this checkpoint"
                )

    def fit(self) -> Probes:
        """The probes; where there are none, linear ones in the relative frame of every layer and language."""
        if self.probes is None:
            games = random_games(FIT["games"], board=self.checkpoint.spec.board, seed=0)
            self.probes = fit_probes(self.checkpoint, games, epochs=FIT["epochs"], batch=FIT["batch"], seed=0)
        return self.probes

    def plain(self, game: Games, language: int) -> Run:
        """One game of one move or more that is not over, as the model reads it."""
        return self._plain(tuple(game.moves[0, : game.lengths[0]].tolist()), language)

    def run(self, game: Games, language: int, edits: Sequence[Edit]) -> Run:
        """The same with edits in place."""
        watched = [_Watched(edit, self.checkpoint, game, language, self.probes) for edit in edits]
        acting = [item.wrapped for item in watched if item.wrapped]
        names = [hook_name(layer) for layer in all_layers(self.checkpoint)]
        position = int(self.checkpoint.mothello.encode(game, language).last[0, game.lengths[0] - 1])
        kept: list[torch.Tensor] = []

        def forward(tokens: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
            with edited(self.checkpoint, acting, game, language, rows=rows, allow_no_effect=True) as model:
                if kept:  # the rest of a word of several tokens
                    logits: torch.Tensor = model(tokens)
                    return logits
                logits, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names)
                kept.extend(cache[name][0, position].float().cpu() for name in names)
                return logits

        probabilities = continuation_probabilities(self.checkpoint, game, language, run=forward)[0]
        return Run(probabilities, torch.stack(kept), tuple(item.problem for item in watched))

    def _run_plain(self, moves: tuple[int, ...], language: int) -> Run:
        return self.run(Games.from_lists([moves], self.checkpoint.spec.board), language, ())


class _Watched:
    """An edit with a record of whether it changed anything; one that cannot be made here is left out."""

    def __init__(self, edit: Edit, checkpoint: Checkpoint, game: Games, language: int, probes: Probes | None):
        self.problem: Exception | None = NoEffectError(f"{edit} changes nothing here")
        self.wrapped: Intervention | None = None
        try:
            inner = intervention(edit, checkpoint, game, language, probes)
            fwd_hooks(checkpoint, [inner], game, language)  # for its errors
        except ValueError as error:
            self.problem = error
            return

        def watched(rows: torch.Tensor, context: Context) -> torch.Tensor:
            if isinstance(self.problem, ValueError):
                return rows
            try:
                after = torch.as_tensor(inner.apply(rows.clone(), context)).to(rows)
            except ValueError as error:
                self.problem = error
                return rows
            if (after - rows).norm() > _NOTHING * rows.norm():
                self.problem = None
            return after

        scope = {"tokens": inner.tokens, "hook": inner.hook, "head": inner.head}
        self.wrapped = Apply(watched, layer=inner.layer, moves=inner.moves, **scope)  # type: ignore[arg-type]
