"""Activation patching, within a model and between its languages: what is not only readable but used.

`patch_grid` is the plain instrument: a clean run's activation, put into a corrupted run at one layer and position.
`minimal_pairs` and `recovery` ask the cross-lingual question with it. Two games differ in one move; a model reads the
corrupted one in the base language; its state at one layer and move is replaced by the state of the clean game read in
ANOTHER language. If the languages share their representation, the model then predicts, in the base language's tokens,
what the clean game allows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from einops import rearrange, repeat

from mothello_interp.activations import HOOKS, hook_name
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, Symmetry, full_length, legal_prefixes, replay

Metric = Callable[[torch.Tensor], torch.Tensor | float]
SHARED_AFTER = 2  # moves that a minimal pair shares after the one that differs
_SMALL = 0.05  # a pair whose clean and corrupted runs differ by less than this asks nothing
_ROWS = 2048  # sequences in one forward pass


def patch_grid(
    model: Any,
    clean_tokens: torch.Tensor,
    corrupted_tokens: torch.Tensor,
    metric: Metric,
    hook: str = "resid_pre",
) -> torch.Tensor:
    """Patch clean activations into the corrupted run, one layer and position at a time.

    Equal to `transformer_lens.patching.get_act_patch_*` for the same hook, and faster: every cell of a layer runs in one
    batch, from that layer on.

    Args:
        model: any HookedTransformer.
        clean_tokens, corrupted_tokens: int `[batch pos]`, of one shape.
        metric: from logits `[batch pos vocab]` to a number, or to one number per example.
        hook: "resid_pre", "resid_mid", "resid_post", "attn_out" or "mlp_out".

    Returns:
        The metric `[layer pos]` (with a batch axis behind, if the metric keeps one).

    Raises:
        ValueError: for tokens of different shapes, or an unknown hook.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> clean, corrupted = m.tokens(random_games(2, board=6, seed=0), language=0).split(1)
        >>> grid = patch_grid(m.model, clean[:, :8], corrupted[:, :8], lambda logits: logits[0, -1, 5])
        >>> grid.shape  # [layer pos]
        torch.Size([4, 8])
    """
    if clean_tokens.shape != corrupted_tokens.shape:
        raise ValueError(
            f"clean tokens {tuple(clean_tokens.shape)} and corrupted tokens {tuple(corrupted_tokens.shape)} must have one shape"
        )
    _check_hook(hook)
    batch, length = clean_tokens.shape
    positions = repeat(torch.arange(length), "pos -> pos batch", batch=batch)
    grid = []
    clean = _cache(model, clean_tokens, hook)
    corrupted = _cache(model, corrupted_tokens, "resid_pre")
    for layer, residual in enumerate(corrupted):
        values = rearrange(clean[layer], "batch pos d_model -> pos batch d_model")
        grid.append(_patched(model, residual, layer, hook, values, positions, metric))
    return torch.stack(grid)


@dataclass(frozen=True)
class Pairs:
    """Minimal pairs: games equal but for one move, with SHARED_AFTER equal moves after it and the same players to move.

    Attributes:
        clean, corrupted: the games, cut after the last shared move.
        changed: int64 `[pair]`, number of the move that differs.
        legal_clean, legal_corrupted: bool `[pair square]`, the moves legal at the end of each.
    """

    clean: Games
    corrupted: Games
    changed: np.ndarray
    legal_clean: np.ndarray
    legal_corrupted: np.ndarray

    def __len__(self) -> int:
        return len(self.clean)


def minimal_pairs(games: Games, n: int, *, seed: int, earliest: int = 4, latest: int | None = None) -> Pairs:
    """Make minimal pairs from games: another legal move is put in, and the moves after it must stay legal.

    Args:
        games: finished games to start from.
        n: how many pairs.
        seed: of the choice of move and replacement.
        earliest, latest: range of the move number that is changed; latest is five eighths of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for a range that is none.
    """
    latest = 5 * full_length(games.board) // 8 if latest is None else latest
    if not 1 <= earliest <= latest:
        raise ValueError(
            f"earliest={earliest}, latest={latest}: expected 1 <= earliest <= latest, since the move before counts"
        )
    rng = np.random.default_rng(seed)
    games = games[games.lengths > latest + SHARED_AFTER + 1]
    changed = rng.integers(earliest, latest + 1, len(games))
    here = np.arange(len(games))
    options = replay(games).legal[here, changed]
    options[here, games.moves[here, changed]] = False
    replacement = (options * rng.random(options.shape)).argmax(axis=1)
    clean = np.where(np.arange(games.moves.shape[1]) <= (changed + SHARED_AFTER)[:, None], games.moves, -1)
    corrupted = clean.copy()
    corrupted[here, changed] = replacement
    repeats = (corrupted == replacement[:, None]).sum(axis=1) > 1
    playable = options.any(axis=1) & ~repeats
    playable[playable] = legal_prefixes(Games(corrupted[playable], games.board)) > (changed + SHARED_AFTER)[playable]
    first, second = (Games(moves[playable], games.board) for moves in (clean, corrupted))
    changed = changed[playable]
    boards = [replay(first), replay(second)]
    same_movers = (boards[0].mover == boards[1].mover).all(axis=1)
    ends = [board.legal[np.arange(len(changed)), changed + SHARED_AFTER + 1] for board in boards]
    telling = (ends[0] & ~ends[1]).any(axis=1) & (ends[1] & ~ends[0]).any(axis=1)
    found = np.flatnonzero(same_movers & telling)[:n]
    if len(found) < n:
        raise ValueError(f"{len(games)} games gave {len(found)} minimal pairs, {n} asked for: pass more games")
    return Pairs(first[found], second[found], changed[found], ends[0][found], ends[1][found])


def recovery(
    checkpoint: Checkpoint,
    pairs: Pairs,
    *,
    base: int,
    donor: int,
    symmetry: Symmetry = SYMMETRIES["identity"],
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of the clean prediction returns when the donor language's clean state is put into the base language's run.

    The metric m is, for the token after the last shared move, the probability of the base language's tokens that begin
    a move legal in the clean game alone, less that of those that begin one legal in the corrupted game alone (-1 to 1;
    for languages of several tokens a move this is the mass of first tokens). Recovery is
    (m(patched) - m(corrupted)) / (m(clean) - m(corrupted)), a ratio of sums over pairs.

    Args:
        base: the language of the corrupted run, and of the tokens that m reads.
        donor: the language in which the clean game is read; `base` itself gives the ceiling.
        symmetry: the map through which base is thought to see the donor's boards (g of base and donor, as in
            `align_up_to_symmetry`): the donor reads the clean game that this map shows as it is.

    Returns:
        One row per layer and offset (of the patched move from the changed one, from -1 to SHARED_AFTER): layer, hook,
        offset, base, donor, symmetry, recovery, low, high (95% bootstrap over pairs), zero, zero_low, zero_high (the same with the
        donor's state of another pair at the same move number, or at its own if it is shorter), pairs, dropped (pairs
        whose clean and corrupted runs differ by less than 0.05).

    Raises:
        ValueError: for fewer than two pairs; if every pair was dropped: the model tells none of them apart.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> pairs = minimal_pairs(random_games(200, board=6, seed=0), 20, seed=0)
        >>> table = recovery(m, pairs, base=0, donor=1, resamples=100)
        >>> after = table[table.offset == 2]  # at the last move, where the prediction is made
        >>> dict(zip(after["layer"], after["recovery"] > after["zero"] + 0.1))
        {-1: False, 0: True, 1: True, 2: True}
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs: recovery needs two or more, since another pair's state is its zero")
    model, metric = checkpoint.model, _mass_difference(checkpoint, pairs, base)
    clean, clean_last = _read(checkpoint, pairs.clean, base)
    corrupted, last = _read(checkpoint, pairs.corrupted, base)
    given, given_last = _read(checkpoint, symmetry.inverse.games(pairs.clean), donor)
    ends = last.max(axis=1)
    with torch.inference_mode():
        unpatched = metric(model(corrupted), ends).double().numpy()
        room = metric(model(clean), clean_last.max(axis=1)).numpy() - unpatched
    asked = room >= _SMALL
    if not asked.any():
        raise ValueError(
            f"the model tells none of {len(pairs)} pairs apart (clean less corrupted is below {_SMALL} in all)"
        )
    here, other = np.arange(len(pairs)), _another_pair(pairs, seed)
    moves = pairs.changed + np.arange(-1, SHARED_AFTER + 1)[:, None]
    moves_of_other = moves - pairs.changed + np.minimum(pairs.changed, pairs.changed[other])
    positions = torch.from_numpy(last[here, moves])
    donors = {"recovery": (here, given_last[here, moves]), "zero": (other, given_last[other, moves_of_other])}
    weights = np.random.default_rng(seed).multinomial(asked.sum(), np.full(asked.sum(), 1 / asked.sum()), resamples)
    states = _cache(model, given, "resid_pre")
    tables = []
    for layer, residual in enumerate(_cache(model, corrupted, "resid_pre")):
        row: dict[str, Any] = {"layer": layer - 1, "hook": hook_name(layer - 1)}
        row |= {"offset": range(-1, SHARED_AFTER + 1), "base": base, "donor": donor, "symmetry": symmetry.name}
        for name, (who, where) in donors.items():
            values = states[layer][who, where]
            patched = _patched(model, residual, layer, "resid_pre", values, positions, lambda x: metric(x, ends))
            gain = (patched.double().numpy() - unpatched)[:, asked]
            low, high = np.quantile(gain @ weights.T / (room[asked] @ weights.T), [0.025, 0.975], axis=1)
            prefix = "" if name == "recovery" else f"{name}_"
            row |= {name: gain.sum(axis=1) / room[asked].sum(), f"{prefix}low": low, f"{prefix}high": high}
        tables.append(pd.DataFrame({**row, "pairs": int(asked.sum()), "dropped": int((~asked).sum())}))
    return pd.concat(tables, ignore_index=True)


def _read(checkpoint: Checkpoint, games: Games, language: int) -> tuple[torch.Tensor, np.ndarray]:
    """The tokens of games in a language, `[game pos]`, and the position where each move ends, `[game move]`."""
    last = checkpoint.mothello.encode(games, language).last.astype(np.int64)
    return checkpoint.tokens(games, language)[:, : last.max() + 1], last  # what follows the longest game is padding


def _patched(
    model: Any,
    residual: torch.Tensor,
    layer: int,
    hook: str,
    values: torch.Tensor,
    positions: torch.Tensor,
    metric: Metric,
) -> torch.Tensor:
    """Run from a layer on, with one activation replaced in each cell.

    Args:
        residual: the corrupted run's `resid_pre` at the layer, `[batch pos d_model]`.
        values: what is put in, `[cell batch d_model]`.
        positions: where, `[cell batch]`.

    Returns:
        The metric of each cell, stacked.
    """
    batch = len(residual)
    results = []
    size = max(1, _ROWS // batch)
    for first in range(0, len(values), size):
        part = slice(first, first + size)
        cells = len(values[part])
        rows = torch.arange(cells * batch)
        columns = positions[part].reshape(-1)
        put_in = values[part].reshape(cells * batch, -1)

        def put(activation: torch.Tensor, hook: Any, at: Any = (rows, columns), new: Any = put_in) -> torch.Tensor:
            activation = activation.clone()  # it may be the cached run itself
            activation[at] = new
            return activation

        repeated = repeat(residual, "batch pos d_model -> (cell batch) pos d_model", cell=cells)
        with torch.inference_mode():
            logits = model.run_with_hooks(repeated, start_at_layer=layer, fwd_hooks=[(hook_name(layer, hook), put)])
            by_cell = rearrange(logits, "(cell batch) pos vocab -> cell batch pos vocab", cell=cells)
            results += [torch.as_tensor(metric(cell)) for cell in by_cell]
    return torch.stack(results)


def _cache(model: Any, tokens: torch.Tensor, hook: str) -> list[torch.Tensor]:
    """An activation of every layer, each `[batch pos d_model]`."""
    names = [hook_name(layer, hook) for layer in range(model.cfg.n_layers)]
    with torch.inference_mode():
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, return_type=None)
    return [cache[name] for name in names]


def _check_hook(hook: str) -> None:
    if hook not in HOOKS:
        raise ValueError(f"hook={hook!r}: choose one of {', '.join(HOOKS)}")


def _mass_difference(
    checkpoint: Checkpoint, pairs: Pairs, base: int
) -> Callable[[torch.Tensor, np.ndarray], torch.Tensor]:
    mothello = checkpoint.mothello
    first_tokens = mothello.words[mothello.output_of(base), :, 0]
    begins = np.zeros((len(first_tokens), mothello.d_vocab), bool)
    begins[np.arange(len(first_tokens)), first_tokens] = first_tokens != 0
    clean, corrupted = (legal @ begins for legal in (pairs.legal_clean, pairs.legal_corrupted))
    sign = torch.from_numpy((clean & ~corrupted).astype(np.float32) - (corrupted & ~clean))

    def metric(logits: torch.Tensor, position: np.ndarray) -> torch.Tensor:
        """The mass difference `[pair]` at one position of each pair, from logits `[pair pos vocab]`."""
        probabilities = logits[torch.arange(len(logits)), torch.from_numpy(position)].float().softmax(-1)
        return (probabilities.cpu() * sign).sum(-1)

    return metric


def _another_pair(pairs: Pairs, seed: int) -> np.ndarray:
    """For each pair another one that goes on at least as long, if there is any."""
    rng = np.random.default_rng(seed)
    here = np.arange(len(pairs))
    score = rng.random((len(pairs), len(pairs))) + 2 * (pairs.changed[None, :] >= pairs.changed[:, None])
    score[here, here] = -1
    return score.argmax(axis=1)
