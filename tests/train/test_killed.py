"""A run that is really killed, again and again, ends like one left alone."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.train.tiny import preset_text


def written(path: Path, games: int) -> Path:
    """A preset of some seconds."""
    settings = {"batch": 32, "optimizer": "muon", "evaluate_every": 3200, "save_every": 320}
    path.write_text(preset_text("atomic", "compositional", d_model=32, games=games, **settings), encoding="utf-8")
    return path


# a command that kills itself at one moment of its third save, or of writing the checkpoint
DOOMED = """
import os, pathlib, signal, sys
from train import state
from train.__main__ import app

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def half(value, file, save=state.torch.save, calls=[]):
    calls.append(value)
    save(value, file)
    if len(calls) == 3:
        file.truncate(file.tell() // 2)
        pathlib.Path.replace = lambda path, target: die()

def replace(path, target, move=pathlib.Path.replace, calls=[]):
    calls.append(path)
    if len(calls) == 3 and moment == "before":
        die()
    moved = move(path, target)
    if len(calls) == 3:
        die()
    return moved

moment = sys.argv.pop(1)
if moment == "half":
    state.torch.save = half
elif moment == "checkpoint":
    pathlib.Path.rename = lambda path, target: die()
else:
    pathlib.Path.replace = replace
app()
"""


def command(preset: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "train", "pretrain", str(preset), "--out", str(out), "--quiet"]


def assert_same_end(one: Path, other: Path) -> None:
    """The same weights, to the last bit, and the same metrics but for the time."""
    first, second = (load_file(folder / "checkpoint" / "weights.safetensors") for folder in (one, other))
    assert all(bool((first[name] == second[name]).all()) for name in first)
    lines, others = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (one, other))
    pd.testing.assert_frame_equal(lines, others)


@pytest.mark.slow
def test_killed_in_the_midst_of_saving_it_ends_the_same(tmp_path: Path) -> None:
    """With half of the state written, before and after it replaces the last one, and with the checkpoint half there."""
    preset = written(tmp_path / "tiny.toml", games=6400)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    subprocess.run(command(preset, alone), check=True, capture_output=True)
    for moment in ("half", "before", "after", "checkpoint"):
        arguments = command(preset, killed)[3:]
        died = subprocess.run([sys.executable, "-c", DOOMED, moment, *arguments], check=False, capture_output=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert (killed / "state.pt.partial").exists() == (moment in ("half", "before"))
        assert not (killed / "checkpoint").exists()
    subprocess.run(command(preset, killed), check=True, capture_output=True)
    assert_same_end(alone, killed)


@pytest.mark.slow
def test_killed_at_random_it_ends_the_same(tmp_path: Path) -> None:
    preset = written(tmp_path / "tiny.toml", games=38_400)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    subprocess.run(command(preset, alone), check=True, capture_output=True)
    draw = random.Random(0)
    kills = 0
    while not (killed / "checkpoint").exists():
        assert kills < 60, "the run does not get on"
        child = subprocess.Popen(command(preset, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if kills < 5:
            grown = (killed / "state.pt").stat().st_mtime_ns if (killed / "state.pt").exists() else 0
            while child.poll() is None:  # let it save at least once more, then kill it anywhere in the next steps
                if (killed / "state.pt").exists() and (killed / "state.pt").stat().st_mtime_ns > grown:
                    time.sleep(draw.random() / 2)
                    break
                time.sleep(0.01)
            child.kill()
            kills += 1
        child.wait()
    assert kills == 5
    assert_same_end(alone, killed)
