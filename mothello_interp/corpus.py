"""An endless, addressable stream of training batches: (seed, index) -> game -> tokens and targets. Nothing is stored."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mothello_interp.languages import Mothello, exact_targets, sampled_targets
from mothello_interp.othello import Games, random_games, replay

Objective = Literal["exact", "sampled"]
_TRAINING, _HELD_OUT = 1, 2  # streams of one seed that never meet


@dataclass(frozen=True)
class Batch:
    """Games, each written in one language.

    Attributes:
        games: the games.
        language: int64 `[game]`.
        tokens: int32 `[game pos]`, 0 after the end.
        targets: int32 `[game pos]`, 0 for no loss, or float32 `[game pos vocab]`, all 0 for no loss.
    """

    games: Games
    language: np.ndarray
    tokens: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Corpus:
    """Random games in randomly drawn languages.

    Attributes:
        mothello: the languages.
        seed: names the stream. Game i and its language depend on (seed, i) alone.
        objective: "sampled": the next token, as in the paper. "exact": its distribution given the game so far, which
            has the same gradient in expectation and less noise.
        opening: square names that every game begins with.
        language_weights: relative frequency of each input language; all equal by default.
    """

    mothello: Mothello
    seed: int
    objective: Objective = "exact"
    opening: tuple[str, ...] = ()
    language_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        inputs = self.mothello.inputs
        weights = self.language_weights
        if weights and (len(weights) != len(inputs) or min(weights) < 0 or sum(weights) <= 0):
            raise ValueError(
                f"language_weights={weights}: give {len(inputs)} numbers, one for each input language {list(inputs)}, "
                f"0 or more and not all 0"
            )

    def batch(self, start: int, n: int, *, threads: int | None = 1) -> Batch:
        """Games `start` to `start + n - 1`, cut to the positions a model sees.

        Returns:
            Batch with `pos` up to the longest language's width, less the last token.
        """
        mothello = self.mothello
        games = random_games(
            n, board=mothello.board, seed=(self.seed, _TRAINING), opening=self.opening, start=start, threads=threads
        )
        language = self.languages(start, n)
        tokens = np.zeros((n, mothello.n_ctx), np.int32)
        legal = self._choices(games, threads) if self.objective == "exact" else None
        shape = (n, mothello.n_ctx, mothello.d_vocab) if legal is not None else (n, mothello.n_ctx)
        targets = np.zeros(shape, np.int32 if legal is None else np.float32)
        for spoken in mothello.inputs:
            rows = language == spoken
            width = min(mothello.width(spoken), mothello.n_ctx)
            tokens[rows, :width] = mothello.encode(games[rows], spoken).tokens[:, :width]
            if legal is None:
                targets[rows, :width] = sampled_targets(mothello, games[rows], spoken)[:, :width]
            else:
                targets[rows, :width] = exact_targets(mothello, games[rows], legal[rows], spoken)[:, :width]
        return Batch(games, language, tokens, targets)

    def languages(self, start: int, n: int) -> np.ndarray:
        """The languages of games `start` to `start + n - 1`, int64 `[game]`."""
        draws = np.random.Philox(key=self._key, counter=start).random_raw(4 * n)[::4]
        chosen = np.searchsorted(self._thresholds, (draws >> np.uint64(11)) * 2.0**-53, side="right")
        return np.array(self.mothello.inputs)[np.minimum(chosen, len(self.mothello.inputs) - 1)]

    def held_out(self, n: int) -> Games:
        """Games of the same kind that no batch of this corpus is drawn from."""
        return random_games(n, board=self.mothello.board, seed=(self.seed, _HELD_OUT), opening=self.opening)

    def _choices(self, games: Games, threads: int | None) -> np.ndarray:
        legal = replay(games, threads=threads).legal
        for move in range(len(self.opening)):
            legal[:, move] = False
            legal[np.arange(len(games)), move, games.moves[:, move]] = True
        return legal

    @cached_property
    def _key(self) -> np.ndarray:
        return np.random.SeedSequence((self.seed, _TRAINING)).generate_state(2, np.uint64)

    @cached_property
    def _thresholds(self) -> np.ndarray:
        weights = np.array(self.language_weights or [1.0] * len(self.mothello.inputs))
        return np.cumsum(weights / weights.sum())[:-1]
