"""Dropout: where GPT-2 has it, drawn from the step's own seed, and nowhere but in training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformer_lens import HookedTransformer

from mothello_interp.models import build_model, load_checkpoint
from tests.conftest import scramble, tiny_spec
from tests.train.tiny import BATCH, tiny_preset, train
from train import run as module
from train.pretrain import QuickLegality
from train.state import CHECKPOINT, METRICS
from train.step import fused_logits

P = 0.3


@pytest.fixture
def model() -> HookedTransformer:
    built = build_model(tiny_spec("compositional", d_model=32, n_heads=4), seed=0)
    scramble(built)
    return built


def random_tokens(of: HookedTransformer, batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, of.cfg.d_vocab, (batch, length), generator=torch.Generator().manual_seed(length))


def planted(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What stands in for dropout draws masks of its own, and leaves them here in order."""
    generator, masks = torch.Generator().manual_seed(0), []

    def dropout(values: torch.Tensor, p: float) -> torch.Tensor:
        assert p == P
        masks.append((torch.rand(values.shape, generator=generator) >= P) / (1 - P))
        return values * masks[-1]

    monkeypatch.setattr("train.step.F.dropout", dropout)
    return masks


def hooks(
    of: HookedTransformer, masks: list[torch.Tensor], length: int
) -> list[tuple[str | Callable[..., Any], Callable[..., Any]]]:
    """The same masks at the hook points; the step pads positions, the model does not."""

    def times(mask: torch.Tensor) -> Callable[..., torch.Tensor]:
        return lambda values, hook: values * mask

    embedding, *rest = masks
    found: list[tuple[str | Callable[..., Any], Callable[..., Any]]] = [
        ("blocks.0.hook_resid_pre", times(embedding[:, :length]))
    ]
    for layer in range(of.cfg.n_layers):
        pattern, attn_out, mlp_out = rest[3 * layer : 3 * layer + 3]
        by_head = pattern.view(len(embedding), of.cfg.n_heads, *pattern.shape[1:])[..., :length, :length]
        found.append((f"blocks.{layer}.attn.hook_pattern", times(by_head)))
        found.append((f"blocks.{layer}.hook_attn_out", times(attn_out[:, :length])))
        found.append((f"blocks.{layer}.hook_mlp_out", times(mlp_out[:, :length])))
    return found


@pytest.mark.parametrize("length", [7, 16, 23])
def test_it_is_dropout_at_the_hook_points(
    model: HookedTransformer, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """With the same masks, the same logits and gradients as HookedTransformer."""
    tokens = random_tokens(model, 5, length)
    masks = planted(monkeypatch)
    found = fused_logits(model, tokens, dropout=P)
    assert len(masks) == 1 + 3 * model.cfg.n_layers
    expected = model.run_with_hooks(tokens, fwd_hooks=hooks(model, masks, length))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (found - model(tokens)).abs().max() > 1
    learns = [weight for weight in model.parameters() if weight.requires_grad]
    pairs = zip(
        *(torch.autograd.grad(logits.log_softmax(-1)[..., 1].mean(), learns) for logits in (found, expected)),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_without_it_nothing_is_drawn(model: HookedTransformer) -> None:
    before = torch.get_rng_state()
    fused_logits(model, random_tokens(model, 2, 9))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        fused_logits(model, random_tokens(model, 2, 9), dropout=P)
        assert not torch.equal(torch.get_rng_state(), before)


def test_every_step_has_masks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = set()
    whole = module.add_gradients

    def seen(*arguments: Any, **settings: Any) -> dict[str, float]:
        seeds.add(settings["seed"])
        return whole(*arguments, **settings)

    monkeypatch.setattr(module, "add_gradients", seen)
    for seed in (1, 2):
        train(tiny_preset(dropout=P, games=4 * BATCH), tmp_path / str(seed), seed=seed)
    assert len(seeds) == 8


def test_it_matters_to_training_and_is_not_in_the_evaluation(tmp_path: Path) -> None:
    """Nor in the random state of whoever calls."""
    preset, before = tiny_preset(dropout=P, games=4 * BATCH), torch.get_rng_state()
    dropped = train(preset, tmp_path / "dropped")
    assert torch.equal(torch.get_rng_state(), before)
    plain = train(tiny_preset(games=4 * BATCH), tmp_path / "plain")
    assert not torch.equal(dropped.model.W_E, plain.model.W_E)
    assert dropped.provenance["training"]["dropout"] == P
    found = pd.read_csv(tmp_path / "dropped" / METRICS).iloc[-1]
    expected = QuickLegality(preset.corpus(1))(load_checkpoint(tmp_path / "dropped" / CHECKPOINT), torch.float32)
    assert {name: found[name] for name in expected} == expected
