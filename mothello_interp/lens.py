"""What each layer would say next: the logit lens (nostalgebraist 2020) and the tuned lens (Belrose et al. 2023), by language.

Does a layer favour the language that is to be written, or another one (Wendler et al. 2024)?
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations, all_layers
from mothello_interp.arguments import checked
from mothello_interp.forward import finite_runs, gradients, hook_name
from mothello_interp.progress import shown
from mothello_interp.reading import Reading
from mothello_interp.stats import Bootstrap, per_game

Kind = Literal["affine", "bias"]
NO_LANGUAGE = -1  # how tables call what belongs to no single language: anchors, and the padding
_BIAS_UNIT = 10  # of the rows' rms: a bias has further to go than a weight


@dataclass(frozen=True, eq=False)
class LogitLens:
    """Every layer's state, decoded by the model's own last norm and unembedding."""

    model: Any
    kind: str = "identity"

    def logits(self, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Rows of a layer's residual stream `[row d_model]` as logits `[row vocab]`; the model's own at the last layer.

        The scale of the last norm is that of the rows themselves, not the one of the finished run.
        """
        return _finish(self.model, rows[None])[0]


@dataclass(frozen=True, eq=False)
class TunedLens:
    """A logit lens with a map before it at every layer but the last: rows + rows @ weight + bias.

    Attributes:
        model: whose last norm and unembedding decode.
        kind: "affine", or "bias" where the weight is 0.
        layers: those that have a map.
        languages: whose games it was fitted on.
        weight: float32 `[layer d_model d_model]`.
        bias: float32 `[layer d_model]`.
    """

    model: Any
    kind: Kind
    layers: tuple[int, ...]
    languages: tuple[int, ...]
    weight: torch.Tensor
    bias: torch.Tensor

    def logits(self, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Rows of a layer `[row d_model]` as logits `[row vocab]`; those of the last layer are decoded as they are.

        Raises:
            ValueError: for a layer without a map, or rows of another width.
        """
        if rows.shape[-1] != self.bias.shape[-1]:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: this lens takes [row {self.bias.shape[-1]}]")
        if layer not in (*self.layers, max(self.layers) + 1):
            raise ValueError(f"layer {layer}: this lens was fitted at layers {list(self.layers)}")
        if layer in self.layers:
            place = self.layers.index(layer)
            rows = rows + rows @ self.weight[place].to(rows) + self.bias[place].to(rows)
        return _finish(self.model, rows[None])[0]


@checked
@gradients()
def fit_tuned_lens(
    activations: Activations,
    model: Any,
    *,
    kind: Kind = "affine",
    epochs: int = 6,
    batch: int = 256,
    rate: float = 1e-2,
    decay: float = 1e-3,
    seed: int = 0,
) -> TunedLens:
    """A tuned lens, fitted from the identity by KL(the model's prediction || the lens') on the rows of all languages.

    It is fitted to the model's own prediction, never to the truth, so it cannot know more than the model.

    Args:
        activations: rows of every layer, from `collect`, to fit on; score on other games. With one language alone, the
            score in the others says whether their states are decoded alike.
        model: the HookedTransformer that they come from.
        kind: "affine", or "bias" alone: the baseline that can shift but not rotate.
        epochs, batch, rate: of Adam, with a cosine schedule.
        decay: pull of the weight towards 0, hence of the map towards the identity.
        seed: of the order of rows.

    Raises:
        ValueError: for another kind, fewer rows than one batch, or layers that are not all of the model's.
    """
    if kind not in ("affine", "bias"):
        raise ValueError(f'kind={kind!r}: choose "affine" or "bias"')
    if activations.layers != tuple(range(-1, model.cfg.n_layers)):
        raise ValueError(f"rows of layers {list(activations.layers)}: expected all, -1 to {model.cfg.n_layers - 1}")
    values = (
        activations.values.transpose(0, 1).flatten(1, 2).clone()
    )  # [layer row d_model], the languages one after the other
    states, last = values[:-1], values[-1]
    if len(last) < batch:
        raise ValueError(f"{len(last)} rows: fewer than one batch of {batch}; pass more games")
    device, width = model.W_E.device, states.shape[-1]
    unit = _BIAS_UNIT * states.square().mean((1, 2), keepdim=True).sqrt().to(device)
    with torch.no_grad(), finite_runs(model, "fit_tuned_lens"):
        wanted = _finish(model, last[None].to(device))[0].log_softmax(-1)
    weight = states.new_zeros(len(states), width, width, device=device, requires_grad=kind == "affine")
    bias = states.new_zeros(len(states), 1, width, device=device, requires_grad=True)
    learned = [bias, weight] if kind == "affine" else [bias]
    optimizer = torch.optim.AdamW(learned, lr=rate, weight_decay=decay)
    steps = epochs * (len(last) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for part in shown(_batches(len(last), batch, epochs, seed), "fitting a lens"):
        some = states[:, part].to(device)
        said = _finish(model, some + some @ weight + unit * bias).log_softmax(-1)
        loss = (wanted[part].exp() * (wanted[part] - said)).sum(-1).mean(1).sum()
        slopes = torch.autograd.grad(loss, learned)  # the model's own stay as they are
        for parameter, gradient in zip(learned, slopes, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
    shift = (unit * bias)[:, 0].detach().cpu()
    return TunedLens(model, kind, activations.layers[:-1], activations.languages, weight.detach().cpu(), shift)


@checked
def logit_lens(
    readings: Reading | Sequence[Reading],
    lens: LogitLens | TunedLens | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """What each layer would say next, after every move that another one follows, and in which language.

    Args:
        readings: of finished games. For a tuned lens: others than it was fitted on.
        lens: the plain logit lens by default.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per layer, source and target. Columns: layer (-1: the embeddings), hook; kind ("identity" for the plain
        lens, else "affine" or "bias"); source: the language that is given; target: the language whose tokens are counted,
        its anchors apart, or -1 for all anchors and the padding; is_output: whether the target is the output language;
        mass, low, high: probability of these tokens (0 to 1, over all targets together 1) and its 95% interval over games;
        legal_mass: of those among them that begin a legal move as the target writes it; entropy: of all tokens, in nats;
        kl, kl_low, kl_high: KL(model || lens) in nats, 0 at the last layer; games, rows.

    Raises:
        ValueError: for games without a second move, or a lens of other layers or width.
    """
    several = [readings] if isinstance(readings, Reading) else readings
    return pd.DataFrame(
        [row for reading in several for row in _by_layer(reading, lens, Bootstrap(len(reading), resamples, seed))]
    )


def _by_layer(reading: Reading, lens: LogitLens | TunedLens | None, boot: Bootstrap) -> list[dict[str, Any]]:
    checkpoint, mothello = reading.checkpoint, reading.checkpoint.mothello
    lens = LogitLens(checkpoint.model) if lens is None else lens
    game, move = reading.rows
    legal = reading.boards.legal[game, move + 1]
    kept = np.flatnonzero(legal.any(axis=1))
    if not len(kept):
        raise ValueError(f"{len(reading)} games without a move that another one follows: there is nothing to predict")
    game, legal, layers = game[kept], legal[kept].astype(np.float32), all_layers(checkpoint)
    owned = {target: mothello.owners == target for target in range(len(mothello.languages))}
    owned[NO_LANGUAGE] = mothello.owners == len(mothello.languages)
    states = torch.cat([torch.stack([part[layer] for layer in layers]) for _, part in reading.stream(layers)], dim=1)[
        :, kept
    ]
    final = _log_probabilities(LogitLens(checkpoint.model), states[-1], layers[-1], reading)
    sizes, found = np.bincount(game, minlength=len(reading)), []

    def mean(name: str, values: np.ndarray) -> dict[str, float]:
        sums, prefix = per_game(values, game, len(reading)), "" if name == "mass" else f"{name}_"
        low, high = boot.interval(sums, sizes)
        return {name: float(sums.sum() / sizes.sum()), f"{prefix}low": float(low), f"{prefix}high": float(high)}

    for layer, rows in zip(layers, states, strict=True):
        said = _log_probabilities(lens, rows, layer, reading)
        chance, kl = said.exp().numpy(), (final.exp() * (final - said)).sum(1).numpy()
        common = {"entropy": float(-(said.exp() * said).sum(1).mean()), **mean("kl", kl)}
        for target, tokens in owned.items():
            begins = mothello.first_tokens(reading.output if target == NO_LANGUAGE else target) & tokens
            row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), "kind": lens.kind}
            row |= {"source": reading.language, "target": target, "is_output": target == reading.output}
            row |= mean("mass", chance[:, tokens].sum(1))
            row["legal_mass"] = float((chance * (legal @ begins > 0)).sum(1).mean())
            found.append({**row, **common, "games": len(reading), "rows": len(game)})
    return found


def _finish(model: Any, residual: torch.Tensor) -> torch.Tensor:
    """The model after its last block: logits `[batch pos vocab]` of a residual stream `[batch pos d_model]`."""
    return model(residual, start_at_layer=model.cfg.n_layers)


def _log_probabilities(lens: LogitLens | TunedLens, rows: torch.Tensor, layer: int, reading: Reading) -> torch.Tensor:
    with torch.inference_mode(), finite_runs(lens.model, reading):
        return lens.logits(rows.to(lens.model.W_E.device), layer).float().log_softmax(-1).cpu()


def _batches(rows: int, batch: int, epochs: int, seed: int) -> Sequence[torch.Tensor]:
    """The rows of every step, int64 `[batch]`."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(rows, generator=generator) for _ in range(epochs)]
    return [order[first : first + batch] for order in orders for first in range(0, rows - batch + 1, batch)]
