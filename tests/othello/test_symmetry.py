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


def start_state(side: int) -> np.ndarray:
    """The start position, by the reference, `[square]`."""
    discs = reference.start(side)
    return np.array([discs.get(divmod(square, side), 0) for square in range(side * side)])


def test_the_eight_are_told_apart() -> None:
    assert list(SYMMETRIES) == ["identity", "diagonal", "antidiagonal", "half_turn"]
    assert list(CONTROLS) == ["quarter_turn", "three_quarter_turn", "flip_rows", "flip_columns"]
    assert all(symmetry.name == name for name, symmetry in ALL.items())
    assert len({tuple(symmetry.squares(4)) for symmetry in ALL.values()}) == 8


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ALL)
def test_where_squares_go(name: str, side: int) -> None:
    places = [IMAGES[name](*divmod(square, side), side - 1) for square in range(side * side)]
    assert ALL[name].squares(side).tolist() == [row * side + column for row, column in places]


@pytest.mark.parametrize("side", SIDES)
def test_exactly_four_keep_the_start_position(side: int) -> None:
    start = start_state(side)
    kept = [name for name, symmetry in ALL.items() if np.array_equal(symmetry.boards(start), start)]
    assert kept == list(SYMMETRIES)
    for symmetry in CONTROLS.values():
        assert np.array_equal(symmetry.boards(start), -start)


@given(names, sides, array_shapes(min_dims=0, max_dims=3, max_side=3), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_image_of_anything_laid_out_by_square(name: str, side: int, shape: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(*shape, side * side))
    p, image = ALL[name].squares(side), ALL[name].boards(values)
    assert image.shape == values.shape
    assert all(np.array_equal(image[..., p[square]], values[..., square]) for square in range(side * side))


@given(names, sides, st.integers(0, 2), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_squares_along_any_axis(name: str, side: int, axis: int, seed: int) -> None:
    """As in a probe's logits `[row square 3]`, or the words of languages."""
    shape = [3, 2]
    shape.insert(axis, side * side)
    values = np.random.default_rng(seed).normal(size=shape)
    image = ALL[name].boards(values, axis=axis)
    assert image.shape == values.shape
    for square, where in enumerate(ALL[name].squares(side)):
        assert np.array_equal(image.take(where, axis=axis), values.take(square, axis=axis))
    assert np.array_equal(ALL[name].boards(values, axis=axis - 3), image)


@given(names, sides)
def test_the_image_of_moves(name: str, side: int) -> None:
    symmetry, squares = ALL[name], np.array([[0, side * side - 1], [-1, 5]], np.int8)
    p = symmetry.squares(side)
    assert symmetry.moves(squares, side).tolist() == [[p[0], p[side * side - 1]], [-1, p[5]]]
    assert symmetry.moves(np.array(3), side) == p[3]


@pytest.mark.parametrize("width", [0, 1, 9, 35, 37, 100])
def test_what_is_not_laid_out_by_square(width: int) -> None:
    with pytest.raises(ValueError, match=f"axis 0 holds {width} values: expected one a square, 16 or 36 or 64"):
        SYMMETRIES["diagonal"].boards(np.zeros((width, 36)), axis=0)


def test_the_kind_of_numbers_stays() -> None:
    for dtype in (np.int8, np.bool_, np.float32):
        assert SYMMETRIES["diagonal"].boards(np.zeros((2, 36), dtype)).dtype == dtype


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("second", ALL)
@pytest.mark.parametrize("first", ALL)
def test_composition_is_the_right_one_first(first: str, second: str, side: int) -> None:
    g, h = ALL[second], ALL[first]
    board = np.arange(side * side)
    games = Games(np.setdiff1d(np.arange(1, side * side), start_squares(side))[None], side)
    assert (g @ h).squares(side).tolist() == g.squares(side)[h.squares(side)].tolist()
    assert np.array_equal((g @ h).boards(board), g.boards(h.boards(board)))
    assert (g @ h).games(games) == g.games(h.games(games))


def test_the_order_of_composition_shows_in_a_quarter_turn() -> None:
    """The four commute, so only a control can tell `g @ h` from `h @ g`."""
    quarter, diagonal = ALL["quarter_turn"], ALL["diagonal"]
    assert (quarter @ diagonal).name == "flip_columns"
    assert (diagonal @ quarter).name == "flip_rows"
    assert (quarter @ quarter).name == "half_turn"
    assert (quarter @ quarter @ quarter).name == "three_quarter_turn"


@pytest.mark.parametrize("side", SIDES)
def test_the_group_table_of_the_square(side: int) -> None:
    """The eight are the dihedral group: closed, each with an inverse, r^4 = s^2 = 1 and s r s = r^-1."""
    table = {tuple(symmetry.squares(side)): name for name, symmetry in ALL.items()}
    for first, g in ALL.items():
        row = [table[tuple(h.squares(side)[g.squares(side)])] for h in ALL.values()]
        assert sorted(row) == sorted(ALL)
        assert row == [(h @ ALL[first]).name for h in ALL.values()]
    r, s, one = ALL["quarter_turn"], ALL["flip_rows"], ALL["identity"]
    assert r @ r @ r @ r == s @ s == one
    assert s @ r @ s == r.inverse
    cosets = {frozenset((control @ g).name for g in SYMMETRIES.values()) for control in CONTROLS.values()}
    assert cosets == {frozenset(CONTROLS)}


def test_the_four_are_a_group_that_commutes() -> None:
    for g in SYMMETRIES.values():
        assert g.inverse == g
        for h in SYMMETRIES.values():
            assert (g @ h).name in SYMMETRIES
            assert g @ h == h @ g
    assert SYMMETRIES["diagonal"] @ SYMMETRIES["antidiagonal"] == SYMMETRIES["half_turn"]


@pytest.mark.parametrize("symmetry", ALL.values(), ids=lambda symmetry: symmetry.name)
def test_the_inverse_undoes(symmetry: Symmetry) -> None:
    board = np.arange(36)
    assert np.array_equal(symmetry.inverse.boards(symmetry.boards(board)), board)
    assert np.array_equal(symmetry.boards(symmetry.inverse.boards(board)), board)
    assert (symmetry @ symmetry.inverse).name == "identity"


def test_the_inverse_of_a_quarter_turn() -> None:
    assert ALL["quarter_turn"].inverse.name == "three_quarter_turn"
    assert ALL["three_quarter_turn"].inverse.name == "quarter_turn"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("symmetry", SYMMETRIES.values(), ids=lambda symmetry: symmetry.name)
def test_replay_commutes_with_the_four(symmetry: Symmetry, side: int) -> None:
    games = random_games(100, board=side, seed=2)
    boards, images = replay(games), replay(symmetry.games(games))
    assert np.array_equal(images.state, symmetry.boards(boards.state))
    assert np.array_equal(images.legal, symmetry.boards(boards.legal))
    assert np.array_equal(images.mover, boards.mover)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("symmetry", CONTROLS.values(), ids=lambda symmetry: symmetry.name)
def test_controls_break_the_rules_at_once(symmetry: Symmetry, side: int) -> None:
    with pytest.raises(IllegalGame, match="game 0, move 1: "):
        replay(symmetry.games(random_games(1, board=side, seed=2)))


@given(names, sides)
@settings(deadline=None)
def test_the_image_of_games(name: str, side: int) -> None:
    games = random_games(20, board=side, seed=4)
    image = ALL[name].games(games)
    p = ALL[name].squares(side)
    assert image.lengths.tolist() == games.lengths.tolist()
    for row, moves in zip(image.moves, games.moves, strict=True):
        assert row.tolist() == [-1 if move < 0 else p[move] for move in moves]


@pytest.mark.parametrize("side", SIDES)
def test_games_and_boards_agree_on_one_move(side: int) -> None:
    """A board that marks the moves of a game goes to the board that marks the moves of its image."""
    games = random_games(10, board=side, seed=5)
    for symmetry in ALL.values():
        assert np.array_equal(marked(symmetry.games(games), 7), symmetry.boards(marked(games, 7)))


def marked(games: Games, n_moves: int) -> np.ndarray:
    """Which of the first moves of each game fell on each square, counted from 1, `[game square]`."""
    result = np.zeros((len(games), games.board**2), np.int8)
    for move in range(n_moves):
        result[np.arange(len(games)), games.moves[:, move]] = move + 1
    return result


@pytest.mark.parametrize("name", sorted(SYMMETRIES | CONTROLS))
def test_a_symmetry_by_its_name(name: str) -> None:
    assert Symmetry.of(name) is Symmetry.of(Symmetry.of(name)) is (SYMMETRIES | CONTROLS)[name]


@pytest.mark.parametrize("wrong", ["diagonals", 3, None])
def test_a_symmetry_that_does_not_exist(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"symmetry {wrong!r}: known are identity, diagonal, .*flip_columns"):
        Symmetry.of(wrong)
