"""Corpora as files: what is written is what `datasets` and `read_parquet` read, whole or not at all."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp import corpus as module
from mothello_interp.corpus import read_parquet, read_provenance, write_parquet
from mothello_interp.languages import Atomic, Compositional, Mothello, Split
from mothello_interp.othello import Games, random_games
from mothello_interp.othello.rules import SIDES

LANGUAGES = (Atomic(), Split(seed=1), Compositional())


def rows(path: Path) -> list[dict[str, list[int]]]:
    table: list[dict[str, list[int]]] = pq.read_table(path).to_pylist()
    return table


def unpadded(values: np.ndarray, padding: int) -> list[list[int]]:
    return [[int(value) for value in row if value != padding] for row in values]


@given(
    side=st.sampled_from(SIDES),
    sizes=st.lists(st.integers(0, 5), max_size=3),
    unified=st.booleans(),
    cut=st.integers(0, 70),
)
@settings(max_examples=25, deadline=None)
def test_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, side: int, sizes: list[int], unified: bool, cut: int
) -> None:
    mothello = Mothello(side, LANGUAGES, ["a1"], unified)
    games = random_games(sum(sizes), board=side, seed=4)
    games = Games(np.where(np.arange(games.moves.shape[1]) < cut, games.moves, -1), side)
    ends = np.cumsum([0, *sizes])
    parts = [games[first:last] for first, last in pairwise(ends)]
    path = write_parquet(tmp_path_factory.mktemp("corpus") / "a.parquet", iter(parts), mothello)
    table = rows(path)
    assert [row["moves"] for row in table] == unpadded(games.moves, -1)
    for language in mothello.inputs:
        expected = unpadded(mothello.encode(games, language).tokens, 0)
        assert [row[f"tokens_{language}"] for row in table] == expected
    if unified:
        expected_names = [[f"0:{name}" for name in _names(text)] for text in games.to_transcripts()]
        assert [[mothello.vocabulary[token] for token in row["tokens_0"]] for row in table] == expected_names
    assert pq.ParquetFile(path).num_row_groups == len(sizes)
    assert np.concatenate(
        [np.empty((0, games.moves.shape[1])), *(part.moves for part in read_parquet(path))]
    ).tolist() == (games.moves.tolist())


def _names(text: str) -> list[str]:
    return [text[i : i + 2] for i in range(0, len(text), 2)]


def test_it_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 7)
    games = random_games(20, board=4, seed=1)
    path = write_parquet(tmp_path / "a.parquet", [games], Mothello(4, (Atomic(),)))
    parts = list(read_parquet(path))
    assert [len(part) for part in parts] == [7, 7, 6]
    assert parts[1] == games[7:14]


def test_datasets_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    mothello = Mothello(4, LANGUAGES)
    games = random_games(10, board=4, seed=2)
    path = write_parquet(tmp_path / "a.parquet", [games[:6], games[6:]], mothello)
    read = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert read.column_names == ["moves", "tokens_0", "tokens_1", "tokens_2"]
    assert list(read) == rows(path)
    assert Games.from_lists(list(read["moves"]), 4) == games


def test_provenance(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [], Mothello(6, (Atomic(),)), provenance={"seed": 3, "by": ["me"]})
    assert read_provenance(path) == {"board": 6, "seed": 3, "by": ["me"]}
    assert list(read_parquet(path)) == []
    pq.write_table(pa.table({"moves": [[1]]}), tmp_path / "other.parquet")
    with pytest.raises(
        ValueError, match=r"other\.parquet holds no games of ours, .*: its metadata has no mothello_interp"
    ):
        list(read_parquet(tmp_path / "other.parquet"))
    (tmp_path / "none.parquet").write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match=r"none\.parquet holds no games of ours"):
        read_provenance(tmp_path / "none.parquet")


def test_a_file_of_more_games_than_its_size_has_room_for_is_refused(tmp_path: Path) -> None:
    """Games of no move, which take no room in the file, and time and memory when they are read."""
    games = pa.ListArray.from_arrays(np.zeros(10**6 + 1, np.int32), pa.array([], pa.int8()))
    table = pa.table({"moves": games}).replace_schema_metadata({b"mothello_interp": b'{"board": 8}'})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(ValueError, match=r"a\.parquet holds no games of ours, .*: 1000000 rows in"):
        next(read_parquet(tmp_path / "a.parquet"))


def test_nothing_is_half_written(tmp_path: Path) -> None:
    def parts() -> Iterator[Games]:
        yield random_games(3, board=4, seed=0)
        raise RuntimeError("out of games")

    mothello = Mothello(4, (Atomic(),))
    path = write_parquet(tmp_path / "a.parquet", [random_games(1, board=4, seed=0)], mothello)
    with pytest.raises(RuntimeError, match="out of games"):
        write_parquet(path, parts(), mothello)
    with pytest.raises(ValueError, match="games on a board of side 6: this Mothello writes games of side 4"):
        write_parquet(path, [random_games(1, board=6, seed=0)], mothello)
    assert len(rows(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_games(tmp_path: Path) -> None:
    """Neither games nor their columns pile up: numpy's memory is traced, and Arrow's columns lie in it."""
    mothello = Mothello(6, (Atomic(), Atomic()))

    def peak(n_parts: int) -> int:
        parts = (random_games(2000, board=6, seed=1, start=2000 * part) for part in range(n_parts))
        tracemalloc.start()
        write_parquet(tmp_path / "a.parquet", parts, mothello)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(12) < 1.2 * peak(2)
