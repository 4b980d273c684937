"""The one place that makes a model. Everything else calls only what transformer-lens 3 and 4 share."""

import warnings
from threading import Lock
from typing import TYPE_CHECKING

import torch

from mothello_interp.arguments import checked
from mothello_interp.forward import gradients
from mothello_interp.models.spec import ModelSpec

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer, HookedTransformerConfig


def device_of(device: str | torch.device) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: for one that is not here, naming those that are.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):  # torch without CUDA asserts
        here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        here += ["mps"] if torch.backends.mps.is_available() else []
        raise ValueError(f"device={str(device)!r}: there is no such device here, but {', '.join(here)}") from None


_ONE_AT_A_TIME = Lock()  # threads share the filter of warnings and the random state


@checked
def build_model(spec: ModelSpec, *, seed: int, device: str | torch.device = "cpu") -> "HookedTransformer":
    """A HookedTransformer with random weights, drawn from a normal distribution of width `initializer_range`.

    Pre-norm GPT-2 style with learned positions, GELU, untied unembedding. The unembedding's bias is zero and frozen, as
    in the paper. The global random state is left as it was.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(), gradients():
        warnings.simplefilter("ignore")  # transformer-lens 3 announces that 4 drops this class; pyproject pins <4
        from transformer_lens import HookedTransformer

        config = config_of(spec)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = HookedTransformer(config, move_to_device=False)
    model.unembed.b_U.requires_grad_(False)
    return model.to(device_of(device), print_details=False)


def config_of(spec: ModelSpec) -> "HookedTransformerConfig":
    """The configuration of the model that a spec describes."""
    from transformer_lens import HookedTransformerConfig

    return HookedTransformerConfig(
        n_layers=spec.model.n_layers,
        d_model=spec.model.d_model,
        n_heads=spec.model.n_heads,
        d_head=spec.model.d_model // spec.model.n_heads,
        d_mlp=spec.model.d_mlp,
        n_ctx=spec.mothello.n_ctx,
        d_vocab=spec.mothello.d_vocab,
        act_fn="gelu",
        normalization_type="LN",
        initializer_range=spec.model.initializer_range,
        device="cpu",
    )
