"""build_model: what it builds, from which randomness, and what it leaves alone."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mothello_interp.models import build_model
from tests.conftest import every_world, tiny_spec


@every_world
def test_the_sizes_are_those_of_the_spec(world: str) -> None:
    spec = tiny_spec(world, d_mlp=24)
    config = build_model(spec, seed=0).cfg
    assert (config.n_layers, config.d_model, config.n_heads, config.d_head, config.d_mlp) == (2, 16, 2, 8, 24)
    assert (config.n_ctx, config.d_vocab) == (spec.mothello.n_ctx, spec.mothello.d_vocab)
    assert (config.act_fn, config.normalization_type) == ("gelu", "LN")
    assert config.positional_embedding_type == "standard"


def test_it_gives_logits_for_every_token() -> None:
    spec = tiny_spec("compositional")
    tokens = torch.zeros(3, spec.mothello.n_ctx, dtype=torch.long)
    assert build_model(spec, seed=0)(tokens).shape == (3, spec.mothello.n_ctx, spec.mothello.d_vocab)


def test_the_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_model(tiny_spec(), seed=3).state_dict()
    torch.manual_seed(2)
    second = build_model(tiny_spec(), seed=3).state_dict()
    other = build_model(tiny_spec(), seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = [name for name in first if ".W_" in name]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_threads_do_not_disturb_one_another() -> None:
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: build_model(tiny_spec(), seed=seed), range(12)))
    for seed, model in enumerate(together):
        assert torch.equal(model.W_E, build_model(tiny_spec(), seed=seed).W_E)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    torch_state, numpy_state, python_state = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
    build_model(tiny_spec(), seed=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert random.getstate() == python_state


def test_the_unembedding_has_no_bias() -> None:
    """It is zero and frozen; everything else learns."""
    model = build_model(tiny_spec(), seed=0)
    assert not model.unembed.b_U.any()
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["unembed.b_U"]


@pytest.mark.parametrize("scale", [0.002, 0.3])
def test_the_scale_of_the_weights(scale: float) -> None:
    model = build_model(tiny_spec(d_model=64, initializer_range=scale), seed=0)
    for name, weight in model.named_parameters():
        if ".W_" in name:
            assert weight.std().item() == pytest.approx(scale, rel=0.1), name


def test_input_and_output_embeddings_are_two_tensors() -> None:
    model = build_model(tiny_spec(), seed=0)
    assert not torch.equal(model.W_E, model.W_U.T)
