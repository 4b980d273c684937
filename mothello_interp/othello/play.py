"""Playing: random games, replay to boards, and legal moves of any board."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np

from mothello_interp.arguments import checked
from mothello_interp.othello import kernels
from mothello_interp.othello.games import Games, IllegalGame
from mothello_interp.othello.rules import bits, check_side, full_length, playable, square_name, start_position

_CHUNK = 4096  # games a thread takes at a time


@dataclass(frozen=True)
class Boards:
    """Every position of some games.

    Attributes:
        state: int8 `[game move square]`, the board AFTER each move: -1 white, 0 empty, 1 black (0 after the end).
        legal: bool `[game move+1 square]`, the legal moves BEFORE move t; index t+1 is the position after it.
        mover: int8 `[game move+1]`, who moves at that position: 1 black, -1 white, 0 where the game is over.
    """

    state: np.ndarray
    legal: np.ndarray
    mover: np.ndarray


@checked
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
        seed: names the stream; an integer or a sequence of integers, all 0 or more. Numbers are read 32 bits at a time,
            and zeros at the end have no effect: 1 is [1, 0], and 2**32 is [0, 1]. So let a sequence end in a number
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


@checked
def games_at(
    index: np.ndarray,
    *,
    board: int = 8,
    seed: int | Sequence[int],
    opening: Sequence[int | str] = (),
    threads: int | None = None,
) -> Games:
    """The games of a stream at any indices, int `[game]`: `random_games` in any order.

    Examples:
        >>> games_at(np.array([6, 5]), board=4, seed=0) == random_games(2, board=4, seed=0, start=5)[::-1]
        True
    """
    prefix, length = Games.from_lists([opening], board), len(opening)
    own, opp = _position_after(prefix)
    index = np.asarray(index, np.uint64)
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    moves = np.full((len(index), full_length(board)), -1, np.int8)
    moves[:, :length] = prefix.moves[:, :length]

    def work(part: slice) -> None:
        kernels.play_random(own, opp, playable(board), board, key, index[part], length, moves[part])

    _in_threads(work, len(index), threads)
    return Games._unchecked(moves, prefix.board)


@checked
def replay(games: Games, *, threads: int | None = None) -> Boards:
    """Every position of the games, with whose turn it is by the rules (passes included).

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
    boards, replayed = _replay(games, threads)
    for game in np.flatnonzero(replayed < games.lengths)[:1].tolist():
        move = int(replayed[game])
        options = [square_name(square, games.board) for square in np.flatnonzero(boards.legal[game, move]).tolist()]
        allowed = f"legal there: {', '.join(options)}" if options else "the game was over"
        raise IllegalGame(f"{square_name(games.moves[game, move], games.board)} is not legal ({allowed})", game, move)
    return boards


def legal_prefixes(games: Games) -> np.ndarray:
    """How many moves of each game are legal before the first that is not, int64 `[game]`.

    Examples:
        >>> legal_prefixes(Games.from_lists([["d3", "c3", "a1"]]))
        array([2])
    """
    return _replay(games, None)[1]


def legal_squares(state: np.ndarray, mover: np.ndarray) -> np.ndarray:
    """The legal moves on any boards, also on such as no game leads to, bool `[position square]`.

    All False for a player without a move (no pass is played).

    Args:
        state: int8 `[position square]`, -1 white, 0 empty, 1 black.
        mover: int8 `[position]`, who is to move: 1 black, -1 white, 0 nobody.

    Raises:
        ValueError: for arrays of other shapes, values or sizes of the board.
    """
    state, mover = np.asarray(state), np.asarray(mover)
    if state.ndim != 2 or mover.shape != state.shape[:1]:
        given = f"state {state.shape}, mover {mover.shape}"
        raise ValueError(f"{given}: expected [position square] and [position]; write state[None] for a single board")
    board = check_side(round(state.shape[1] ** 0.5))
    if state.shape[1] != board**2 or not all(np.isin(part, (-1, 0, 1)).all() for part in (state, mover)):
        raise ValueError(f"state and mover must hold -1, 0 and 1, and {state.shape[1]} squares a square number")
    legal = np.zeros(state.shape, np.bool_)
    kernels.legal_of_each(*_bitboards(state, mover), playable(board), bits(board), legal)
    return legal & (mover != 0)[:, None]


def _position_after(opening: Games) -> tuple[np.uint64, np.uint64]:
    """The discs of the player to move and of the opponent after a single opening."""
    boards, length = replay(opening), int(opening.lengths[0])
    if not length:
        return start_position(opening.board)
    if boards.mover[0, length] == 0:
        raise ValueError(f"opening={opening.to_transcripts()[0]!r}: the game is over there, nothing is left to play")
    own, opp = _bitboards(boards.state[0, length - 1 : length], boards.mover[0, length : length + 1])
    return own[0], opp[0]


def _bitboards(state: np.ndarray, mover: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The discs of the player to move and of the opponent, uint64 `[position]` each."""
    bit = np.uint64(1) << bits(round(state.shape[1] ** 0.5))
    discs = (np.where(state == colour[:, None], bit, np.uint64(0)) for colour in (mover, -mover))
    own, opp = (np.bitwise_or.reduce(part, axis=1, initial=0) for part in discs)
    return own, opp


def _replay(games: Games, threads: int | None) -> tuple[Boards, np.ndarray]:
    """The positions, and how many moves of each game are legal, int64 `[game]`."""
    n, length = games.moves.shape
    boards = Boards(
        np.zeros((n, length, games.board**2), np.int8),
        np.zeros((n, length + 1, games.board**2), np.bool_),
        np.zeros((n, length + 1), np.int8),
    )
    replayed = np.zeros(n, np.int64)
    position = (*start_position(games.board), playable(games.board), bits(games.board))

    def work(part: slice) -> None:
        filled = (boards.state[part], boards.legal[part], boards.mover[part], replayed[part])
        kernels.replay_games(*position, games.moves[part], *filled)

    _in_threads(work, n, threads)
    return boards, replayed


def _in_threads(work: Callable[[slice], None], n: int, threads: int | None) -> None:
    parts = [slice(first, min(first + _CHUNK, n)) for first in range(0, n, _CHUNK)]
    if len(parts) < 2 or threads == 1:
        list(map(work, parts))
        return
    with ThreadPoolExecutor(threads or cpu_count()) as pool:
        list(pool.map(work, parts))
