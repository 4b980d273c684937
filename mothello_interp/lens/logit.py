"""The logit lens: every layer's state, read by the model's own last norm and unembedding (nostalgebraist 2020).

By language: does a layer speak the language that it is to answer in, or another one (Wendler et al. 2024)?
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import Activations, collect, hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games

if TYPE_CHECKING:
    from mothello_interp.lens.tuned import Translators

_SHARED = -1  # how tables call what belongs to no single language: anchors, and the padding


def lens_logits(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Rows of the residual stream `[... d_model]` as logits `[... vocab]`.

    The scale of the last norm is that of the rows themselves, not the one of the finished run. At the last layer these
    are the model's logits.
    """
    normed = rows if model.cfg.normalization_type is None else model.ln_final(rows)
    logits: torch.Tensor = model.unembed(normed)
    return logits


def logit_lens(
    checkpoint: Checkpoint,
    games: Games,
    *,
    languages: Sequence[int] | None = None,
    translators: "Translators | None" = None,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """What each layer would say next, after every move that another one follows, and in which language.

    Args:
        games: finished games. For translators: others than they were fitted on.
        languages: input languages to write them in, all by default.
        translators: put before the lens; the plain lens without.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per layer, language and answer. Columns: layer (-1: the embeddings), hook; kind ("identity" for the
        plain lens, else that of the translators); language: that is read; answer: the language whose tokens are
        counted, its anchors apart, or -1 for all anchors and the padding; speaks: whether it is the language in which
        the model should go on; mass, low, high: probability of these tokens (0 to 1, over all answers together 1) and
        its 95% interval over games; legal_mass: of those among them that begin a move legal in the answer's words;
        entropy: of all tokens, in nats; kl, kl_low, kl_high: from the model's own prediction to the lens', in nats, 0 at
        the last layer; games, rows.

    Raises:
        ValueError: as `collect`; for games without a second move; for translators of other layers or width.
    """
    mothello, rng = checkpoint.mothello, np.random.default_rng(seed)
    rows = collect(checkpoint, games, languages=languages)
    legal, kept = _followed(rows)
    game = rows.game[kept]
    weights = rng.multinomial(len(games), np.full(len(games), 1 / len(games)), resamples)
    sizes = np.bincount(game, minlength=len(games))
    found = []
    for language in rows.languages:
        owned = {answer: mothello.owners == answer for answer in range(len(mothello.languages))}
        owned[_SHARED] = mothello.owners == len(mothello.languages)
        spoken = mothello.output_of(language)
        final = _log_probabilities(checkpoint, rows.at(language, rows.layers[-1])[kept])
        for layer in rows.layers:
            states = rows.at(language, layer)[kept]
            said = _log_probabilities(checkpoint, states if translators is None else translators.apply(states, layer))
            share, kl = said.exp().numpy(), (final.exp() * (final - said)).sum(1).numpy()
            place: dict[str, Any] = {"layer": layer, "hook": hook_name(layer)}
            place |= {"kind": translators.kind if translators else "identity", "language": language}
            common = {"entropy": float(-(said.exp() * said).sum(1).mean()), **_interval("kl", kl, game, sizes, weights)}
            for answer, tokens in owned.items():
                begins = mothello.first_tokens(spoken if answer == _SHARED else answer) & tokens
                row = place | {"answer": answer, "speaks": answer == spoken}
                row |= _interval("mass", share[:, tokens].sum(1), game, sizes, weights)
                row["legal_mass"] = float((share * (legal.astype(np.float32) @ begins > 0)).sum(1).mean())
                found.append({**row, **common, "games": len(games), "rows": len(game)})
    return pd.DataFrame(found)


def _followed(rows: Activations) -> tuple[np.ndarray, np.ndarray]:
    """(legal, kept): the squares legal next, bool `[kept square]`, and the rows behind which there is one, int64."""
    legal = rows.boards.legal[rows.game, rows.move + 1]
    kept = np.flatnonzero(legal.any(axis=1))
    if not len(kept):
        raise ValueError(
            f"{len(rows.games)} games without a move that another one follows: there is nothing to predict"
        )
    return legal[kept], kept


def _log_probabilities(checkpoint: Checkpoint, rows: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits = lens_logits(checkpoint.model, rows.to(checkpoint.model.W_E.device))
    return logits.float().log_softmax(-1).cpu()


def _interval(
    name: str, values: np.ndarray, game: np.ndarray, sizes: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """The mean over rows, and its 95% bootstrap interval over games."""
    sums = np.bincount(game, weights=values, minlength=len(sizes))
    low, high = np.quantile(weights @ sums / np.maximum(weights @ sizes, 1), [0.025, 0.975])
    prefix = "" if name == "mass" else f"{name}_"
    return {name: float(sums.sum() / sizes.sum()), f"{prefix}low": float(low), f"{prefix}high": float(high)}
