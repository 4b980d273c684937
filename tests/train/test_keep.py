"""Checkpoints on the way: where they lie, that they load, and that keeping them changes nothing."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mothello_interp.models import Checkpoint, load_checkpoint
from tests.train.tiny import BATCH, STEPS, assert_same, lose, measured, saved, tiny_preset, train, weights
from train import run as module
from train.options import TrainingStopped
from train.run import log_spaced
from train.state import STEPS as FOLDER


def kept(folder: Path) -> dict[int, Checkpoint]:
    """The checkpoints on the way by their games, in order."""
    folders = sorted((folder / FOLDER).iterdir(), key=lambda path: int(path.name))
    return {int(path.name): load_checkpoint(path) for path in folders}


@given(n=st.integers(1, 50), steps=st.integers(1, 100_000))
def test_steps_are_log_spaced(n: int, steps: int) -> None:
    """The last is among them; each is as much later than the one before, in proportion, up to rounding."""
    found = sorted(log_spaced(n, steps))
    assert len(found) <= n
    assert found[-1] == steps
    assert found[0] >= 1
    if n > 1:
        ratio = min(steps, 200) ** (1 / (n - 1))
        for earlier, later in pairwise(found):
            assert later == earlier + 1 or later <= ratio * (earlier + 0.5) + 0.5
        assert found[0] == pytest.approx(max(1, steps / 200), abs=0.5)


def test_all_are_kept_where_steps_are_many() -> None:
    assert len(log_spaced(12, 10_000)) == 12
    assert log_spaced(0, 10_000) == set()
    assert log_spaced(1, 10_000) == {10_000}


def test_what_is_kept(tmp_path: Path) -> None:
    """By games; the last is the final one, and the run is as it would have been."""
    final = weights(train(tiny_preset(), tmp_path / "keeps", keep=4))
    assert_same(weights(train(tiny_preset(), tmp_path / "plain")), final)
    pd.testing.assert_frame_equal(measured(tmp_path / "keeps"), measured(tmp_path / "plain"))
    assert not (tmp_path / "plain" / FOLDER).exists()
    found = kept(tmp_path / "keeps")
    assert list(found) == [BATCH, 2 * BATCH, 6 * BATCH, STEPS * BATCH]
    assert_same(weights(found[STEPS * BATCH]), final)
    embeddings = [checkpoint.model.W_E for checkpoint in found.values()]
    assert not any(torch.equal(one, other) for one, other in pairwise(embeddings))
    for games, checkpoint in found.items():
        assert checkpoint.provenance["games"] == games == checkpoint.provenance["steps"] * BATCH
        assert checkpoint.spec == tiny_preset().spec


@pytest.mark.parametrize("step", [3, 6, 13])
def test_an_interruption_loses_none(tmp_path: Path, step: int) -> None:
    """Kept before or after the last save, and written again or not, they are the same."""
    train(tiny_preset(), tmp_path / "straight", keep=6)
    lose(tiny_preset(), tmp_path / "broken", step=step, keep=6)
    assert saved(tmp_path / "broken") == step // 4 * 4
    train(tiny_preset(), tmp_path / "broken", keep=6)
    expected, found = kept(tmp_path / "straight"), kept(tmp_path / "broken")
    assert list(found) == list(expected)
    for games, checkpoint in expected.items():
        assert_same(weights(found[games]), weights(checkpoint))
    assert sorted(path.name for path in (tmp_path / "broken" / FOLDER).iterdir()) == sorted(map(str, found))


def test_what_is_behind_cannot_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run that goes on, and of one that is done; it is said on stderr, once, and only if something is missing."""
    lose(tiny_preset(), tmp_path, step=5)
    capsys.readouterr()
    train(tiny_preset(), tmp_path, keep=4)
    assert capsys.readouterr().err == said(tmp_path, 2, 4)
    assert list(kept(tmp_path)) == [6 * BATCH, STEPS * BATCH]
    train(tiny_preset(), tmp_path, keep=12)
    wanted = log_spaced(12, STEPS)
    assert capsys.readouterr().err == said(tmp_path, len(wanted - {6, STEPS}), len(wanted))
    train(tiny_preset(), tmp_path, keep=1)
    assert capsys.readouterr().err == ""


def said(folder: Path, missing: int, of: int) -> str:
    return (
        f"{folder}: {missing} of the {of} steps to keep are past, without a checkpoint; delete the run to have them\n"
    )


def test_lost_while_keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up then ends the run; started again it keeps what was missing."""

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", full_disk)
        with pytest.raises(TrainingStopped, match=r"steps/16 cannot be written \(No space left on device\)"):
            train(tiny_preset(), tmp_path, keep=4)
    train(tiny_preset(), tmp_path, keep=4)
    assert list(kept(tmp_path)) == [BATCH, 2 * BATCH, 6 * BATCH, STEPS * BATCH]


def test_fewer_than_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match="--keep -1: give the number of checkpoints"):
        train(tiny_preset(), tmp_path / "run", keep=-1)
    assert not (tmp_path / "run").exists()
