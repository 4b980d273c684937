"""Minimal pairs: how much of the clean prediction returns with the clean state of another language."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import hook_name
from mothello_interp.maps import Maps
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Symmetry
from mothello_interp.patching.metrics import interval, mass_difference, recovered, resampled
from mothello_interp.patching.pairs import SHARED_AFTER, Pairs, another
from mothello_interp.patching.runs import Mass, Runs, places

_SMALL = 0.05  # a pair whose clean and corrupted runs differ by less than this asks nothing


def recovery(
    checkpoint: Checkpoint,
    pairs: Pairs,
    *,
    base: int,
    donor: int,
    symmetry: Symmetry | str = "identity",
    hook: str = "resid_post",
    mass: Mass = "first",
    through: Maps | None = None,
    approximate: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of the clean prediction returns when the donor language's clean state is put into the base language's run.

    The metric m is the probability, in the base language, of moves legal behind the clean game alone, less that of moves
    legal behind the corrupted game alone (-1 to 1). Recovery is
    (m(patched) - m(corrupted)) / (m(clean) - m(corrupted)), a ratio of sums over pairs: 0 for nothing, 1 for all.

    Args:
        base: the language of the corrupted run, and of the tokens that m reads.
        donor: the language in which the clean game is read; `base` itself gives the ceiling.
        symmetry: the map through which base is thought to see the donor's boards (g of base and donor, as in
            `align_up_to_symmetry`): the donor reads the clean game that this map shows as it is.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        mass: "first": of the tokens that begin a move legal in one game alone and none legal in the other; "word": of
            whole moves, the product of the conditionals along their tokens. The same for languages of one token a move.
        through: maps that the donor's states pass, fitted on other games; the zero's states pass them too.
        approximate: estimate by gradients instead (attribution patching), in one run for all places.
        resamples, seed: of the bootstrap; the seed also of the other pairs.

    Returns:
        One row per layer, head and offset (of the patched move from the changed one, from -1 to SHARED_AFTER): layer
        (without the last one's resid_post, which nothing reads but the answer), hook, head (-1 for none), offset, base,
        donor, symmetry, recovery, low, high (95% bootstrap over pairs), zero, zero_low, zero_high (the same with the
        donor's state of another pair at the same move number, or at its own if it is shorter), pairs, dropped (pairs
        whose clean and corrupted runs differ by less than 0.05).

    Raises:
        ValueError: for fewer than two pairs; if every pair was dropped: the model tells none of them apart; for an
            unknown hook, maps of other languages, or an estimate of words of several tokens.

    Examples:
        >>> from mothello_interp import load, minimal_pairs, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> pairs = minimal_pairs(random_games(200, board=6, seed=0), 20, seed=0)
        >>> table = recovery(m, pairs, base=0, donor=1, resamples=100)
        >>> after = table[table.offset == 2]  # at the last move, where the prediction is made
        >>> dict(zip(after["layer"], after["recovery"] > after["zero"] + 0.1))
        {-1: False, 0: True, 1: True, 2: True}
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs: recovery needs two or more, since another pair's state is its zero")
    symmetry = Symmetry.of(symmetry)
    if through is not None:
        through.check(donor, base, symmetry, hook)
    clean, corrupted = (Runs(checkpoint, games, base, mass=mass) for games in (pairs.clean, pairs.corrupted))
    given = Runs(checkpoint, symmetry.inverse.games(pairs.clean), donor)
    masks = corrupted.mask(pairs.legal_clean), corrupted.mask(pairs.legal_corrupted)
    sign = mass_difference(torch.eye(len(masks[0][0]))[:, None], *masks).T
    before, whole = (mass_difference(run.plain(), *masks).double().numpy() for run in (corrupted, clean))
    asked = whole - before >= _SMALL
    if not asked.any():
        raise ValueError(
            f"the model tells none of {len(pairs)} pairs apart (clean less corrupted is below {_SMALL} in all)"
        )
    here, other = np.arange(len(pairs)), another(pairs.changed, seed)
    moves = pairs.changed + np.arange(-1, SHARED_AFTER + 1)[:, None]
    moves_of_other = moves - pairs.changed + np.minimum(pairs.changed, pairs.changed[other])
    weights, room = resampled(int(asked.sum()), resamples, seed), (whole - before)[asked]
    facts: dict[str, Any] = {"offset": range(-1, SHARED_AFTER + 1), "base": base, "donor": donor}
    facts["symmetry"] = symmetry.name
    tables = []
    for layer, head in places(checkpoint, hook, last=False):
        where: dict[str, Any] = {"hook": hook, "head": head}
        row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer, hook), "head": -1 if head is None else head}
        for name, who, when in (("recovery", here, moves), ("zero", other, moves_of_other)):
            values = given.rows(layer, who, when, **where)
            values = values if through is None else through.apply(values, layer)
            if approximate:
                after = corrupted.estimated(layer, values, moves, sign, **where)
            else:
                after = mass_difference(corrupted.patched(layer, values, moves, **where), *masks)
            gain = after.double().numpy()[:, asked]
            low, high = interval(gain - before[asked], weights, room)
            prefix = "" if name == "recovery" else f"{name}_"
            row |= {name: recovered(gain, before[asked], whole[asked]), f"{prefix}low": low, f"{prefix}high": high}
        tables.append(pd.DataFrame({**row, **facts, "pairs": int(asked.sum()), "dropped": int((~asked).sum())}))
    front = ["layer", "hook", "head", "offset", "base", "donor", "symmetry"]
    table = pd.concat(tables, ignore_index=True)
    return table[front + [column for column in table if column not in front]]
