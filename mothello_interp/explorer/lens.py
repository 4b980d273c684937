"""What is in the residual stream after the last move of one game: the logit lens by layer, and the board by a probe."""

from dataclasses import dataclass

import numpy as np
import torch

from mothello_interp.activations import all_layers
from mothello_interp.lens import LogitLens
from mothello_interp.probes import Probes
from mothello_interp.reading import Reading


@dataclass(frozen=True)
class LensRow:
    """What one layer would say next (nostalgebraist 2020).

    Attributes:
        layer: -1 is the embeddings.
        legal: probability, 0 to 1, of the tokens with which legal moves begin.
        top: the likeliest tokens: name, probability, and whether a legal move begins with it.
    """

    layer: int
    legal: float
    top: tuple[tuple[str, float, bool], ...]


def states_by_layer(reading: Reading) -> torch.Tensor:
    """The residual stream after each move of one game, float32 `[layer move d_model]`, embeddings first."""
    layers = all_layers(reading.checkpoint)
    [(_, states)] = reading.stream(layers)
    return torch.stack([states[layer] for layer in layers])


def lens(reading: Reading, states: torch.Tensor, *, top: int = 3) -> list[LensRow]:
    """The next token by layer, after the last move of one game.

    Args:
        states: after that move, float32 `[layer d_model]`, as `states_by_layer(reading)[:, -1]`.
        top: how many tokens to name.
    """
    checkpoint, mothello = reading.checkpoint, reading.checkpoint.mothello
    decode = LogitLens(checkpoint.model).logits
    legal = reading.boards.legal[0, reading.games.lengths[0]]
    begins = mothello.first_tokens(reading.output)[legal].any(axis=0)  # bool [token]: the first of a legal move
    own = set(mothello.tokens_of(reading.output).tolist())
    names = [name.partition(":")[2] if token in own else name for token, name in enumerate(mothello.vocabulary)]
    rows = []
    for layer, state in zip(all_layers(checkpoint), states.to(checkpoint.model.W_E.device), strict=True):
        with torch.inference_mode():
            chance = decode(state[None], layer)[0].float().softmax(0).cpu().numpy()
        named = [(names[token], float(chance[token]), bool(begins[token])) for token in np.argsort(-chance)[:top]]
        rows.append(LensRow(layer, float(chance[begins].sum()), tuple(named)))
    return rows


def decoded_board(reading: Reading, states: torch.Tensor, probes: Probes, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """The board that the language's probe decodes: discs int8 `[square]` (-1 white, 0 empty, 1 black), and their probability.

    Arguments as `lens`.
    """
    with torch.inference_mode():
        row = states[all_layers(reading.checkpoint).index(layer)][None]
        chance, likeliest = probes.logits(row, reading.language, layer)[0].softmax(1).max(1)
    mover = reading.boards.mover[0, reading.games.lengths[0]]
    discs = likeliest.numpy().astype(np.int8) - np.int8(1)
    return discs if probes.frame == "absolute" else discs * mover, chance.numpy()
