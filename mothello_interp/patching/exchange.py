"""Interchange: the same game in another language, and whether the prediction survives its state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp.activations import hook_name
from mothello_interp.maps import Maps
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry, replay
from mothello_interp.patching.metrics import interval, kl, resampled
from mothello_interp.patching.metrics import mass as mass_of
from mothello_interp.patching.pairs import another
from mothello_interp.patching.runs import Mass, Runs, places


def interchange(
    checkpoint: Checkpoint,
    games: Games,
    *,
    base: int,
    donor: int,
    symmetry: Symmetry | str = "identity",
    hook: str = "resid_post",
    back: Sequence[int] = (0,),
    mass: Mass = "word",
    through: Maps | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How right the base's prediction stays when one of its states is the donor language's of the same game.

    Args:
        games: each cut where a move follows, as `cut` gives them.
        base: the language of the run, and of the moves that are counted.
        donor: the language whose state is put in.
        symmetry: the donor reads the game that this map shows as the base's.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        back: which moves' states, counted from each game's last one: 0 is the last.
        mass: "word" or "first", see `Runs`.
        through: maps that the donor's states pass, fitted on other games; the zero's states pass them too.
        resamples, seed: of the bootstrap over games; the seed also of the other games.

    Returns:
        One row per layer, head and back. Columns: layer, hook, head (-1 for none), back, base, donor, symmetry;
        legal_mass, low, high: probability of the base's legal moves (0 to 1) and its 95% interval; zero, zero_low,
        zero_high: the same with the donor's state of another game at the same move number, or at its own last but
        `back` if it is shorter; ceiling: without patching; kl: from the run without patching, in nats (0: nothing
        changed); zero_kl: with the other game's state; games.

    Raises:
        ValueError: for fewer than two games, or a game that has no such move or none legal behind it; for an unknown
            hook, or maps of other languages; as `Mothello.encode`.
    """
    symmetry = Symmetry.of(symmetry)
    if through is not None:
        through.check(donor, base, symmetry, hook)
    here, legal = np.arange(len(games)), check_cut(games, max(back) + 1)
    run = Runs(checkpoint, games, base, mass=mass)
    given = Runs(checkpoint, symmetry.inverse.games(games), donor)
    mask, plain = run.mask(legal), run.plain()
    other = another(games.lengths, seed)
    behind = np.array(back)[:, None]
    moves = games.lengths - 1 - behind
    moves_of_other = np.minimum(games.lengths, games.lengths[other]) - 1 - behind
    weights = resampled(len(games), resamples, seed)
    tables = []
    for layer, head in places(checkpoint, hook):
        where: dict[str, Any] = {"hook": hook, "head": head}
        row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer, hook), "head": -1 if head is None else head}
        row |= {"back": list(back), "base": base, "donor": donor, "symmetry": symmetry.name}
        for name, who, when in (("legal_mass", here, moves), ("zero", other, moves_of_other)):
            values = given.rows(layer, who, when, **where)
            after = run.patched(layer, values if through is None else through.apply(values, layer), moves, **where)
            found = mass_of(after, mask).double().numpy()
            low, high = interval(found, weights)
            prefix = "" if name == "legal_mass" else f"{name}_"
            row |= {name: found.mean(axis=1), f"{prefix}low": low, f"{prefix}high": high}
            row[f"{prefix}kl"] = kl(after, plain).mean(-1).numpy()
        row["ceiling"] = float(mass_of(plain, mask).double().mean())
        tables.append(pd.DataFrame({**row, "games": len(games)}))
    return pd.concat(tables, ignore_index=True)


def check_cut(games: Games, moves: int) -> np.ndarray:
    """The moves legal behind each game, bool `[game square]`.

    Raises:
        ValueError: for fewer than two games, fewer moves than asked for, or a game that is over.
    """
    if len(games) < 2:
        raise ValueError(f"{len(games)} games: two or more are needed, since another one's state is the zero")
    if games.lengths.min() < moves:
        raise ValueError(f"a game of {games.lengths.min()} moves: {moves} or more are needed")
    legal: np.ndarray = replay(games).legal[np.arange(len(games)), games.lengths]
    if not legal.any(axis=1).all():
        raise ValueError("a game is over: cut games where a move follows, for example with cut")
    return legal
