"""Attribution patching: what patching would do, by its gradient, for all places from one backward pass (Nanda 2023).

A first look, not a result: it is right to first order in the difference of the two activations. Verify by patching.
"""

from typing import Any

import torch

from mothello_interp.activations import hook_name
from mothello_interp.patching.grid import check_hook, check_tokens
from mothello_interp.patching.reading import Metric, cached


def attribution_grid(
    model: Any,
    clean_tokens: torch.Tensor,
    corrupted_tokens: torch.Tensor,
    metric: Metric,
    hook: str = "resid_pre",
) -> torch.Tensor:
    """Estimate `patch_grid`: the corrupted run's metric, and its slope towards the clean activation at each place.

    Arguments and errors as `patch_grid`; the metric must be differentiable.

    Returns:
        The estimated metric `[layer pos]` (with a batch axis behind, if the metric keeps one).
    """
    check_hook(hook)
    return _estimate(model, clean_tokens, corrupted_tokens, metric, hook)


def attribution_heads(
    model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric
) -> torch.Tensor:
    """Estimate `patch_heads`, as `attribution_grid` does `patch_grid`.

    Returns:
        The estimated metric `[layer pos head]` (with a batch axis behind, if the metric keeps one).
    """
    return _estimate(model, clean_tokens, corrupted_tokens, metric, "z")


def slopes(model: Any, tokens: torch.Tensor, metric: Metric, hook: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A metric of a run, and its gradient with respect to an activation of every block, `[batch pos d_model]` each.

    Of a metric per example the gradient is that of their sum, which is each example's own. Nothing is left behind in the
    model.
    """
    names = [hook_name(layer, hook) for layer in range(model.cfg.n_layers)]
    seen: dict[str, torch.Tensor] = {}

    def keep(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        if not activation.requires_grad:
            activation.requires_grad_()
        seen[hook.name] = activation
        return activation

    with torch.inference_mode(False), torch.enable_grad():
        logits = model.run_with_hooks(tokens.clone(), fwd_hooks=[(name, keep) for name in names])
        value = torch.as_tensor(metric(logits))
        gradients = torch.autograd.grad(value.sum(), [seen[name] for name in names])
    return value.detach(), list(gradients)


def _estimate(
    model: Any, clean_tokens: torch.Tensor, corrupted_tokens: torch.Tensor, metric: Metric, hook: str
) -> torch.Tensor:
    check_tokens(model, clean_tokens, corrupted_tokens)
    value, gradients = slopes(model, corrupted_tokens, metric, hook)
    clean, corrupted = (cached(model, tokens, hook) for tokens in (clean_tokens, corrupted_tokens))
    rows = zip(gradients, clean, corrupted, strict=True)
    gains = torch.stack([(slope * (new - old)).sum(-1) for slope, new, old in rows])  # [layer batch pos ...]
    gains = gains.movedim(1, -1)
    return value + (gains if value.ndim else gains.sum(-1))
