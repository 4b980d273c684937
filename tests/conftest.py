"""Tiny models, small enough to run one prefix at a time and random enough to be wrong in interesting ways; commands."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # products this small lose on threads, badly so beside another busy process

import pytest
import torch

from mothello_interp.models import Checkpoint, ModelSpec, build_model

_ROOT = Path(__file__).parent.parent
WORLDS: dict[str, dict[str, Any]] = {
    "atomic": {"languages": ["atomic", "atomic"], "anchors": ["b1"]},
    "compositional": {"languages": ["compositional", "atomic"], "anchors": ["a3"]},
    "split": {"languages": [{"type": "split", "seed": 1}, "compositional"]},
    "unified": {"languages": ["atomic", {"type": "split", "seed": 2}, "compositional"], "unified_output": True},
}
every_world = pytest.mark.parametrize("world", WORLDS)


def tiny_spec(world: str = "atomic", **architecture: Any) -> ModelSpec:
    """A model of two layers on a 4x4 board."""
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2} | architecture
    return ModelSpec.read({"world": {"board": 4, **WORLDS[world]}, "model": sizes}, "tiny")


def scramble(model: torch.nn.Module, *, scale: float = 0.3, seed: int = 0) -> None:
    """Give every parameter random values that matter, layer norms, biases and the frozen bias included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            mean = 1.0 if name.endswith(".w") else 0.0
            weight.copy_(mean + scale * torch.randn(weight.shape, generator=generator, dtype=torch.float32))


@cache
def tiny_checkpoint(world: str = "atomic") -> Checkpoint:
    """An untrained model with large random weights; shared, so leave it as it is."""
    model = build_model(tiny_spec(world), seed=0).eval()
    scramble(model)
    return Checkpoint(model, tiny_spec(world), {"seed": 0}, f"tiny/{world}")


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Two atomic languages that share one anchor, on a 4x4 board."""
    return tiny_checkpoint()


def shown_without(heavy: set[str], module: str, arguments: Sequence[str]) -> str:
    """What `python -m module` shows, in a process of its own that says afterwards which of the heavy modules it has loaded: none."""
    lines = [
        "import runpy, sys",
        f"sys.argv = {[module, *arguments]!r}",
        "try:",
        f"    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)",
        "except SystemExit as stop:",
        "    assert not stop.code, stop.code",
        f"print('imported:', sorted({heavy!r} & sys.modules.keys()))",
    ]
    command = [sys.executable, "-W", "error", "-c", "\n".join(lines)]
    settings = {"COLUMNS": "200", "PATH": "/usr/bin:/bin", "TERM": "dumb"}
    done = subprocess.run(command, cwd=_ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"
    return done.stdout
