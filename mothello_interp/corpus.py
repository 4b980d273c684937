"""An endless, addressable stream of training batches: (seed, index) -> game -> tokens and targets. Nothing is stored.

`write_parquet` stores games in every language, as `datasets.load_dataset("parquet", ...)` reads them: one row a game with
`moves`, its squares, and `tokens_0`, `tokens_1`, ..., the tokens of each language, all without padding.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mothello_interp.arguments import checked, whole
from mothello_interp.hints import atomic_write
from mothello_interp.languages import PAD, Mothello, exact_targets, sampled_targets
from mothello_interp.othello import Games, games_at, replay
from mothello_interp.parquet import check_amount, opened

if TYPE_CHECKING:
    import pyarrow as pa

Objective = Literal["exact", "sampled"]
Pairing = Literal["redrawn", "parallel", "disjoint"]
_TRAINING, _HELD_OUT = 1, 2  # disjoint streams of one seed
_KEY = b"mothello_interp"  # of the provenance in the metadata of a Parquet file
_PART = 10_000  # games read at a time


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
        pairing: which language is given which game. "redrawn": at random at every visit, as in the paper. "parallel": every game
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
        whole("seed", self.seed)
        whole("corpus_games", self.corpus_games)
        inputs = self.mothello.inputs
        weights = self.language_weights
        if weights and (len(weights) != len(inputs) or not (min(weights) >= 0 and 0 < sum(weights) < inf)):
            raise ValueError(
                f"language_weights={weights}: give {len(inputs)} numbers, one for each input language {list(inputs)}, "
                f"0 or more and not all 0"
            )
        if weights and self.pairing == "parallel":
            raise ValueError("pairing='parallel' shows every game in every language: it takes no language_weights")

    @checked
    def batch(self, start: int, n: int, *, threads: int | None = 1) -> Batch:
        """Places `start` to `start + n - 1` of the stream, truncated to the positions that a model is given: all but the last."""
        mothello, exact = self.mothello, self.objective == "exact"
        games = self._at(self.game_index(start, n), _TRAINING, threads)
        language = self.languages(start, n)
        legal = self._choices(games, threads) if exact else np.empty((n, 0))
        tokens = np.zeros((n, mothello.n_ctx), np.int32)
        targets = np.zeros((*tokens.shape, mothello.d_vocab), np.float32) if exact else np.zeros_like(tokens)
        for source in mothello.inputs:
            rows = language == source
            some, width = games[rows], min(mothello.width(source), mothello.n_ctx)
            tokens[rows, :width] = mothello.encode(some, source).tokens[:, :width]
            wanted = (
                exact_targets(mothello, some, legal[rows], source) if exact else sampled_targets(mothello, some, source)
            )
            targets[rows, :width] = wanted[:, :width]
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
        """(factor, shift) of one visit's permutation of the finite set, `at * factor + shift`; the factor is coprime."""
        draw = np.random.default_rng((self.seed, _TRAINING, visit + 1))
        factor = int(draw.integers(1, self.corpus_games + 1))
        while gcd(factor, self.corpus_games) != 1:
            factor += 1
        return factor, int(draw.integers(self.corpus_games))

    def _draw(self, start: int, n: int) -> np.ndarray:
        return np.random.Philox(key=self._key, counter=start).random_raw(4 * n)[::4]

    @checked
    def held_out(self, n: int) -> Games:
        """Games of the same kind, from a stream that no batch of this corpus is drawn from.

        On 4x4 boards the streams overlap: about half of 1,000 such games are, move for move, among the first 20,000 of
        training (`Games.among` tells which). On 6x6 and 8x8 boards none is.
        """
        return self.games(0, n, held_out=True, threads=None)

    @checked
    def games(self, start: int, n: int, *, held_out: bool = False, threads: int | None = 1) -> Games:
        """Games `start` to `start + n - 1` that batches are drawn from, each once; or held-out ones.

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


def write_parquet(
    path: str | Path, parts: Iterable[Games], mothello: Mothello, *, provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write games in all languages atomically, one row group a part; an existing file is replaced.

    Args:
        path: of the file.
        parts: the games; one part at a time is in memory.
        mothello: the languages. Under a unified output `tokens_0` holds one token a move, those of the output language.
        provenance: what made the games, stored in the file as JSON; see `read_provenance`.

    Raises:
        ValueError: for games on another board.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [("moves", pa.list_(pa.int8()))]
    fields += [(f"tokens_{language}", pa.list_(pa.int32())) for language in range(len(mothello.languages))]
    facts = json.dumps({"board": mothello.board, **(provenance or {})}).encode()
    schema = pa.schema(fields, metadata={_KEY: facts})
    with atomic_write(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for games in parts:
            texts = [_tokens(mothello, games, language) for language in range(len(mothello.languages))]
            columns = [_lists(games.moves, games.moves >= 0), *(_lists(tokens, tokens != PAD) for tokens in texts)]
            writer.write_table(pa.table(columns, schema=schema))
    return Path(path)


def read_parquet(path: str | Path) -> Iterator[Games]:
    """The games of a file that `write_parquet` wrote, some thousands at a time.

    Raises:
        ValueError: as `read_provenance`.
    """
    with opened(path, _KEY, "games") as (file, facts):
        check_amount(file, Path(path).stat().st_size, ["moves"])
        for part in file.iter_batches(_PART, columns=["moves"]):
            yield Games.from_lists(part.column("moves").to_pylist(), facts["board"])


def read_provenance(path: str | Path) -> dict[str, Any]:
    """What made the games of a file that `write_parquet` wrote, and their `board`.

    Raises:
        ValueError: for another file.
    """
    with opened(path, _KEY, "games") as (_, facts):
        return facts


def _tokens(mothello: Mothello, games: Games, language: int) -> np.ndarray:
    """The tokens of games in a language, int32 `[game pos]`; an output language has one token a move."""
    if language in mothello.inputs:
        return mothello.encode(games, language).tokens
    return np.append(mothello.move_tokens[language, :, 0], np.int32(PAD))[games.moves]


def _lists(values: np.ndarray, there: np.ndarray) -> "pa.ListArray":
    """Rows `[game item]` without the items that are not there."""
    import pyarrow as pa

    offsets = np.concatenate([[0], there.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values[there])
