"""What each head attends to, move by move, so that languages of different word lengths can be laid side by side."""

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import all_layers, other_game
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games

_CELLS = 10_000  # tokens in one forward pass


def attention_by_move(checkpoint: Checkpoint, games: Games, language: int) -> torch.Tensor:
    """The attention of every head from each move's last token to the tokens of each move, added up.

    Returns:
        float32 `[layer head game move move]`: from a move to a move, 0 to 1, adding up to 1 over the last axis; 0 where a
        game is over, and from the last move of a full game, which models never read.

    Raises:
        ValueError: for no games; as `Mothello.encode`.
    """
    if len(games) == 0:
        raise ValueError("0 games: pass at least one")
    model, last = checkpoint.model, checkpoint.mothello.encode(games, language).last.astype(np.int64)
    tokens = checkpoint.tokens(games, language)
    ends = torch.from_numpy(np.where(last < tokens.shape[1], last, -1))
    starts = torch.cat([torch.zeros(len(games), 1, dtype=torch.long), ends[:, :-1] + 1], dim=1)
    place = torch.arange(tokens.shape[1])
    belongs = (place >= starts[..., None]) & (place <= ends[..., None])  # [game move pos]
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in all_layers(checkpoint)[1:]]
    parts = []
    size = max(1, _CELLS // tokens.shape[1])
    for first in range(0, len(tokens), size):
        some = slice(first, first + size)
        with torch.inference_mode():
            _, cache = model.run_with_cache(tokens[some], names_filter=lambda name: name in names, return_type=None)
        patterns = torch.stack([cache[name].float().cpu() for name in names])  # [layer game head pos pos]
        summed = torch.einsum("lghqk,gmk->lhgqm", patterns, belongs[some].float())
        there = ends[some].clamp(min=0)[None, None, :, :, None].expand(*summed.shape[:2], -1, -1, belongs.shape[1])
        parts.append(summed.gather(3, there) * (ends[some] >= 0)[:, :, None])
    return torch.cat(parts, dim=2)


def attention_overlap(
    checkpoint: Checkpoint, games: Games, one: int, other: int, *, resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """How far each head attends to the same moves of the same game in two languages.

    The overlap of two patterns is the attention that they share, the sum over moves of the smaller weight: 1 less their
    total variation distance, 0 for none, 1 for equal patterns.

    Args:
        games: two or more.
        one, other: input languages.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per layer and head: layer, head, one, other; overlap (0 to 1, mean over moves from the second on), low, high
        (95% over games); zero: with the pattern of another game at the same move number, what position alone gives; games.

    Raises:
        ValueError: for fewer than two games; as `attention_by_move`.
    """
    if len(games) < 2:
        raise ValueError(f"{len(games)} games: two or more are needed, since another one's pattern is the zero")
    first, second = (attention_by_move(checkpoint, games, language) for language in (one, other))
    read = (first[0, 0].sum(-1) > 0) & (second[0, 0].sum(-1) > 0)
    game, move = (index.numpy() for index in torch.nonzero(read, as_tuple=True))
    game, move = game[move > 0], move[move > 0]  # the first move sees itself alone
    partner = other_game(game, move)
    weights = np.random.default_rng(seed).multinomial(len(games), np.full(len(games), 1 / len(games)), resamples)
    sizes = np.bincount(game, minlength=len(games))
    ours = first[:, :, game, move]  # [layer head row move]
    shared = torch.minimum(ours, second[:, :, game, move]).sum(-1).double().numpy()
    null = torch.minimum(ours, second[:, :, game[partner], move[partner]]).sum(-1).double().numpy()
    rows = []
    for layer, head in np.ndindex(shared.shape[:2]):
        sums = np.bincount(game, weights=shared[layer, head], minlength=len(games))
        low, high = np.quantile(weights @ sums / np.maximum(weights @ sizes, 1), [0.025, 0.975])
        row = {"layer": layer, "head": head, "one": one, "other": other, "overlap": shared[layer, head].mean()}
        rows.append({**row, "low": low, "high": high, "zero": null[layer, head].mean(), "games": len(games)})
    return pd.DataFrame(rows)
