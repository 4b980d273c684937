"""Real games: WTHOR files byte by byte, transcripts, every refusal, and the federation's own files where they are."""

import os
import struct
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.othello import (
    Games,
    IllegalGame,
    black_score,
    random_games,
    read_names,
    read_transcripts,
    read_wthor,
    replay,
    square_index,
    write_names,
    write_transcripts,
    write_wthor,
    wthor_records,
)
from mothello_interp.othello.rules import SIDES
from tests.othello import reference

GAMES = random_games(40, board=8, seed=1)
OPENING = ["f5", "d6", "c3", "d3", "c4"]


def header(games: int, *, names: int = 0, year: int = 1998, board: int = 8, depth: int = 22) -> bytes:
    """As the federation describes it: created on 2 March 1999."""
    return struct.pack("<BBBBIHHBBBB", 19, 99, 3, 2, games, names, year, board, 0, depth, 0)


def record(moves: list[str], *, tournament: int = 0, black: int = 0, white: int = 0, score: int = 32) -> bytes:
    """One game of square names."""
    played = bytes(10 * int(name[1]) + "abcdefgh".index(name[0]) + 1 for name in moves)
    return struct.pack("<HHHBB", tournament, black, white, score, score) + played.ljust(60, b"\0")


def names_of(games: Games) -> list[list[str]]:
    return [[text[i : i + 2] for i in range(0, len(text), 2)] for text in games.to_transcripts()]


@pytest.fixture
def wtb(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file from its records."""

    def write(*records: bytes, games: int | None = None, **fields: int) -> Path:
        path = tmp_path / "real.wtb"
        path.write_bytes(header(len(records) if games is None else games, **fields) + b"".join(records))
        return path

    return write


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("MOTHELLO_WTHOR")
    if not folder:
        pytest.skip("MOTHELLO_WTHOR names no folder of WTHOR files")
    return Path(folder)


def test_a_file_is_read_as_described(wtb: Callable[..., Path]) -> None:
    path = wtb(*(record(moves) for moves in names_of(GAMES)), record(OPENING), record([]))
    games = read_wthor(path)
    assert games[: len(GAMES)] == GAMES
    assert games[len(GAMES) :] == Games.from_lists([OPENING, []])
    assert len(read_wthor(wtb())) == 0
    assert len(read_wthor(wtb(record(OPENING), board=0))) == 1


def test_a_file_is_written_as_described(tmp_path: Path) -> None:
    games = Games.from_lists([OPENING, ["d3"]])
    path = write_wthor(
        tmp_path / "mine.wtb",
        games,
        year=1998,
        players=np.array([[5, 700], [0, 65535]]),
        tournaments=np.array([2, 300]),
        depth=22,
        created=date(1999, 3, 2),
    )
    first = record(OPENING, tournament=2, black=5, white=700, score=64 - 3)
    second = record(["d3"], tournament=300, white=65535, score=63)
    assert black_score(games).tolist() == [61, 63]
    assert path.read_bytes() == header(2) + first + second
    assert [file.name for file in tmp_path.iterdir()] == ["mine.wtb"]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 8), cut=st.lists(st.integers(0, 60), min_size=8, max_size=8))
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, cut: list[int]) -> None:
    games = random_games(n, board=8, seed=seed)
    games = Games(np.where(np.arange(60) < np.array(cut[:n], int).reshape(n, 1), games.moves, -1), 8)
    folder = tmp_path_factory.mktemp("games")
    assert read_wthor(write_wthor(folder / "a.wtb", games)) == games
    assert wthor_records(folder / "a.wtb")["black_score"].tolist() == black_score(games).tolist()


@pytest.mark.parametrize("side", SIDES)
def test_scores_give_empty_squares_to_the_winner(side: int) -> None:
    games = random_games(150, board=side, seed=2)
    expected = []
    for moves in games.moves:
        discs = list(reference.positions([int(move) for move in moves if move >= 0], side)[-1].discs.values())
        black, white, empty = discs.count(1), discs.count(-1), side**2 - len(discs)
        expected.append(black + (empty if black > white else 0 if black < white else empty // 2))
    assert (games.lengths < side**2 - 4).any()
    assert black_score(games).tolist() == expected
    assert black_score(Games.from_lists([[]], side)).tolist() == [side**2 // 2]


def test_players_and_tournaments_by_name(wtb: Callable[..., Path], tmp_path: Path) -> None:
    path = wtb(record(OPENING, tournament=1, black=2, white=0, score=40), record([], black=1, white=2))
    (tmp_path / "wthor.jou").write_bytes(
        header(0, names=3) + b"".join(name.encode("latin-1").ljust(20, b"\0") for name in ("???", "Zo\xe9 A", "Ben"))
    )
    without = wthor_records(path)
    assert without["tournament"].isna().all()
    assert without["tournament_number"].tolist() == [1, 0]
    (tmp_path / "WTHOR.TRN").write_bytes(header(0, names=2) + b"Paris".ljust(26, b"\0") + b"London".ljust(26, b"\0"))
    table = wthor_records(path)
    assert table[["game", "year"]].to_numpy().tolist() == [[0, 1998], [1, 1998]]
    assert table["tournament"].tolist() == ["London", "Paris"]
    assert table["black"].tolist() == ["Ben", "Zo\xe9 A"]
    assert table["white"].tolist() == ["???", "Ben"]
    assert table["black_score"].tolist() == [40, 32]
    assert table["white_score"].tolist() == [24, 32]
    assert table["theoretical_score"].tolist() == [40, 32]
    assert table["theoretical_empties"].tolist() == [22, 22]
    with pytest.raises(ValueError, match=r"real\.wtb: game 0 has number 3, .*wthor\.jou has 3 names"):
        wthor_records(wtb(record(OPENING, black=3)))


@pytest.mark.parametrize(("kind", "width"), [("JOU", 20), ("trn", 26)])
def test_tables_of_names(tmp_path: Path, kind: str, width: int) -> None:
    names = ["", "\xc9milie", "x" * (width - 1)]
    path = write_names(tmp_path / f"WTHOR.{kind}", names, created=date(1999, 3, 2))
    fields = b"".join(name.encode("latin-1").ljust(width, b"\0") for name in names)
    assert path.read_bytes() == header(0, names=3, year=0, board=0, depth=0) + fields
    assert read_names(path) == names
    with pytest.raises(ValueError, match=f"does not fit: expected fewer than {width} characters of latin-1"):
        write_names(path, ["x" * width])
    with pytest.raises(ValueError, match="'\u0141ukasz' does not fit"):
        write_names(path, ["\u0141ukasz"])
    assert read_names(path) == names
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{kind}: the header counts 3 names of {width} bytes, but {3 * width - 1} b"):
        read_names(path)
    with pytest.raises(ValueError, match=r"tables of names are \.JOU"):
        read_names(tmp_path / "WTHOR.txt")


ILLEGAL = [
    (["f5", "f6", "a1"], "move 3: a1 is not legal (legal there: "),
    (["f5", "f5"], "move 2: f5 was played before"),
    (["d4"], "move 1: d4 is a start square"),
]


@pytest.mark.parametrize(("moves", "reason"), ILLEGAL)
def test_an_illegal_game_is_named_or_skipped(wtb: Callable[..., Path], moves: list[str], reason: str) -> None:
    path = wtb(record(OPENING), record(OPENING[:2]), record(moves), record(["d3"]), record(moves))
    with pytest.raises(IllegalGame) as caught:
        read_wthor(path)
    assert str(caught.value).startswith(f"{path}: game 2, {reason}")
    skipped: list[IllegalGame] = []
    assert read_wthor(path, skipped=skipped) == Games.from_lists([OPENING, OPENING[:2], ["d3"]])
    assert [error.game for error in skipped] == [2, 4]
    assert all(f", {reason}" in str(error) for error in skipped)
    assert wthor_records(path).drop([error.game for error in skipped])["game"].tolist() == [0, 1, 3]


@pytest.mark.parametrize("byte", [1, 9, 10, 19, 50, 89, 90, 255])
def test_a_byte_that_is_no_square(wtb: Callable[..., Path], byte: int) -> None:
    bad = bytearray(record(OPENING))
    bad[8 + 2] = byte
    with pytest.raises(IllegalGame, match=rf"real\.wtb: game 1, move 3: byte {byte} is no square: expected 10 \* row"):
        read_wthor(wtb(record(OPENING), bytes(bad)))


def test_a_game_that_goes_on_after_its_end(wtb: Callable[..., Path]) -> None:
    bad = bytearray(record(OPENING))
    bad[8 + 2] = 0
    with pytest.raises(IllegalGame, match=r"game 0, move 4: the game goes on behind a -1"):
        read_wthor(wtb(bytes(bad)))


@pytest.mark.parametrize("read", [read_wthor, wthor_records])
@pytest.mark.parametrize("keep", [1, 67, 68, 100])
def test_a_truncated_file(wtb: Callable[..., Path], keep: int, read: Callable[..., Games]) -> None:
    path = wtb(*[record(OPENING)] * 3)
    path.write_bytes(path.read_bytes()[: 16 + keep])
    there = f"{keep} bytes follow it, {keep / 68:.1f} records of 68"
    with pytest.raises(IllegalGame, match=rf"real\.wtb: game {keep // 68}: the header counts 3 games, but {there}"):
        read(path)
    skipped: list[IllegalGame] = []
    assert len(read(path, skipped=skipped)) == keep // 68
    assert [error.game for error in skipped] == [keep // 68]


@pytest.mark.parametrize("games", [0, 1, 3, 2**32 - 1])
def test_an_impossible_count(wtb: Callable[..., Path], games: int) -> None:
    path = wtb(record(OPENING), record(OPENING), games=games)
    with pytest.raises(
        IllegalGame, match=rf"real\.wtb: game {min(games, 2)}: the header counts {games} games, but 136"
    ):
        read_wthor(path)
    skipped: list[IllegalGame] = []
    assert len(read_wthor(path, skipped=skipped)) == min(games, 2)
    assert len(skipped) == 1


def test_other_files_are_refused(wtb: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "short.wtb").write_bytes(b"\0" * 15)
    with pytest.raises(ValueError, match=r"short\.wtb is no WTHOR file: 15 bytes, less than its header of 16"):
        read_wthor(tmp_path / "short.wtb")
    with pytest.raises(ValueError, match="counts 7 names: it is a table of names"):
        read_wthor(wtb(names=7))
    with pytest.raises(ValueError, match="on a board of side 10: only side 8 is read"):
        read_wthor(wtb(record(OPENING), board=10))
    with pytest.raises(IllegalGame, match=r"game 1: score score 65: expected 0 to 64"):
        wthor_records(wtb(record(OPENING), record(OPENING, score=65)))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path, games = tmp_path / "a.wtb", Games.from_lists([["d3"]])
    with pytest.raises(ValueError, match="games on a board of side 6: WTHOR files hold games of side 8"):
        write_wthor(path, random_games(1, board=6, seed=0))
    with pytest.raises(IllegalGame, match="game 0, move 1: a1 is not legal"):
        write_wthor(path, Games.from_lists([["a1"]]))
    with pytest.raises(ValueError, match="year from 70000 to 70000: a WTHOR file has room for 0 to 65535"):
        write_wthor(path, games, year=70000)
    with pytest.raises(ValueError, match=r"players of shape \(2,\): expected black and white of every game, \(1, 2\)"):
        write_wthor(path, games, players=np.array([1, 2]))
    with pytest.raises(ValueError, match=r"tournament is int64 of shape \(2,\): expected 1 whole numbers"):
        write_wthor(path, games, tournaments=np.array([1, 2]))
    with pytest.raises(ValueError, match=r"theoretical is float64 of shape \(1,\): expected 1 whole numbers"):
        write_wthor(path, games, theoretical=np.array([0.5]))
    assert not list(tmp_path.iterdir())


def spelled(draw: st.DrawFn, moves: list[str]) -> str:
    """A game as people write it: any case, spaces, pass marks."""
    between = st.sampled_from(["", " ", "  ", ", ", "\t", "--", " -- ", " pass ", " PA ", "-"])
    case = st.sampled_from([str.upper, str.lower])
    return draw(between) + "".join(draw(case)(move) + draw(between) for move in moves)


@given(data=st.data(), side=st.sampled_from(SIDES), n=st.integers(0, 4), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_transcripts_as_people_write_them(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, side: int, n: int, seed: int
) -> None:
    games = random_games(n, board=side, seed=seed)
    path = tmp_path_factory.mktemp("text") / "games.txt"
    lines = [data.draw(st.composite(spelled)(moves)) for moves in names_of(games)]
    path.write_text("\ufeff\n" + "\r\n \n".join(lines), encoding="utf-8")
    assert read_transcripts(path, board=side) == games
    shorter = Games(np.where(np.arange(games.moves.shape[1]) < data.draw(st.integers(0, 3)), games.moves, -1), side)
    assert read_transcripts(write_transcripts(path, shorter), board=side) == shorter


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("f5f6a1", ", move 3: a1 is not legal (legal there: "),
        ("f5z9", ": 'z9' at character 2 is no move; expected squares like f5"),
        ("f5" + "f6" * 60, ": 61 moves, where a board of side 8 has room for 60"),
    ],
)
def test_a_bad_line_is_named_or_skipped(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "games.txt"
    path.write_text(f"f5d6\n\n{line}\nd3\n{line}\n", encoding="utf-8")
    with pytest.raises(IllegalGame) as caught:
        read_transcripts(path)
    assert str(caught.value).startswith(f"{path}, line 3: game 1{reason}")
    skipped: list[IllegalGame] = []
    assert read_transcripts(path, skipped=skipped) == Games.from_lists([["f5", "d6"], ["d3"]])
    assert [(error.game, error.source) for error in skipped] == [(1, f"{path}, line 3"), (3, f"{path}, line 5")]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "games.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"games\.txt is no text in UTF-8"):
        read_transcripts(tmp_path / "games.txt")


def test_the_federations_own_files(real: Path, tmp_path: Path) -> None:
    """Every game is legal and played out, and ends with the score that stands beside it."""
    files = sorted(file for file in real.iterdir() if file.suffix.lower() == ".wtb")
    assert files
    for file in files:
        games, table = read_wthor(file), wthor_records(file)
        assert len(games) == len(table) > 0
        boards = replay(games)
        ends = np.arange(len(games)), games.lengths
        assert (boards.mover[ends] == 0).all()
        assert not boards.legal[ends].any()
        assert black_score(games).tolist() == table["black_score"].tolist()
        assert table[["tournament", "black", "white"]].notna().all(axis=None)
        back = Games.from_transcripts(games.to_transcripts())
        assert read_transcripts(write_transcripts(tmp_path / "games.txt", games)) == back == games


def test_the_federations_own_files_are_written_byte_for_byte(real: Path, tmp_path: Path) -> None:
    for file in (file for file in real.iterdir() if file.suffix.lower() == ".wtb"):
        data, table = file.read_bytes(), wthor_records(file)
        again = write_wthor(
            tmp_path / file.name,
            read_wthor(file),
            year=int(table["year"].iloc[0]),
            players=table[["black_number", "white_number"]].to_numpy(),
            tournaments=table["tournament_number"].to_numpy(),
            theoretical=table["theoretical_score"].to_numpy(),
            depth=int(table["theoretical_empties"].iloc[0]),
            created=date(100 * data[0] + data[1], data[2], data[3]),
        )
        assert again.read_bytes()[16:] == data[16:]
        assert again.read_bytes()[:12] == data[:12]


def test_the_year_2018(real: Path) -> None:
    """Facts counted once, outside of this library."""
    if not (real / "WTH_2018.wtb").exists():
        pytest.skip("no WTH_2018.wtb")
    games = read_wthor(real / "WTH_2018.wtb")
    assert len(games) == 2429
    assert games.lengths.sum() == 145_146
    mover = replay(games).mover
    passes = (mover[:, 1:] == mover[:, :-1]) & (mover[:, 1:] != 0)
    assert (passes.sum(), passes.any(axis=1).sum()) == (3489, 1554)
    assert (games.moves[:, 0] == square_index("f5", 8)).mean() > 0.9
