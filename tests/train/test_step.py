"""The fused step against HookedTransformer and torch: the same logits, the same gradients, the same loss."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformer_lens import HookedTransformer

from mothello_interp.corpus import Corpus
from mothello_interp.models import build_model
from tests.conftest import every_world, scramble, tiny_spec
from train.step import entropy_sum, fused_logits, loss_sum


@cache
def model(world: str = "compositional") -> HookedTransformer:
    """A model in which every parameter, layer norms and biases too, is random and matters."""
    built = build_model(tiny_spec(world, d_model=32, n_heads=4), seed=0)
    scramble(built)
    return built


def random_tokens(of: HookedTransformer, batch: int, length: int) -> torch.Tensor:
    """Any text, pad tokens included."""
    return torch.randint(0, of.cfg.d_vocab, (batch, length), generator=torch.Generator().manual_seed(length))


both_attentions = pytest.mark.parametrize("fused", [False, True], ids=["plain products", "fused attention"])


@both_attentions
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 23])
def test_logits_are_those_of_the_model(batch: int, length: int, fused: bool) -> None:
    tokens = random_tokens(model(), batch, length)
    with torch.inference_mode():
        expected, found = model()(tokens), fused_logits(model(), tokens, fused_attention=fused)
    assert found.dtype == torch.float32
    assert expected.abs().max() > 3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_fused_attention_is_fused(dtype: torch.dtype) -> None:
    """A kernel of its own takes it, forward and backward; one that may not use it says so."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        fused_logits(model(), random_tokens(model(), 5, 17), dtype=dtype, fused_attention=True).sum().backward()
    model().zero_grad()


def test_plain_products_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless asked for, and also for what is dropped."""
    calls = []
    real = F.scaled_dot_product_attention

    def noted(*tensors: Any, **settings: Any) -> torch.Tensor:
        calls.append(settings["dropout_p"])
        return real(*tensors, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    for fused in (None, False, True):
        fused_logits(model(), random_tokens(model(), 2, 7), dropout=0.25, fused_attention=fused)
    assert calls == [0.25] * model().cfg.n_layers


@every_world
def test_logits_of_a_batch_of_the_corpus(world: str) -> None:
    """Tokens as they come, int32 and padded."""
    tokens = torch.from_numpy(Corpus(tiny_spec(world).mothello, seed=0, objective="sampled").batch(0, 8).tokens)
    assert tokens.dtype == torch.int32
    with torch.inference_mode():
        expected, found = model(world)(tokens.long()), fused_logits(model(world), tokens)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_bfloat16_is_close() -> None:
    """Within two per cent of the size of the logits, and not by computing in float32 after all."""
    tokens = random_tokens(model(), 8, 23)
    with torch.inference_mode():
        expected, found = model()(tokens), fused_logits(model(), tokens, dtype=torch.bfloat16)
    error = (found - expected).pow(2).mean().sqrt() / expected.std()
    assert found.dtype == torch.float32
    assert 1e-4 < error < 0.02


@both_attentions
def test_what_comes_later_is_not_seen(fused: bool) -> None:
    tokens = random_tokens(model(), 4, 20)
    changed = tokens.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % model().cfg.d_vocab
    with torch.inference_mode():
        before, after = (fused_logits(model(), text, fused_attention=fused) for text in (tokens, changed))
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.equal(before[:, 12:], after[:, 12:])


def gradients(of: HookedTransformer, logits: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of the cross-entropy at every parameter that learns."""
    names = [name for name, weight in of.named_parameters() if weight.requires_grad]
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    found = torch.autograd.grad(loss, [weight for _, weight in of.named_parameters() if weight.requires_grad])
    return dict(zip(names, found, strict=True))


@both_attentions
@pytest.mark.parametrize("length", [7, 16, 23])
def test_gradients_are_those_of_the_model(length: int, fused: bool) -> None:
    tokens = random_tokens(model(), 5, length)
    targets = random_tokens(model(), 5, length).flip(0)
    expected = gradients(model(), model()(tokens), targets)
    found = gradients(model(), fused_logits(model(), tokens, fused_attention=fused), targets)
    for name, gradient in expected.items():
        assert name.endswith("b_K") or gradient.abs().max() > 1e-4, name  # one shift of all scores changes nothing
        assert torch.allclose(found[name], gradient, atol=1e-5, rtol=1e-3), name


@pytest.fixture
def sampled() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and targets of which a third carry no loss."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(6, 11, 9, generator=generator)
    targets = torch.randint(0, 9, (6, 11), generator=generator).int()
    targets[:, ::3] = 0
    return logits, targets


def test_sampled_loss_is_cross_entropy(sampled: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = sampled
    total, count = loss_sum(logits, targets)
    kept = targets != 0
    assert count == kept.sum() < targets.numel()
    torch.testing.assert_close(total, F.cross_entropy(logits[kept], targets[kept].long(), reduction="sum"))


def test_exact_loss_is_cross_entropy_with_a_distribution() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(6, 11, 9, generator=generator)
    targets = torch.rand(6, 11, 9, generator=generator).softmax(-1)
    targets[:, ::3] = 0
    total, count = loss_sum(logits, targets)
    kept = targets.sum(-1) > 0
    assert count.item() == pytest.approx(kept.sum().item())
    torch.testing.assert_close(total, F.cross_entropy(logits[kept], targets[kept], reduction="sum"))


def test_no_loss_where_nothing_is_asked() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(4))
    for targets in (torch.zeros(2, 3, dtype=torch.int32), torch.zeros(2, 3, 5)):
        total, count = loss_sum(logits, targets)
        assert (total.item(), count.item()) == (0, 0)


def test_entropy_is_the_loss_that_no_model_goes_below() -> None:
    mothello = tiny_spec("compositional").mothello
    targets = torch.from_numpy(Corpus(mothello, seed=0).batch(0, 16).targets)
    chances = targets.numpy().astype(np.float64)
    expected = -(chances * np.log(np.where(chances > 0, chances, 1))).sum()
    assert entropy_sum(targets).item() == pytest.approx(expected, rel=1e-5)
    perfect, _ = loss_sum(targets.clamp(min=1e-30).log(), targets)
    assert perfect.item() == pytest.approx(expected, rel=1e-5)
    worse, _ = loss_sum(torch.zeros_like(targets), targets)
    assert worse.item() > 1.5 * expected
