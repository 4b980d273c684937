"""Direct logit attribution: what each component writes to the logits directly (Elhage et al. 2021).

The residual stream at the end is a sum of what the embeddings, the heads, the MLPs and the biases wrote. With the scale of
the last norm frozen at what it is in the run, the logits are that sum's image under a linear map, term by term. What a
component does through later ones is not in its term.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.arguments import checked
from mothello_interp.reading import Reading
from mothello_interp.stats import Bootstrap, per_game

_ROUNDING = 1e-3  # of the largest logit


@dataclass(frozen=True, eq=False)
class DirectLogits:
    """The logits after each move that another one follows, component by component.

    Attributes:
        components: "embed", "pos_embed", "L0H0" and so on for the heads, "0_mlp_out" and so on, and "bias": those of
            attention, of the last norm and of the unembedding.
        values: float32 `[component row vocab]`; the sum over components is the model's logits.
        game, move: int64 `[row]`.
    """

    components: tuple[str, ...]
    values: torch.Tensor
    game: np.ndarray
    move: np.ndarray


@checked
def direct_logits(reading: Reading) -> DirectLogits:
    """The logits at the last token of each move, split into what each component adds: values add up to the logits.

    Returns:
        DirectLogits; they take 4 * d_vocab bytes a row and component.

    Raises:
        ValueError: for a model whose logits are no such sum: soft-capped logits, norms after attention or the MLP, edits of
            the residual stream; in half precision, whose sums do not add up.
    """
    if (dtype := reading.checkpoint.model.W_U.dtype) not in (torch.float32, torch.float64):
        raise ValueError(f"a model in {dtype}: its components do not add up to its logits; use model.float()")
    game, move = np.nonzero(reading.games.moves[:, 1:] >= 0)
    names: tuple[str, ...] = ()
    parts = []
    layers = range(reading.checkpoint.model.cfg.n_layers)
    wanted = ["hook_embed", "hook_pos_embed", "ln_final.hook_scale"]
    wanted += [f"blocks.{layer}.{hook}" for layer in layers for hook in ("attn.hook_z", "hook_mlp_out")]
    for part, logits, cache in reading.caches(wanted):
        rows = slice(*np.searchsorted(game, [part[0], part[-1] + 1]))
        at = game[rows] - part[0], reading.last[game[rows], move[rows]]
        found = {name: values[at] for name, values in cache.items()}
        names, values = _split(reading.checkpoint.model, logits[at], found)
        parts.append(values.cpu())
    return DirectLogits(names, torch.cat(parts, dim=1), game, move)


@checked
def direct_logit_attribution(
    readings: Reading | Sequence[Reading], *, resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """What each component adds directly to the legal moves and to the output language, in logits.

    Args:
        readings: of finished games.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per language, component and contrast. Columns: language; component; layer (-1 for embeddings and
        "bias"), part ("embed", "pos_embed", "head", "mlp" or "bias"), head (-1 for none); contrast: "move", the mean logit
        of tokens that begin a legal move less that of other empty squares', in the output language, or "language", the
        mean logit of the output language's tokens less that of all other languages' (anchors left out of both); value,
        low, high: mean over moves, in logits, and its 95% interval over games; games. Over the components the values add
        up to the contrast of the model's logits.

    Raises:
        ValueError: for no games; as `direct_logits`.
    """
    several = [readings] if isinstance(readings, Reading) else readings
    return pd.DataFrame(
        [row for reading in several for row in _by_component(reading, Bootstrap(len(reading), resamples, seed))]
    )


def _by_component(reading: Reading, boot: Bootstrap) -> list[dict[str, Any]]:
    split, rows = direct_logits(reading), []
    for name, (direction, present) in _contrasts(reading, split).items():
        values = torch.einsum("crv,rv->cr", split.values, direction).numpy()[:, present]
        game = split.game[present]
        sizes = np.bincount(game, minlength=len(reading))
        for component, value in zip(split.components, values, strict=True):
            sums = per_game(value, game, len(reading))
            low, high = boot.interval(sums, np.maximum(sizes, 1e-12))
            row = {"language": reading.language, "component": component, **_described(component), "contrast": name}
            rows.append(
                {**row, "value": sums.sum() / max(sizes.sum(), 1), "low": low, "high": high, "games": len(reading)}
            )
    return rows


def _contrasts(reading: Reading, split: DirectLogits) -> dict[str, tuple[torch.Tensor, np.ndarray]]:
    """Weights `[row vocab]` of the two contrasts, and the rows that have both sides."""
    mothello = reading.checkpoint.mothello
    legal = reading.boards.legal[split.game, split.move + 1]
    empty = reading.boards.state[split.game, split.move] == 0
    begins = mothello.first_tokens(reading.output)
    own, shared = mothello.owners == reading.output, mothello.owners == len(mothello.languages)
    others = ~own & ~shared & np.ones((len(split.game), 1), bool)
    return {
        "move": _contrast(legal @ begins, (empty & ~legal) @ begins & ~(legal @ begins)),
        "language": _contrast(np.broadcast_to(own, others.shape), others),
    }


def _contrast(ours: np.ndarray, theirs: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Weights of the mean over some tokens less that over others, float32 `[row vocab]`, and where both are there."""
    present = np.asarray(ours.any(axis=1) & theirs.any(axis=1))
    means = [mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) for mask in (ours, theirs)]
    return torch.from_numpy((means[0] - means[1]).astype(np.float32)), present


def _split(model: Any, logits: torch.Tensor, found: dict[str, torch.Tensor]) -> tuple[tuple[str, ...], torch.Tensor]:
    """Names of the components and their logits `[component row vocab]`, from activations `[row ...]`."""
    layers = range(model.cfg.n_layers)
    terms = {"embed": found["hook_embed"]}
    if model.cfg.positional_embedding_type == "standard":
        terms["pos_embed"] = found["hook_pos_embed"]
    for layer in layers:
        written = torch.einsum("rhd,hdm->hrm", found[f"blocks.{layer}.attn.hook_z"], model.blocks[layer].attn.W_O)
        terms |= {f"L{layer}H{head}": head_written for head, head_written in enumerate(written)}
        if (mlp := f"blocks.{layer}.hook_mlp_out") in found:
            terms[f"{layer}_mlp_out"] = found[mlp]
    terms["bias"] = sum(model.blocks[layer].attn.b_O for layer in layers).expand_as(terms["embed"])
    norm: Any = getattr(model, "ln_final", None)
    stacked = _normed(norm, torch.stack(list(terms.values())), found.get("ln_final.hook_scale")) @ model.W_U
    stacked[-1] += model.unembed.b_U + (norm.b @ model.W_U if hasattr(norm, "b") else 0)
    off = (stacked.sum(0) - logits).abs().max()
    if not off <= _ROUNDING * logits.abs().max().clamp(min=1):
        raise ValueError(
            f"the logits are no sum of what the components write (off by {off:.3g}): soft caps, norms after attention or "
            f"the MLP, norms of the embeddings and edits of the residual stream have no direct attribution"
        )
    return tuple(terms), stacked


def _normed(norm: Any, terms: torch.Tensor, scale: Any) -> torch.Tensor:
    """The last norm of terms `[... d_model]`, but for its bias, at a frozen scale."""
    if scale is None:
        return terms
    if not type(norm).__name__.startswith("RMS"):
        terms = terms - terms.mean(-1, keepdim=True)
    return terms / scale * (norm.w if hasattr(norm, "w") else 1)


def _described(component: str) -> dict[str, Any]:
    """Layer, part and head of a component."""
    if component.startswith("L"):
        layer, head = component[1:].split("H")
        return {"layer": int(layer), "part": "head", "head": int(head)}
    if component.endswith("_mlp_out"):
        return {"layer": int(component.split("_")[0]), "part": "mlp", "head": -1}
    return {"layer": -1, "part": component, "head": -1}
