"""Grids: a clean run's activation put into a corrupted run, one place at a time."""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange, repeat

from mothello_interp.activations import HOOKS, hook_name

Metric = Callable[[torch.Tensor], torch.Tensor | float]
_ROWS = 2048  # sequences in one forward pass


def patch_grid(
    model: Any,
    clean_tokens: torch.Tensor,
    corrupted_tokens: torch.Tensor,
    metric: Metric,
    hook: str = "resid_pre",
) -> torch.Tensor:
    """Patch clean activations into the corrupted run, one layer and position at a time.

    Equal to `transformer_lens.patching.get_act_patch_*` for the same hook, and faster: every cell of a layer runs in one
    batch, from that layer on.

    Args:
        model: any HookedTransformer.
        clean_tokens, corrupted_tokens: int `[batch pos]`, of one shape.
        metric: from logits `[batch pos vocab]` to a number, or to one number per example.
        hook: "resid_pre", "resid_mid", "resid_post", "attn_out" or "mlp_out".

    Returns:
        The metric `[layer pos]` (with a batch axis behind, if the metric keeps one).

    Raises:
        ValueError: for tokens of different shapes, or an unknown hook.
    """
    check_tokens(clean_tokens, corrupted_tokens)
    check_hook(hook)
    batch, length = clean_tokens.shape
    positions = repeat(torch.arange(length), "pos -> pos batch", batch=batch)
    grid = []
    clean, corrupted = (cached(model, clean_tokens, hook), cached(model, corrupted_tokens, "resid_pre"))
    for layer, residual in enumerate(corrupted):
        values = rearrange(clean[layer], "batch pos d_model -> pos batch d_model")
        grid.append(run_patched(model, residual, layer, hook, values, positions, metric))
    return torch.stack(grid)


def patch_heads(model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric) -> torch.Tensor:
    """Patch the output of one attention head at one position at a time.

    Equal to `transformer_lens.patching.get_act_patch_attn_head_out_by_pos`; arguments and errors as `patch_grid`.

    Returns:
        The metric `[layer pos head]` (with a batch axis behind, if the metric keeps one).
    """
    check_tokens(clean_tokens, corrupted_tokens)
    batch, length = clean_tokens.shape
    n_heads = model.cfg.n_heads
    positions = repeat(torch.arange(length), "pos -> (pos head) batch", batch=batch, head=n_heads)
    heads = torch.arange(n_heads).repeat(length)
    grid = []
    clean, corrupted = (cached(model, clean_tokens, "z"), cached(model, corrupted_tokens, "resid_pre"))
    for layer, residual in enumerate(corrupted):
        values = rearrange(clean[layer], "batch pos head d_head -> (pos head) batch d_head")
        found = run_patched(model, residual, layer, "z", values, positions, metric, heads=heads)
        grid.append(found.unflatten(0, (length, n_heads)))
    return torch.stack(grid)


def patch_heads_everywhere(
    model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric
) -> torch.Tensor:
    """Patch the output of one attention head at a time, at all positions at once.

    Equal to `transformer_lens.patching.get_act_patch_attn_head_out_all_pos`; arguments and errors as `patch_grid`.

    Returns:
        The metric `[layer head]` (with a batch axis behind, if the metric keeps one).
    """
    check_tokens(clean_tokens, corrupted_tokens)
    batch, length = clean_tokens.shape
    heads = torch.arange(model.cfg.n_heads)
    positions = repeat(torch.arange(length), "pos -> head batch pos", batch=batch, head=len(heads))
    grid = []
    clean, corrupted = (cached(model, clean_tokens, "z"), cached(model, corrupted_tokens, "resid_pre"))
    for layer, residual in enumerate(corrupted):
        values = rearrange(clean[layer], "batch pos head d_head -> head batch pos d_head")
        grid.append(run_patched(model, residual, layer, "z", values, positions, metric, heads=heads))
    return torch.stack(grid)


def run_patched(
    model: Any,
    residual: torch.Tensor,
    layer: int,
    hook: str,
    values: torch.Tensor,
    positions: torch.Tensor,
    metric: Metric,
    heads: torch.Tensor | None = None,
) -> torch.Tensor:
    """Run from a block on, with one activation replaced in each cell.

    Args:
        residual: the corrupted run's `resid_pre` at the block, `[batch pos d_model]`.
        layer, hook: the block, and what is replaced there.
        values: what is put in, `[cell batch d_model]`, or `[cell batch place d_model]` for several places in a cell.
        positions: where, `[cell batch]` or `[cell batch place]`.
        heads: for hook "z", which head in each cell, `[cell]`; values are then `[... d_head]`.

    Returns:
        The metric of each cell, stacked.
    """
    batch = len(residual)
    results = []
    size = max(1, _ROWS // batch)
    for first in range(0, len(values), size):
        part = slice(first, first + size)
        columns, put_in = positions[part].flatten(0, 1), values[part].flatten(0, 1)
        cells = len(columns) // batch
        at: tuple[torch.Tensor, ...] = (torch.arange(len(columns)), columns)
        if heads is not None:
            at = (*at, heads[part].repeat_interleave(batch))
        at = tuple(index.reshape(-1, *[1] * (columns.ndim - 1)) if index.ndim < columns.ndim else index for index in at)

        def put(activation: torch.Tensor, hook: Any, at: Any = at, new: Any = put_in) -> torch.Tensor:
            activation = activation.clone()  # it may be the cached run itself
            activation[at] = new
            return activation

        repeated = repeat(residual, "batch pos d_model -> (cell batch) pos d_model", cell=cells)
        with torch.inference_mode():
            logits = model.run_with_hooks(repeated, start_at_layer=layer, fwd_hooks=[(hook_name(layer, hook), put)])
            by_cell = rearrange(logits, "(cell batch) pos vocab -> cell batch pos vocab", cell=cells)
            results += [torch.as_tensor(metric(cell)) for cell in by_cell]
    return torch.stack(results)


def cached(model: Any, tokens: torch.Tensor, hook: str) -> list[torch.Tensor]:
    """An activation of every block, each `[batch pos d_model]`, or `[batch pos head d_head]` for hook "z"."""
    names = [hook_name(layer, hook) for layer in range(model.cfg.n_layers)]
    with torch.inference_mode():
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, return_type=None)
    return [cache[name] for name in names]


def check_tokens(clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor) -> None:
    """That two runs can be told apart position by position."""
    if clean_tokens.shape != corrupted_tokens.shape:
        raise ValueError(
            f"clean tokens {tuple(clean_tokens.shape)} and corrupted tokens {tuple(corrupted_tokens.shape)} must have one shape"
        )


def check_hook(hook: str) -> None:
    """That a hook is one of HOOKS."""
    if hook not in HOOKS:
        raise ValueError(f"hook={hook!r}: choose one of {', '.join(HOOKS)}")
