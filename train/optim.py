"""Optimisers and the learning rate's course."""

import math
from typing import TYPE_CHECKING, Any

import torch

from train.settings import Training

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer


class Optimizer:
    """AdamW, or Muon for the attention and MLP matrices with AdamW for embeddings, biases and layer norms.

    Muon orthogonalises the update of one matrix; the heads of HookedTransformer lie in one tensor, so each head's matrix
    is handed to it as a view that shares the model's storage.
    """

    def __init__(self, model: "HookedTransformer", training: Training):
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        matrices = [weight for name, weight in named if name.startswith("blocks.") and ".W_" in name]
        embeddings = [weight for name, weight in named if name.endswith((".W_E", ".W_pos"))]
        unembedding = [weight for name, weight in named if name.endswith(".W_U")]
        plain = [weight for name, weight in named if ".W_" not in name]
        self.parameters = [weight for _, weight in named]
        self._clip = training.clip
        self._views: list[tuple[torch.nn.Parameter, int | None, torch.nn.Parameter]] = []
        decay = training.weight_decay
        groups = [
            {"params": plain, "weight_decay": 0.0},
            {"params": embeddings, "weight_decay": decay if training.decay == "all" else 0.0},
            {"params": unembedding, "weight_decay": decay},
        ]
        if training.optimizer == "adamw":
            groups.append({"params": matrices, "weight_decay": decay})
        self._inner: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=training.lr, betas=training.betas, fused=True)
        ]
        if training.optimizer == "muon":
            self._views = [view for weight in matrices for view in _matrix_views(weight)]
            self._inner.append(
                torch.optim.Muon(
                    [view for _, _, view in self._views],
                    lr=training.matrix_lr,
                    weight_decay=decay * training.lr / training.matrix_lr,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        self._peaks = [[group["lr"] for group in inner.param_groups] for inner in self._inner]

    def step(self, scale: float) -> float:
        """Clip the gradients, take one step at `scale` times the peak learning rates, and clear the gradients.

        Returns:
            The norm of the gradient before it was clipped. If that is not finite, no step is taken.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self._clip).item()
        if not math.isfinite(norm):
            return norm
        for weight, head, view in self._views:
            assert weight.grad is not None
            view.grad = weight.grad if head is None else weight.grad[head]
        for inner, peaks in zip(self._inner, self._peaks, strict=True):
            for group, peak in zip(inner.param_groups, peaks, strict=True):
                group["lr"] = peak * scale
            inner.step()
        for weight in self.parameters:
            weight.grad = None
        return norm

    def state_dict(self) -> list[dict[str, Any]]:
        """The state of every optimiser inside."""
        return [inner.state_dict() for inner in self._inner]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Take back what `state_dict` gave."""
        for inner, part in zip(self._inner, state, strict=True):
            inner.load_state_dict(part)


def _matrix_views(weight: torch.nn.Parameter) -> list[tuple[torch.nn.Parameter, int | None, torch.nn.Parameter]]:
    if weight.ndim == 2:
        return [(weight, None, torch.nn.Parameter(weight.data))]
    return [(weight, head, torch.nn.Parameter(weight.data[head])) for head in range(len(weight))]


def learning_rate(step: int, training: Training) -> float:
    """The share of the peak learning rate at a step (from 0): a linear rise over `warmup`, then a cosine."""
    warmup = training.warmup // training.batch
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, training.steps - warmup)
    return training.final_lr + (1 - training.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))
