"""What is inside the model at the last move of one game: the logit lens by layer, the board by a probe, attention."""

from dataclasses import dataclass

import numpy as np
import torch

from mothello_interp.activations import all_layers
from mothello_interp.lens import LogitLens
from mothello_interp.othello import SYMMETRIES
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


def decoded_boards(
    reading: Reading,
    states: torch.Tensor,
    probes: Probes,
    layer: int,
    *,
    source: int | None = None,
    symmetry: str = "identity",
) -> tuple[np.ndarray, np.ndarray]:
    """The boards that a probe decodes after each move of one game, and the probability of each disc, both `[move square]`.

    Args:
        states: float32 `[layer move d_model]`, as `states_by_layer(reading)`.
        source: the language whose probe decodes, that of the reading by default.
        symmetry: the boards are shown through the inverse of this symmetry: they are the true ones where the two
            languages are aligned through it.

    Returns:
        (discs, certainty): int8, -1 white, 0 empty, 1 black, and float32, 0 to 1.
    """
    source = reading.language if source is None else source
    with torch.inference_mode():
        rows = states[all_layers(reading.checkpoint).index(layer)]
        chance, likeliest = probes.logits(rows, source, layer).softmax(2).max(2)
    discs = likeliest.numpy().astype(np.int8) - np.int8(1)
    if probes.frame == "relative":
        discs = discs * reading.boards.mover[0, 1 : len(discs) + 1, None]
    undone = SYMMETRIES[symmetry].inverse
    return undone.boards(discs), undone.boards(chance.numpy())


def attention(reading: Reading, layer: int, head: int) -> np.ndarray:
    """What a head attends to from the last move of one game: float32 `[move]`, summed over the tokens of each move."""
    [(_, patterns)] = reading.stream([layer], "pattern")
    row = patterns[layer][-1, head].numpy()
    return np.add.reduceat(row, reading.first[0, : reading.games.lengths[0]])  # behind the last move all is 0
