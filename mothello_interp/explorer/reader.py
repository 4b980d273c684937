"""One checkpoint that reads positions: its probes, and its readings of one game with edits and without."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from mothello_interp.explorer.edits import Edit, edited
from mothello_interp.explorer.lens import states_by_layer
from mothello_interp.forward import NoEffectError
from mothello_interp.models import Checkpoint
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.probes import Probes, fit_probes
from mothello_interp.reading import Reading

FIT = {"games": 200, "epochs": 8, "batch": 256}  # seconds, and within 0.01 of the accuracy of 500 games and 16 epochs
_NOTHING = 1e-5  # of a row's length: what float32 leaves where a row is replaced by itself
_REMEMBERED = 256  # positions without edits: a flip or a step back asks for them again


def opening_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The squares with which every game began that the model was trained on; empty for a model of all games."""
    training = checkpoint.provenance.get("training")
    squares = training.get("opening") if isinstance(training, Mapping) else None
    try:
        replay(Games.from_lists([squares or ()], checkpoint.spec.board))
    except (ValueError, TypeError):  # a provenance of somebody else's, which says something else there
        return ()
    return tuple(squares or ())


def games_for(checkpoint: Checkpoint, n: int, *, seed: int, start: int = 0) -> Games:
    """Random games `start` to `start + n - 1` of a seed, of the kind that the model was trained on."""
    return random_games(n, board=checkpoint.spec.board, seed=seed, start=start, opening=opening_of(checkpoint))


class Numbers(NamedTuple):
    """What a model makes of one game.

    Attributes:
        reading: of that game, with edits or without.
        moves: probability of every square as the next move, float32 `[square]`.
        states: the residual stream after each move, float32 `[layer move d_model]`, embeddings first.
    """

    reading: Reading
    moves: np.ndarray
    states: torch.Tensor


class Reader:
    """A checkpoint with what takes time: its probes, and the numbers without edits that were asked for lately.

    Attributes:
        checkpoint: the model.
        probes: None until `fit`, if none are given.
        given: whether they are the user's own.

    Raises:
        ValueError: for probes of another board, width or model.
    """

    def __init__(self, checkpoint: Checkpoint, probes: Probes | None = None):
        self.checkpoint, self.probes, self.given = checkpoint, probes, probes is not None
        self._remembered = lru_cache(_REMEMBERED)(self._read)
        if probes is not None:
            width = probes.weights["weight_in" if probes.kind == "mlp" else "weight"].shape[2]
            wanted = checkpoint.spec.board, checkpoint.spec.model.d_model
            if (probes.board, width) != wanted:
                raise ValueError(
                    f"probes of board {probes.board} and d_model {width}: {checkpoint.name or 'this model'} has board "
                    f"{wanted[0]} and d_model {wanted[1]}; fit them with fit_probes on this checkpoint"
                )
            probes.check(fingerprint(checkpoint))

    def fit(self) -> Probes:
        """The probes; where there are none, linear ones in the relative frame of every layer and language."""
        if self.probes is None:
            games = games_for(self.checkpoint, FIT["games"], seed=0)
            self.probes = fit_probes(self.checkpoint, games, epochs=FIT["epochs"], batch=FIT["batch"], seed=0)
        return self.probes

    def plain(self, game: Games, language: int) -> Numbers:
        """One game of one move or more that is not over, without edits."""
        return self._remembered(tuple(game.moves[0, : game.lengths[0]].tolist()), language)

    def edited(self, game: Games, language: int, edits: Sequence[Edit]) -> tuple[Numbers, tuple[Exception | None, ...]]:
        """The same with edits in place, and one problem for each edit.

        A problem is None where the edit acted, NoEffectError where it changed no state of the residual stream, and
        ValueError where it could not be made here and was left out.
        """
        plain, problems = self.plain(game, language), list[Exception | None]()
        reading, before = plain.reading.edited(allow_no_effect=True), plain.states
        for edit in edits:
            try:
                candidate = edited(reading, edit, self.probes)
                after = states_by_layer(candidate)
            except ValueError as error:
                problems.append(error)
                continue
            acted = ((after - before).norm(dim=-1) > _NOTHING * before.norm(dim=-1)).any()
            problems.append(None if acted else NoEffectError(f"{edit} changes nothing here"))
            reading, before = candidate, after
        return Numbers(reading, reading.final_moves()[0], before), tuple(problems)

    def _read(self, moves: tuple[int, ...], language: int) -> Numbers:
        reading = self.checkpoint.read(Games.from_lists([moves], self.checkpoint.spec.board), language)
        return Numbers(reading, reading.final_moves()[0], states_by_layer(reading))
