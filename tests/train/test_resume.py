"""What a run finds in its folder: its own state, to the letter, or nothing; all else it refuses and leaves as it is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mothello_interp.corpus import Batch
from tests.train.tiny import BATCH, assert_same, lose, saved, tiny_preset, train, weights
from train.options import TrainingStopped
from train.run import Run
from train.state import METRICS, STATE, STEPS, WANDB, load_state, save_state


def files(folder: Path) -> dict[str, bytes]:
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, said: str, **changes: Any) -> None:
    """Training there says so, and changes nothing."""
    before = files(folder)
    with pytest.raises(TrainingStopped, match=said):
        train(tiny_preset(**changes), folder)
    assert files(folder) == before


def test_a_run_lost_before_its_first_save_is_known(tmp_path: Path) -> None:
    """So that nothing of it is ever taken for another run's."""
    lose(tiny_preset(), tmp_path, step=3, keep=6)
    assert saved(tmp_path) == 0
    assert (tmp_path / STEPS / f"{BATCH}").exists()
    refused(tmp_path, r"holds a run with another training \(lr: 0.003, now 0.004\)", lr=4e-3)
    expected = weights(train(tiny_preset(), tmp_path.with_name("straight")))
    assert_same(weights(train(tiny_preset(), tmp_path)), expected)


def test_what_a_killed_run_was_writing_is_deleted_when_it_goes_on(tmp_path: Path) -> None:
    lose(tiny_preset(), tmp_path, step=5)
    half = [tmp_path / ".checkpoint.ab12", tmp_path / STEPS / ".32.x9"]
    for folder in half:
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"half")
    train(tiny_preset(), tmp_path)
    assert not any(folder.exists() for folder in half)


def test_a_run_ends_whose_folder_is_deleted_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may be in training there, under a lock of its own: nothing is written into it."""
    folder = tmp_path / "run"

    def update(run: Run, batch: Batch, do: Any = Run._update) -> None:
        do(run, batch)
        if run.step == 3:
            shutil.rmtree(folder)
            folder.mkdir()

    monkeypatch.setattr(Run, "_update", update)
    with pytest.raises(TrainingStopped, match="was deleted while"):
        train(tiny_preset(), folder)
    assert list(folder.iterdir()) == []


def test_a_run_killed_before_it_wrote_its_first_state_begins(tmp_path: Path) -> None:
    (tmp_path / f"{STATE}.partial").write_bytes(b"half")
    train(tiny_preset(), tmp_path)
    assert not (tmp_path / f"{STATE}.partial").exists()


@pytest.mark.parametrize("name", [METRICS, f"{STEPS}/16/weights.safetensors", WANDB])
def test_what_lies_there_without_a_state_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("games,loss\n16,2.5\n", encoding="utf-8")
    what = name.split("/")[0]
    refused(tmp_path, f"holds {what} of a run, but no {STATE}; choose another --out, or delete it$")


DAMAGES = {"emptied": b"", "cut short": b"games,loss\n32,2.5\n64,", "a header": b"games,loss\n"}


@pytest.mark.parametrize("damage", [*DAMAGES, "deleted"])
def test_a_table_that_lost_lines_is_refused(tmp_path: Path, damage: str) -> None:
    lose(tiny_preset(), tmp_path, step=9)
    (tmp_path / METRICS).unlink()
    if damage in DAMAGES:
        (tmp_path / METRICS).write_bytes(DAMAGES[damage])
    there = 1 if damage == "cut short" else 0
    refused(tmp_path, f"{METRICS} has {there} lines, the state knows of 4: put back what was there, or delete .*")


def test_settings_of_another_version_are_refused(tmp_path: Path) -> None:
    lose(tiny_preset(), tmp_path, step=5)
    state = load_state(tmp_path)
    assert state is not None
    state["identity"]["training"]["ema"] = 0.9
    save_state(tmp_path, state)
    refused(
        tmp_path,
        r"holds a run of another version \(training: unknown key 'ema'.*\): continue with the version that wrote it, or",
    )


def bfloat16_is_fast(monkeypatch: pytest.MonkeyPatch, *, fast: bool) -> None:
    """On this kind of processor."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)


@pytest.mark.parametrize("fast", [True, False])
def test_it_goes_on_in_the_precision_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """Whichever the processor that it goes on with would have chosen."""
    preset = tiny_preset(precision="auto")
    bfloat16_is_fast(monkeypatch, fast=fast)
    straight = train(preset, tmp_path / "straight")
    lose(preset, tmp_path / "broken", step=5)
    bfloat16_is_fast(monkeypatch, fast=not fast)
    found = train(preset, tmp_path / "broken")
    assert found.provenance["precision"] == straight.provenance["precision"] == ("bfloat16" if fast else "float32")
    assert_same(weights(found), weights(straight))


def test_a_precision_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bfloat16_is_fast(monkeypatch, fast=True)
    lose(tiny_preset(precision="auto"), tmp_path, step=5)

    def no_bfloat16(*sizes: int, ones: Callable[..., torch.Tensor] = torch.ones, **how: Any) -> torch.Tensor:
        if how["dtype"] == torch.bfloat16:
            raise RuntimeError("not implemented for 'BFloat16'\nsome trace")
        return ones(*sizes, **how)

    monkeypatch.setattr("train.parallel.torch.ones", no_bfloat16)
    said = r"device 'cpu' has no products in bfloat16 \(not implemented for 'BFloat16'\), in which this run computes$"
    refused(tmp_path, said, precision="auto")


def test_another_number_of_threads_is_said_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lose(tiny_preset(), tmp_path, step=5)
    made = train(tiny_preset(), tmp_path, threads=2).provenance
    assert "was trained on 1 threads, now on 2" in capsys.readouterr().err
    assert (made["threads"], made["threads_before"]) == (2, [1])
    lose(tiny_preset(), tmp_path / "same", step=5)
    assert "threads_before" not in train(tiny_preset(), tmp_path / "same").provenance
    assert "threads" not in capsys.readouterr().err
