"""Files that are written whole or not at all."""

from pathlib import Path

import pytest

from mothello_interp.files import whole


def test_a_block_that_ends_leaves_the_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    with whole(target) as beside:
        beside.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_text(encoding="utf-8") == "new"


def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="full"), whole(target) as beside:
        beside.write_text("ne", encoding="utf-8")
        raise OSError("full")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_text(encoding="utf-8") == "old"


def test_two_that_write_one_file_at_a_time(tmp_path: Path) -> None:
    """As two sweeps over one folder that end together: both succeed, and the file is one of theirs."""
    target = tmp_path / "a.csv"
    with whole(target) as first:
        first.write_text("first", encoding="utf-8")
        with whole(target) as second:
            second.write_text("second", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "second"
    assert target.read_text(encoding="utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
