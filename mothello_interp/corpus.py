"""An endless, addressable stream of training batches: (seed, index) -> game -> tokens and targets. Nothing is stored."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd, inf
from typing import Literal

import numpy as np

from mothello_interp.languages import Mothello, exact_targets, sampled_targets
from mothello_interp.othello import Games, games_at, replay

Objective = Literal["exact", "sampled"]
Pairing = Literal["redrawn", "parallel", "disjoint"]
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
    """Random games, each written in one of the languages.

    Attributes:
        mothello: the languages.
        seed: names the stream. What stands at place i of it depends on (seed, i) alone.
        objective: "sampled": the next token, as in the paper. "exact": its distribution given the game so far, which
            has the same gradient in expectation and less noise.
        opening: square names that every game begins with.
        language_weights: relative frequency of each input language; all equal by default.
        corpus_games: 0 for games that never repeat, else the size of a finite set that is visited again and again, in
            another order each time.
        pairing: how languages meet games. "redrawn": at random at every visit, as in the paper. "parallel": every game
            in every language, one after the other (weights do not apply). "disjoint": at random, but the same language
            for a game at every visit.
    """

    mothello: Mothello
    seed: int
    objective: Objective = "exact"
    opening: tuple[str, ...] = ()
    language_weights: tuple[float, ...] = ()
    corpus_games: int = 0
    pairing: Pairing = "redrawn"

    def __post_init__(self) -> None:
        inputs = self.mothello.inputs
        weights = self.language_weights
        if weights and (len(weights) != len(inputs) or not (min(weights) >= 0 and 0 < sum(weights) < inf)):
            raise ValueError(
                f"language_weights={weights}: give {len(inputs)} numbers, one for each input language {list(inputs)}, "
                f"0 or more and not all 0"
            )
        if weights and self.pairing == "parallel":
            raise ValueError("pairing='parallel' shows every game in every language: it takes no language_weights")

    def batch(self, start: int, n: int, *, threads: int | None = 1) -> Batch:
        """Places `start` to `start + n - 1` of the stream, cut to the positions a model sees.

        Returns:
            Batch with `pos` up to the longest language's width, less the last token.
        """
        mothello = self.mothello
        games = self._at(self.game_index(start, n), _TRAINING, threads)
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
        """The languages of places `start` to `start + n - 1`, int64 `[game]`."""
        inputs = np.array(self.mothello.inputs)
        if self.pairing == "parallel":
            return inputs[np.arange(start, start + n) % len(inputs)]
        if self.pairing == "disjoint" and self.corpus_games:
            draws = np.array([self._draw(int(game), 1)[0] for game in self.game_index(start, n)], np.uint64)
        else:
            draws = self._draw(start, n)
        chosen = np.searchsorted(self._thresholds, (draws >> np.uint64(11)) * 2.0**-53, side="right")
        return inputs[np.minimum(chosen, len(inputs) - 1)]

    def game_index(self, start: int, n: int) -> np.ndarray:
        """Which games stand at places `start` to `start + n - 1`, int64 `[game]`."""
        if start < 0 or n < 0:
            raise ValueError(f"start={start}, n={n}: both must be 0 or more")
        place = np.arange(start, start + n)
        if self.pairing == "parallel":
            place //= len(self.mothello.inputs)
        if not self.corpus_games:
            return place
        visit, within = np.divmod(place, self.corpus_games)
        shuffled = np.empty_like(place)
        for number in np.unique(visit):
            factor, shift = self._order(int(number))
            here = visit == number
            shuffled[here] = [(int(at) * factor + shift) % self.corpus_games for at in within[here]]
        return shuffled

    def _order(self, visit: int) -> tuple[int, int]:
        """An affine permutation of the finite set, for one visit: `at * factor + shift`, the factor without a common divisor."""
        draw = np.random.default_rng((self.seed, _TRAINING, visit + 1))
        factor = int(draw.integers(1, self.corpus_games + 1))
        while gcd(factor, self.corpus_games) != 1:
            factor += 1
        return factor, int(draw.integers(self.corpus_games))

    def _draw(self, start: int, n: int) -> np.ndarray:
        return np.random.Philox(key=self._key, counter=start).random_raw(4 * n)[::4]

    def held_out(self, n: int) -> Games:
        """Games of the same kind that no batch of this corpus is drawn from."""
        return self.games(0, n, held_out=True, threads=None)

    def games(self, start: int, n: int, *, held_out: bool = False, threads: int | None = 1) -> Games:
        """Games `start` to `start + n - 1` that batches are drawn from, each once; or of those held out.

        Raises:
            ValueError: if a finite set has not so many.
        """
        if self.corpus_games and start + n > self.corpus_games and not held_out:
            raise ValueError(f"games {start} to {start + n - 1}: this corpus is a set of {self.corpus_games}")
        return self._at(np.arange(start, start + n), _HELD_OUT if held_out else _TRAINING, threads)

    def _at(self, index: np.ndarray, stream: int, threads: int | None) -> Games:
        seed = (self.seed, stream)
        return games_at(index, board=self.mothello.board, seed=seed, opening=self.opening, threads=threads)

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
