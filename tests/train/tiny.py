"""Runs of seconds, and ways to break them off."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mothello_interp.models import Checkpoint
from tests.conftest import WORLDS
from train import run as run_module
from train.pretrain import pretrain
from train.settings import Preset
from train.state import METRICS, load_state

STEPS, BATCH = 14, 16
TRAINING: dict[str, Any] = {"games": STEPS * BATCH + 3, "batch": BATCH, "lr": 3e-3, "warmup": 2 * BATCH}
TRAINING |= {"precision": "float32", "evaluate_every": 2 * BATCH, "save_every": 4 * BATCH}
KINDS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "muon": {"optimizer": "muon", "decay": "all"},
    "sampled": {"objective": "sampled", "opening": ["b1", "a1"], "language_weights": [1, 2], "dropout": 0.2},
}


def tiny_preset(kind: str = "muon", *, world: str = "atomic", **training: Any) -> Preset:
    """Some steps on a model of one layer."""
    spec = {"world": {"board": 4, **WORLDS[world]}, "model": {"n_layers": 1, "d_model": 16, "n_heads": 2}}
    return Preset.model_validate({"spec": spec, "training": {**TRAINING, **KINDS[kind], **training}, "name": "tiny/x"})


def preset_text(*languages: str, d_model: int = 16, **training: Any) -> str:
    """The file of a preset: a model of one layer on the smallest board."""
    lines = ["[world]", "board = 4", f"languages = {json.dumps(languages)}"]
    lines += ["[model]", "n_layers = 1", f"d_model = {d_model}", "n_heads = 2"]
    return "\n".join([*lines, "[training]", *(f"{key} = {json.dumps(value)}" for key, value in training.items()), ""])


def train(preset: Preset, folder: Path, *, seed: int = 1, **how: Any) -> Checkpoint:
    """One quiet run on one core."""
    return pretrain(preset, folder, seed=seed, device="cpu", quiet=True, **{"threads": 1, **how})


def measured(folder: Path) -> pd.DataFrame:
    """The metrics, to the last digit, without the column that a clock writes."""
    return pd.read_csv(folder / METRICS, dtype=str).drop(columns="seconds")


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """All of them, copied."""
    return {name: weight.detach().clone() for name, weight in checkpoint.model.named_parameters()}


def saved(folder: Path) -> int:
    """The step of the state there; 0 also without one."""
    state = load_state(folder)
    return int(state["step"]) if state else 0


class Interrupted(RuntimeError):
    """Stands in for a lost machine."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, *, nan: bool = False) -> None:
    """Break the computation of the gradient at the nth step from now."""
    calls = 0
    whole = run_module.add_gradients

    def broken(*arguments: Any, **settings: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls <= step:
            return whole(*arguments, **settings)
        if not nan:
            raise Interrupted
        return whole(*arguments, **settings) | {"loss": float("nan")}

    monkeypatch.setattr(run_module, "add_gradients", broken)


def lose(preset: Preset, folder: Path, *, step: int, **how: Any) -> None:
    """A run that breaks off at its nth step."""
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Interrupted):
            train(preset, folder, **how)


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Equal to the last bit."""
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name
