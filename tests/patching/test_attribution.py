"""Attribution patching: the gradient, exact where the model is linear, and nothing left behind."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.patching import attribution_grid, attribution_heads, patch_grid, patch_heads
from tests.conftest import scramble
from tests.patching.cases import LENGTH, every_hook, hooks_of, model, overall, per_example, two_texts


@cache
def linear() -> HookedTransformer:
    """Without norms, and with attention that is even over the past: the answer is a sum over what blocks write."""
    shape: dict[str, Any] = {"n_layers": 2, "d_model": 8, "n_heads": 2, "d_head": 4, "n_ctx": 9, "d_vocab": 11}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = HookedTransformerConfig(**shape, normalization_type=None, attn_only=True, seed=0)
        built = HookedTransformer(config).eval()
    scramble(built)
    with torch.no_grad():
        for block in built.blocks:
            block.attn.W_Q.zero_()
            block.attn.b_Q.zero_()
    return built


def raw(logits: torch.Tensor) -> torch.Tensor:
    """A number per example that is linear in the logits."""
    return (logits * torch.linspace(-1, 1, logits.shape[-1])).sum((1, 2))


@pytest.mark.parametrize("hook", ["resid_pre", "resid_post", "attn_out"])
def test_a_linear_model_is_estimated_exactly(hook: str) -> None:
    clean, corrupted = two_texts(linear())
    exact = patch_grid(linear(), clean, corrupted, raw, hook)
    assert exact.std() > 0.1
    torch.testing.assert_close(attribution_grid(linear(), clean, corrupted, raw, hook), exact, atol=1e-4, rtol=0)


def test_heads_of_a_linear_model_are_estimated_exactly() -> None:
    clean, corrupted = two_texts(linear())
    exact = patch_heads(linear(), clean, corrupted, raw)
    torch.testing.assert_close(attribution_heads(linear(), clean, corrupted, raw), exact, atol=1e-4, rtol=0)


@every_hook
def test_the_estimate_is_the_slope_at_the_corrupted_run(hook: str) -> None:
    """By finite differences: a hundredth of the step towards the clean activation, and as far the other way."""
    of, (clean, corrupted) = model(), two_texts(model())
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        before = per_example(of(corrupted))
    found = attribution_grid(of, clean, corrupted, per_example, hook)

    def nudged(layer: int, position: int, step: float) -> torch.Tensor:
        def nudge(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            activation[:, position] += (states[hook.name][:, position] - activation[:, position]) * step
            return activation

        with torch.inference_mode():
            return per_example(of.run_with_hooks(corrupted, fwd_hooks=[(f"blocks.{layer}.hook_{hook}", nudge)]))

    for layer, position in ((0, 0), (1, 3), (2, LENGTH - 1)):
        slope = (nudged(layer, position, 0.01) - nudged(layer, position, -0.01)) / 0.02
        torch.testing.assert_close(found[layer, position] - before, slope, atol=2e-4, rtol=1e-2)
        assert slope.abs().max() > 1e-3


ESTIMATES: dict[str, Callable[..., torch.Tensor]] = {"grid": attribution_grid, "heads": attribution_heads}
every_estimate = pytest.mark.parametrize("name", ESTIMATES)


@every_estimate
def test_a_run_towards_itself_is_the_run(name: str) -> None:
    clean, _ = two_texts(model())
    found = ESTIMATES[name](model(), clean, clean, per_example)
    assert found.shape == ((3, LENGTH, 3) if name == "grid" else (3, LENGTH, 2, 3))
    torch.testing.assert_close(found, per_example(model()(clean)).detach().expand_as(found), atol=1e-5, rtol=0)


@every_estimate
def test_a_metric_of_the_whole_batch(name: str) -> None:
    """The mean of the examples' estimates."""
    clean, corrupted = two_texts(model())
    each, mean = (ESTIMATES[name](model(), clean, corrupted, metric) for metric in (per_example, overall))
    assert mean.ndim == each.ndim - 1
    torch.testing.assert_close(each.mean(-1), mean, atol=1e-5, rtol=0)


@every_estimate
def test_estimates_leave_no_trace(name: str) -> None:
    """No gradient, no hook; also inside inference mode."""
    clean, corrupted = two_texts(model())
    found = ESTIMATES[name](model(), clean, corrupted, overall)
    with torch.inference_mode():
        again = ESTIMATES[name](model(), clean, corrupted, overall)
    assert not found.requires_grad
    assert torch.equal(found, again)
    assert hooks_of(model()) == 0
    assert all(weight.grad is None for weight in model().parameters())


@every_estimate
def test_tokens_of_two_shapes(name: str) -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(ValueError, match="must have one shape"):
        ESTIMATES[name](model(), clean[1:], corrupted, overall)


def test_a_hook_that_is_none() -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(ValueError, match="hook='z': choose one of resid_pre"):
        attribution_grid(model(), clean, corrupted, overall, "z")
