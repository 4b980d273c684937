"""Games: text, lists, arrays and files, what they hold, and every refusal."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.othello import (
    Games,
    IllegalGame,
    full_length,
    random_games,
    square_index,
    square_name,
    start_squares,
)
from mothello_interp.othello.rules import SIDES

sides = st.sampled_from(SIDES)
every_side = pytest.mark.parametrize("side", SIDES)


@given(sides, st.integers(0, 2**32), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_games_come_back_from_text_lists_and_files(
    tmp_path_factory: pytest.TempPathFactory, side: int, seed: int, n: int
) -> None:
    games = random_games(n, board=side, seed=seed)
    assert Games.from_transcripts(games.to_transcripts(), side) == games
    assert Games.from_lists([[move for move in row if move >= 0] for row in games.moves.tolist()], side) == games
    path = tmp_path_factory.mktemp("games") / "some.npz"
    assert games.save(path) == path
    assert Games.load(path) == games
    random_games(1, board=4, seed=0).save(path)
    assert Games.load(path).board == 4
    assert [file.name for file in path.parent.iterdir()] == ["some.npz"]


def test_transcripts_skip_what_is_no_move() -> None:
    plain = Games.from_transcripts(["f5d6c3", "", "d3"])
    assert plain.to_transcripts() == ["f5d6c3", "", "d3"]
    assert plain.moves[0, :4].tolist() == [37, 43, 18, -1]
    assert Games.from_transcripts(["F5 d6,-- C3", " \n", "pass D3; PA"]) == plain
    assert Games.from_transcripts(["1. F5 d6 2. C3", "", "1.d3"]) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((f"f5d6{rest}", f"game 1: '{rest}' at character 4 is no move") for rest in ("xyz", "i1", "0", "d", "d9")),
        ("a1 -- h8", "game 1, move 2: 'h8' is no square of a board of side 6"),
        ("pa1", "game 1: '1' at character 2 is no move"),
    ],
)
def test_from_transcripts_names_what_is_no_move(text: str, message: str) -> None:
    with pytest.raises(IllegalGame, match=message):
        Games.from_transcripts(["f5", text], 6)


def test_a_game_that_a_table_lacks_is_named() -> None:
    missing = float("nan")
    for make in (Games.from_transcripts, Games.from_lists):
        with pytest.raises(IllegalGame, match="game 1: nan is no"):
            make([["f5"] if make == Games.from_lists else "f5", missing])  # type: ignore[list-item]
    with pytest.raises(IllegalGame, match="game 0, move 2: square=nan"):
        Games.from_lists([["f5", missing]])  # type: ignore[list-item]


@pytest.mark.parametrize("square", ["h8", "z1", 36, -2])
def test_from_lists_names_what_is_no_square(square: int | str) -> None:
    with pytest.raises(IllegalGame, match=f"^game 1, move 3: '?{square}'? is no square of a board of side 6") as caught:
        Games.from_lists([["a1"], ["a1", 1, square]], 6)
    assert (caught.value.game, caught.value.move) == (1, 2)


@every_side
def test_square_names_go_both_ways(side: int) -> None:
    names = [square_name(square, side) for square in range(side**2)]
    assert names[: side + 1] == [*(f"{letter}1" for letter in "abcdefgh"[:side]), "a2"]
    for spelled in (names, [name.upper() for name in names]):
        assert [square_index(name, side) for name in spelled] == list(range(side**2))
    assert (square_index("d3", 8), square_name(19, 8)) == (19, "d3")


@pytest.mark.parametrize(
    "name", ["", "d", "3", "3d", "g1", "a7", "a0", "a-1", "a1b", "`1", "a\u0663", "a\u00b2", "d03", " d3", "\u01303"]
)
def test_square_index_refuses_other_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no square of a board of side 6: .*a1 to f6"):
        square_index(name, 6)


@pytest.mark.parametrize("moves", [[0, 1], [[0.0, 1.0]], [[True, False]], [[[0, 1]]]])
def test_games_refuse_other_arrays(moves: Sequence[object]) -> None:
    given = np.array(moves)
    with pytest.raises(ValueError, match=f"moves is {given.dtype} of shape .*: expected integers of shape"):
        Games(given, 4)


@pytest.mark.parametrize(
    ("row", "move", "message"),
    [
        ([0, 16], 1, "16 is no square of a board of side 4: expected 0 to 15, or -1 after the end"),
        ([0, 255], 1, "255 is no square"),
        ([0, 256], 1, "256 is no square"),
        ([0, -2], 1, "-2 is no square"),
        ([0, -1, -1, 1], 3, "the game continues after a -1"),
        ([-1] * 12 + [0], 12, "the game continues after a -1"),
        ([0, 5], 1, "b2 is a start square, which is never played"),
        ([4, 0, 4], 2, "a2 was played before"),
        ([0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 15, 0], 12, "a1 was played before"),
    ],
)
def test_games_name_the_impossible_move(row: list[int], move: int, message: str) -> None:
    for before in ([], [[1] + [-1] * (len(row) - 1)]):
        with pytest.raises(IllegalGame, match=f"^game {len(before)}, move {move + 1}: {message}") as caught:
            Games(np.array([*before, row]), 4)
        assert (caught.value.game, caught.value.move) == (len(before), move)


@given(st.data(), sides, st.sampled_from([np.int8, np.uint8, np.int64, np.uint64]))
@settings(max_examples=200, deadline=None)
def test_games_are_distinct_playable_squares_and_then_nothing(
    data: st.DataObject, side: int, dtype: type[np.integer]
) -> None:
    lowest = -2 if np.issubdtype(dtype, np.signedinteger) else 0
    moves = data.draw(st.lists(st.integers(lowest, side * side), max_size=6, unique=data.draw(st.booleans())))
    end = moves.index(-1) if -1 in moves else len(moves)
    played, rest = moves[:end], moves[end:]
    possible = set(range(side * side)) - set(start_squares(side))
    if set(played) <= possible and len(set(played)) == end and set(rest) <= {-1}:
        assert Games(np.array([moves], dtype), side) == Games.from_lists([played], side)
    else:
        with pytest.raises(IllegalGame, match="game 0, move"):
            Games(np.array([moves], dtype), side)


@every_side
def test_games_are_as_wide_as_a_full_board(side: int) -> None:
    games = random_games(5, board=side, seed=1)
    short = np.where(np.arange(full_length(side)) < 3, games.moves, -1)
    wide = np.pad(short, ((0, 0), (0, 7)), constant_values=-1)
    for moves in (short[:, :3], short, wide, np.asfortranarray(wide)):
        assert Games(moves, side) == Games(short, side)
        assert Games(moves, side).moves.shape == short.shape
    assert Games(np.empty((2, 0), np.int8), side).moves.shape == (2, full_length(side))


def test_games_refuse_an_unknown_board() -> None:
    for make in (
        lambda: Games(np.array([[0]]), 5),
        lambda: Games.from_lists([[0]], 5),
        lambda: random_games(1, board=5, seed=0),
    ):
        with pytest.raises(ValueError, match="board=5: Othello is played here"):
            make()


def test_games_are_read_only_values() -> None:
    moves = np.array([[1, 2, *[-1] * 10], [3, *[-1] * 11]], np.int8)
    games = Games(moves, 4)
    moves[0, 0] = 0
    assert games.moves.tolist() == [[1, 2, *[-1] * 10], [3, *[-1] * 11]]
    assert games.moves.dtype == np.int8
    assert (len(games), games.lengths.tolist()) == (2, [2, 1])
    assert games[1:] == Games(np.array([[3, -1, -1]]), 4)
    assert games[np.array([True, False])] == games[:1]
    assert all(games != other for other in (games[::-1], Games(games.moves, 6), "games"))
    for some in (games, games[:1], games[::-1], games[np.array([1])], random_games(1, board=4, seed=0)):
        with pytest.raises(ValueError, match="read-only"):
            some.moves[0, 0] = 0
    with pytest.raises(TypeError, match="unhashable type: 'Games'"):
        hash(games)


def test_games_are_picked_by_a_slice_or_an_array() -> None:
    games = random_games(300, board=4, seed=1)
    for index in (slice(3, 9), slice(None, None, -2), np.array([4, 4, 0]), games.lengths < 12, np.array([], int)):
        assert games[index] == Games(games.moves[index], 4)
        assert games[index].moves.flags.c_contiguous
    for wrong in (0, np.array([[0, 1]])):
        with pytest.raises(ValueError, match=r"pass a slice or an array of one dimension, as in games\[3:4\]"):
            _ = games[wrong]  # type: ignore[index]
    with pytest.raises(IndexError):
        _ = games[:, 3:]  # type: ignore[index]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def test_load_refuses_what_save_did_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.npz"
    with pytest.raises(ValueError, match=r"some\.txt: .*give a name that ends in \.npz"):
        random_games(1, board=4, seed=0).save(tmp_path / "some.txt")
    for content in (b"", b"no archive", pickle.dumps(np.arange(3))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"some\.npz holds no games: expected the arrays moves and board"):
            Games.load(path)
    for arrays in ({"moves": np.array([[Evil()]])}, {"moves": np.zeros((1, 60), np.int8)}):
        np.savez(path, **arrays, board=np.array([object()]), allow_pickle=True)
        with pytest.raises(ValueError, match=r"some\.npz holds no games"):
            Games.load(path)
    assert capsys.readouterr().out == ""
    np.savez(path, moves=np.array([[19], [27]]), board=8)
    with pytest.raises(IllegalGame, match=r"some\.npz: game 1, move 1: d4 is a start square"):
        Games.load(path)
    np.savez(path, moves=np.array([19, 27]), board=8)
    with pytest.raises(ValueError, match=r"some\.npz: moves is int64 of shape \(2,\)"):
        Games.load(path)
    with pytest.raises(FileNotFoundError):
        Games.load(tmp_path / "none.npz")


@pytest.mark.parametrize("moves", [np.zeros((2 * 10**6, 60), np.int8), np.zeros((2 * 10**6, 0), np.int8)])
def test_an_archive_that_would_fill_the_memory_is_refused(moves: np.ndarray, tmp_path: Path) -> None:
    """Nothing but zeros, and rows without moves, which take no room in the file and much as games."""
    np.savez_compressed(tmp_path / "some.npz", moves=moves, board=8)
    with pytest.raises(ValueError, match=r"some\.npz holds no games: .*120000000 bytes, expected"):
        Games.load(tmp_path / "some.npz")


def test_save_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = random_games(1, board=4, seed=0).save(tmp_path / "some.npz")

    def breaks(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", breaks)
    with pytest.raises(OSError, match="no space left"):
        random_games(2, board=4, seed=0).save(path)
    assert Games.load(path) == random_games(1, board=4, seed=0)
    assert list(tmp_path.iterdir()) == [path]


def test_illegal_games_travel_between_processes() -> None:
    error = IllegalGame("it is late", 3, 4, "night.wtb")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "night.wtb: game 3, move 5: it is late"
    assert (again.reason, again.game, again.move, again.source) == ("it is late", 3, 4, "night.wtb")
