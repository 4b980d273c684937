"""The engine of all patching: runs that start from the patched layer and position instead of from the input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformer_lens.cache.key_value_cache_entry import TransformerLensKeyValueCacheEntry

from mothello_interp.activations import hook_name

Metric = Callable[[torch.Tensor], torch.Tensor | float]
_ROWS = 128  # sequences in one forward pass; more are slower on a processor, whose caches they leave


@dataclass(frozen=True, eq=False)
class Reading:
    """A run as it is, from which patched ones start: what stands before the patched layer and position stays the same.

    Attributes:
        residual: `resid_pre` of every block, and behind them the last one's `resid_post`, each `[batch pos d_model]`.
        keys, values, heads: of every block's attention, and what its heads give out, each `[batch pos head d_head]`.
        logits: `[batch pos vocab]`.
    """

    residual: list[torch.Tensor]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    heads: list[torch.Tensor]
    logits: torch.Tensor

    @staticmethod
    def of(model: Any, tokens: torch.Tensor) -> "Reading":
        """Of tokens `[batch pos]`."""
        hooks = ("hook_resid_pre", "attn.hook_k", "attn.hook_v", "attn.hook_z")
        names = [[f"blocks.{layer}.{hook}" for layer in range(model.cfg.n_layers)] for hook in hooks]
        names[0].append(f"blocks.{model.cfg.n_layers - 1}.hook_resid_post")
        with torch.inference_mode():
            logits, cache = model.run_with_cache(tokens, names_filter=lambda name: any(name in some for some in names))
        residual, keys, values, heads = ([cache[name] for name in some] for some in names)
        return Reading(residual, keys, values, heads, logits)

    def some(self, rows: torch.Tensor, length: int) -> "Reading":
        """Some rows alone, and of these the first positions."""
        every = (self.residual, self.keys, self.values, self.heads)
        residual, keys, values, heads = ([part[rows, :length] for part in parts] for parts in every)
        return Reading(residual, keys, values, heads, self.logits[rows, :length])

    def past(self, layer: int, start: int, cells: int) -> list[TransformerLensKeyValueCacheEntry | None]:
        """What attention has seen before a position, from a layer on, for several cells."""
        entries: list[TransformerLensKeyValueCacheEntry | None] = [None] * layer
        for seen in zip(self.keys[layer:], self.values[layer:], strict=True):
            keys, values = (part[:, :start].expand(cells, -1, -1, -1, -1).flatten(0, 1) for part in seen)
            entries.append(TransformerLensKeyValueCacheEntry(keys, values, frozen=True))
        return entries


def run_patched(
    model: Any,
    reading: Reading,
    layer: int,
    hook: str,
    values: torch.Tensor,
    positions: torch.Tensor,
    metric: Metric,
    heads: torch.Tensor | None = None,
) -> torch.Tensor:
    """Run with one activation replaced in each cell, from its block on, and from the first replaced position on.

    Args:
        reading: the corrupted run.
        layer, hook: the block, and what is replaced there.
        values: what is put in, `[cell batch d_model]`, or `[cell batch place d_model]` for several places in a cell.
        positions: where, `[cell batch]` or `[cell batch place]`; cells that are near to each other are best side by side.
        heads: for hook "z", which head in each cell, `[cell]`; values are then `[... d_head]`.

    Returns:
        The metric of each cell, from logits `[batch pos vocab]`, stacked.
    """
    batch = len(reading.logits)
    if positions.ndim == 2:
        values, positions = values[:, :, None], positions[:, :, None]
    results = []
    size = max(1, _ROWS // batch)
    for first in range(0, len(values), size):
        part = slice(first, first + size)
        cells = len(values[part])
        rows, where = torch.arange(cells * batch)[:, None], positions[part].flatten(0, 1)
        new = values[part].flatten(0, 1)  # [row place d_model]
        begins = layer
        with torch.inference_mode():
            if hook != "resid_pre":
                head = None if heads is None else heads[part].repeat_interleave(batch * where.shape[1])
                new = _through_block(model, reading, layer, hook, new, rows % batch, where, head)
                begins = layer + 1
            start = int(where.min()) if _starts_anywhere(model.cfg) else 0
            residual = reading.residual[begins][:, start:].repeat(cells, 1, 1)
            residual[rows, where - start] = new
            past = reading.past(begins, start, cells) if start else None
            logits = model(residual, start_at_layer=begins, past_kv_cache=past)
            before = reading.logits[:, :start]
            by_cell = logits.unflatten(0, (cells, batch))
            results += [torch.as_tensor(metric(torch.cat([before, cell], dim=1))) for cell in by_cell]
    return torch.stack(results)


def _through_block(
    model: Any,
    reading: Reading,
    layer: int,
    hook: str,
    new: torch.Tensor,
    example: torch.Tensor,
    position: torch.Tensor,
    head: torch.Tensor | None,
) -> torch.Tensor:
    """A block's `resid_post` where something behind its keys and values was replaced: other positions do not see it yet.

    Args:
        new: what is put in, `[row place d_model]`.
        example, position: int `[row place]` after broadcasting, of the run.
        head: `[row * place]`, for hook "z".

    Returns:
        `[row place d_model]`.
    """
    given, mixed = reading.residual[layer][example, position], reading.heads[layer][example, position]
    put_in = new.flatten(0, 1)[:, None]

    def attend(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        found = mixed.flatten(0, 1)[:, None].clone()
        if head is not None:
            found[torch.arange(len(found)), 0, head] = put_in[:, 0]
        return found

    hooks: list[Any] = [(hook_name(layer, "z"), attend)]
    if head is None:
        hooks.append((hook_name(layer, hook), lambda activation, hook: put_in))
    alone = given.flatten(0, 1)[:, None]  # every place a text of its own: its attention is known
    after: torch.Tensor = model.run_with_hooks(alone, start_at_layer=layer, stop_at_layer=layer + 1, fwd_hooks=hooks)
    return after.view(*new.shape[:2], -1)


def _starts_anywhere(config: Any) -> bool:
    """Whether keys and values of earlier positions, as the hooks show them, are all that later ones see of these."""
    plain = config.attention_dir == "causal" and config.positional_embedding_type in ("standard", "rotary")
    return plain and getattr(config, "clip_qkv", None) is None


def cached(model: Any, tokens: torch.Tensor, hook: str) -> list[torch.Tensor]:
    """An activation of every block, each `[batch pos d_model]`, or `[batch pos head d_head]` for hook "z"."""
    names = [hook_name(layer, hook) for layer in range(model.cfg.n_layers)]
    with torch.inference_mode():
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, return_type=None)
    return [cache[name] for name in names]
