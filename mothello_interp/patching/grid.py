"""Grids: a clean run's activation put into a corrupted run, one place at a time."""

from typing import Any

import torch
from einops import rearrange, repeat

from mothello_interp.activations import HOOKS
from mothello_interp.patching.reading import Metric, Reading, cached, run_patched


def patch_grid(
    model: Any,
    clean_tokens: torch.Tensor,
    corrupted_tokens: torch.Tensor,
    metric: Metric,
    hook: str = "resid_pre",
) -> torch.Tensor:
    """Patch clean activations into the corrupted run, one layer and position at a time.

    Equal to `transformer_lens.patching.get_act_patch_*` for the same hook, and faster: cells run together, from the patched
    layer and position on.

    Args:
        model: any HookedTransformer.
        clean_tokens, corrupted_tokens: int `[batch pos]`, of one shape.
        metric: from logits `[batch pos vocab]` to a number, or to one number per example.
        hook: "resid_pre", "resid_mid", "resid_post", "attn_out" or "mlp_out".

    Returns:
        The metric `[layer pos]` (with a batch axis behind, if the metric keeps one).

    Raises:
        ValueError: for tokens that are not int `[batch pos]` or of different shapes, or an unknown hook.
        TypeError: for a checkpoint, or what else is no model.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> clean, corrupted = m.tokens(random_games(2, board=6, seed=0), language=0).split(1)
        >>> grid = patch_grid(m.model, clean[:, :8], corrupted[:, :8], lambda logits: logits[0, -1, 5])
        >>> grid.shape  # [layer pos]
        torch.Size([4, 8])
    """
    check_tokens(model, clean_tokens, corrupted_tokens)
    check_hook(hook)
    batch, length = clean_tokens.shape
    positions = repeat(torch.arange(length), "pos -> pos batch", batch=batch)
    grid, reading = [], Reading.of(model, corrupted_tokens)
    for layer, clean in enumerate(cached(model, clean_tokens, hook)):
        values = rearrange(clean, "batch pos d_model -> pos batch d_model")
        grid.append(run_patched(model, reading, layer, hook, values, positions, metric))
    return torch.stack(grid)


def patch_heads(model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric) -> torch.Tensor:
    """Patch the output of one attention head at one position at a time.

    Equal to `transformer_lens.patching.get_act_patch_attn_head_out_by_pos`; arguments and errors as `patch_grid`.

    Returns:
        The metric `[layer pos head]` (with a batch axis behind, if the metric keeps one).
    """
    check_tokens(model, clean_tokens, corrupted_tokens)
    batch, length = clean_tokens.shape
    n_heads = model.cfg.n_heads
    positions = repeat(torch.arange(length), "pos -> (pos head) batch", batch=batch, head=n_heads)
    heads = torch.arange(n_heads).repeat(length)
    grid, reading = [], Reading.of(model, corrupted_tokens)
    for layer, clean in enumerate(cached(model, clean_tokens, "z")):
        values = rearrange(clean, "batch pos head d_head -> (pos head) batch d_head")
        found = run_patched(model, reading, layer, "z", values, positions, metric, heads=heads)
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
    check_tokens(model, clean_tokens, corrupted_tokens)
    batch, length = clean_tokens.shape
    heads = torch.arange(model.cfg.n_heads)
    positions = repeat(torch.arange(length), "pos -> head batch pos", batch=batch, head=len(heads))
    grid, reading = [], Reading.of(model, corrupted_tokens)
    for layer, clean in enumerate(cached(model, clean_tokens, "z")):
        values = rearrange(clean, "batch pos head d_head -> head batch pos d_head")
        grid.append(run_patched(model, reading, layer, "z", values, positions, metric, heads=heads))
    return torch.stack(grid)


def check_tokens(model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor) -> None:
    """That two runs of a model can be told apart position by position."""
    if not hasattr(model, "run_with_cache"):
        raise TypeError(f"{type(model).__name__} is no HookedTransformer: of a checkpoint m pass m.model")
    if clean_tokens.shape != corrupted_tokens.shape:
        raise ValueError(
            f"clean tokens {tuple(clean_tokens.shape)} and corrupted tokens {tuple(corrupted_tokens.shape)} must have one shape"
        )
    if clean_tokens.ndim != 2 or not clean_tokens.numel() or clean_tokens.is_floating_point():
        raise ValueError(f"tokens: {clean_tokens.dtype} of shape {tuple(clean_tokens.shape)}; expected int [batch pos]")


def check_hook(hook: str) -> None:
    """That a hook is one of HOOKS."""
    if hook not in HOOKS:
        raise ValueError(f"hook={hook!r}: choose one of {', '.join(HOOKS)}")
