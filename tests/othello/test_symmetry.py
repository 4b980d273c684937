"""Symmetries: the group of the square, the four that Othello keeps, and the order of composition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mothello_interp.othello import (
    CONTROLS,
    SYMMETRIES,
    Games,
    IllegalGame,
    Symmetry,
    random_games,
    replay,
    start_squares,
)
from mothello_interp.othello.rules import SIDES
from tests.othello import reference

ALL = SYMMETRIES | CONTROLS
IMAGES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {  # (row, column, last) -> the image of that square
    "identity": lambda row, column, last: (row, column),
    "diagonal": lambda row, column, last: (column, row),
    "antidiagonal": lambda row, column, last: (last - column, last - row),
    "half_turn": lambda row, column, last: (last - row, last - column),
    "quarter_turn": lambda row, column, last: (column, last - row),
    "three_quarter_turn": lambda row, column, last: (last - column, row),
    "flip_rows": lambda row, column, last: (last - row, column),
    "flip_columns": lambda row, column, last: (row, last - column),
}

names = st.sampled_from(sorted(ALL))
sides = st.sampled_from(SIDES)
every_side = pytest.mark.parametrize("side", SIDES)


@every_side
@pytest.mark.parametrize("name", ALL)
def test_squares_go_where_the_symmetry_says(name: str, side: int) -> None:
    places = [IMAGES[name](*divmod(square, side), side - 1) for square in range(side * side)]
    assert ALL[name].squares(side).tolist() == [row * side + column for row, column in places]
    assert Symmetry.of(name) is Symmetry.of(ALL[name]) is ALL[name]
    assert ALL[name].name == name


def test_symmetries_come_in_a_known_order() -> None:
    assert list(SYMMETRIES) == ["identity", "diagonal", "antidiagonal", "half_turn"]
    assert list(CONTROLS) == ["quarter_turn", "three_quarter_turn", "flip_rows", "flip_columns"]


@pytest.mark.parametrize("wrong", ["diagonals", 3, None])
def test_of_refuses_an_unknown_symmetry(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"symmetry {wrong!r}: known are identity, diagonal, .*flip_columns"):
        Symmetry.of(wrong)


@every_side
def test_exactly_four_keep_the_start_position(side: int) -> None:
    discs = reference.start(side)
    start = np.array([discs.get(divmod(square, side), 0) for square in range(side * side)])
    assert [name for name, g in ALL.items() if np.array_equal(g.boards(start), start)] == list(SYMMETRIES)
    assert [name for name, g in ALL.items() if np.array_equal(g.boards(start), -start)] == list(CONTROLS)


@given(names, sides, array_shapes(min_dims=0, max_dims=3, max_side=3), st.data())
@settings(max_examples=60, deadline=None)
def test_boards_are_moved_along_any_axis(name: str, side: int, shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape)))
    dtype = data.draw(st.sampled_from([np.int8, np.bool_, np.float32]))
    values: np.ndarray = np.random.default_rng(0).normal(size=(*shape[:axis], side**2, *shape[axis:])).astype(dtype)
    image = ALL[name].boards(values, axis=axis)
    assert (image.shape, image.dtype) == (values.shape, dtype)
    for square, where in enumerate(ALL[name].squares(side)):
        assert np.array_equal(image.take(where, axis=axis), values.take(square, axis=axis))
    assert np.array_equal(ALL[name].boards(values, axis=axis - values.ndim), image)


@pytest.mark.parametrize("width", [0, 1, 9, 35, 37, 100])
def test_boards_refuse_other_widths(width: int) -> None:
    with pytest.raises(ValueError, match=f"axis 0 holds {width} values: expected one a square"):
        SYMMETRIES["diagonal"].boards(np.zeros((width, 36)), axis=0)


@given(names, sides)
@settings(deadline=None)
def test_games_are_moved_move_by_move(name: str, side: int) -> None:
    games, p = random_games(20, board=side, seed=4), ALL[name].squares(side)
    image = ALL[name].games(games)
    for row, moves in zip(image.moves, games.moves, strict=True):
        assert row.tolist() == [-1 if move < 0 else p[move] for move in moves]
    assert np.array_equal(ALL[name].moves(games.moves, side), image.moves)
    assert ALL[name].moves(np.array(3), side) == p[3]


@every_side
@pytest.mark.parametrize("second", ALL)
@pytest.mark.parametrize("first", ALL)
def test_a_product_is_the_right_factor_first(first: str, second: str, side: int) -> None:
    g, h = ALL[second], ALL[first]
    board = np.arange(side * side)
    games = Games(np.setdiff1d(np.arange(1, side * side), start_squares(side))[None], side)
    assert (g @ h).squares(side).tolist() == g.squares(side)[h.squares(side)].tolist()
    assert np.array_equal((g @ h).boards(board), g.boards(h.boards(board)))
    assert (g @ h).games(games) == g.games(h.games(games))
    assert (g.inverse @ g).name == (g @ g.inverse).name == "identity"


def test_the_order_of_a_product_shows_in_a_quarter_turn() -> None:
    """The four commute and are their own inverses, so only a control can tell `g @ h` from `h @ g`."""
    quarter, diagonal = ALL["quarter_turn"], ALL["diagonal"]
    assert (quarter @ diagonal).name == "flip_columns"
    assert (diagonal @ quarter).name == "flip_rows"
    assert quarter.inverse.name == "three_quarter_turn"
    for g in SYMMETRIES.values():
        assert g.inverse == g
        assert all((g @ h).name in SYMMETRIES and g @ h == h @ g for h in SYMMETRIES.values())


def test_the_eight_are_the_dihedral_group() -> None:
    """Closed, r^4 = s^2 = 1 and s r s = r^-1; the controls are the one other coset of the four."""
    assert all(sorted((h @ g).name for h in ALL.values()) == sorted(ALL) for g in ALL.values())
    r, s, one = ALL["quarter_turn"], ALL["flip_rows"], ALL["identity"]
    assert r @ r @ r @ r == s @ s == one != r @ r
    assert s @ r @ s == r.inverse
    cosets = {frozenset((control @ g).name for g in SYMMETRIES.values()) for control in CONTROLS.values()}
    assert cosets == {frozenset(CONTROLS)}


@every_side
def test_replay_commutes_with_the_four_and_not_with_the_controls(side: int) -> None:
    games = random_games(100, board=side, seed=2)
    boards = replay(games)
    for symmetry in SYMMETRIES.values():
        images = replay(symmetry.games(games))
        assert np.array_equal(images.state, symmetry.boards(boards.state))
        assert np.array_equal(images.legal, symmetry.boards(boards.legal))
        assert np.array_equal(images.mover, boards.mover)
    for symmetry in CONTROLS.values():
        with pytest.raises(IllegalGame, match="game 0, move 1: "):
            replay(symmetry.games(games))
