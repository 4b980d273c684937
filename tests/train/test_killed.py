"""A run that is really killed, again and again, ends like one left alone."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

PRESET = """
[world]
board = 4
languages = ["atomic", "compositional"]
[model]
n_layers = 1
d_model = 32
n_heads = 2
[training]
games = 38_400
batch = 32
optimizer = "muon"
evaluate_every = 3_200
save_every = 320
"""


def command(preset: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "train", "pretrain", str(preset), "--out", str(out), "--quiet"]


@pytest.mark.slow
def test_killed_at_random_it_ends_the_same(tmp_path: Path) -> None:
    """Saves are frequent, so that some kills fall into one."""
    preset = tmp_path / "tiny.toml"
    preset.write_text(PRESET, encoding="utf-8")
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
    one, other = (load_file(folder / "checkpoint" / "weights.safetensors") for folder in (alone, killed))
    assert all(bool((one[name] == other[name]).all()) for name in one)
    first, second = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (alone, killed))
    pd.testing.assert_frame_equal(first, second)
