"""Hints at names, files written atomically, hashes of files."""

import hashlib
import os
from pathlib import Path

import pytest

from mothello_interp.hints import atomic_write, check_text, did_you_mean, sha256_of


def test_did_you_mean_names_the_nearest_or_nothing() -> None:
    assert did_you_mean("atomik", ["split", "atomic"]) == "did you mean 'atomic'?"
    assert did_you_mean(["split"], ["split", "atomic"]) == "did you mean 'split'?"
    assert did_you_mean("xyz", ["split", "atomic"]) == ""
    assert did_you_mean("s-t", ["split"]) == "" != did_you_mean("s-t", ["split"], cutoff=0.3)


def test_an_argument_in_another_encoding_is_a_clear_error() -> None:
    with pytest.raises(SystemExit, match=r"'runs/m.*' is not UTF-8: rename"):
        check_text(["train", "--out", os.fsdecode(b"runs/m\xfcller")])


def test_sha256_of_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 10**5)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 10**5).hexdigest()


def test_atomic_write_replaces_the_file_when_the_block_ends(tmp_path: Path) -> None:
    """With two writers of one path too: both succeed, and the file is that of the last one to end."""
    path = tmp_path / "a.csv"
    with atomic_write(path) as first:
        first.write_text("first", encoding="utf-8")
        assert not path.exists()
        with atomic_write(path) as second:
            second.write_text("second", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "second"
    assert path.read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_leaves_the_old_file_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="full"), atomic_write(path) as partial:
        partial.write_text("ne", encoding="utf-8")
        raise OSError("full")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == "old"
