"""The rules: known leaf counts, and every position against the slow reference."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.othello import full_length, kernels, perft, square_name, start_squares
from mothello_interp.othello.kernels import flips, legal_moves
from mothello_interp.othello.rules import SIDES, playable, start_position
from tests.othello import reference
from tests.othello.reference import BLACK, WHITE, Discs, Place

PERFT_8 = [1, 4, 12, 56, 244, 1396, 8200, 55092, 390216, 3005288]
PERFT_6 = {5: 1364, 6: 7604, 7: 47740, 8: 308716}


def bit(place: Place) -> int:
    """The bit of a square on the bitboard."""
    return 1 << (8 * place[0] + place[1])


def bitboard(places: list[Place]) -> int:
    """Squares as a bitboard."""
    return sum(bit(place) for place in places)


@st.composite
def crowded_boards(draw: st.DrawFn) -> tuple[int, Discs]:
    """A side and any discs at all, reachable or not, with long runs of one colour likely."""
    side = draw(st.sampled_from(SIDES))
    places = [(row, column) for row in range(side) for column in range(side)]
    palette = draw(st.sampled_from([(BLACK, WHITE, 0), (BLACK, WHITE, WHITE, WHITE, WHITE, 0)]))
    colours = draw(st.lists(st.sampled_from(palette), min_size=len(places), max_size=len(places)))
    return side, {place: colour for place, colour in zip(places, colours, strict=True) if colour}


@given(crowded_boards())
@settings(max_examples=150, deadline=None)
def test_moves_and_flips_of_any_board(case: tuple[int, Discs]) -> None:
    side, discs = case
    black = bitboard([place for place, colour in discs.items() if colour == BLACK])
    white = bitboard([place for place, colour in discs.items() if colour == WHITE])
    for colour, own, opp in ((BLACK, black, white), (WHITE, white, black)):
        legal = reference.legal_places(discs, side, colour)
        assert int(legal_moves(np.uint64(own), np.uint64(opp), playable(side))) == bitboard(legal)
        for place in legal:
            turned = reference.turned(discs, side, place, colour)
            assert int(flips(np.uint64(bit(place)), np.uint64(own), np.uint64(opp))) == bitboard(turned)


@pytest.mark.parametrize("side", SIDES)
def test_start_position(side: int) -> None:
    discs = reference.start(side)
    black, white = start_position(side)
    assert int(black) == bitboard([place for place, colour in discs.items() if colour == BLACK])
    assert int(white) == bitboard([place for place, colour in discs.items() if colour == WHITE])
    assert sorted(start_squares(side)) == sorted(row * side + column for row, column in discs)
    assert bin(int(playable(side))).count("1") == side**2 == full_length(side) + 4


def test_white_starts_on_d4_and_e5() -> None:
    assert [square_name(square, 8) for square in start_squares(8)] == ["d4", "e4", "d5", "e5"]
    _, white = start_position(8)
    assert int(white) == bit((3, 3)) | bit((4, 4))


def test_perft_gives_the_known_numbers() -> None:
    """On 4x4 those of the reference: depth 14 is reached through passes alone, 25 not at all."""
    assert [perft(depth) for depth in range(10)] == PERFT_8
    assert {depth: perft(depth, board=6) for depth in PERFT_6} == PERFT_6
    for depth in (*range(10), 14):
        assert perft(depth, board=4) == reference.leaves(4, depth)
    assert perft(25, board=4) == 0
    with pytest.raises(ValueError, match=r"depth=-1: the number of plies must be 0 or more"):
        perft(-1)


@pytest.mark.parametrize("board", [0, 5, 10])
def test_unknown_boards_are_refused(board: int) -> None:
    for refuse in (lambda: perft(1, board=board), lambda: full_length(board)):
        with pytest.raises(ValueError, match=rf"board={board}: Othello is played here on boards of side"):
            refuse()


def test_what_is_compiled_is_in_one_file() -> None:
    """Numba looks at the file of a cached function alone, not at the files of what it inlines."""
    compiled = Path(kernels.__file__)
    assert "mothello_interp" not in compiled.read_text(encoding="utf-8")
    for path in compiled.parent.glob("*.py"):
        assert path == compiled or "njit" not in path.read_text(encoding="utf-8"), path
