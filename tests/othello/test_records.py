"""Real games: WTHOR files byte by byte, transcripts, every refusal, and the federation's own files where they are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.othello import (
    Games,
    IllegalGame,
    random_games,
    read_names,
    read_transcripts,
    read_wthor,
    replay,
    square_index,
    wthor_records,
)
from mothello_interp.othello.rules import SIDES
from tests.othello.wthor import header, names_of, record, write_names, write_transcripts, write_wthor

GAMES = random_games(40, board=8, seed=1)
OPENING = ["f5", "d6", "c3", "d3", "c4"]


@pytest.fixture
def wtb(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file from its records."""

    def write(*records: bytes, games: int | None = None, **fields: int) -> Path:
        path = tmp_path / "real.wtb"
        path.write_bytes(header(len(records) if games is None else games, **fields) + b"".join(records))
        return path

    return write


@pytest.fixture
def real() -> list[Path]:
    folder = os.environ.get("MOTHELLO_WTHOR")
    if not folder:
        pytest.skip("MOTHELLO_WTHOR names no folder of WTHOR files")
    files = sorted(file for file in Path(folder).iterdir() if file.suffix.lower() == ".wtb")
    assert files
    return files


def test_read_wthor_reads_the_bytes_described(wtb: Callable[..., Path], tmp_path: Path) -> None:
    """Games of any length, without games too, and the header's board may be 0."""
    cut = np.where(np.arange(60) < np.arange(40)[:, None], GAMES.moves, -1)
    games = Games(np.concatenate([GAMES.moves, cut]), 8)
    assert read_wthor(write_wthor(tmp_path / "a.wtb", games)) == games
    assert len(read_wthor(wtb())) == 0
    assert read_wthor(wtb(record(OPENING), board=0)) == Games.from_lists([OPENING])


def test_wthor_records_names_players_and_tournaments(wtb: Callable[..., Path], tmp_path: Path) -> None:
    path = wtb(record(OPENING, tournament=1, black=2, white=0, score=40, theoretical=33), record([], black=1, white=2))
    write_names(tmp_path / "wthor.jou", ["???", "Zo\xe9 A", "Ben"])
    assert wthor_records(path)["tournament"].isna().all()
    write_names(tmp_path / "WTHOR.TRN", ["Paris", "London"])
    assert wthor_records(path).to_dict("list") == {
        "game": [0, 1],
        "year": [1998, 1998],
        "tournament": ["London", "Paris"],
        "black": ["Ben", "Zo\xe9 A"],
        "white": ["???", "Ben"],
        "black_score": [40, 32],
        "white_score": [24, 32],
        "theoretical_score": [33, 32],
        "theoretical_empties": [22, 22],
        "tournament_number": [1, 0],
        "black_number": [2, 1],
        "white_number": [0, 2],
    }
    with pytest.raises(ValueError, match=r"real\.wtb: game 0 has number 3, .*wthor\.jou has 3 names"):
        wthor_records(wtb(record(OPENING, black=3)))


@pytest.mark.parametrize(("kind", "width"), [("JOU", 20), ("trn", 26)])
def test_read_names_reads_both_tables(tmp_path: Path, kind: str, width: int) -> None:
    """Also of so many names that their bytes outgrow the header's field."""
    names = ["", "\xc9milie", "x" * (width - 1)] * 1500
    path = write_names(tmp_path / f"WTHOR.{kind}", names)
    assert read_names(path) == names
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=rf"{kind}: the header counts 4500 names of {width} bytes, but {4500 * width - 1}"
    ):
        read_names(path)
    with pytest.raises(ValueError, match=r"tables of names are \.JOU"):
        read_names(tmp_path / "WTHOR.txt")


ILLEGAL = [
    (["f5", "f6", "a1"], "move 3: a1 is not legal (legal there: "),
    (["f5", "f5"], "move 2: f5 was played before"),
    (["d4"], "move 1: d4 is a start square"),
]


@pytest.mark.parametrize(("moves", "reason"), ILLEGAL)
def test_read_wthor_names_or_skips_illegal_games(wtb: Callable[..., Path], moves: list[str], reason: str) -> None:
    path = wtb(record(OPENING), record(OPENING[:2]), record(moves), record(["d3"]), record(moves))
    with pytest.raises(IllegalGame) as caught:
        read_wthor(path)
    assert str(caught.value).startswith(f"{path}: game 2, {reason}")
    skipped: list[IllegalGame] = []
    assert read_wthor(path, skipped=skipped) == Games.from_lists([OPENING, OPENING[:2], ["d3"]])
    assert [error.game for error in skipped] == [2, 4]
    assert all(f", {reason}" in str(error) for error in skipped)
    assert wthor_records(path).drop([error.game for error in skipped])["game"].tolist() == [0, 1, 3]


@pytest.mark.parametrize("byte", [1, 9, 10, 19, 50, 89, 90, 255, 0])
def test_read_wthor_refuses_a_byte_that_is_no_square(wtb: Callable[..., Path], byte: int) -> None:
    """Or one after the end."""
    bad = bytearray(record(OPENING))
    bad[8 + 2] = byte
    reason = f"move 3: byte {byte} is no square" if byte else "move 4: the game continues after"
    with pytest.raises(IllegalGame, match=rf"real\.wtb: game 1, {reason}"):
        read_wthor(wtb(record(OPENING), bytes(bad)))


@pytest.mark.parametrize("read", [read_wthor, wthor_records])
@pytest.mark.parametrize("keep", [1, 67, 68, 100])
def test_a_truncated_file_is_named_or_cut(wtb: Callable[..., Path], keep: int, read: Callable[..., Any]) -> None:
    path = wtb(*[record(OPENING)] * 3)
    path.write_bytes(path.read_bytes()[: 16 + keep])
    there = f"{keep} bytes follow it, {keep / 68:.1f} records of 68"
    with pytest.raises(IllegalGame, match=rf"real\.wtb: game {keep // 68}: the header counts 3 games, but {there}"):
        read(path)
    skipped: list[IllegalGame] = []
    assert len(read(path, skipped=skipped)) == keep // 68
    assert [error.game for error in skipped] == [keep // 68]


@pytest.mark.parametrize("games", [0, 1, 3, 2**32 - 1])
def test_an_impossible_count_is_named_or_cut(wtb: Callable[..., Path], games: int) -> None:
    path = wtb(record(OPENING), record(OPENING), games=games)
    with pytest.raises(IllegalGame, match=rf"game {min(games, 2)}: the header counts {games} games, but 136"):
        read_wthor(path)
    skipped: list[IllegalGame] = []
    assert len(read_wthor(path, skipped=skipped)) == min(games, 2)
    assert len(skipped) == 1


def test_other_files_are_refused(wtb: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "short.wtb").write_bytes(b"\0" * 15)
    with pytest.raises(ValueError, match=r"short\.wtb is no WTHOR file: 15 bytes"):
        read_wthor(tmp_path / "short.wtb")
    with pytest.raises(ValueError, match="counts 7 names: it is a table of names"):
        read_wthor(wtb(names=7))
    with pytest.raises(ValueError, match="on a board of side 10: only side 8 is read"):
        read_wthor(wtb(record(OPENING), board=10))
    for name, scores in (("score", {"score": 65}), ("theoretical", {"theoretical": 65})):
        with pytest.raises(IllegalGame, match=f"game 1: {name} score 65: expected 0 to 64"):
            wthor_records(wtb(record(OPENING), record(OPENING, **scores)))


def spelled(draw: st.DrawFn, moves: list[str]) -> str:
    """A game as people write it: any case, spaces, pass marks."""
    between = st.sampled_from(["", " ", "  ", ", ", "\t", "--", " -- ", " pass ", " PA ", "-"])
    case = st.sampled_from([str.upper, str.lower])
    return draw(between) + "".join(draw(case)(move) + draw(between) for move in moves)


@given(data=st.data(), side=st.sampled_from(SIDES), n=st.integers(0, 4), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_read_transcripts_reads_what_people_write(
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
        ("f5z9", ": 'z9' at character 2 is no move"),
        ("f5" + "f6" * 60, ", move 3: f6 was played before"),
        ("(;GM[Othello]PB[a]TY[8]B[f5]W[d6];)", ": '(;GM[Oth' at character 0 is no move"),
        ("d6", ", move 1: d6 is not legal (legal there: "),  # a file of one move a line
    ],
)
def test_read_transcripts_names_or_skips_a_bad_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "games.txt"
    path.write_text(f"f5d6\n\n{line}\nd3\n{line}\n", encoding="utf-8")
    with pytest.raises(IllegalGame) as caught:
        read_transcripts(path)
    assert str(caught.value).startswith(f"{path}, line 3: game 1{reason}")
    skipped: list[IllegalGame] = []
    assert read_transcripts(path, skipped=skipped) == Games.from_lists([["f5", "d6"], ["d3"]])
    assert [(error.game, error.source) for error in skipped] == [(1, f"{path}, line 3"), (3, f"{path}, line 5")]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"games\.txt is no text in UTF-8"):
        read_transcripts(path)


def black_score(games: Games) -> np.ndarray:
    """Black's discs at the end, empty squares given to the winner, int64 `[game]`."""
    lead = replay(games).state[np.arange(len(games)), games.lengths - 1].sum(axis=1, dtype=np.int64)
    return (64 + lead + (60 - games.lengths) * np.sign(lead)) // 2


def test_the_federations_own_files_are_legal_and_end_with_their_scores(real: list[Path], tmp_path: Path) -> None:
    for file in real:
        games, table = read_wthor(file), wthor_records(file)
        assert len(games) == len(table) > 0
        assert not replay(games).mover[np.arange(len(games)), games.lengths].any()
        assert black_score(games).tolist() == table["black_score"].tolist()
        assert table[["tournament", "black", "white"]].notna().all(axis=None)
        assert read_transcripts(write_transcripts(tmp_path / "games.txt", games)) == games
        numbers = table[["tournament_number", "black_number", "white_number", "black_score", "theoretical_score"]]
        names = ("tournament", "black", "white", "score", "theoretical")
        again = [
            record(moves, **dict(zip(names, row, strict=True)))
            for moves, row in zip(names_of(games), numbers.to_numpy().tolist(), strict=True)
        ]
        assert b"".join(again) == file.read_bytes()[16:]


def test_the_year_2018_has_the_facts_counted_elsewhere(real: list[Path]) -> None:
    for file in real:
        if file.name == "WTH_2018.wtb":
            games = read_wthor(file)
            assert (len(games), games.lengths.sum()) == (2429, 145_146)
            mover = replay(games).mover
            passes = (mover[:, 1:] == mover[:, :-1]) & (mover[:, 1:] != 0)
            assert (passes.sum(), passes.any(axis=1).sum()) == (3489, 1554)
            assert (games.moves[:, 0] == square_index("f5", 8)).mean() > 0.9
