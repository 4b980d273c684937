"""Direct logit attribution: what each component writes to the logits straight away (Elhage et al. 2021).

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

from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, replay

_CELLS = 10_000  # tokens in one forward pass


@dataclass(frozen=True, eq=False)
class DirectLogits:
    """The logits behind each move that another one follows, component by component.

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


def direct_logits(checkpoint: Checkpoint, games: Games, language: int) -> DirectLogits:
    """Split the logits at the last token of each move, read in a language, into what each component adds.

    Returns:
        DirectLogits; they take 4 * d_vocab bytes a row and component.

    Raises:
        ValueError: for a norm that is neither layer norm nor RMS norm nor none; as `Mothello.encode`.
    """
    model, mothello = checkpoint.model, checkpoint.mothello
    game, move = np.nonzero(games.moves[:, 1:] >= 0)
    position = mothello.encode(games, language).last[game, move].astype(np.int64)
    tokens = checkpoint.tokens(games, language)
    size = max(1, _CELLS // tokens.shape[1])
    names: tuple[str, ...] = ()
    parts = []
    for first in range(0, len(tokens), size):
        rows = slice(*np.searchsorted(game, [first, first + size]))
        with torch.inference_mode():
            names, values = _split(model, tokens[first : first + size], game[rows] - first, position[rows])
        parts.append(values.cpu())
    return DirectLogits(names, torch.cat(parts, dim=1), game, move)


def attribute(
    checkpoint: Checkpoint,
    games: Games,
    *,
    languages: Sequence[int] | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """What each component adds, straight away, to the right moves and to the right language.

    Args:
        games: finished games.
        languages: input languages to write them in, all by default.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per language, component and contrast. Columns: language; component; layer (-1 for embeddings and
        "bias"), part ("embed", "pos_embed", "head", "mlp" or "bias"), head (-1 for none); contrast: "move", the mean logit of tokens
        that begin a legal move less that of other empty squares', in the language in which the model should go on, or
        "language", the mean logit of that language's tokens less that of all other languages' (anchors left out of
        both); value, low, high: mean over moves, in logits, and its 95% interval over games; games. Over the components
        the values add up to the contrast of the model's logits.

    Raises:
        ValueError: for no games; as `direct_logits`.
    """
    if len(games) == 0:
        raise ValueError("0 games: pass at least one")
    mothello, boards = checkpoint.mothello, replay(games)
    weights = np.random.default_rng(seed).multinomial(len(games), np.full(len(games), 1 / len(games)), resamples)
    found = []
    for language in mothello.inputs if languages is None else languages:
        split = direct_logits(checkpoint, games, language)
        spoken, game = mothello.output_of(language), split.game
        legal = boards.legal[game, split.move + 1]
        empty = boards.state[game, split.move] == 0
        begins = mothello.first_tokens(spoken)
        contrasts = {"move": _contrast(legal @ begins, (empty & ~legal) @ begins & ~(legal @ begins))}
        own, shared = mothello.owners == spoken, mothello.owners == len(mothello.languages)
        contrasts["language"] = _contrast(*np.broadcast_arrays(own, ~own & ~shared & np.ones((len(game), 1), bool)))
        for name, (direction, asked) in contrasts.items():
            values = torch.einsum("crv,rv->cr", split.values, direction).numpy()[:, asked]
            sizes = np.bincount(game[asked], minlength=len(games))
            for component, value in zip(split.components, values, strict=True):
                sums = np.bincount(game[asked], weights=value, minlength=len(games))
                low, high = np.quantile(weights @ sums / np.maximum(weights @ sizes, 1), [0.025, 0.975])
                row = {"language": language, "component": component, **_described(component), "contrast": name}
                mean = sums.sum() / max(sizes.sum(), 1)
                found.append({**row, "value": mean, "low": low, "high": high, "games": len(games)})
    return pd.DataFrame(found)


def _split(model: Any, tokens: torch.Tensor, row: np.ndarray, position: np.ndarray) -> tuple[tuple[str, ...], Any]:
    """Names of the components and their logits `[component row vocab]` at (row, position) of tokens `[batch pos]`."""
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    wanted = {"hook_embed", "hook_pos_embed", "ln_final.hook_scale"}
    wanted |= {f"blocks.{layer}.{hook}" for layer in layers for hook in ("attn.hook_z", "hook_mlp_out")}
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in wanted, return_type=None)
    at = {name: values[row, position] for name, values in cache.items()}
    terms = {"embed": at["hook_embed"]}
    if "hook_pos_embed" in at:
        terms["pos_embed"] = at["hook_pos_embed"]
    for layer in layers:
        written = torch.einsum("rhd,hdm->hrm", at[f"blocks.{layer}.attn.hook_z"], model.blocks[layer].attn.W_O)
        terms |= {f"L{layer}H{head}": written[head] for head in heads}
        terms[f"{layer}_mlp_out"] = at[f"blocks.{layer}.hook_mlp_out"]
    terms["bias"] = sum(model.blocks[layer].attn.b_O for layer in layers).expand_as(terms["embed"])
    stacked = _normed(model, torch.stack(list(terms.values())), at.get("ln_final.hook_scale")) @ model.W_U
    norm: Any = getattr(model, "ln_final", None)
    stacked[-1] += model.unembed.b_U + (norm.b @ model.W_U if hasattr(norm, "b") else 0)
    return tuple(terms), stacked


def _normed(model: Any, terms: torch.Tensor, scale: Any) -> torch.Tensor:
    """The last norm of terms `[... d_model]`, but for its bias, at a frozen scale."""
    kind = model.cfg.normalization_type
    if kind is None:
        return terms
    if kind not in ("LN", "LNPre", "RMS", "RMSPre"):
        raise ValueError(f"normalization_type={kind!r}: expected LN, LNPre, RMS, RMSPre or None")
    if kind.startswith("LN"):
        terms = terms - terms.mean(-1, keepdim=True)
    return terms / scale * (model.ln_final.w if hasattr(model.ln_final, "w") else 1)


def _contrast(ours: np.ndarray, theirs: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Weights of the mean over some tokens less that over others, float32 `[row vocab]`, and where both are there."""
    asked = np.asarray(ours.any(axis=1) & theirs.any(axis=1))
    means = [mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) for mask in (ours, theirs)]
    return torch.from_numpy((means[0] - means[1]).astype(np.float32)), asked


def _described(component: str) -> dict[str, Any]:
    """Layer, part and head of a component."""
    if component.startswith("L"):
        layer, head = component[1:].split("H")
        return {"layer": int(layer), "part": "head", "head": int(head)}
    if component.endswith("_mlp_out"):
        return {"layer": int(component.split("_")[0]), "part": "mlp", "head": -1}
    return {"layer": -1, "part": component, "head": -1}
