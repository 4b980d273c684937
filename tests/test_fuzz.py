"""Whatever bytes a file holds, a reader gives a value or an error of ours: no crash, no hang, no memory out of proportion."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.readers import of_games

READERS = of_games()
_MOST = 64 * 2**20  # bytes, for files of a few hundred


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
    reader = READERS[name]
    (tmp_path / reader.file).write_bytes(reader.sound)
    reader.read(tmp_path / reader.file)


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
    reader = READERS[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / reader.file
        path.write_bytes(data.draw(spoilt(reader.sound)))
        error, most = outcome(reader.read, path)
        assert error is None or reader.file in str(error)  # it says which
        assert most < _MOST
