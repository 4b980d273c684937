"""Sweeps in several processes, here and on a real Dask cluster, some of which are killed."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mothello_interp.models import load_checkpoint
from tests.train.tiny import assert_same, measured, preset_text, saved, train, weights
from train import workers as module
from train.options import LOG
from train.settings import Preset
from train.state import CHECKPOINT
from train.sweep import PlannedRun, Result, SweepError, plan
from train.workers import sweep

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
LINES = 6
PRESET = preset_text(
    "atomic",
    "compositional",
    d_model=32,
    games=LINES * 1600,
    batch=32,
    optimizer="muon",
    evaluate_every=1600,
    save_every=320,
)
SEEDS = [0, 1, 2, 3]


@pytest.fixture(autouse=True, scope="module")
def _few_games() -> None:
    """Other processes measure on as many games as a real run does, so this one does too."""


@contextmanager
def workers(number: int, **options: Any) -> Iterator[Any]:
    """A Dask cluster of so many processes, on this machine."""
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None} | options
    with LocalCluster(n_workers=number, **options) as cluster:
        yield cluster


def until(condition: Callable[[], Any], running: subprocess.Popen[str] | None = None) -> None:
    """Wait for a state, however slow the machine."""
    for _ in range(30_000):
        if condition():
            return
        assert running is None or running.poll() is None, running.communicate()
        time.sleep(0.01)
    raise AssertionError("it never came to this")


def trainers(folder: Path) -> list[tuple[int, str]]:
    """Who trained a run: (process, "begins", "resumes" or "ends")."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines() if (folder / LOG).exists() else []
    return [(int(line.split()[2]), line.split(" ", 3)[3]) for line in lines]


def start(preset: Path, runs: Path, *options: str) -> subprocess.Popen[str]:
    """The command, as a process of its own."""
    command = [sys.executable, "-m", "train", "sweep", str(preset), "--seeds", ",".join(map(str, SEEDS))]
    return subprocess.Popen(
        [*command, "--out", str(runs), *options],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "300"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A preset of some seconds."""
    (tmp_path / "tiny").mkdir()
    path = tmp_path / "tiny" / "some.toml"
    path.write_text(PRESET, encoding="utf-8")
    return path


def kill_one(running: subprocess.Popen[str], folders: list[Path]) -> tuple[Path, int]:
    """Kill the process that trains the first run seen in its midst; that run, and the process."""

    def half_done() -> list[Path]:
        return [folder for folder in folders if saved(folder) and not (folder / CHECKPOINT).exists()]

    until(half_done, running)
    folder = half_done()[0]
    process, _ = trainers(folder)[-1]
    os.kill(process, signal.SIGKILL)
    return folder, process


def assert_trained_once(folders: list[Path], killed: Path, process: int) -> None:
    """Every run was ended once, by who trained it last; what the killed process had begun, another one went on with."""
    for folder in folders:
        history = trainers(folder)
        assert [what for _, what in history].count("ends") == 1
        assert history[-1][1] == "ends"
        assert history[-1][0] == history[-2][0]
        assert pd.read_csv(folder / "metrics.csv")["games"].tolist() == [1_600 * line for line in range(1, LINES + 1)]
    assert trainers(killed)[0] == (process, "begins")
    assert [what for _, what in trainers(killed)] == ["begins", "resumes", "ends"]
    assert trainers(killed)[-1][0] != process


def assert_as_alone(preset: Path, folders: list[Path], straight: Path) -> None:
    """The same weights and metrics, to the last bit, as of runs that nobody killed."""
    for seed, folder in zip(SEEDS, folders, strict=True):
        alone = train(Preset.load(preset), straight / f"{seed}", seed=seed)
        assert_same(weights(load_checkpoint(folder / CHECKPOINT)), weights(alone))
        pd.testing.assert_frame_equal(measured(folder), measured(straight / f"{seed}"))


def test_a_killed_worker_of_a_cluster(preset: Path, tmp_path: Path) -> None:
    """Its run goes on elsewhere from what was saved; those that were done or under way are left alone."""
    folders = [job.folder for job in plan([preset], SEEDS, tmp_path / "runs")]
    with workers(2) as cluster:
        running = start(preset, tmp_path / "runs", "--dask", cluster.scheduler_address)
        killed, process = kill_one(running, folders)
        output, errors = running.communicate()
    assert running.returncode == 0, output + errors
    assert_trained_once(folders, killed, process)
    for folder in folders:
        assert [what for _, what in trainers(folder)] == ["begins", *["resumes"] * (folder == killed), "ends"]
    table = pd.read_csv(tmp_path / "runs" / "sweep.csv")
    assert set(table["status"]) <= {"trained", "already there"}  # a result lost with its worker is asked for again
    assert table["seed"].tolist() == SEEDS
    assert_as_alone(preset, folders, tmp_path / "straight")


def test_a_killed_process_of_this_machine(preset: Path, tmp_path: Path) -> None:
    """Its run goes on in another one; no other run is touched."""
    folders = [job.folder for job in plan([preset], SEEDS, tmp_path / "runs")]
    running = start(preset, tmp_path / "runs", "--jobs", "2")
    killed, process = kill_one(running, folders)
    output, errors = running.communicate()
    assert running.returncode == 0, output + errors
    assert_trained_once(folders, killed, process)
    assert sum(len(trainers(folder)) > 2 for folder in folders) == 1
    assert_as_alone(preset, folders, tmp_path / "straight")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_sweep_that_is_ended_takes_its_processes_with_it(preset: Path, tmp_path: Path, how: signal.Signals) -> None:
    """They hold its output open: had they trained on, it would end when the first two runs have."""
    folders = [job.folder for job in plan([preset], SEEDS, tmp_path / "runs")]
    running = start(preset, tmp_path / "runs", "--jobs", "2")
    until(lambda: any(saved(folder) for folder in folders), running)
    running.send_signal(how)
    running.communicate()
    assert running.returncode != 0
    assert sum((folder / CHECKPOINT).exists() for folder in folders) < 2


def test_two_sweeps_over_one_folder(preset: Path, tmp_path: Path) -> None:
    """Each run is trained by one of them."""
    folders = [job.folder for job in plan([preset], SEEDS, tmp_path / "runs")]
    both = [start(preset, tmp_path / "runs", "--jobs", jobs) for jobs in ("1", "2")]
    for running in both:
        output, errors = running.communicate()
        assert running.returncode == 0, output + errors
    for folder in folders:
        assert [what for _, what in trainers(folder)] == ["begins", "ends"]


def die(file: None, packed: bytes, *_: Any) -> Result:
    """Train seed 1 into the grave; of the others say who they are."""
    if pickle.loads(packed).seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Result("trained", os.getpid())


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_a_job_that_kills_its_process_each_time(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It fails alone."""
    monkeypatch.setattr(module, "_unpack_and_train", die)
    jobs = plan([preset], SEEDS, tmp_path / "runs")
    if where == "here":
        results = dict(sweep_all(jobs, at_once=2))
    else:
        with workers(2) as cluster:
            results = dict(sweep_all(jobs, dask=cluster.scheduler_address))
    assert [results[seed].failed for seed in SEEDS] == [False, True, False, False]
    assert ("BrokenProcessPool" if where == "here" else "KilledWorker") in results[1].status


def sweep_all(jobs: list[PlannedRun], *, at_once: int | None = None, dask: str | None = None) -> Any:
    """(seed, result) of every job."""
    for job, result in sweep(jobs, at_once=at_once, dask=dask):
        yield job.seed, result


def test_a_cluster_of_one_worker_trains_there(preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in the process that asks for it."""
    monkeypatch.setattr(module, "_unpack_and_train", die)
    jobs = [job for job in plan([preset], SEEDS, tmp_path / "runs") if job.seed != 1]
    with workers(1) as cluster:
        results = dict(sweep_all(jobs, dask=cluster.scheduler_address))
    assert len(results) == 3
    assert len({result.steps for result in results.values()} - {os.getpid()}) == 1


def test_a_worker_of_several_threads_is_refused(preset: Path, tmp_path: Path) -> None:
    jobs = plan([preset], SEEDS, tmp_path / "runs")
    with workers(1, threads_per_worker=3) as cluster, pytest.raises(SweepError, match=r"has 3 threads.*--nworkers 3"):
        list(sweep_all(jobs, dask=cluster.scheduler_address))


def test_a_cluster_without_workers(preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1)
    jobs = plan([preset], SEEDS, tmp_path / "runs")
    with workers(0) as cluster, pytest.raises(SweepError, match="no worker; start some with `dask worker tcp://"):
        list(sweep_all(jobs, dask=cluster.scheduler_address))


def test_a_scheduler_that_is_lost(preset: Path, tmp_path: Path) -> None:
    """The sweep says so and ends; the same command, here or on another cluster, goes on with what is left."""
    folders = [job.folder for job in plan([preset], SEEDS, tmp_path / "runs")]
    with workers(1) as cluster:
        running = start(preset, tmp_path / "runs", "--dask", cluster.scheduler_address)
        until(lambda: any(saved(folder) for folder in folders), running)
    output, errors = running.communicate()
    assert running.returncode == 1
    assert "the scheduler was lost; the same command continues with the rest" in errors, output + errors
    again = start(preset, tmp_path / "runs")
    output, errors = again.communicate()
    assert again.returncode == 0, output + errors
    assert_as_alone(preset, folders, tmp_path / "straight")
