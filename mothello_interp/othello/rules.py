"""Othello on bitboards: sides, squares, the start position and leaf counts; moves are worked out in `kernels.py`.

A board of side 4, 6 or 8 lives in the top left corner of an 8x8 bitboard: square (row, column) is bit 8 * row + column.
Shifts are then the same constants for every size, and only `playable(side)` knows where the board ends.
A position is a pair of bitboards (own, opp): the discs of the player to move and those of the opponent.
"""

from functools import cache

import numpy as np

from mothello_interp.arguments import checked
from mothello_interp.othello.kernels import leaves

SIDES = (4, 6, 8)
_ONE = np.uint64(1)


def check_side(board: int) -> int:
    """Return `board` if it is a side length we play on.

    Raises:
        ValueError: if it is not 4, 6 or 8.
    """
    if board not in SIDES:
        raise ValueError(f"board={board!r}: Othello is played here on boards of side {SIDES}; pass one of these")
    return int(board)


def full_length(board: int) -> int:
    """Moves of a game that fills the board: 12, 32 or 60."""
    return check_side(board) ** 2 - 4


def square_name(square: int, board: int) -> str:
    """The square as players write it, column letter then row number: `square_name(19, 8) == "d3"`."""
    return f"{chr(ord('a') + square % board)}{square // board + 1}"


def square_index(name: str, board: int) -> int:
    """The row-major index of a square name: `square_index("d3", 8) == 19`.

    Raises:
        ValueError: for a name that is no square of this board.
    """
    if name.lower() not in _squares(board):
        a1_to = f"a1 to {square_name(board**2 - 1, board)}"
        raise ValueError(f"{name!r} is no square of a board of side {board}: write a column letter and a row, {a1_to}")
    return _squares(board)[name.lower()]


@cache
def _squares(board: int) -> dict[str, int]:
    return {square_name(square, board): square for square in range(board**2)}


def bits(board: int) -> np.ndarray:
    """Bit index of every square, uint64 `[square]`, for row-major squares of a board of side `board`."""
    square = np.arange(board * board)
    return (8 * (square // board) + square % board).astype(np.uint64)


def playable(board: int) -> np.uint64:
    """The bitboard with every square of the board set."""
    return np.bitwise_or.reduce(_ONE << bits(board))


def start_position(board: int) -> tuple[np.uint64, np.uint64]:
    """(black, white) at the start: white on d4 and e5 of 8x8, black to move."""
    white_d4, black_e4, black_d5, white_e5 = (_ONE << bits(board)[square] for square in start_squares(board))
    return black_e4 | black_d5, white_d4 | white_e5


def start_squares(board: int) -> tuple[int, ...]:
    """The four occupied squares of the start position, which are never played."""
    low = board // 2 - 1
    return tuple((low + row) * board + low + column for row in (0, 1) for column in (0, 1))


@checked
def perft(depth: int, *, board: int = 8) -> int:
    """Number of leaves exactly `depth` plies below the start position.

    A forced pass is a ply; games that ended earlier are not counted.

    Examples:
        >>> [perft(depth) for depth in range(1, 6)]
        [4, 12, 56, 244, 1396]

    Raises:
        ValueError: for a negative depth or an unknown board.
    """
    if depth < 0:
        raise ValueError(f"depth={depth}: the number of plies must be 0 or more")
    black, white = start_position(check_side(board))
    return int(leaves(black, white, playable(board), depth))
