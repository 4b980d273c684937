"""Two processes train what one would: each on its own part of every batch, and the first alone writes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from mothello_interp.corpus import Corpus
from mothello_interp.models import load_checkpoint
from tests.conftest import tiny_spec
from tests.train.tiny import preset_text, saved
from train.parallel import Processes

TRAINING: dict[str, Any] = {
    "batch": 10,
    "lr": 3e-3,
    "warmup": 20,
    "precision": "float32",
    "evaluate_every": 10,
    "save_every": 20,
}


def rank_of(rank: int, size: int) -> Processes:
    """One of several, without the others."""
    processes = Processes("cpu")
    processes.rank, processes.size = rank, size
    return processes


@given(start=st.integers(0, 10**9), n=st.integers(0, 5000), size=st.integers(1, 64))
def test_parts_cover_a_batch_once(start: int, n: int, size: int) -> None:
    """One after the other, without a gap and without an overlap, and none is larger than another by more than one."""
    parts = [rank_of(rank, size).part(start, n) for rank in range(size)]
    at = start
    for begins, length in parts:
        assert begins == at
        at += length
    assert at == start + n
    lengths = [length for _, length in parts]
    assert max(lengths) - min(lengths) <= 1


def test_parts_of_the_corpus_are_the_batch() -> None:
    corpus = Corpus(tiny_spec("compositional").mothello, seed=0)
    parts = [corpus.batch(*rank_of(rank, 3).part(40, 16)) for rank in range(3)]
    whole = corpus.batch(40, 16)
    assert np.array_equal(np.concatenate([part.tokens for part in parts]), whole.tokens)
    assert np.array_equal(np.concatenate([part.language for part in parts]), whole.language)


def test_alone_it_is_the_first() -> None:
    alone = Processes("cpu")
    assert (alone.rank, alone.size, alone.first) == (0, 1, True)
    assert alone.part(30, 10) == (30, 10)


def command(launcher: str, preset: Path, out: Path) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = {
        "alone": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port],
        "accelerate": [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
            *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port),
        ],
    }
    return [*launch[launcher], "-m", "train", "pretrain", str(preset), "--out", str(out), "--quiet"]


def run(launcher: str, preset: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """To the end, or to the end of patience: a hang is a failure."""
    return subprocess.run(
        command(launcher, preset, out), capture_output=True, text=True, timeout=300, check=False, env=_environment()
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def written(folder: Path, games: int = 200) -> Path:
    folder.mkdir(exist_ok=True)
    preset = folder / "tiny.toml"
    preset.write_text(preset_text("atomic", "compositional", games=games, **TRAINING), encoding="utf-8")
    return preset


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = run("alone", written(folder), folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def assert_like(found: Path, expected: Path) -> None:
    """The same losses within rounding, close weights, and a line for every step, written once."""
    one, other = (pd.read_csv(folder / "metrics.csv") for folder in (expected, found))
    assert other["games"].tolist() == list(range(10, 210, 10))
    for column in ("loss", "floor"):
        assert other[column].tolist() == pytest.approx(one[column].tolist(), rel=1e-5)
    weights, others = (load_file(folder / "checkpoint" / "weights.safetensors") for folder in (expected, found))
    for name, weight in weights.items():
        assert (others[name] - weight).abs().max() < 1e-3, name
    assert load_checkpoint(found / "checkpoint").provenance["processes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_are_one_run(tmp_path: Path, alone: Path, launcher: str) -> None:
    done = run(launcher, written(tmp_path), tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert_like(tmp_path / "run", alone)
    assert done.stdout.count("checkpoint: ") == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint",
        "metrics.csv",
        "run.log",
        "state.pt",
    ]
    again = run(launcher, written(tmp_path), tmp_path / "run")
    assert (again.returncode, again.stdout) == (0, done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the launcher's children in /proc")
def test_killed_and_started_again(tmp_path: Path, alone: Path) -> None:
    """The launcher and both processes are killed at once, after a save; the same command goes on."""
    preset, out = written(tmp_path), tmp_path / "run"
    child = subprocess.Popen(
        command("torchrun", preset, out),
        env=_environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and not saved(out):
        time.sleep(0.005)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(encoding="utf-8").split()
    for process in [*map(int, children), child.pid]:
        os.kill(process, signal.SIGKILL)
    child.wait()
    assert not (out / "checkpoint").exists()
    done = run("torchrun", preset, out)
    assert done.returncode == 0, done.stderr
    assert_like(out, alone)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_when_the_first_cannot_write_all_end(tmp_path: Path) -> None:
    """The other waits for its gradient; whoever launched them ends it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.pt.partial").symlink_to("/dev/full")
    done = run("torchrun", written(tmp_path), tmp_path / "run")
    assert done.returncode != 0
    assert "state.pt cannot be written (No space left on device), the earlier one is intact" in done.stderr
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.slow
def test_when_nothing_can_be_done_all_end(tmp_path: Path) -> None:
    preset = tmp_path / "bad.toml"
    preset.write_text("[training]\ngames = 10\n", encoding="utf-8")
    done = run("torchrun", preset, tmp_path / "run")
    assert done.returncode != 0
    assert done.stderr.count("error: ") >= 1
    assert not (tmp_path / "run").exists()
