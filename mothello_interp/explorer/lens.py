"""The logit lens at one position: each layer's residual stream read as if it were the last (nostalgebraist 2020)."""

from dataclasses import dataclass

import numpy as np
import torch

from mothello_interp.lens import lens_logits
from mothello_interp.models import Checkpoint


@dataclass(frozen=True)
class LensRow:
    """What one layer would say next.

    Attributes:
        layer: -1 is the embeddings.
        legal: probability, 0 to 1, of the tokens with which legal moves begin.
        top: the likeliest tokens: name, probability, and whether a legal move begins with it.
    """

    layer: int
    legal: float
    top: tuple[tuple[str, float, bool], ...]


def lens(
    checkpoint: Checkpoint, residuals: torch.Tensor, language: int, legal: np.ndarray, *, top: int = 3
) -> list[LensRow]:
    """The next token by layer, from residuals float32 `[layer d_model]`, embeddings first.

    Args:
        language: in which the game is read.
        legal: bool `[square]`.
        top: how many tokens to name.
    """
    with torch.inference_mode():
        logits = lens_logits(checkpoint.model, residuals.to(checkpoint.model.W_E.device))
        probabilities = logits.float().softmax(1).cpu().numpy()
    output = checkpoint.mothello.output_of(language)
    begins = checkpoint.mothello.first_tokens(output)[legal].any(axis=0)  # bool [token]: the first of a legal move
    own = set(checkpoint.mothello.tokens_of(output).tolist())
    rows = []
    for layer, shares in enumerate(probabilities, -1):
        likeliest = np.argsort(-shares)[:top].tolist()
        named = tuple(
            (_token_name(checkpoint, token, own), float(shares[token]), bool(begins[token])) for token in likeliest
        )
        rows.append(LensRow(layer, float(shares[begins].sum()), named))
    return rows


def _token_name(checkpoint: Checkpoint, token: int, own: set[int]) -> str:
    """A token's piece, with its language before it if that is not the one to answer in."""
    name = checkpoint.mothello.vocabulary[token]
    return name.partition(":")[2] if token in own else name
