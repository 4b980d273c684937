"""Metrics in TensorBoard and Weights & Biases: the lines of metrics.csv, closed whatever happens, refused in time."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.train.tiny import BATCH, STEPS, lose, preset_text, tiny_preset, train
from train.__main__ import app
from train.options import TrainingStopped
from train.state import METRICS

PRESET = preset_text("atomic", games=64, batch=16, evaluate_every=16)


def scalars(folder: Path) -> pd.DataFrame:
    """What TensorBoard reads in a run's folder, one row a step and one column a tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard")).Reload()
    columns = {tag: {event.step: event.value for event in read.Scalars(tag)} for tag in read.Tags()["scalars"]}
    assert all(len(column) == len(read.Scalars(tag)) for tag, column in columns.items()), "a step is there twice"
    return pd.DataFrame(columns).rename_axis("games").reset_index()


def assert_shows(folder: Path) -> None:
    """Everything in metrics.csv is there too, and nothing else."""
    expected = pd.read_csv(folder / METRICS)
    pd.testing.assert_frame_equal(scalars(folder)[list(expected)], expected, rtol=1e-6)


def test_tensorboard_shows_the_metrics(tmp_path: Path) -> None:
    train(tiny_preset(), tmp_path, log="tensorboard")
    assert len(scalars(tmp_path)) == STEPS // 2
    assert_shows(tmp_path)


def test_tensorboard_after_an_interruption(tmp_path: Path) -> None:
    """What was logged after the last save is hidden, since it is computed again."""
    lose(tiny_preset(), tmp_path, step=7, log="tensorboard")
    assert scalars(tmp_path)["games"].tolist() == [2 * BATCH, 4 * BATCH, 6 * BATCH]
    train(tiny_preset(), tmp_path, log="tensorboard")
    assert_shows(tmp_path)


def test_the_log_is_closed_when_training_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.close", lambda writer: closed.append(writer))
    lose(tiny_preset(), tmp_path, step=1, log="tensorboard")
    assert len(closed) == 1


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(TrainingStopped, match=f"--log {kind} needs a package that is not here: pip install {kind}"):
        train(tiny_preset(), tmp_path / "run", log=kind)
    assert not (tmp_path / "run").exists()


def test_from_the_command_line(tmp_path: Path) -> None:
    preset, run = tmp_path / "tiny.toml", tmp_path / "run"
    preset.write_text(PRESET, encoding="utf-8")
    command = ["pretrain", f"{preset}", "--out", f"{run}", "--quiet", "--log"]
    refused = CliRunner().invoke(app, [*command, "tensorbord"])
    assert refused.exit_code == 1
    assert refused.output == "error: --log tensorbord: choose one of tensorboard, wandb; did you mean 'tensorboard'?\n"
    assert not run.exists()
    done = CliRunner().invoke(app, [*command, "tensorboard"])
    assert done.exit_code == 0, done.output
    assert_shows(run)


class FakeRun:
    """Stands in for a run of Weights & Biases."""

    def __init__(self, settings: Mapping[str, Any]):
        self.settings, self.lines, self.ends = settings, [], []  # type: ignore[var-annotated]

    def define_metric(self, name: str, *, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "games")

    def log(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def finish(self, exit_code: int = 0) -> None:
        self.ends.append(exit_code)


def test_wandb_goes_on_as_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted run ends as failed there, and is taken up under its id; another folder is another run."""
    runs = []

    def init(**settings: Any) -> FakeRun:
        runs.append(FakeRun(settings))
        return runs[-1]

    monkeypatch.setattr("wandb.init", init)
    lose(tiny_preset(), tmp_path / "one", step=7, log="wandb")
    train(tiny_preset(), tmp_path / "one", log="wandb")
    train(tiny_preset(games=BATCH), tmp_path / "other", log="wandb")
    first, again, other = runs
    assert [run.ends for run in runs] == [[1], [0], [0]]
    assert first.settings["id"] == again.settings["id"] != other.settings["id"]
    assert again.settings["resume"] == "allow"
    assert (again.settings["name"], again.settings["dir"]) == ("tiny/x", str(tmp_path / "one"))
    assert again.settings["config"]["seed"] == 1
    written = pd.read_csv(tmp_path / "one" / METRICS)
    pd.testing.assert_frame_equal(pd.DataFrame(first.lines[:2] + again.lines), written)


def test_wandb_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def init(**settings: Any) -> None:
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr("wandb.init", init)
    with pytest.raises(TrainingStopped, match="--log wandb: No API key configured"):
        train(tiny_preset(), tmp_path, log="wandb")
    assert not (tmp_path / METRICS).exists()


@pytest.mark.slow
def test_wandb_offline_writes_into_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package, in a process of its own because it leaves a service behind; started twice, one id."""
    preset, run = tmp_path / "tiny.toml", tmp_path / "run"
    preset.write_text(PRESET, encoding="utf-8")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    command = [sys.executable, "-m", "train", "pretrain", str(preset), "--out", str(run), "--quiet", "--log", "wandb"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(run / "checkpoint")
    identity = (run / "wandb-id").read_text(encoding="utf-8")
    written = list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert len(written) == 2
    assert {path.stem for path in written} == {f"run-{identity}"}
    assert all(path.stat().st_size > 500 for path in written)
