"""What a user has done to torch or to the weights: settings change no result and stay, spoilt weights are never measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest
import torch

from mothello_interp.models import Checkpoint, build_model
from tests.calls import CALLS
from tests.conftest import scramble, tiny_checkpoint, tiny_spec


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


STATES: dict[str, Callable[[], Any]] = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "float64": double,
}


def state() -> tuple[bool, bool, torch.dtype]:
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()


def same(found: Any, expected: Any) -> None:
    """Equal in type and value, through lists, mappings and tables."""
    assert type(found) is type(expected)
    if isinstance(expected, dict | list | tuple):
        pairs = (
            zip(found.values(), expected.values(), strict=True)
            if isinstance(expected, dict)
            else zip(found, expected, strict=True)
        )
        for one, other in pairs:
            same(one, other)
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected)
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found.detach(), expected.detach(), rtol=1e-6, atol=1e-6)
    else:
        assert found == pytest.approx(expected, rel=1e-5)  # a step along a probe, in float32


def fresh() -> Checkpoint:
    """`tiny_checkpoint`, built anew."""
    model = build_model(tiny_spec(), seed=0).eval()
    scramble(model)
    return Checkpoint(model, tiny_spec(), {"seed": 0}, "tiny/atomic")


@pytest.mark.parametrize("of", STATES)
@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_users_torch(name: str, of: str) -> None:
    expected = CALLS[name](tiny_checkpoint())
    with STATES[of]():
        checkpoint = fresh()
        before = state()
        found = CALLS[name](checkpoint)
        assert state() == before
    same(found, expected)


ELSEWHERE = {"build_model", "next_moves", "greedy_moves"}  # calls that do not run the checkpoint they are given
BEFORE_THE_END = {"states", "collect", "probes", "align", "language_identity", "attention", "maps", "cka", "compare"}


@pytest.mark.parametrize("where", ["embed.W_E", "unembed.b_U"])
@pytest.mark.parametrize("name", sorted(CALLS.keys() - ELSEWHERE))
def test_weights_that_are_spoilt_after_loading_are_not_measured(name: str, where: str) -> None:
    checkpoint = fresh()
    dict(checkpoint.model.named_parameters())[where].data.fill_(torch.inf)
    if where == "unembed.b_U" and name in BEFORE_THE_END:  # which never runs the part that is spoilt
        CALLS[name](checkpoint)
        return
    with pytest.raises(ValueError, match="load the checkpoint again"):
        CALLS[name](checkpoint)
