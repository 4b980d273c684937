"""State transplant: another game's state, read in another language, and whose legal moves are predicted then."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import hook_name
from mothello_interp.maps import Maps
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry
from mothello_interp.patching.exchange import check_cut
from mothello_interp.patching.metrics import interval, resampled
from mothello_interp.patching.metrics import mass as mass_of
from mothello_interp.patching.runs import Mass, Runs, places


def transplant(
    checkpoint: Checkpoint,
    games: Games,
    *,
    base: int,
    donor: int,
    symmetries: Sequence[Symmetry | str] = ("identity",),
    hook: str = "resid_post",
    mass: Mass = "word",
    through: Maps | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Where the probability goes when the state of the last move is that of another game in the donor language.

    Base and donor games have equally many moves. What counts are moves legal on the donor's board alone, not on the
    base's: the state of the board came along if they are predicted, and it was understood if they are predicted in the
    base's words.

    Args:
        games: each cut where a move follows, as `cut` gives them; they are paired among themselves.
        base: the language of the run; `base` as donor too gives the ceiling.
        donor: the language whose state is put in.
        symmetries: maps through which base may see the donor's boards (g of base and donor, as in
            `align_up_to_symmetry`): the moves legal on the image of the donor's board are counted, under each.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        mass: "word" or "first", see `Runs`.
        through: maps that the donor's states pass, fitted on other games through the one symmetry asked for.
        resamples, seed: of the bootstrap over games; the seed also of the pairing.

    Returns:
        One row per layer, head and symmetry. Columns: layer, hook, head (-1 for none), base, donor, symmetry;
        mass, low, high: probability of the moves legal on the donor's board alone, in the base's words (0 to 1), and its
        95% interval; zero, zero_low, zero_high: of the moves legal on the board of a third game alone, in the same runs;
        kept: of the moves legal on the base's board alone, in its words; unpatched, kept_unpatched: mass and kept without
        patching; donor_words: of the donor's moves in the donor's words, where they differ (0 within a language and
        under a unified output); games, dropped (those left out: one of the boards allows nothing of its own, or there
        are fewer than three games of a length).

    Raises:
        ValueError: as `interchange`; if no game is left; for words of the donor that find no room behind the games.
    """
    images = [Symmetry.of(symmetry) for symmetry in symmetries]
    for symmetry in images:
        if through is not None:
            through.check(donor, base, symmetry, hook)
    legal = check_cut(games, 1)
    giver, third = _partners(games.lengths, seed)
    here = np.flatnonzero(giver >= 0)
    if not len(here):
        raise ValueError(f"{len(games)} games, no three of one length: pass more games, or cut them alike")
    spoken = [checkpoint.mothello.output_of(language) for language in (base, donor)]
    run = Runs(checkpoint, games[here], base, answers=list(dict.fromkeys(spoken)), mass=mass)
    given, plain = Runs(checkpoint, games, donor), run.plain()
    moves = games.lengths[here] - 1
    rows = []
    for layer, head in places(checkpoint, hook):
        where: dict[str, Any] = {"hook": hook, "head": head}
        values = given.rows(layer, giver[here], moves, **where)[None]
        after = run.patched(layer, values if through is None else through.apply(values, layer), moves[None], **where)[0]
        row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer, hook), "head": -1 if head is None else head}
        for symmetry in images:
            boards = [symmetry.boards(legal[who[here]]) for who in (giver, third)]
            found = _scores(run, plain, after, legal[here], boards[0], boards[1], spoken)
            if not len(found["mass"]):
                raise ValueError(
                    f"{len(games)} games, and none whose partners allow moves of their own ({symmetry.name}): pass more games"
                )
            weights = resampled(len(found["mass"]), resamples, seed)
            facts: dict[str, Any] = {"base": base, "donor": donor, "symmetry": symmetry.name}
            for name, prefix in (("mass", ""), ("zero", "zero_")):
                facts[name] = found[name].mean()
                facts[f"{prefix}low"], facts[f"{prefix}high"] = interval(found[name], weights)
            facts |= {name: values.mean() for name, values in found.items()}
            rows.append({**row, **facts, "games": len(weights[0]), "dropped": len(games) - len(weights[0])})
    return pd.DataFrame(rows)


def _partners(lengths: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For each game two others of its length, int64 `[game]` each; -1 where there are none."""
    order = np.lexsort((np.random.default_rng(seed).random(len(lengths)), lengths))
    giver, third = np.full((2, len(lengths)), -1)
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if len(group) > 2:
            giver[group], third[group] = np.roll(group, -1), np.roll(group, -2)
    return giver, third


def _scores(
    run: Runs,
    plain: torch.Tensor,
    after: torch.Tensor,
    ours: np.ndarray,
    theirs: np.ndarray,
    thirds: np.ndarray,
    spoken: Sequence[int],
) -> dict[str, np.ndarray]:
    """What is counted, one number a game that asks something.

    Args:
        plain, after: outcomes `[game outcome]`, without and with the patch.
        ours, theirs, thirds: moves legal on the board of the base, of the donor's image and of another one's,
            bool `[game square]`.
        spoken: the languages in which base and donor go on.
    """
    own, other, third = (run.mask(legal) for legal in (ours, theirs, thirds))
    masks = {"mass": other & ~own, "zero": third & ~own, "kept": own & ~other}
    asked = torch.stack([mask.any(1) for mask in masks.values()]).all(0)
    found = {name: mass_of(after, mask) for name, mask in masks.items()}
    found |= {"unpatched": mass_of(plain, masks["mass"]), "kept_unpatched": mass_of(plain, masks["kept"])}
    words = run.checkpoint.mothello.words
    elsewhere = theirs & ~ours & (words[spoken[0]] != words[spoken[1]]).any(axis=1)
    found["donor_words"] = mass_of(after, run.mask(elsewhere, spoken[1]))
    return {name: values[asked].double().numpy() for name, values in found.items()}
