"""Grids: equal to TransformerLens cell by cell, however many cells run together, and without a trace."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer
from transformer_lens import patching as reference

from mothello_interp.patching import patch_grid, patch_heads, patch_heads_everywhere, reading
from tests.conftest import tiny_checkpoint
from tests.patching.cases import (
    LENGTH,
    every_hook,
    hooks_of,
    model,
    overall,
    per_example,
    two_texts,
)

SHOW = {
    "resid_pre": reference.get_act_patch_resid_pre,
    "resid_mid": reference.get_act_patch_resid_mid,
    "attn_out": reference.get_act_patch_attn_out,
    "mlp_out": reference.get_act_patch_mlp_out,
}


def patched_one_by_one(
    of: HookedTransformer,
    clean: torch.Tensor,
    corrupted: torch.Tensor,
    metric: Callable[[torch.Tensor], Any],
    hook: str,
) -> torch.Tensor:
    """One full run a cell."""
    grid = []
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        for layer in range(of.cfg.n_layers):
            name = f"blocks.{layer}.hook_{hook}"
            for place in range(clean.shape[1]):

                def put(activation: torch.Tensor, hook: Any, place: int = place) -> torch.Tensor:
                    activation[:, place] = states[hook.name][:, place]
                    return activation

                grid.append(metric(of.run_with_hooks(corrupted, fwd_hooks=[(name, put)])))
    return torch.stack(grid).unflatten(0, (of.cfg.n_layers, -1))


@pytest.mark.parametrize("kind", ["ours", "rotary", "bidirectional"])
@pytest.mark.parametrize("hook", SHOW)
def test_a_grid_is_that_of_transformer_lens(kind: str, hook: str) -> None:
    clean, corrupted = two_texts(model(kind))
    with torch.inference_mode():
        _, states = model(kind).run_with_cache(clean)
        expected = SHOW[hook](model(kind), corrupted, states, overall)
    found = patch_grid(model(kind), clean, corrupted, overall, hook)
    assert found.shape == (3, LENGTH)
    assert found.std() > 0.005
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_grid_of_resid_post() -> None:
    clean, corrupted = two_texts(model())
    expected = patched_one_by_one(model(), clean, corrupted, overall, "resid_post")
    torch.testing.assert_close(
        patch_grid(model(), clean, corrupted, overall, "resid_post"), expected, atol=1e-5, rtol=0
    )


def test_resid_pre_unless_told_otherwise() -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, overall)
    assert torch.equal(found, patch_grid(model(), clean, corrupted, overall, hook="resid_pre"))
    assert not torch.allclose(found, patch_grid(model(), clean, corrupted, overall, hook="resid_mid"), atol=1e-3)


@every_hook
def test_a_metric_may_keep_its_batch(hook: str) -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, per_example, hook)
    assert found.shape == (3, LENGTH, 3)
    torch.testing.assert_close(found.mean(2), patch_grid(model(), clean, corrupted, overall, hook), atol=1e-5, rtol=0)


@every_hook
def test_an_example_is_the_same_alone(hook: str) -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, per_example, hook)
    for index in range(3):
        alone = patch_grid(model(), clean[index : index + 1], corrupted[index : index + 1], overall, hook)
        torch.testing.assert_close(alone, found[:, :, index], atol=1e-5, rtol=0)


@every_hook
@pytest.mark.parametrize("rows", [1, 5, 6, 10, 12])
def test_cells_are_the_same_however_many_run_together(hook: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell a pass, then two, three and four, with a smaller last pass."""
    clean, corrupted = two_texts(model())
    expected = patched_one_by_one(model(), clean, corrupted, per_example, hook)
    monkeypatch.setattr(reading, "_ROWS", rows)
    torch.testing.assert_close(patch_grid(model(), clean, corrupted, per_example, hook), expected, atol=1e-5, rtol=0)


@every_hook
def test_a_run_patched_with_itself_is_the_run(hook: str) -> None:
    clean, _ = two_texts(model())
    with torch.inference_mode():
        expected = per_example(model()(clean))
    found = patch_grid(model(), clean, clean, per_example, hook)
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=0)


def test_patching_leaves_no_trace() -> None:
    """Tokens, weights, gradients and the model's next answer are what they were."""
    clean, corrupted = two_texts(model())
    before = clean.clone(), corrupted.clone()
    with torch.inference_mode():
        answer = model()(corrupted)
    found = patch_grid(model(), clean, corrupted, overall)
    assert not found.requires_grad
    assert torch.equal(clean, before[0])
    assert torch.equal(corrupted, before[1])
    assert all(weight.grad is None for weight in model().parameters())
    with torch.inference_mode():
        assert torch.equal(model()(corrupted), answer)


@contextmanager
def own_hook(of: HookedTransformer) -> Iterator[list[str]]:
    """A hook of the user's, that notes where it fires."""
    fired: list[str] = []

    def note(activation: torch.Tensor, hook: Any) -> None:
        fired.append(hook.name)

    with of.hooks(fwd_hooks=[("blocks.1.hook_resid_mid", note)]):
        yield fired


class Stop(Exception):
    """Raised by a metric."""


@every_hook
@pytest.mark.parametrize("fails_at", [None, 0, 4])
def test_hooks_are_gone_afterwards(hook: str, fails_at: int | None) -> None:
    """Also when the metric raises, in the first cell or a later one; hooks of the user's stay."""
    clean, corrupted = two_texts(model())
    seen = 0

    def metric(logits: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen - 1 == fails_at:
            raise Stop
        return overall(logits)

    assert hooks_of(model()) == 0
    with own_hook(model()) as fired:
        assert hooks_of(model()) == 1
        if fails_at is None:
            patch_grid(model(), clean, corrupted, metric, hook)
        else:
            with pytest.raises(Stop):
                patch_grid(model(), clean, corrupted, metric, hook)
        assert hooks_of(model()) == 1
        before = len(fired)
        model()(clean)
        assert len(fired) == before + 1
    assert hooks_of(model()) == 0


def test_tokens_of_two_shapes() -> None:
    clean, corrupted = two_texts(model())
    message = re.escape("clean tokens (3, 6) and corrupted tokens (3, 7) must have one shape")
    with pytest.raises(ValueError, match=message):
        patch_grid(model(), clean[:, 1:], corrupted, overall)


def test_tokens_that_are_none() -> None:
    clean, _ = two_texts(model())
    for tokens in (clean[0], clean[:0], clean.float()):
        with pytest.raises(ValueError, match=r"tokens: torch\..* of shape \(.*\); expected int \[batch pos\]"):
            patch_grid(model(), tokens, tokens, overall)


def test_a_checkpoint_in_place_of_its_model() -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(TypeError, match="Checkpoint is no HookedTransformer: of a checkpoint"):
        patch_grid(tiny_checkpoint(), clean, corrupted, overall)


@pytest.mark.parametrize("hook", ["resid", "hook_resid_pre", "pattern", ""])
def test_a_hook_that_is_none(hook: str) -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(
        ValueError, match=f"hook={hook!r}: choose one of resid_pre, resid_mid, resid_post, attn_out, mlp_out"
    ):
        patch_grid(model(), clean, corrupted, overall, hook)


def patch_every(of: HookedTransformer, clean: torch.Tensor, corrupted: torch.Tensor, show: Any) -> torch.Tensor:
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        found: torch.Tensor = show(of, corrupted, states, overall)
    return found


@pytest.mark.parametrize("kind", ["ours", "rotary", "bidirectional"])
def test_heads_are_those_of_transformer_lens(kind: str) -> None:
    clean, corrupted = two_texts(model(kind))
    expected = patch_every(model(kind), clean, corrupted, reference.get_act_patch_attn_head_out_by_pos)
    found = patch_heads(model(kind), clean, corrupted, overall)
    assert found.shape == (3, LENGTH, model(kind).cfg.n_heads)
    assert found.std() > 0.001
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["ours", "rotary", "bidirectional"])
def test_whole_heads_are_those_of_transformer_lens(kind: str) -> None:
    clean, corrupted = two_texts(model(kind))
    expected = patch_every(model(kind), clean, corrupted, reference.get_act_patch_attn_head_out_all_pos)
    found = patch_heads_everywhere(model(kind), clean, corrupted, overall)
    assert found.shape == (3, model(kind).cfg.n_heads)
    assert found.std() > 0.001
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("patch", [patch_heads, patch_heads_everywhere])
@pytest.mark.parametrize("rows", [1, 5, 12])
def test_heads_are_the_same_however_many_run_together(patch: Any, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, corrupted = two_texts(model())
    expected = patch(model(), clean, corrupted, per_example)
    monkeypatch.setattr(reading, "_ROWS", rows)
    found = patch(model(), clean, corrupted, per_example)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.mean(-1), patch(model(), clean, corrupted, overall), atol=1e-5, rtol=0)


@pytest.mark.parametrize("patch", [patch_heads, patch_heads_everywhere])
def test_heads_of_tokens_of_two_shapes(patch: Any) -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(ValueError, match="must have one shape"):
        patch(model(), clean[:, 1:], corrupted, overall)
