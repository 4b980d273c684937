"""Whatever a file or text holds, a reader gives a value or an error of ours: no crash, no hang, no memory out of proportion."""

import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mothello_interp.othello import square_index
from tests.campaigns.fuzz import REFUSED, outcome, place, spoilt
from tests.campaigns.readers import Reader, of_games, of_results

READERS = of_games() | of_results()
_MOST = 64 * 2**20  # bytes, for files of a few hundred


@pytest.mark.parametrize("name", READERS)
def test_what_is_sound_is_read_and_what_is_spoilt_is_a_clear_error(name: str, tmp_path: Path) -> None:
    reader, draw = READERS[name], random.Random(0)
    path = place(reader, tmp_path / "a")
    assert outcome(reader, reader.sound, path) == ""
    tracemalloc.start()
    try:
        for number in range(120):
            data = spoilt(reader.sound, random.Random(number)) if number % 4 else draw.randbytes(draw.randrange(400))
            assert outcome(reader, data, path) in ("", REFUSED), data
        assert tracemalloc.get_traced_memory()[1] < _MOST
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("file", "read", "said"),
    [
        ("a.txt", lambda path: int(path.read_text()), "not ours: ValueError"),  # of Python's own
        ("a.txt", lambda path: {}[path], "not ours: KeyError"),
        ("a.txt", lambda path: square_index("z9", 8), "names no file: ValueError"),
        ("", lambda text: square_index(text, 8), REFUSED),
    ],
)
def test_the_campaign_tells_errors_of_ours_from_others(file: str, read: Any, said: str, tmp_path: Path) -> None:
    reader = Reader(file, b"", read)
    assert outcome(reader, b"x", place(reader, tmp_path / "a")).startswith(said)
