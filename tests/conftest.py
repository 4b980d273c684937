"""Tiny models, small enough to run one prefix at a time and random enough to be wrong in interesting ways."""

import os
from functools import cache
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # products this small lose on threads, badly so beside another busy process

import pytest
import torch

from mothello_interp.models import Checkpoint, ModelSpec, build_model

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
            weight.copy_(mean + scale * torch.randn(weight.shape, generator=generator))


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
