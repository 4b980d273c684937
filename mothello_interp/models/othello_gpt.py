"""Othello-GPT (Li et al. 2023): a state dict of theirs, or of Nanda's TransformerLens port, becomes a checkpoint of ours.

Both number tokens as one atomic language of ours does: 0 pads, and 1 to 60 are the squares in row-major order without the
four start squares, `a1` first, then `b1`. Li et al. write the row as the letter: their `C4` is our `d3`, the same token.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from mothello_interp.arguments import checked
from mothello_interp.hints import sha256_of
from mothello_interp.models.checkpoint import Checkpoint, CheckpointError
from mothello_interp.models.mingpt import Weights, from_mingpt, model_with, read_tensors
from mothello_interp.models.spec import Architecture, ModelSpec, World

_BUFFER = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE)")


@checked
def load_othello_gpt(state_dict: Mapping[str, torch.Tensor] | str | Path, *, n_heads: int = 8) -> Checkpoint:
    """An Othello-GPT as a checkpoint of one atomic language on the 8x8 board, with the same logits.

    Args:
        state_dict: tensors by name, or a file of `torch.save(model.state_dict())`, of which only tensors are read. Either
            the minGPT of Li et al. (arXiv 2210.13382), or a HookedTransformer, with its layer norms or folded (`LNPre`).
        n_heads: heads of a layer, which a minGPT does not tell; theirs has 8.

    Returns:
        A checkpoint in evaluation mode.

    Raises:
        CheckpointError: for another layout, other sizes than 61 tokens and 59 positions, or heads that do not divide
            the width.

    Examples:
        >>> from mothello_interp.models import build_model
        >>> sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2}
        >>> spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic"]}, "model": sizes}, "small")
        >>> m = load_othello_gpt(build_model(spec, seed=0).state_dict())
        >>> m.mothello.vocabulary[1:4]
        ('0:a1', '0:b1', '0:c1')
    """
    in_memory = isinstance(state_dict, Mapping)
    source = "the state dict" if isinstance(state_dict, Mapping) else str(state_dict)
    stored = dict(state_dict) if isinstance(state_dict, Mapping) else read_tensors(state_dict)
    world = World(board=8, languages=("atomic",))
    d_vocab, n_ctx = world.mothello.d_vocab, world.mothello.n_ctx
    if "embed.W_E" in stored:
        architecture, weights = _from_transformer_lens(stored, source)
    else:
        architecture, weights = from_mingpt(stored, source, (d_vocab, n_ctx), torch.arange(d_vocab), n_heads)
    spec = ModelSpec(world=world, model=architecture)
    made = {"imported_from": "an Othello-GPT (arXiv 2210.13382)"}
    if not in_memory:
        made["weights_sha256"] = sha256_of(source)
    return Checkpoint(model_with(spec, weights, source), spec, made, "othello-gpt" if in_memory else Path(source).stem)


def _from_transformer_lens(stored: Weights, source: str) -> tuple[Architecture, Weights]:
    """The sizes of a HookedTransformer, and its weights; layer norms that were folded scale by 1."""
    weights = {name: value.float() for name, value in stored.items() if not _BUFFER.fullmatch(name)}
    query = weights.get("blocks.0.attn.W_Q")
    if query is None or query.ndim != 3:
        raise CheckpointError(f"{source}: no blocks.0.attn.W_Q [head d_model d_head], as a HookedTransformer has it")
    n_layers = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    sizes = {"n_layers": n_layers, "d_model": query.shape[1], "n_heads": query.shape[0]}
    norms = ["ln_final", *(f"blocks.{layer}.{norm}" for layer in range(n_layers) for norm in ("ln1", "ln2"))]
    if not any(f"{norm}.w" in weights for norm in norms):
        weights |= {f"{norm}.w": torch.ones(sizes["d_model"]) for norm in norms}
        weights |= {f"{norm}.b": torch.zeros(sizes["d_model"]) for norm in norms}
    return Architecture.read(sizes, source), weights
