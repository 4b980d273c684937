"""What each head attends to, move by move, so that languages of different lengths can be compared."""

import numpy as np
import pandas as pd
import torch

from mothello_interp.arguments import checked
from mothello_interp.reading import Reading
from mothello_interp.stats import Bootstrap, mismatched_rows, per_game


@checked
def attention_by_move(reading: Reading) -> torch.Tensor:
    """The attention of every head from each move's last token to each move, summed over that move's tokens.

    Returns:
        float32 `[layer head game move move]`: from a move to a move, 0 to 1, adding up to 1 over the last axis; 0 where a
        game is over, and from the last move of a full game, which models never read.

    Raises:
        ValueError: for no games.
    """
    if len(reading) == 0:
        raise ValueError("0 games: pass at least one")
    layers, (game, move) = range(reading.checkpoint.model.cfg.n_layers), reading.rows
    place = np.arange(reading.tokens.shape[1])
    within = (place >= reading.first[..., None]) & (place <= reading.last[..., None])  # [game move pos]
    result: list[torch.Tensor] = []
    for rows, patterns in reading.stream(layers, "pattern"):
        keys = torch.from_numpy(within[game[rows]]).float()  # [row move pos]
        result.append(torch.stack([torch.einsum("rhk,rmk->hrm", patterns[layer], keys) for layer in layers]))
    by_row = torch.cat(result, dim=2)
    found = by_row.new_zeros(*by_row.shape[:2], *reading.games.moves.shape, by_row.shape[-1])
    found[:, :, game, move] = by_row
    return found


@checked
def attention_overlap(source: Reading, target: Reading, *, resamples: int = 200, seed: int = 0) -> pd.DataFrame:
    """How far each head attends to the same moves of the same game in two languages.

    overlap = sum over moves of min(weight in source, weight in target): 1 less the total variation distance of the two
    patterns, 0 (disjoint) to 1 (equal), the mean over moves from the second on.

    Args:
        source, target: readings of the same two or more games.
        resamples, seed: of the bootstrap over games.

    Returns:
        One row per layer and head: layer, head, source, target; overlap, low, high (95% over games); floor: with the
        pattern of a mismatched game at the same move number, what position alone gives; games.

    Raises:
        ValueError: for fewer than two games, or readings of different ones.
    """
    if len(source) < 2 or source.games != target.games:
        raise ValueError(f"readings of {len(source)} and {len(target)} games: expected the same two or more in both")
    patterns = [attention_by_move(reading) for reading in (source, target)]
    game, move = source.rows
    game, move = game[move > 0], move[move > 0]  # the first move attends to itself alone
    other, boot = mismatched_rows(game, move), Bootstrap(len(source), resamples, seed)
    sizes = np.bincount(game, minlength=len(source))
    ours = patterns[0][:, :, game, move]  # [layer head row move]
    shared, floor = (
        torch.minimum(ours, patterns[1][:, :, game[order], move[order]]).sum(-1).double().numpy()
        for order in (slice(None), other)
    )
    rows = []
    for layer, head in np.ndindex(shared.shape[:2]):
        low, high = boot.interval(per_game(shared[layer, head], game, len(source)), sizes)
        row = {"layer": layer, "head": head, "source": source.language, "target": target.language}
        row |= {"overlap": shared[layer, head].mean(), "low": low, "high": high}
        rows.append({**row, "floor": floor[layer, head].mean(), "games": len(source)})
    return pd.DataFrame(rows)
