"""Grids of activation patching: a clean run's activation in a corrupted run, one layer and position at a time."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from mothello_interp.forward import HOOKS, TOKENS, Hook, Trunk, check_hook, finite_runs, gradients, point

Metric = Callable[[torch.Tensor], torch.Tensor | float]


def patch_grid(
    model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric, hook: str = "resid_pre"
) -> torch.Tensor:
    """The metric after each clean activation was put into the corrupted run, one layer and position at a time: `[layer pos]`.

    Equal to `transformer_lens.patching.get_act_patch_*` for the same hook, also with hooks of your own on the model, and
    faster: several cells of a layer run together, from that layer and, without such hooks, from their first position on.

    Args:
        model: any HookedTransformer.
        clean_tokens, corrupted_tokens: int `[batch pos]`, of one shape.
        metric: from logits `[batch pos vocab]` to a number, or to one number per example (then `[layer pos batch]`).
        hook: "resid_pre", "resid_mid", "resid_post", "attn_out" or "mlp_out".

    Raises:
        ValueError: for tokens that are not int `[batch pos]` or of different shapes, or a hook that the model lacks;
            for a model that gives values that are not finite.
        TypeError: for a checkpoint, or what else is no model.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> clean, corrupted = m.tokens(random_games(2, board=6, seed=0), language=0).split(1)
        >>> grid = patch_grid(m.model, clean[:, :8], corrupted[:, :8], lambda logits: logits[0, -1, 5])
        >>> grid.shape  # [layer pos]
        torch.Size([4, 8])
    """
    names = _points(model, clean_tokens, corrupted_tokens, hook)
    (batch, length), grid = clean_tokens.shape, []
    size = max(1, TOKENS // clean_tokens.numel())
    with torch.inference_mode(), finite_runs(model, "patch_grid"):
        trunk, sequences = Trunk(model, corrupted_tokens, range(model.cfg.n_layers)), torch.arange(batch)
        for layer, (name, clean) in enumerate(zip(names, _cached(model, clean_tokens, names), strict=True)):
            for position in torch.arange(length).split(size):
                start = int(position[0]) if trunk.past is not None else 0
                put = partial(_put, clean[:, start:], position - start)
                logits, _ = trunk.run(sequences.repeat(len(position)), [Hook(name, layer, put)], start)
                grid += [torch.as_tensor(metric(cell)) for cell in logits.unflatten(0, (len(position), batch))]
    return torch.stack(grid).unflatten(0, (len(names), length))


def attribution_grid(
    model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric, hook: str = "resid_pre"
) -> torch.Tensor:
    """An estimate of `patch_grid` from one backward pass: metric + gradient @ (clean - corrupted), `[layer pos]`.

    Attribution patching (Nanda 2023) is correct to first order in the difference of the activations: a first look, not a
    result. Arguments and errors as `patch_grid`; the metric must be differentiable.
    """
    names = _points(model, clean_tokens, corrupted_tokens, hook)
    value, gradients = activation_gradients(model, corrupted_tokens, metric, names)
    with torch.inference_mode():
        runs = [_cached(model, tokens, names) for tokens in (clean_tokens, corrupted_tokens)]
        rows = zip(gradients, *runs, strict=True)
        gains = torch.stack([(slope * (new - old)).sum(-1) for slope, new, old in rows]).movedim(1, -1)
    return value + (gains if value.ndim else gains.sum(-1))


def activation_gradients(
    model: Any, tokens: torch.Tensor, metric: Metric, names: Sequence[str]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A metric of a run, and its gradient with respect to the activations at hook points, `[batch pos ...]` each.

    Of a metric per example the gradient is that of their sum, which is each example's own. Nothing is left in the
    model.
    """
    seen: dict[str, torch.Tensor] = {}

    def keep(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        if not activation.requires_grad:
            activation.requires_grad_()
        seen[hook.name] = activation
        return activation

    kept = model.hooks(fwd_hooks=[(name, keep) for name in names])
    with gradients(), finite_runs(model, "attribution_grid"), kept:
        value = torch.as_tensor(metric(model(tokens.clone())))
        slopes = torch.autograd.grad(value.sum(), [seen[name] for name in names])
    return value.detach(), list(slopes)


def _points(model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, hook: str) -> list[str]:
    """The hook points of a grid, one a block, for two runs that can be compared position by position."""
    if not hasattr(model, "run_with_cache"):
        raise TypeError(f"{type(model).__name__} is no HookedTransformer: of a checkpoint m pass m.model")
    if clean_tokens.shape != corrupted_tokens.shape:
        raise ValueError(
            f"clean tokens {tuple(clean_tokens.shape)} and corrupted tokens {tuple(corrupted_tokens.shape)} must have one shape"
        )
    if clean_tokens.ndim != 2 or not clean_tokens.numel() or clean_tokens.is_floating_point():
        raise ValueError(f"tokens: {clean_tokens.dtype} of shape {tuple(clean_tokens.shape)}; expected int [batch pos]")
    check_hook(hook, HOOKS)
    return [point(model, layer, hook) for layer in range(model.cfg.n_layers)]


def _cached(model: Any, tokens: torch.Tensor, names: Sequence[str]) -> list[torch.Tensor]:
    """Activations at hook points, `[batch pos d_model]` each."""
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, return_type=None)
    return [cache[name] for name in names]


def _put(clean: torch.Tensor, position: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
    """An activation `[cell*batch pos d_model]` with the clean run's `[batch pos d_model]` at each cell's position."""
    result = activation.clone().unflatten(0, (len(position), len(clean)))
    result[torch.arange(len(position)), :, position] = clean[:, position].transpose(0, 1)
    return result.flatten(0, 1)
