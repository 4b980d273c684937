"""Whatever bytes a file holds, a reader gives a value or an error of ours: no crash, no hang, no memory out of proportion."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import read_authors_config
from mothello_interp.othello import Games, random_games, read_names, read_transcripts, read_wthor, wthor_records
from tests.othello.wthor import write_names, write_transcripts, write_wthor

GAMES = random_games(3, board=8, seed=0)
CONFIG = (
    "{'language_types': ['atomic', 'split', 'compositional'], 'overlap_toks': {1: [[0, 1, 2]], 5: [[0, 2]]}, "
    "'train_seed': 7, 'unified_output': False}"
)
_MOST = 64 * 2**20  # bytes, for files of a few hundred


def written(write: Callable[[Path], object], name: str) -> bytes:
    with TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


WTHOR = written(lambda path: write_wthor(path, GAMES), "a.wtb")
TEXT = written(lambda path: write_transcripts(path, GAMES), "a.txt")
READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "wthor": ("a.wtb", WTHOR, read_wthor),
    "wthor, skipping": ("a.wtb", WTHOR, lambda path: read_wthor(path, skipped=[])),
    "records": ("a.wtb", WTHOR, wthor_records),
    "players": ("a.jou", written(lambda path: write_names(path, ["One", "Two"]), "a.jou"), read_names),
    "transcripts": ("a.txt", TEXT, read_transcripts),
    "transcripts, skipping": ("a.txt", TEXT, lambda path: read_transcripts(path, skipped=[])),
    "games": ("a.npz", written(GAMES.save, "a.npz"), Games.load),
    "config": ("a.txt", CONFIG.encode(), read_authors_config),
}


@st.composite
def spoilt(draw: st.DrawFn, sound: bytes) -> bytes:
    """Any bytes; or a sound file with some of its bytes replaced, removed or put in."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=400))
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(data)))
        data[first : first + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_the_sound_file_is_read(name: str, tmp_path: Path) -> None:
    """Or spoiling it would show nothing."""
    file, sound, read = READERS[name]
    (tmp_path / file).write_bytes(sound)
    read(tmp_path / file)


def outcome(read: Callable[[Path], object], path: Path) -> tuple[ValueError | None, int]:
    """The error of ours, if there is one, and the most memory that was held."""
    tracemalloc.start()
    try:
        read(path)
        return None, tracemalloc.get_traced_memory()[1]
    except ValueError as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_spoilt_file_is_a_clear_error(name: str, data: st.DataObject) -> None:
    file, sound, read = READERS[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(data.draw(spoilt(sound)))
        error, most = outcome(read, path)
        assert error is None or file in str(error)  # it says which
        assert most < _MOST
