"""The optimisers against plain torch ones, and the course of the learning rate."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformer_lens import HookedTransformer

from mothello_interp.models import build_model
from tests.conftest import scramble, tiny_spec
from train.optim import Optimizer, learning_rate
from train.settings import Training

SETTINGS: dict[str, Any] = {"games": 1000, "batch": 10, "lr": 0.01, "matrix_lr": 0.05, "weight_decay": 0.2}
BOTH = pytest.mark.parametrize("optimizer", ["adamw", "muon"])


def new_model() -> HookedTransformer:
    """Random weights, the same every time."""
    model = build_model(tiny_spec(), seed=0)
    scramble(model)
    return model


def learns(model: HookedTransformer) -> dict[str, torch.nn.Parameter]:
    """The parameters that an optimiser may change."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def random_gradients(model: HookedTransformer, seed: int, *, scale: float = 1.0) -> None:
    """Give every parameter a gradient."""
    generator = torch.Generator().manual_seed(seed)
    for weight in learns(model).values():
        weight.grad = scale * torch.randn(weight.shape, generator=generator)


def is_matrix(name: str) -> bool:
    """Whether it is one of the attention and MLP matrices."""
    return name.startswith("blocks.") and ".W_" in name


def is_decayed(name: str, decay: str) -> bool:
    """Which parameters a preset's `decay` names."""
    return ".W_" in name if decay == "all" else is_matrix(name) or name == "unembed.W_U"


@pytest.mark.parametrize("decay", ["matrices", "all"])
def test_adamw_is_that_of_torch(decay: str) -> None:
    """Three steps, with clipping, beside an AdamW on every parameter by itself."""
    ours, plain = new_model(), new_model()
    optimizer = Optimizer(ours, Training.model_validate({**SETTINGS, "decay": decay}))
    groups = [
        {"params": [weight], "weight_decay": 0.2 if is_decayed(name, decay) else 0.0}
        for name, weight in learns(plain).items()
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    for step, scale in enumerate([0.5, 1.0, 0.1]):
        random_gradients(ours, step)
        random_gradients(plain, step)
        norm = torch.nn.utils.clip_grad_norm_(learns(plain).values(), 1.0)
        assert norm > 1
        for group in reference.param_groups:
            group["lr"] = 0.01 * scale
        reference.step()
        optimizer.step(scale)
        for name, weight in learns(plain).items():
            torch.testing.assert_close(learns(ours)[name], weight, atol=1e-6, rtol=1e-5)


def heads(name: str, weight: torch.Tensor) -> list[torch.Tensor]:
    """The matrices that lie in one parameter: one a head in attention, one in an MLP."""
    return list(weight.unbind(0)) if ".attn." in name else [weight]


def test_muon_is_that_of_torch_on_every_head() -> None:
    """And AdamW on all else: three steps beside a Muon on copies of the matrices."""
    ours, plain = new_model(), new_model()
    optimizer = Optimizer(ours, Training.model_validate({**SETTINGS, "optimizer": "muon", "decay": "all"}))
    matrices = {name: [part.detach().clone() for part in heads(name, weight)] for name, weight in learns(plain).items()}
    copies = [torch.nn.Parameter(part) for name, parts in matrices.items() if is_matrix(name) for part in parts]
    muon = torch.optim.Muon(copies, lr=0.05, weight_decay=0.2 * 0.01 / 0.05, adjust_lr_fn="match_rms_adamw")
    rest = [(name, weight) for name, weight in learns(plain).items() if not is_matrix(name)]
    groups = [{"params": [weight], "weight_decay": 0.2 if ".W_" in name else 0.0} for name, weight in rest]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    for step in range(3):
        random_gradients(ours, step)
        random_gradients(plain, step)
        torch.nn.utils.clip_grad_norm_(learns(plain).values(), 1.0)
        clipped = {name: weight.grad for name, weight in learns(plain).items() if is_matrix(name)}
        parts = (part for name, grad in clipped.items() if grad is not None for part in heads(name, grad))
        for copy, part in zip(copies, parts, strict=True):
            copy.grad = part.clone()
        muon.step()
        adamw.step()
        optimizer.step(1.0)
        found = [part for name, weight in learns(ours).items() if is_matrix(name) for part in heads(name, weight)]
        torch.testing.assert_close(found, list(copies), atol=1e-6, rtol=1e-5)
        for name, weight in rest:
            torch.testing.assert_close(learns(ours)[name], weight, atol=1e-6, rtol=1e-5)


@BOTH
def test_every_parameter_is_updated_once(optimizer: str) -> None:
    model = new_model()
    frozen = model.unembed.b_U.clone()
    ours = Optimizer(model, Training.model_validate({**SETTINGS, "optimizer": optimizer}))
    given = [weight for inner in ours._inner for group in inner.param_groups for weight in group["params"]]
    assert sum(weight.numel() for weight in given) == sum(weight.numel() for weight in learns(model).values())
    before = {name: weight.detach().clone() for name, weight in learns(model).items()}
    random_gradients(model, 0)
    ours.step(1.0)
    for name, weight in learns(model).items():
        assert not torch.equal(weight, before[name]), name
        assert weight.grad is None
    assert torch.equal(model.unembed.b_U, frozen)


@BOTH
def test_the_state_goes_on_exactly(optimizer: str) -> None:
    """Saved after two steps and taken into a fresh optimiser, the third step is the same to the last bit."""
    training = Training.model_validate({**SETTINGS, "optimizer": optimizer})
    straight, broken = new_model(), new_model()
    first, before = Optimizer(straight, training), Optimizer(broken, training)
    for step in range(2):
        for model, ours in ((straight, first), (broken, before)):
            random_gradients(model, step)
            ours.step(1.0)
    resumed = new_model()
    resumed.load_state_dict(broken.state_dict())
    after = Optimizer(resumed, training)
    after.load_state_dict(before.state_dict())
    for model, ours in ((straight, first), (resumed, after)):
        random_gradients(model, 2)
        ours.step(0.3)
    for name, weight in learns(straight).items():
        assert torch.equal(weight, learns(resumed)[name]), name


def test_the_learning_rate_rises_then_falls() -> None:
    training = Training(games=1000, batch=10, warmup=200, final_lr=0.1)
    course = [learning_rate(step, training) for step in range(100)]
    assert course[:3] == pytest.approx([0.05, 0.1, 0.15])
    assert course[19] == course[20] == 1
    assert course[60] == pytest.approx(0.55)
    assert course[99] == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * 79 / 80)))
    assert learning_rate(100, training) == pytest.approx(0.1)


@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 400), st.floats(0, 1))
@settings(deadline=None)
def test_the_course_has_one_peak(games: int, batch: int, warmup: int, final_lr: float) -> None:
    """It stays between 0 and 1, rises through the warm-up and does not rise behind it."""
    training = Training(games=games, batch=batch, warmup=warmup, final_lr=final_lr)
    course = [learning_rate(step, training) for step in range(training.steps)]
    top = min(warmup // batch, training.steps)
    assert all(0 < rate <= 1 for rate in course[:top])
    assert all(final_lr <= rate <= 1 + 1e-12 for rate in course[top:])
    assert course[:top] == sorted(course[:top])
    assert course[top:] == sorted(course[top:], reverse=True)
