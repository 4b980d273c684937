"""Players in place of a model: what they predict is known, for any tokens."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch

from mothello_interp.languages import Mothello
from mothello_interp.models import Checkpoint, ModelSpec
from mothello_interp.models.build import config_of
from mothello_interp.othello import Games


class Player(torch.nn.Module):
    """The logits after any tokens are `logits(tokens)`, float `[vocab]`."""

    def __init__(self, spec: ModelSpec, logits: Callable[[tuple[int, ...]], np.ndarray]):
        super().__init__()
        self.cfg, self.W_E, self.logits, self.hook_dict = config_of(spec), torch.zeros(1), logits, dict[str, Any]()
        self.cfg.attention_dir = "unknown"  # so that it is given complete sequences

    def hooks(self, **_: Any) -> Any:
        """It has no activations that a hook could change."""
        return nullcontext()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[row pos vocab]` of tokens `[row pos]`."""
        rows = [[self.logits(tuple(row[: end + 1])) for end in range(len(row))] for row in tokens.tolist()]
        return torch.from_numpy(np.array(rows, np.float32))


def player(spec: ModelSpec, logits: Callable[[tuple[int, ...]], np.ndarray]) -> Checkpoint:
    """A checkpoint of a player."""
    return Checkpoint(cast(Any, Player(spec, logits)), spec)


def tokens_of(mothello: Mothello, language: int, square: int) -> tuple[int, ...]:
    """The tokens of a move."""
    return tuple(int(token) for token in mothello.move_tokens[language, square] if token)


def prefixes(mothello: Mothello, games: Games, language: int) -> Sequence[tuple[int, int, tuple[int, ...]]]:
    """(game, move, tokens up to that move) of every move that another one follows."""
    found = []
    for game, length in enumerate(games.lengths):
        moves = [tokens_of(mothello, language, square) for square in games.moves[game, : length - 1]]
        found += [(game, move, sum(moves[: move + 1], ())) for move in range(len(moves))]
    return found
