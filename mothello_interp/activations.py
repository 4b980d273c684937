"""The same games in every language, as rows of the residual stream: one row a move.

Glossary: `layer` -1 is the embeddings (`blocks.0.hook_resid_pre`), k is `blocks.k.hook_resid_post`. The activation of a
move is that of its last token. The last move of a full game has no row: models never read it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mothello_interp.models import Checkpoint
from mothello_interp.othello import Boards, Games, full_length, replay

Frame = Literal["absolute", "relative"]
HOOKS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")  # of every block, all [batch pos d_model]
_CELLS = 40_000  # tokens in one forward pass


@dataclass(frozen=True)
class Activations:
    """Residual rows of parallel games.

    Attributes:
        values: float32 `[language layer row d_model]`; row r is the same move of the same game in every language.
        languages: which languages the first axis holds.
        layers: which layers the second axis holds.
        games: the games.
        boards: their positions.
        game: int64 `[row]`, index of the row's game.
        move: int64 `[row]`, number of the row's move, from 0.
    """

    values: torch.Tensor
    languages: tuple[int, ...]
    layers: tuple[int, ...]
    games: Games
    boards: Boards
    game: np.ndarray
    move: np.ndarray

    def at(self, language: int, layer: int) -> torch.Tensor:
        """The rows of one language and layer, float32 `[row d_model]`.

        Raises:
            ValueError: for what was not collected, naming what was.
        """
        if language not in self.languages or layer not in self.layers:
            raise ValueError(
                f"language {language} at layer {layer} was not collected: there are languages {list(self.languages)} "
                f"at layers {list(self.layers)}"
            )
        return self.values[self.languages.index(language), self.layers.index(layer)]

    def labels(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """What a board probe is to read.

        Absolute: 0 white, 1 empty, 2 black. Relative: 0 theirs, 1 empty, 2 mine, where "mine" is the player who moves
        next by the rules; rows where the game is over have no such player and are left out.

        Returns:
            (rows, classes): int64 `[kept]`, and int8 `[kept square]`.
        """
        state = self.boards.state[self.game, self.move]
        if frame == "absolute":
            return np.arange(len(state)), state + np.int8(1)
        if frame != "relative":
            raise ValueError(
                f'frame={frame!r}: choose "absolute" (white, empty, black) or "relative" (theirs, empty, mine)'
            )
        mover = self.boards.mover[self.game, self.move + 1]
        rows = np.flatnonzero(mover)
        return rows, state[rows] * mover[rows, None] + np.int8(1)


def paper_layer(n_layers: int) -> int:
    """The layer that the paper reads, three quarters up: 5 of 0 to 7 (its "layer 6"), 2 of 0 to 3."""
    return 3 * (n_layers - 1) // 4


def hook_name(layer: int, hook: str = "resid_post") -> str:
    """Where TransformerLens has a layer's activation: `hook_name(-1) == "blocks.0.hook_resid_pre"`, the embeddings.

    Args:
        layer: -1 or a block.
        hook: one of HOOKS, or "z", the output of a block's attention heads before they are mixed.
    """
    if layer == -1 and hook == "resid_post":
        return "blocks.0.hook_resid_pre"
    return f"blocks.{layer}.attn.hook_z" if hook == "z" else f"blocks.{layer}.hook_{hook}"


def other_game(game: np.ndarray, move: np.ndarray) -> np.ndarray:
    """For each row a row of another game at its move number (its own if there is none): what re-pairs games at random.

    Args:
        game, move: int64 `[row]`, as in `Activations`.

    Returns:
        int64 `[row]`, a permutation of the rows.
    """
    order = np.lexsort((game, move))
    following = np.empty_like(order)
    following[order] = np.roll(order, -1)
    last = np.append(np.flatnonzero(np.diff(move[order])), len(order) - 1)
    first = np.append(0, last[:-1] + 1)
    following[order[last]] = order[first]
    return following


def all_layers(checkpoint: Checkpoint) -> tuple[int, ...]:
    """Every layer of a model, the embeddings (-1) first."""
    return tuple(range(-1, checkpoint.spec.model.n_layers))


def collect(
    checkpoint: Checkpoint,
    games: Games,
    *,
    layers: Sequence[int] | None = None,
    languages: Sequence[int] | None = None,
) -> Activations:
    """Run the games through the model once in each language and keep the residual stream at each move.

    Args:
        layers: which layers, all by default.
        languages: which input languages, all by default.

    Returns:
        Activations; they take 4 * d_model bytes a row, layer and language.

    Raises:
        ValueError: for a layer or language that the model does not have, naming those it has.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> acts = collect(load("mini/atomic-atomic-anchors4"), random_games(5, board=6, seed=0), layers=[0, 1])
        >>> acts.values.shape  # [language layer row d_model]
        torch.Size([2, 2, 155, 128])
        >>> acts.at(language=1, layer=0).shape, acts.game[:3], acts.move[:3]
        (torch.Size([155, 128]), array([0, 0, 0]), array([0, 1, 2]))
    """
    wanted = tuple(layers) if layers is not None else all_layers(checkpoint)
    spoken = tuple(languages) if languages is not None else checkpoint.mothello.inputs
    if not wanted or not spoken:
        raise ValueError(f"layers={list(wanted)}, languages={list(spoken)}: name at least one of each")
    unknown = sorted(set(wanted) - set(all_layers(checkpoint)))
    if unknown:
        raise ValueError(
            f"layer {unknown[0]}: {checkpoint.name or 'this model'} has layers {list(all_layers(checkpoint))}"
        )
    boards = replay(games)
    game, move = np.nonzero(games.moves[:, : full_length(games.board) - 1] >= 0)
    values = torch.empty(len(spoken), len(wanted), len(game), checkpoint.spec.model.d_model)
    for index, language in enumerate(spoken):
        position = checkpoint.mothello.encode(games, language).last[game, move].astype(np.int64)
        for part, cache in _residuals(checkpoint, checkpoint.tokens(games, language), wanted):
            rows = slice(*np.searchsorted(game, [part.start, part.stop]))
            for layer, residual in enumerate(cache):
                values[index, layer, rows] = residual[game[rows] - part.start, position[rows]].cpu()
    return Activations(values, spoken, wanted, games, boards, game, move)


def _residuals(
    checkpoint: Checkpoint, tokens: torch.Tensor, layers: Sequence[int]
) -> Iterator[tuple[slice, list[torch.Tensor]]]:
    """The residual stream `[batch pos d_model]` of every layer, batch by batch."""
    names = [hook_name(layer) for layer in layers]
    model = checkpoint.model
    size = max(1, _CELLS // tokens.shape[1])
    for first in range(0, len(tokens), size):
        part = slice(first, min(first + size, len(tokens)))
        with torch.inference_mode():
            _, cache = model.run_with_cache(
                tokens[part],
                names_filter=lambda name: name in names,
                return_type=None,
                stop_at_layer=max(layers) + 1 or 1,
            )
        yield part, [cache[name] for name in names]
