"""A training step on the parameters of a HookedTransformer, without its hooks: the same logits, sooner.

Weights stay in float32; with `dtype=torch.bfloat16` the matrix products run in bfloat16 while the residual stream, the
layer norms and the loss stay in float32. It may only stand in for a model that no hook is attached to.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from einops import rearrange

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

_MULTIPLE = 16  # positions are padded to this: odd lengths leave vector instructions half empty


def fused_logits(
    model: "HookedTransformer",
    tokens: torch.Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    dropout: float = 0.0,
    fused_attention: bool | None = None,
) -> torch.Tensor:
    """What `model(tokens)` gives, float32 `[batch pos vocab]`, for int tokens `[batch pos]`.

    With `dropout` (a share), activations are dropped where GPT-2 drops them: the embeddings, the attention pattern, and
    what attention and MLP add to the residual stream; by torch's generator.

    With `fused_attention`, by default on a GPU alone, attention is torch's `scaled_dot_product_attention`, else plain
    products.

    Embedding through `F.embedding` also makes the backward pass deterministic on several threads, which the indexing
    in HookedTransformer is not.
    """
    config = model.cfg
    fused = tokens.is_cuda if fused_attention is None else fused_attention
    length = tokens.shape[1]
    padding = -length % _MULTIPLE
    tokens = F.pad(tokens, (0, padding))
    positions = F.pad(model.pos_embed.W_pos, (0, 0, 0, _MULTIPLE))[: length + padding]
    residual = F.dropout(F.embedding(tokens, model.embed.W_E) + positions, dropout)
    future = torch.full((length + padding,) * 2, -1e9, dtype=dtype, device=tokens.device).triu(1)
    blocks: Any = model.blocks
    end: Any = model.ln_final
    for block in blocks:
        normed = F.layer_norm(residual, (config.d_model,), block.ln1.w, block.ln1.b, config.eps).to(dtype)
        residual = residual + F.dropout(_attention(block.attn, normed, future, dtype, dropout, fused), dropout)
        normed = F.layer_norm(residual, (config.d_model,), block.ln2.w, block.ln2.b, config.eps).to(dtype)
        residual = residual + F.dropout(_mlp(block.mlp, normed, dtype), dropout)
    final = F.layer_norm(residual[:, :length], (config.d_model,), end.w, end.b, config.eps)
    return (final.to(dtype) @ model.unembed.W_U.to(dtype)).float() + model.unembed.b_U


def _attention(
    attn: Any, normed: torch.Tensor, future: torch.Tensor, dtype: torch.dtype, dropout: float, fused: bool
) -> torch.Tensor:
    batch, length, d_model = normed.shape
    heads, _, d_head = attn.W_Q.shape
    scale = attn.attn_scale
    weight = rearrange([attn.W_Q / scale, attn.W_K, attn.W_V], "qkv head d_model d_head -> d_model (qkv head d_head)")
    bias = rearrange([attn.b_Q / scale, attn.b_K, attn.b_V], "qkv head d_head -> (qkv head d_head)")
    projected = torch.addmm(bias.to(dtype), normed.reshape(-1, d_model), weight.to(dtype))
    sizes = {"batch": batch, "head": heads}
    if fused:  # four axes: with three, torch has no kernel for it but plain products
        query, key, value = rearrange(
            projected, "(batch pos) (qkv head d_head) -> qkv batch head pos d_head", qkv=3, **sizes
        )
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True, scale=1.0)
        joined = rearrange(mixed, "batch head pos d_head -> (batch pos) (head d_head)")
    else:  # on a processor, with games this short: a step in bfloat16 is nearly twice as fast so, in float32 as fast
        query, key, value = rearrange(
            projected, "(batch pos) (qkv head d_head) -> qkv (batch head) pos d_head", qkv=3, **sizes
        )
        pattern = torch.baddbmm(future, query, key.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(F.dropout(pattern, dropout), value)
        joined = rearrange(mixed, "(batch head) pos d_head -> (batch pos) (head d_head)", batch=batch)
    output = torch.addmm(attn.b_O.to(dtype), joined, attn.W_O.reshape(heads * d_head, d_model).to(dtype))
    return output.view(batch, length, d_model)


def _mlp(mlp: Any, normed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    hidden = torch.addmm(mlp.b_in.to(dtype), normed.reshape(-1, normed.shape[-1]), mlp.W_in.to(dtype))
    return torch.addmm(mlp.b_out.to(dtype), F.gelu(hidden), mlp.W_out.to(dtype)).view(normed.shape)


def loss_sum(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy in nats summed over positions, and the number of positions that carry loss.

    Args:
        logits: float `[batch pos vocab]`.
        targets: int `[batch pos]` with 0 for no loss, or a distribution `[batch pos vocab]`, all 0 for no loss.
    """
    if targets.ndim == 2:
        flat = targets.reshape(-1).long()
        total = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), flat, ignore_index=0, reduction="sum")
        return total, (targets != 0).sum()
    return -(targets * logits.log_softmax(-1)).sum(), targets.sum()


def entropy_sum(targets: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of exact targets `[batch pos vocab]`, summed: the loss that no model can go below."""
    return torch.special.entr(targets).sum()
