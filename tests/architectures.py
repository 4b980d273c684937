"""Checkpoints of architectures that this package does not build, of large random weights on a 4x4 board."""

import warnings
from functools import cache
from typing import Any

from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.models import Checkpoint, ModelSpec
from tests.conftest import scramble, tiny_checkpoint, tiny_spec

_ROTARY: dict[str, Any] = {"positional_embedding_type": "rotary", "rotary_dim": 8}
LINEAR: dict[str, dict[str, Any]] = {  # behind the last norm, logits are a sum of what the components write
    "LNPre": {"normalization_type": "LNPre"},
    "RMS": {"normalization_type": "RMS"},
    "RMSPre": {"normalization_type": "RMSPre"},
    "no norm": {"normalization_type": None},
    "final_rms": {"normalization_type": "LN", "final_rms": True},
    "attention-only": {"attn_only": True, "act_fn": None},
    "rotary": _ROTARY,
    "shortformer": {"positional_embedding_type": "shortformer"},
    "grouped-query": _ROTARY | {"n_key_value_heads": 1},
}
NOT_LINEAR: dict[str, dict[str, Any]] = {
    "soft caps": {"output_logits_soft_cap": 2.0},
    "norms before and after": {"normalization_type": "RMS", "use_normalization_before_and_after": True},
}


@cache
def architecture(kind: str) -> Checkpoint:
    """The checkpoint; "LN" is ours, whose unembedding bias is frozen. Shared, so leave it as it is."""
    if kind == "LN":
        return tiny_checkpoint()
    return built(tiny_spec(), **(LINEAR | NOT_LINEAR)[kind])


def built(spec: ModelSpec, **kinds: Any) -> Checkpoint:
    """A model of the spec's sizes and other kinds of parts."""
    sizes = {name: getattr(spec.model, name) for name in ("n_layers", "d_model", "n_heads", "d_mlp")}
    sizes |= {"n_ctx": spec.mothello.n_ctx, "d_vocab": spec.mothello.d_vocab}
    sizes["d_head"] = sizes["d_model"] // sizes["n_heads"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformer-lens 3 announces that 4 drops this class
        config = HookedTransformerConfig(**sizes, **({"act_fn": "gelu", "device": "cpu"} | kinds))
        model = HookedTransformer(config).eval()
    scramble(model)
    return Checkpoint(model, spec, {"seed": 0}, "other")
