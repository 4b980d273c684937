"""Games as arrays: random play, transcripts, and replay to boards."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from os import cpu_count
from pathlib import Path

import numpy as np

from mothello_interp.hints import atomic_write
from mothello_interp.othello import kernels
from mothello_interp.othello.rules import (
    bits,
    check_side,
    full_length,
    playable,
    square_index,
    square_name,
    start_position,
    start_squares,
)

_CHUNK = 4096  # games a thread takes at a time


class IllegalGame(ValueError):
    """A game that breaks the rules, or that a file does not hold whole.

    Attributes:
        reason: what is wrong with it.
        game, move: its indices in the call or the file, from 0 (`move` may be None).
        source: the file it stands in, empty outside of one.
    """

    def __init__(self, reason: str, game: int, move: int | None = None, source: str = ""):
        super().__init__(reason, game, move, source)
        self.reason = reason
        self.game = game
        self.move = move
        self.source = source

    def __str__(self) -> str:
        place = [self.source, f"game {self.game}" + ("" if self.move is None else f", move {self.move + 1}")]
        return ": ".join([*filter(None, place), self.reason])


@dataclass(frozen=True, eq=False)
class Games:
    """Games of Othello, passes left out: they are implied by the rules.

    Attributes:
        moves: int8 `[game move]`, row-major squares, -1 after the end; as wide as a game that fills the board.
        board: side of the board, 4, 6 or 8.

    Whether the moves are legal is the business of `replay`.

    Raises:
        ValueError: for an unknown board or a wrong shape.
        IllegalGame: for a square that does not exist or is a start square, a move twice, or a move behind a -1.

    Examples:
        >>> games = Games.from_transcripts(["f5d6c3", "d3c5"])
        >>> games.lengths
        array([3, 2])
        >>> games[1:].to_transcripts()
        ['d3c5']
    """

    moves: np.ndarray
    board: int

    def __post_init__(self) -> None:
        board, length = check_side(self.board), full_length(self.board)
        given = np.asarray(self.moves)
        if given.ndim != 2 or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"moves is {given.dtype} of shape {given.shape}: expected integers of shape [game move]")
        n, width = given.shape
        on_board = (given >= -1) & (given < board**2)
        moves = np.full((n, max(width, length)), -1, np.int8)
        moves[:, :width] = np.where(on_board, given.astype(np.int8), np.int8(-2))
        game, move = kernels.first_impossible(moves, _bitset(start_squares(board)))
        if game >= 0:
            why = _impossible(given[game, : move + 1].tolist(), board)
            raise IllegalGame(why, game, move)
        self._set(np.ascontiguousarray(moves[:, :length]), board)

    def _set(self, moves: np.ndarray, board: int) -> "Games":
        moves.setflags(write=False)
        object.__setattr__(self, "moves", moves)
        object.__setattr__(self, "board", board)
        return self

    @classmethod
    def _unchecked(cls, moves: np.ndarray, board: int) -> "Games":
        """Games that are right by construction, without the time that the checks take."""
        return object.__new__(cls)._set(moves, board)

    def __len__(self) -> int:
        return len(self.moves)

    def __getitem__(self, index: slice | np.ndarray) -> "Games":
        moves = self.moves[index, :]
        if moves.ndim != 2:
            raise ValueError(f"games[{index!r}]: pass a slice or an array of one dimension, as in games[3:4]")
        return Games._unchecked(np.ascontiguousarray(moves), self.board)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Games) and self.board == other.board and np.array_equal(self.moves, other.moves)

    @property
    def lengths(self) -> np.ndarray:
        """Number of moves of each game, int64 `[game]`."""
        return (self.moves >= 0).sum(axis=1)

    @classmethod
    def from_lists(cls, games: Iterable[Sequence[int | str]], board: int = 8) -> "Games":
        """Games from lists of squares, each an index or a name: `Games.from_lists([["d3", "c3"], [19]])`.

        Raises:
            IllegalGame: for what is no square or no possible move, naming the game and the move.
        """
        check_side(board)
        rows = [
            [_index(game, move, square, board) for move, square in enumerate(row)] for game, row in enumerate(games)
        ]
        moves = np.full((len(rows), full_length(board)), -1, np.int64)
        for index, row in enumerate(rows):
            if len(row) > moves.shape[1]:
                raise IllegalGame(
                    f"{len(row)} moves, where a board of side {board} has room for {moves.shape[1]}", index
                )
            moves[index, : len(row)] = row
        return cls(moves, board)

    @classmethod
    def from_transcripts(cls, transcripts: Iterable[str], board: int = 8) -> "Games":
        """Games from text like `f5d6c3`: any case; spaces, commas and pass marks (`--`, `pass`, `pa`) are skipped.

        Raises:
            IllegalGame: for text that is no move or no possible one, naming the game and the place.
        """
        rows = []
        for index, text in enumerate(transcripts):
            row, place = [], 0
            while place < len(text):
                token = _TOKEN.match(text, place)
                if token is None:
                    raise IllegalGame(
                        f"{text[place : place + 8]!r} at character {place} is no move; expected squares like f5",
                        index,
                    )
                if token["square"]:
                    row.append(token["square"])
                place = token.end()
            rows.append(row)
        return cls.from_lists(rows, board)

    def to_transcripts(self) -> list[str]:
        """One line a game, `f5d6c3...`, lower case, without passes."""
        names = np.array([*(square_name(square, self.board) for square in range(self.board**2)), ""])
        return ["".join(row) for row in names[self.moves]]

    def save(self, path: str | Path) -> Path:
        """Write the games to one compressed `.npz` of arrays, which `load` reads; what stood there is replaced.

        Raises:
            ValueError: for a name that does not end in .npz.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"{path}: games are saved as numpy arrays; give a name that ends in .npz")
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, moves=self.moves, board=np.int64(self.board))
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Games":
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ValueError: if it is anything else, naming the file.
            IllegalGame: for a game that cannot be, naming the file, the game and the move.
        """
        data = BytesIO(Path(path).read_bytes())  # a file that is not there is none of the errors below
        try:
            with np.load(data, allow_pickle=False) as stored:
                moves, board = stored["moves"], int(stored["board"])
        except Exception as error:  # zipfile, zlib and numpy have many ways to say that bytes are spoilt
            raise ValueError(f"{path} holds no games: expected the arrays moves and board ({error})") from None
        try:
            return cls(moves, board)
        except IllegalGame as error:
            raise IllegalGame(error.reason, error.game, error.move, str(path)) from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _index(game: int, move: int, square: int | str, board: int) -> int:
    try:
        return square_index(square, board) if isinstance(square, str) else int(square)
    except ValueError as error:
        raise IllegalGame(str(error), game, move) from None


def _impossible(moves: list[int], board: int) -> str:
    """Why the last of these squares cannot stand there."""
    *before, square = moves
    if not -1 <= square < board**2:
        return f"{square} is no square of a board of side {board}: expected 0 to {board**2 - 1}, or -1 after the end"
    if -1 in before:
        return "the game goes on behind a -1, which may only stand after the last move (passes are not written)"
    played = "was played before" if square in before else "is a start square, which is never played"
    return f"{square_name(square, board)} {played}"


def _bitset(squares: Iterable[int]) -> np.uint64:
    return np.uint64(sum(1 << square for square in squares))


_TOKEN = re.compile(r"(?P<square>[a-h][1-8])|pass|pa|ps|-+|[\s,;.]+", re.IGNORECASE)


@dataclass(frozen=True)
class Boards:
    """Every position of some games.

    Attributes:
        state: int8 `[game move square]`, the board AFTER each move: -1 white, 0 empty, 1 black (0 behind the end).
        legal: bool `[game move+1 square]`, the legal moves BEFORE move t; index t+1 is the position after it.
        mover: int8 `[game move+1]`, who moves at that position: 1 black, -1 white, 0 where the game is over.
    """

    state: np.ndarray
    legal: np.ndarray
    mover: np.ndarray


def random_games(
    n: int,
    *,
    board: int = 8,
    seed: int | Sequence[int],
    opening: Sequence[int | str] = (),
    start: int = 0,
    threads: int | None = None,
) -> Games:
    """Games `start` to `start + n - 1` of an endless stream of uniformly random play.

    Game i of a seed depends on (seed, i) alone, whatever `n`, `start` or `threads` are. (A move is drawn by a 32-bit
    fraction, so "uniform" is exact to one part in 10^8.)

    Args:
        n: how many games.
        seed: names the stream; an integer or a sequence of integers, all 0 or more. Numbers are read as 32-bit words,
            and zeros at the end are not seen: 1 is [1, 0], and 2**32 is [0, 1]. So let a sequence end in a number
            above 0, and keep each below 2**32.
        opening: squares or names that every game begins with; games start there, none is rejected.
        threads: how many cores to use, all of them by default.

    Returns:
        Games with moves `[n full_length]`; games in which both players are stuck early end in -1.

    Examples:
        >>> random_games(2, board=4, seed=0, start=5) == random_games(7, board=4, seed=0)[5:]
        True

    Raises:
        ValueError: for a bad board or count, or an illegal opening.
    """
    if n < 0 or start < 0:
        raise ValueError(f"n={n}, start={start}: both must be 0 or more")
    return games_at(np.arange(start, start + n), board=board, seed=seed, opening=opening, threads=threads)


def games_at(
    index: np.ndarray,
    *,
    board: int = 8,
    seed: int | Sequence[int],
    opening: Sequence[int | str] = (),
    threads: int | None = None,
) -> Games:
    """The games of a stream at any indices, int `[game]`: `random_games` in an order of one's own.

    Examples:
        >>> games_at(np.array([6, 5]), board=4, seed=0) == random_games(2, board=4, seed=0, start=5)[::-1]
        True
    """
    board = check_side(board)
    n = len(index)
    index = np.asarray(index, np.uint64)
    prefix = Games.from_lists([opening], board)
    length = len(opening)
    boards = replay(prefix)
    state = boards.state[0, length - 1] if length else _start_state(board)
    mover = int(boards.mover[0, length])
    if mover == 0:
        raise ValueError(f"opening={list(opening)!r}: the game is over there, nothing is left to play")
    own, opp = (_pack(state == colour, board) for colour in (mover, -mover))
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    moves = np.empty((n, full_length(board)), np.int8)
    moves[:, :length] = prefix.moves[:, :length]
    squares = _square_of_bit(board)

    def work(part: slice) -> None:
        kernels.play_random(own, opp, playable(board), squares, key, index[part], length, moves[part])

    _in_threads(work, n, threads)
    return Games._unchecked(moves, board)


def replay(games: Games, *, threads: int | None = None) -> Boards:
    """Play the games on a board and return every position, with whose turn it is by the rules (passes included).

    Unfinished games are fine: they end with somebody to move.

    Raises:
        IllegalGame: naming the first game and move that break the rules, and the moves that were legal there.

    Examples:
        >>> boards = replay(Games.from_lists([["d3", "c3"]]))
        >>> boards.state[0, 0, :32].reshape(4, 8)[2:]  # rows 3 and 4 after black played d3
        array([[0, 0, 0, 1, 0, 0, 0, 0],
               [0, 0, 0, 1, 1, 0, 0, 0]], dtype=int8)
        >>> int(boards.mover[0, 2]), int(boards.legal[0, 2].sum())  # black to move, with four moves to choose from
        (1, 4)
    """
    boards, status = _replay(games, threads)
    wrong = np.flatnonzero(status[:, 0] == kernels.ILLEGAL)
    if len(wrong):
        game = int(wrong[0])
        move = int(status[game, 1])
        played = square_name(int(games.moves[game, move]), games.board)
        options = [square_name(int(square), games.board) for square in np.flatnonzero(boards.legal[game, move])]
        allowed = f"legal there: {', '.join(options)}" if options else "the game was over"
        raise IllegalGame(f"{played} is not legal ({allowed})", game, move)
    return boards


def legal_squares(state: np.ndarray, mover: np.ndarray) -> np.ndarray:
    """Where a player may move on any boards, also on such as no game leads to.

    Args:
        state: int8 `[position square]`, -1 white, 0 empty, 1 black.
        mover: int8 `[position]`, who is to move: 1 black, -1 white, 0 nobody.

    Returns:
        bool `[position square]`; all False for a player without a move (no pass is played).

    Raises:
        ValueError: for arrays of other shapes, values or sizes of the board.
    """
    state, mover = np.asarray(state), np.asarray(mover)
    if state.ndim != 2 or mover.shape != state.shape[:1]:
        raise ValueError(
            f"state {state.shape}, mover {mover.shape}: expected [position square] and [position]; "
            f"write state[None] for a single board"
        )
    board = check_side(round(state.shape[1] ** 0.5))
    if state.shape[1] != board**2 or not np.isin(state, (-1, 0, 1)).all() or not np.isin(mover, (-1, 0, 1)).all():
        raise ValueError(f"state and mover must hold -1, 0 and 1, and {state.shape[1]} squares a square number")
    owns, opps = (
        np.bitwise_or.reduce(np.where(discs, np.uint64(1) << bits(board), np.uint64(0)), axis=1, initial=0)
        for discs in ((state == sign * mover[:, None]) & (mover[:, None] != 0) for sign in (1, -1))
    )
    legal = np.zeros(state.shape, np.bool_)
    kernels.legal_of_each(owns, opps, playable(board), bits(board), legal)
    return legal


def legal_prefixes(games: Games) -> np.ndarray:
    """How many moves of each game are legal before the first that is not, int64 `[game]`.

    Examples:
        >>> legal_prefixes(Games.from_lists([["d3", "c3", "a1"]]))
        array([2])
    """
    return _replay(games, None)[1][:, 1]


def _replay(games: Games, threads: int | None) -> tuple[Boards, np.ndarray]:
    """The positions, and for each game its status and number of legal moves, int64 `[game 2]`."""
    n, length = games.moves.shape
    state = np.zeros((n, length, games.board**2), np.int8)
    legal = np.zeros((n, length + 1, games.board**2), np.bool_)
    mover = np.zeros((n, length + 1), np.int8)
    status = np.empty((n, 2), np.int64)
    black, white = start_position(games.board)
    mask, at = playable(games.board), bits(games.board)

    def work(part: slice) -> None:
        moves = games.moves[part]
        kernels.replay_games(black, white, mask, at, moves, state[part], legal[part], mover[part], status[part])

    _in_threads(work, n, threads)
    return Boards(state, legal, mover), status


def _in_threads(work: Callable[[slice], None], n: int, threads: int | None) -> None:
    parts = [slice(first, min(first + _CHUNK, n)) for first in range(0, n, _CHUNK)]
    if len(parts) < 2 or threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads or cpu_count()) as pool:
        list(pool.map(work, parts))


def _pack(discs: np.ndarray, board: int) -> np.uint64:
    return np.bitwise_or.reduce(np.where(discs, np.uint64(1) << bits(board), np.uint64(0)))


def _start_state(board: int) -> np.ndarray:
    state = np.zeros(board * board, np.int8)
    state[list(start_squares(board))] = (-1, 1, 1, -1)
    return state


@cache
def _square_of_bit(board: int) -> np.ndarray:
    squares = np.full(64, -1, np.int8)
    squares[bits(board).astype(np.int64)] = np.arange(board * board)
    return squares
