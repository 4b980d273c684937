"""The tuned lens on models whose remaining layers are known to shift, or to turn, and nothing else."""

import warnings
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.activations import collect
from mothello_interp.lens import Translators, fit_translators, logit_lens
from mothello_interp.models import Checkpoint, ModelSpec
from mothello_interp.othello import random_games
from tests.conftest import tiny_checkpoint

FIT, SCORE = random_games(300, board=4, seed=1), random_games(40, board=4, seed=2)
_WIDTH = 12


def without_norm(*, turns: bool) -> Checkpoint:
    """Two blocks that each add a constant, or a linear image of what they read: relu(x) - relu(-x) is x."""
    sizes: dict[str, Any] = {"n_layers": 2, "d_model": _WIDTH, "n_heads": 1, "d_mlp": 2 * _WIDTH}
    spec = ModelSpec.read({"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": sizes}, "linear")
    shape: dict[str, Any] = {"d_head": _WIDTH, "n_ctx": spec.mothello.n_ctx, "d_vocab": spec.mothello.d_vocab}
    kinds: dict[str, Any] = {"normalization_type": None, "act_fn": "relu", "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = HookedTransformer(HookedTransformerConfig(**sizes, **shape, **kinds))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.embed.W_E.normal_(generator=generator)
        model.pos_embed.W_pos.normal_(generator=generator)
        model.unembed.W_U.normal_(generator=generator)
        for block in model.blocks:
            mlp: Any = block.mlp
            if turns:
                mlp.W_in.copy_(torch.cat([torch.eye(_WIDTH), -torch.eye(_WIDTH)], 1))
                mixed = torch.randn(_WIDTH, _WIDTH, generator=generator) / _WIDTH**0.5
                mlp.W_out.copy_(torch.cat([mixed, -mixed]))
            else:
                mlp.b_out.normal_(generator=generator)
    return Checkpoint(model.eval(), spec, {"seed": 0}, "linear")


def scores(checkpoint: Checkpoint, translators: Translators | None) -> list[float]:
    """KL at the layers before the last, on other games."""
    table = logit_lens(checkpoint, SCORE, translators=translators, resamples=2)
    means = table.groupby("layer")["kl"].mean()
    assert means[1] == pytest.approx(0, abs=1e-5)
    return [float(means[layer]) for layer in (-1, 0)]


def test_a_shift_is_found_by_both() -> None:
    checkpoint = without_norm(turns=False)
    assert min(scores(checkpoint, None)) > 0.3
    assert max(scores(checkpoint, fit_translators(checkpoint, FIT, kind="bias", epochs=10))) < 0.01
    assert max(scores(checkpoint, fit_translators(checkpoint, FIT, kind="affine", epochs=10))) < 0.02


def test_a_turn_is_found_by_the_affine_one_alone() -> None:
    checkpoint = without_norm(turns=True)
    assert min(scores(checkpoint, None)) > 0.3
    assert min(scores(checkpoint, fit_translators(checkpoint, FIT, kind="bias", epochs=10))) > 0.3
    assert max(scores(checkpoint, fit_translators(checkpoint, FIT, kind="affine", epochs=20))) < 0.06


def test_what_is_kept() -> None:
    found = fit_translators(tiny_checkpoint(), FIT, kind="bias", languages=[1], epochs=1)
    assert (found.kind, found.layers, found.languages) == ("bias", (-1, 0), (1,))
    assert found.weight.shape == (2, 16, 16)
    assert found.bias.shape == (2, 16)
    assert not found.weight.any()
    assert found.bias.any()
    rows = collect(tiny_checkpoint(), SCORE).at(1, 0)
    torch.testing.assert_close(found.apply(rows, 0), rows + found.bias[1])
    assert torch.equal(found.apply(rows, 1), rows)


def test_fitting_follows_its_seed_and_leaves_the_model_alone() -> None:
    checkpoint = tiny_checkpoint()
    before = [weight.clone() for weight in checkpoint.model.parameters()]
    first, again, other = (fit_translators(checkpoint, FIT, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert all(torch.equal(old, new) for old, new in zip(before, checkpoint.model.parameters(), strict=True))
    assert all(weight.grad is None for weight in checkpoint.model.parameters())


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match='kind=\'linear\': choose "affine" or "bias"'):
        fit_translators(tiny_checkpoint(), FIT, kind="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\d+ rows: fewer than one batch of 256; pass more games"):
        fit_translators(tiny_checkpoint(), FIT[:4])


def test_what_cannot_be_translated() -> None:
    found = fit_translators(tiny_checkpoint(), FIT, epochs=1)
    with pytest.raises(ValueError, match=r"layer 3: these translators are of layers \[-1, 0\]"):
        found.apply(torch.zeros(2, 16), 3)
    with pytest.raises(ValueError, match=r"rows of shape \(2, 8\): these translators take \[... 16\]"):
        found.apply(torch.zeros(2, 8), 0)
