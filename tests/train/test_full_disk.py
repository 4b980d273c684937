"""A disk that is full in the midst of a file: one clear line, the last good state intact, nothing half-written left.

A limit on the size of files stands in for the disk: a write goes through up to there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.train.tiny import (
    STEPS,
    Interrupted,
    assert_same,
    lose,
    preset_text,
    saved,
    stop_at,
    tiny_preset,
    train,
    weights,
)
from train import run as run_module
from train.__main__ import app
from train.options import TrainingStopped
from train.state import METRICS, STATE

PRESET = preset_text("atomic", d_model=32, games=160, batch=16, precision="float32", evaluate_every=16, save_every=64)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes; Python ignores the signal that would end its process."""
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "run.log")


def test_it_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    expected = weights(train(tiny_preset(), tmp_path / "straight"))
    folder = tmp_path / "full"
    lose(tiny_preset(), folder, step=5)
    with room_for(20_000), pytest.raises(TrainingStopped, match=r"state.pt cannot be written .* is intact"):
        train(tiny_preset(), folder)
    assert names(folder) == [METRICS, STATE]
    assert saved(folder) == 4
    assert_same(weights(train(tiny_preset(), folder)), expected)


def test_the_checkpoint_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "save_checkpoint", lost)
        with pytest.raises(Interrupted):
            train(tiny_preset(), tmp_path)
    stop_at(monkeypatch, 0)
    said = r"checkpoint cannot be written \(File too large\): mend that and start again"
    with room_for(10_000), pytest.raises(TrainingStopped, match=said):
        train(tiny_preset(), tmp_path)
    assert names(tmp_path) == [METRICS, STATE]
    assert train(tiny_preset(), tmp_path).provenance["steps"] == STEPS


def test_an_export_does_not_fit(tmp_path: Path) -> None:
    train(tiny_preset(), tmp_path / "run")
    with room_for(5_000):
        done = CliRunner().invoke(app, ["export", f"{tmp_path / 'run'}", f"{tmp_path / 'export'}"])
    assert (done.exit_code, done.output) == (1, f"error: [Errno 27] File too large: '{tmp_path / 'export'}'\n")
    assert names(tmp_path) == ["run"]
