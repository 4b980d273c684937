"""The tuned lens: an affine map before the logit lens, fitted so that a layer says what the model will (Belrose et al. 2023).

A layer may hold the answer in other coordinates than the last one; the plain lens then reads noise. The map is fitted
by the divergence from the model's final prediction, never by the truth, so it cannot know more than the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mothello_interp.activations import collect
from mothello_interp.lens.logit import lens_logits
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games

Kind = Literal["affine", "bias"]
_BIAS_UNIT = 10  # of the rows' rms: a bias has further to go than a weight


@dataclass(frozen=True, eq=False)
class Translators:
    """A map for every layer but the last: rows + rows @ weight + bias.

    Attributes:
        kind: "affine", or "bias" where the weight is 0.
        layers: those that have one.
        languages: whose games it was fitted on.
        weight: float32 `[layer d_model d_model]`.
        bias: float32 `[layer d_model]`.
    """

    kind: Kind
    layers: tuple[int, ...]
    languages: tuple[int, ...]
    weight: torch.Tensor
    bias: torch.Tensor

    def apply(self, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Rows `[... d_model]` of a layer as the last layer would have them; those of the last layer stay as they are.

        Raises:
            ValueError: for a layer without a map, or rows of another width.
        """
        if rows.shape[-1] != self.bias.shape[-1]:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: these translators take [... {self.bias.shape[-1]}]")
        if layer == max(self.layers) + 1:
            return rows
        if layer not in self.layers:
            raise ValueError(f"layer {layer}: these translators are of layers {list(self.layers)}")
        place = self.layers.index(layer)
        return rows + rows @ self.weight[place].to(rows) + self.bias[place].to(rows)


def fit_translators(
    checkpoint: Checkpoint,
    games: Games,
    *,
    kind: Kind = "affine",
    languages: Sequence[int] | None = None,
    epochs: int = 6,
    batch: int = 256,
    rate: float = 1e-2,
    decay: float = 1e-3,
    seed: int = 0,
) -> Translators:
    """Fit a map for every layer but the last, from the identity, by KL from the model's prediction to the lens'.

    Args:
        games: to fit on; score on others.
        kind: "affine", or "bias" alone: the baseline that can shift but not turn.
        languages: input languages whose rows are used together, all by default. With one alone, the score in the
            others says whether their states are read alike.
        epochs, batch, rate: of Adam, with a cosine schedule.
        decay: pull of the weight towards 0, hence of the map towards the identity.
        seed: of the order of rows.

    Raises:
        ValueError: as `collect`; for another kind; for fewer rows than one batch.
    """
    if kind not in ("affine", "bias"):
        raise ValueError(f'kind={kind!r}: choose "affine" or "bias"')
    rows = collect(checkpoint, games, languages=languages)
    values = rows.values.transpose(0, 1).flatten(1, 2)  # [layer row d_model], all languages below each other
    states, last = values[:-1], values[-1]
    if len(last) < batch:
        raise ValueError(f"{len(last)} rows: fewer than one batch of {batch}; pass more games")
    device, unit = checkpoint.model.W_E.device, _BIAS_UNIT * states.square().mean((1, 2), keepdim=True).sqrt()
    with torch.inference_mode():
        target = lens_logits(checkpoint.model, last.to(device)).log_softmax(-1)
    target = target.clone()  # an ordinary tensor, which may stand in a gradient
    width = states.shape[-1]
    weight = torch.zeros(len(states), width, width, device=device, requires_grad=kind == "affine")
    bias = torch.zeros(len(states), 1, width, device=device, requires_grad=True)
    optimizer = torch.optim.AdamW([bias, weight] if kind == "affine" else [bias], lr=rate, weight_decay=decay)
    steps = epochs * (len(last) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        place = step % (len(last) // batch)
        if place == 0:
            order = torch.randperm(len(last), generator=generator)
        part = order[place * batch : (place + 1) * batch]
        some = states[:, part].to(device)
        translated = some + some @ weight + unit.to(device) * bias
        said = lens_logits(checkpoint.model, translated).log_softmax(-1)
        loss = (target[part].exp() * (target[part] - said)).sum(-1).mean(1).sum()
        gradients = torch.autograd.grad(loss, optimizer.param_groups[0]["params"])  # the model's own stay as they are
        for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
    shift = (unit.to(device) * bias)[:, 0].detach().cpu()
    return Translators(kind, rows.layers[:-1], rows.languages, weight.detach().cpu(), shift)
