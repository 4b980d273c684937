"""The rules of Othello on bitboards, compiled with numba.

A board of side 4, 6 or 8 lives in the top left corner of an 8x8 bitboard: square (row, column) is bit 8 * row + column.
Shifts are then the same constants for every size, and only `playable(side)` knows where the board ends.
A position is a pair of bitboards (own, opp): the discs of the player to move and those of the opponent.
"""

import numpy as np
from numba import njit

SIDES = (4, 6, 8)
BLACK, EMPTY, WHITE = 1, 0, -1

_INNER_COLUMNS = np.uint64(
    0x7E7E7E7E7E7E7E7E
)  # a run of discs to be flipped never touches column 0 or 7, unless vertical
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


def check_side(board: int) -> int:
    """Return `board` if it is a side length we play on.

    Raises:
        ValueError: if it is not 4, 6 or 8.
    """
    if board not in SIDES:
        raise ValueError(f"board={board!r}: Othello is played here on boards of side {SIDES}; pass one of these")
    return int(board)


def bits(board: int) -> np.ndarray:
    """Bit index of every square, uint64 `[square]`, for row-major squares of a board of side `board`."""
    square = np.arange(board * board)
    return (8 * (square // board) + square % board).astype(np.uint64)


def playable(board: int) -> np.uint64:
    """The bitboard with every square of the board set."""
    return np.bitwise_or.reduce(_ONE << bits(board))


def start_position(board: int) -> tuple[np.uint64, np.uint64]:
    """(black, white) at the start: white on d4 and e5 of 8x8, black to move."""
    high = board // 2
    low = high - 1
    at = bits(board)
    white = (_ONE << at[low * board + low]) | (_ONE << at[high * board + high])
    black = (_ONE << at[low * board + high]) | (_ONE << at[high * board + low])
    return black, white


def start_squares(board: int) -> tuple[int, ...]:
    """The four occupied squares of the start position, which are never played."""
    low = board // 2 - 1
    return tuple((low + row) * board + low + column for row in (0, 1) for column in (0, 1))


@njit(inline="always")
def _runs_up(first, through, shift):
    """The discs of `through` in a run that starts next to a bit of `first`, towards higher bits."""
    run = through & (first << shift)
    run |= through & (run << shift)
    pairs = through & (through << shift)
    double = shift + shift
    run |= pairs & (run << double)
    return run | (pairs & (run << double))


@njit(inline="always")
def _runs_down(first, through, shift):
    run = through & (first >> shift)
    run |= through & (run >> shift)
    pairs = through & (through >> shift)
    double = shift + shift
    run |= pairs & (run >> double)
    return run | (pairs & (run >> double))


@njit(inline="always")
def _line_moves(own, through, shift):
    return (_runs_up(own, through, shift) << shift) | (_runs_down(own, through, shift) >> shift)


@njit(inline="always")
def legal_moves(own, opp, board_mask):
    """The bitboard of squares where the player who owns `own` may move."""
    inner = opp & _INNER_COLUMNS
    reached = _line_moves(own, inner, np.uint64(1))
    reached |= _line_moves(own, inner, np.uint64(7))
    reached |= _line_moves(own, opp, np.uint64(8))
    reached |= _line_moves(own, inner, np.uint64(9))
    return reached & board_mask & ~(own | opp)


@njit(inline="always")
def _line_flips(move, own, through, shift):
    up = _runs_up(move, through, shift)
    down = _runs_down(move, through, shift)
    up_closed = _ZERO - np.uint64(((up << shift) & own) != _ZERO)
    down_closed = _ZERO - np.uint64(((down >> shift) & own) != _ZERO)
    return (up & up_closed) | (down & down_closed)


@njit(inline="always")
def flips(move, own, opp):
    """The discs of `opp` turned over when the player who owns `own` plays the single bit `move`."""
    inner = opp & _INNER_COLUMNS
    turned = _line_flips(move, own, inner, np.uint64(1))
    turned |= _line_flips(move, own, inner, np.uint64(7))
    turned |= _line_flips(move, own, opp, np.uint64(8))
    turned |= _line_flips(move, own, inner, np.uint64(9))
    return turned


@njit(cache=True)
def _leaves(own, opp, board_mask, depth):
    if depth == 0:
        return 1
    moves = legal_moves(own, opp, board_mask)
    if moves == _ZERO:
        if legal_moves(opp, own, board_mask) == _ZERO:
            return 0
        return _leaves(opp, own, board_mask, depth - 1)
    total = 0
    while moves != _ZERO:
        move = moves & (_ZERO - moves)
        moves ^= move
        turned = flips(move, own, opp)
        total += _leaves(opp ^ turned, own | turned | move, board_mask, depth - 1)
    return total


def perft(depth: int, *, board: int = 8) -> int:
    """Number of leaves exactly `depth` plies below the start position.

    A forced pass is a ply; games that ended earlier are not counted.

    >>> [perft(depth) for depth in range(1, 6)]
    [4, 12, 56, 244, 1396]

    Raises:
        ValueError: for a negative depth or an unknown board.
    """
    if depth < 0:
        raise ValueError(f"depth={depth}: the number of plies must be 0 or more")
    black, white = start_position(check_side(board))
    return int(_leaves(black, white, playable(board), depth))
