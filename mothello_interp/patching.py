"""Activation patching, within a model and between its languages: what is not only decodable but used.

`patch_grid` is the plain instrument: a clean run's activation, put into a corrupted run at one layer and position. Three
experiments ask the cross-lingual question with it: a *target* reading is given states of a *source* reading in another
language. `recovery` (two games that differ in one move: how much of the clean prediction returns?), `interchange` (the same
game: how much of a correct prediction stays?) and `transplant` (another game: whose legal moves are predicted?).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.arguments import checked, several
from mothello_interp.exchange import Exchange, Mass, predicted
from mothello_interp.forward import HOOKS, check_hook
from mothello_interp.grids import attribution_grid, patch_grid
from mothello_interp.maps import Maps
from mothello_interp.othello import Symmetry
from mothello_interp.pairs import SHARED_AFTER, Pairs
from mothello_interp.reading import Reading
from mothello_interp.stats import Bootstrap, kl, mismatched

__all__ = ["attribution_grid", "interchange", "patch_grid", "recovery", "transplant"]

_SMALL = 0.05  # a pair whose clean run is not further above its corrupted one than this is uninformative


@checked
def recovery(
    source: Reading,
    target: Reading,
    *,
    symmetry: Symmetry | str = "identity",
    hook: str = "resid_post",
    mass: Mass = "first",
    through: Maps | None = None,
    approximate: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of the clean prediction returns when the source's clean state is put into the target's corrupted run.

    The metric m is the probability, in the target, of moves legal after the clean game alone, less that of moves legal after
    the corrupted game alone (-1 to 1). recovery = sum(m_patched - m_corrupted) / sum(m_clean - m_corrupted) over pairs: 0 for
    nothing, 1 for all. A mean of ratios would be dominated by pairs with a small denominator.

    Args:
        source: reads the clean games of `minimal_pairs`; the target's own language gives the ceiling.
        target: reads the corrupted games.
        symmetry: the map through which the target is thought to see the source's boards (as in `align_up_to_symmetry`): the
            source is given the clean game that this map shows as it is.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        mass: "first": of the tokens that begin a move legal in one game alone and none legal in the other; "move": of
            complete moves, the product of the conditionals along their tokens. The same for languages of one token a move.
        through: maps that the source's states pass, fitted on other games; the floor's states pass them too.
        approximate: estimate by gradients instead (attribution patching), in one run for all places.
        resamples, seed: of the bootstrap over pairs; the seed also of the mismatched pairs.

    Returns:
        One row per layer, head and offset (of the patched move from the changed one, from -1 to SHARED_AFTER): layer
        (without the last one's resid_post, which nothing is computed from but the prediction), hook, head (-1 for none),
        offset, source, target, symmetry, recovery, low, high (95% bootstrap over pairs), floor, floor_low, floor_high (the
        same with the source's state of a mismatched pair at the same move number, or at its own if it is shorter), pairs,
        dropped (uninformative pairs: m_clean - m_corrupted is below 0.05, or negative).

    Raises:
        ValueError: for fewer than two pairs, or games that are not minimal pairs; if every pair was dropped; for an unknown
            hook, maps of other languages, or an estimate of moves of several tokens.

    Examples:
        >>> from mothello_interp import load, minimal_pairs, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> pairs = minimal_pairs(random_games(200, board=6, seed=0), 20, seed=0)
        >>> table = recovery(m.read(pairs.clean, language=1), m.read(pairs.corrupted, language=0), resamples=100)
        >>> after = table[table.offset == 2]  # at the last move, where the prediction is made
        >>> dict(zip(after["layer"], after["recovery"] > after["floor"] + 0.1))
        {-1: False, 0: True, 1: True, 2: True}
    """
    pairs = Pairs(source.games, target.games)
    if len(pairs) < 2:
        raise ValueError(
            f"{len(pairs)} pairs: recovery needs two or more, since a mismatched pair's state is its floor"
        )
    symmetry, given = _seen_through(source, target, symmetry, hook, through)
    clean = target.of(pairs.clean)
    ends = [
        _outcomes(target, run.boards.legal[np.arange(len(pairs)), pairs.clean.lengths], mass) for run in (clean, target)
    ]
    sign = (ends[0] & ~ends[1]).astype(np.float32) - (ends[1] & ~ends[0])
    before, best = ((predicted(run, mass) * sign).sum(-1).astype(float) for run in (target, clean))
    informative = best - before >= _SMALL
    if not informative.any():
        raise ValueError(
            f"the model distinguishes none of {len(pairs)} pairs (clean less corrupted is below {_SMALL} in all)"
        )
    room, boot = (best - before)[informative], Bootstrap(int(informative.sum()), resamples, seed)
    offsets, changed = np.arange(-1, SHARED_AFTER + 1), pairs.changed
    other = mismatched(changed, seed)
    moves_of_other = np.minimum(changed, changed[other]) + offsets[:, None]
    exchange = Exchange.with_floor(given, target, changed + offsets[:, None], other, moves_of_other, hook, through)
    score = exchange.estimates(sign, mass) if approximate else exchange.scores(sign, mass)
    tables = []
    for row, after in score:
        row |= {"offset": offsets, "source": source.language, "target": target.language, "symmetry": symmetry.name}
        for name, gain in zip(
            ("recovery", "floor"), np.split(after[:, informative] - before[informative], 2), strict=True
        ):
            row |= {name: gain.sum(-1) / room.sum(), **_interval(name, boot, gain, room)}
        tables.append(pd.DataFrame({**row, "pairs": len(room), "dropped": len(pairs) - len(room)}))
    return pd.concat(tables, ignore_index=True)


@checked
def interchange(
    source: Reading,
    target: Reading,
    *,
    symmetry: Symmetry | str = "identity",
    hook: str = "resid_post",
    back: int | Sequence[int] = (0,),
    mass: Mass = "move",
    through: Maps | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How correct the target's prediction stays when one of its states is the source's of the same game.

    Args:
        source, target: readings of the same games, each truncated where a move follows (`truncate_games`).
        symmetry: the source is given the game that this map shows as the target's.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        back: which moves' states, counted from each game's last one: 0 is the last.
        mass: "move" or "first", as in `recovery`.
        through: maps that the source's states pass, fitted on other games; the floor's states pass them too.
        resamples, seed: of the bootstrap over games; the seed also of the mismatched games.

    Returns:
        One row per layer, head and back. Columns: layer, hook, head (-1 for none), back, source, target, symmetry;
        legal_mass, low, high: probability of the target's legal moves (0 to 1) and its 95% interval; kl: from the run without
        patching, in nats (0: nothing changed); floor, floor_low, floor_high, floor_kl: the same with the source's state of a
        mismatched game at the same move number, or at its own last but `back` if it is shorter; ceiling: without patching;
        games.

    Raises:
        ValueError: for fewer than two games, different games, a game that has no such move or none legal after it; for an
            unknown hook, or maps of other languages.
    """
    symmetry, given = _seen_through(source, target, symmetry, hook, through)
    back = several("back", back)
    if not back or min(back) < 0:
        raise ValueError(f"back={back!r}: expected one or more numbers of moves from the last, 0 or more, as in (0, 1)")
    behind = np.array(back)[:, None]
    legal = _check_truncated(source, target, max(back) + 1)
    mask, plain, lengths = _outcomes(target, legal, mass), predicted(target, mass), target.games.lengths
    other, boot = mismatched(lengths, seed), Bootstrap(len(target), resamples, seed)
    moves_of_other = np.minimum(lengths, lengths[other]) - 1 - behind
    exchange = Exchange.with_floor(given, target, lengths - 1 - behind, other, moves_of_other, hook, through)
    tables = []
    for row, patched in exchange.patched(mass):
        row |= {"back": list(back), "source": source.language, "target": target.language, "symmetry": symmetry.name}
        for name, after in zip(("legal_mass", "floor"), np.split(patched, 2), strict=True):
            found = (after * mask).sum(-1).astype(float)
            row |= {name: found.mean(axis=-1), **_interval(name, boot, found)}
            divergence = kl(torch.from_numpy(after), torch.from_numpy(plain)).mean(-1).numpy()
            row["kl" if name == "legal_mass" else "floor_kl"] = divergence
        row["ceiling"] = float((plain * mask).sum(-1).astype(float).mean())
        tables.append(pd.DataFrame({**row, "games": len(target)}))
    return pd.concat(tables, ignore_index=True)


@checked
def transplant(
    source: Reading,
    target: Reading,
    *,
    symmetries: Sequence[Symmetry | str] = ("identity",),
    hook: str = "resid_post",
    through: Maps | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Where the probability goes when the state of the last move is another game's, read in the source's language.

    Source and target games have equally many moves. What counts are moves legal on the source game's board alone, not on the
    target's: the board was transferred if they are predicted, and understood if they are predicted in the target's tokens.

    Args:
        source, target: readings of the same games, each truncated where a move follows; they are paired among themselves.
            The target itself as source gives the ceiling.
        symmetries: maps through which the target may see the source's boards (as in `align_up_to_symmetry`): the moves legal
            on the image of the source's board are counted, under each.
        hook: one of HOOKS, at the last token of the move; or "z", a row for each head.
        through: maps that the source's states pass, fitted on other games through the one symmetry asked for.
        resamples, seed: of the bootstrap over games; the seed also of the pairing.

    Returns:
        One row per layer, head and symmetry. Columns: layer, hook, head (-1 for none), source, target, symmetry;
        mass, low, high: probability of the moves legal on the source's board alone, in the target's tokens (0 to 1), and its
        95% interval; floor, floor_low, floor_high: of the moves legal on the board of a third game alone, in the same runs;
        retained: of the moves legal on the target's board alone, in its tokens; unpatched, retained_unpatched: mass and
        retained without patching; source_tokens: of the source's moves in the source's tokens, where they differ (0 within a
        language, under a unified output and from a model of other languages); games, dropped (uninformative: one of the
        boards allows nothing of its own, or there are fewer than three games of a length).

    Raises:
        ValueError: as `interchange`; if no game is left; for moves of the source's language that find no room after the games.
    """
    images = [Symmetry.of(symmetry) for symmetry in symmetries]
    for symmetry in images:
        _seen_through(source, target, symmetry, hook, through)
    legal = _check_truncated(source, target, 1)
    giver, third = _partners(target.games.lengths, seed)
    here = np.flatnonzero(giver >= 0)
    if not len(here):
        raise ValueError(f"{len(target)} games, no three of one length: pass more games, or truncate them alike")
    move_tokens = target.checkpoint.mothello.move_tokens
    theirs_in = source.output if source.checkpoint.spec == target.checkpoint.spec else target.output
    differ = (move_tokens[target.output] != move_tokens[theirs_in]).any(axis=1)
    plain, last = target.final_moves()[here], target.games.lengths[None] - 1
    exchange = Exchange(
        source, target, last, np.where(giver < 0, np.arange(len(target)), giver)[None], last, hook, through
    )
    rows = []
    outputs = dict.fromkeys((target.output, theirs_in))
    patched = {output: list(exchange.patched("move", output)) for output in outputs}
    for (row, after), (_, theirs) in zip(patched[target.output], patched[theirs_in], strict=True):
        row |= {"source": source.language, "target": target.language}
        after, theirs = after[0, here], theirs[0, here]
        for symmetry in images:
            boards = [symmetry.boards(legal[who[here]]) for who in (giver, third)]
            scores = _transplanted(plain, after, theirs, legal[here], boards[0], boards[1], differ)
            if not len(scores["mass"]):
                raise ValueError(
                    f"{len(target)} games, none whose partners allow moves of their own ({symmetry.name}): pass more"
                )
            boot = Bootstrap(len(scores["mass"]), resamples, seed)
            facts = {name: values.mean() for name, values in scores.items()} | {"games": len(scores["mass"])}
            facts |= _interval("mass", boot, scores["mass"]) | _interval("floor", boot, scores["floor"])
            rows.append({**row, "symmetry": symmetry.name, **facts, "dropped": len(target) - facts["games"]})
    return pd.DataFrame(rows)


def _seen_through(
    source: Reading, target: Reading, symmetry: Symmetry | str, hook: str, maps: Maps | None
) -> tuple[Symmetry, Reading]:
    """The symmetry, and the source given the games that it shows as its own; maps must fit both."""
    symmetry = Symmetry.of(symmetry)
    if maps is not None:
        maps.check(source.language, target.language, symmetry, hook)
    check_hook(hook, (*HOOKS, "z"))
    return symmetry, source.of(symmetry.inverse.games(source.games))


def _check_truncated(source: Reading, target: Reading, moves: int) -> np.ndarray:
    """The moves legal after each game, bool `[game square]`, for two readings of games that go on."""
    games = target.games
    if source.games != games:
        raise ValueError("source and target are readings of different games: read the same ones in both languages")
    if len(games) < 2:
        raise ValueError(f"{len(games)} games: two or more are needed, since a mismatched one's state is the floor")
    if games.lengths.min() < moves:
        raise ValueError(f"a game of {games.lengths.min()} moves: {moves} or more are needed")
    legal: np.ndarray = target.boards.legal[np.arange(len(games)), games.lengths]
    if not legal.any(axis=1).all():
        raise ValueError("a game is over: truncate games where a move follows, for example with truncate_games")
    return legal


def _outcomes(target: Reading, squares: np.ndarray, mass: Mass) -> np.ndarray:
    """The outcomes that stand for moves to some squares, bool `[game outcome]`, in the target's output language."""
    return squares if mass == "move" else squares @ target.checkpoint.mothello.first_tokens(target.output)


def _interval(name: str, boot: Bootstrap, sums: np.ndarray, over: np.ndarray | None = None) -> dict[str, Any]:
    """The columns of an interval: low and high, after `floor_` for the floor."""
    low, high = boot.interval(sums, over)
    prefix = "floor_" if name == "floor" else ""
    return {f"{prefix}low": low, f"{prefix}high": high}


def _partners(lengths: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For each game two others of its length, int64 `[game]` each; -1 where there are none."""
    order = np.lexsort((np.random.default_rng(seed).random(len(lengths)), lengths))
    giver, third = np.full((2, len(lengths)), -1)
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if len(group) > 2:
            giver[group], third[group] = np.roll(group, -1), np.roll(group, -2)
    return giver, third


def _transplanted(
    plain: np.ndarray,
    after: np.ndarray,
    in_source: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
    third: np.ndarray,
    differ: np.ndarray,
) -> dict[str, np.ndarray]:
    """What is counted, one number a game that is informative.

    Args:
        plain, after, in_source: moves `[game square]` without the patch, with it, and with it in the source's tokens.
        own, other, third: moves legal on the board of the target, of the source's image and of another one's.
        differ: squares whose tokens differ between the languages, bool `[square]`.
    """
    masks = {"mass": other & ~own, "floor": third & ~own, "retained": own & ~other}
    informative = np.stack([mask.any(1) for mask in masks.values()]).all(0)
    found = {name: (after * mask).sum(-1) for name, mask in masks.items()}
    found |= {"unpatched": (plain * masks["mass"]).sum(-1), "retained_unpatched": (plain * masks["retained"]).sum(-1)}
    found["source_tokens"] = (in_source * (masks["mass"] & differ)).sum(-1)
    return {name: values[informative].astype(float) for name, values in found.items()}
