"""Everything compiled: the moves of a position (bitboards as in `rules.py`), and loops over many games.

All of it is in this one file, because a cached function holds a copy of what it inlines, and numba renews the cache
only when the function's own file changes.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`njit` with its results kept on disk; without, where numba finds no folder to write to."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            kept = njit(cache=True, **options)(function)
        except RuntimeError:
            warnings.warn(
                "nothing that is compiled can be kept, so that every process takes seconds to begin: "
                "set NUMBA_CACHE_DIR to a folder that can be written",
                stacklevel=1,
            )
            return njit(**options)(function)
        if cache := getattr(kept, "_cache", None):
            cache.load_overload = _anew_if_damaged(cache)
        return kept

    return compiled


def _anew_if_damaged(cache: Any) -> Callable[..., Any]:
    """How numba's cache of a function is read, where a file that a full disk cut short means to compile again."""
    load = cache.load_overload

    def load_or_forget(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception:  # bytes that are no pickle have many ways to say so
            cache.flush()
            return None

    return load_or_forget


LANES = 64  # games played in step, so that the loops over them become vector instructions
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# A run of discs to be flipped never touches column 0 or 7, unless it is vertical.
_INNER_COLUMNS = np.uint64(0x7E7E7E7E7E7E7E7E)


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
    """The discs of `opp` flipped when the player who owns `own` plays the single bit `move`."""
    inner = opp & _INNER_COLUMNS
    turned = _line_flips(move, own, inner, np.uint64(1))
    turned |= _line_flips(move, own, inner, np.uint64(7))
    turned |= _line_flips(move, own, opp, np.uint64(8))
    turned |= _line_flips(move, own, inner, np.uint64(9))
    return turned


@_compiled()
def leaves(own, opp, board_mask, depth):
    """Number of leaves exactly `depth` plies below a position; a forced pass is a ply."""
    if depth == 0:
        return 1
    moves = legal_moves(own, opp, board_mask)
    if moves == _ZERO:
        if legal_moves(opp, own, board_mask) == _ZERO:
            return 0
        return leaves(opp, own, board_mask, depth - 1)
    total = 0
    while moves != _ZERO:
        move = moves & (_ZERO - moves)
        moves ^= move
        turned = flips(move, own, opp)
        total += leaves(opp ^ turned, own | turned | move, board_mask, depth - 1)
    return total


@njit(inline="always")
def mix(value):
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection on 64 bits that looks random."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(inline="always")
def _count_bits(word):
    """Number of set bits, in the form that LLVM turns into the processor's own instruction."""
    word = word - ((word >> _ONE) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@njit(inline="always")
def _nth_bit(word, rank):
    """The set bit of `word` that has `rank` set bits below it, alone; 0 if there is none."""
    position = _ZERO
    for width in (32, 16, 8, 4, 2, 1):
        step = np.uint64(width)
        low = (word >> position) & ((_ONE << step) - _ONE)
        count = _count_bits(low)
        above = np.uint64(rank >= count)
        rank -= count * above
        position += step * above
    return word & (_ONE << position)


@_compiled(nogil=True)
def play_random(own, opp, board_mask, side, key, index, length, moves):
    """Fill `moves` int8 `[game move]`, -1 from column `length` on, with uniformly random play from one position.

    Row i becomes game `index[i]` (uint64 `[game]`) of the stream `key`, and move t of it uses the hash of
    (key, index[i], t) alone: neither LANES nor the split of a call over threads shows in the result.
    """
    owns = np.empty(LANES, np.uint64)
    opps = np.empty(LANES, np.uint64)
    keys = np.empty(LANES, np.uint64)
    legal = np.empty(LANES, np.uint64)
    chosen = np.empty(LANES, np.uint64)
    played = np.empty(LANES, np.int64)
    n_games = moves.shape[0]
    for first in range(0, n_games, LANES):
        n = min(LANES, n_games - first)
        for lane in range(LANES):
            owns[lane], opps[lane] = own, opp
            keys[lane] = mix(key ^ mix(index[min(first + lane, n_games - 1)] + _GOLDEN))
            played[lane] = length
        running = True
        ply = np.uint64(length)
        while running:
            stuck = False
            for lane in range(LANES):
                legal[lane] = legal_moves(owns[lane], opps[lane], board_mask)
                stuck |= legal[lane] == _ZERO
            if stuck:
                for lane in range(LANES):
                    if legal[lane] == _ZERO:
                        reply = legal_moves(opps[lane], owns[lane], board_mask)
                        if reply != _ZERO:
                            owns[lane], opps[lane] = opps[lane], owns[lane]
                            legal[lane] = reply
            for lane in range(LANES):
                random = mix(keys[lane] + ply * _GOLDEN) >> np.uint64(32)
                rank = (random * _count_bits(legal[lane])) >> np.uint64(32)
                chosen[lane] = _nth_bit(legal[lane], rank)
            for lane in range(LANES):
                turned = flips(chosen[lane], owns[lane], opps[lane])
                mine = owns[lane] | turned | chosen[lane]
                theirs = opps[lane] ^ turned
                moved = chosen[lane] != _ZERO
                owns[lane] = theirs if moved else owns[lane]
                opps[lane] = mine if moved else opps[lane]
            running = False
            for lane in range(n):
                if chosen[lane] != _ZERO:
                    below = _count_bits(chosen[lane] - _ONE)
                    moves[first + lane, played[lane]] = (below >> np.uint64(3)) * np.uint64(side) + (
                        below & np.uint64(7)
                    )
                    played[lane] += 1
                    running = True
            ply += _ONE


@_compiled(nogil=True)
def first_impossible(moves, start):
    """(game, move) of the first square in `moves` int8 `[game move]` that no game can have there, or (-1, -1).

    That is one below -1, one after a -1, one of the bits of `start`, or one played before.
    """
    for game in range(moves.shape[0]):
        taken = start
        over = False
        for move in range(moves.shape[1]):
            square = moves[game, move]
            if square == -1:
                over = True
                continue
            bit = _ONE << np.uint64(square)
            if square < 0 or over or (taken & bit) != _ZERO:
                return game, move
            taken |= bit
    return -1, -1


@njit(inline="always")
def _spread(bitboard, bit_of_square, row):
    """Fill `row` bool `[square]` with the squares of a bitboard."""
    for square in range(bit_of_square.shape[0]):
        row[square] = ((bitboard >> bit_of_square[square]) & _ONE) != _ZERO


@_compiled()
def legal_of_each(owns, opps, board_mask, bit_of_square, legal):
    """Fill legal bool `[position square]` for positions given as uint64 `[position]` each."""
    for index in range(owns.shape[0]):
        options = legal_moves(owns[index], opps[index], board_mask)
        _spread(options, bit_of_square, legal[index])


@_compiled(nogil=True)
def replay_games(black, white, board_mask, bit_of_square, moves, state, legal, mover, replayed):
    """Replay `moves` int8 `[game move]` from (black, white) with black to move; a game stops at its first illegal move.

    Fills state int8 `[game move square]`, legal bool `[game move+1 square]`, mover int8 `[game move+1]` and how many
    moves were replayed, int64 `[game]`; all are 0 before.
    """
    n_games, n_moves = moves.shape
    for game in range(n_games):
        own, opp = black, white
        colour = np.int8(1)
        for move in range(n_moves + 1):
            options = legal_moves(own, opp, board_mask)
            if options == _ZERO:
                options = legal_moves(opp, own, board_mask)
                if options != _ZERO:
                    own, opp = opp, own
                    colour = -colour
            _spread(options, bit_of_square, legal[game, move])
            mover[game, move] = colour if options != _ZERO else 0
            if move == n_moves or moves[game, move] < 0:
                break
            chosen = _ONE << bit_of_square[moves[game, move]]
            if chosen & options == _ZERO:
                break
            turned = flips(chosen, own, opp)
            own, opp = opp ^ turned, own | turned | chosen
            colour = -colour
            for square in range(bit_of_square.shape[0]):
                bit = bit_of_square[square]
                state[game, move, square] = colour * (np.int8((own >> bit) & _ONE) - np.int8((opp >> bit) & _ONE))
            replayed[game] += 1
