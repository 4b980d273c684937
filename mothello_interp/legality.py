"""Does the model know the rules? Legality of its next move, by language and move number."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mothello_interp.arguments import checked
from mothello_interp.reading import Reading

_COLUMNS = ["language", "move", "top1", "legal_mass", "chance", "prefixes", "open", "top1_known", "top1_own"]


@checked
def legal_accuracy(readings: Reading | Sequence[Reading], *, mass: bool = True) -> pd.DataFrame:
    """Top-1 legal accuracy and legal mass after every proper prefix of the games, by language and move number.

    Top-1 follows the paper: the greedy continuation, up to a complete move, counts if it spells a legal move. Legal mass
    is the probability of all legal moves together, a move's being the product of the conditionals along its tokens.

    Args:
        readings: of finished games, as `checkpoint.readings(games)` gives them; a prefix ends before the last move.
        mass: whether to measure the mass too, which for moves of several tokens takes longer.

    Returns:
        One row per language and move number: language, move (0: the prediction of the second move), top1 and
        legal_mass (0 to 1; mass is NaN if not asked for), chance (the share of squares that are legal: what a random choice
        among the empty squares scores), prefixes (how many games continue there), open (share of prefixes
        written in anchors alone, which other languages write the same). Accuracy is also reported without anchors:
        top1_known, over the prefixes whose language is settled, and top1_own, over the predictions that are no anchors
        (NaN where there are none).

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> table = legal_accuracy(m.readings(random_games(20, board=6, seed=0)))
        >>> summary(table)[["language", "top1", "legal_mass"]].round(1)
           language  top1  legal_mass
        0         0   1.0         0.9
        1         1   1.0         0.9
    """
    several = [readings] if isinstance(readings, Reading) else readings
    return pd.DataFrame([row for reading in several for row in _by_move(reading, mass)], columns=_COLUMNS)


@checked
def top1(reading: Reading, outputs: int | Sequence[int] | None = None) -> np.ndarray:
    """Whether greedy decoding names a legal move, bool `[game move]`; False from a game's last move on.

    Args:
        outputs: languages in which a move counts, as in `Reading.greedy_moves`.
    """
    named = reading.greedy_moves(outputs)
    legal = np.take_along_axis(reading.boards.legal[:, 1:], np.maximum(named, 0)[..., None], 2)[..., 0]
    return legal & (named >= 0)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """`legal_accuracy` over all prefixes, one row a language: language, top1, legal_mass, prefixes."""
    weighted = table.assign(top1=table["top1"] * table["prefixes"], legal_mass=table["legal_mass"] * table["prefixes"])
    total = weighted.groupby("language", as_index=False)[["top1", "legal_mass", "prefixes"]].sum(min_count=1)
    return total.assign(top1=total["top1"] / total["prefixes"], legal_mass=total["legal_mass"] / total["prefixes"])


def _by_move(reading: Reading, mass: bool) -> list[dict[str, float]]:
    mothello, games = reading.checkpoint.mothello, reading.games
    legal, followed = reading.boards.legal[:, 1:-1], games.moves[:, 1:] >= 0
    hit, named = top1(reading)[:, :-1], reading.greedy_moves()[:, :-1]
    weight = (reading.next_moves()[:, :-1] * legal).sum(axis=2) if mass else np.full(hit.shape, np.nan)
    still_open = mothello.language_open(games, reading.language)[:, :-1]
    anchored = np.isin(named, [square for square, group in mothello.groups if reading.output in group])
    playable = legal.shape[2] - 4
    rows = []
    for move in np.flatnonzero(followed.any(axis=0)):
        at = followed[:, move]
        row = {"language": reading.language, "move": int(move), "top1": hit[at, move].mean()}
        row |= {"legal_mass": weight[at, move].mean(), "prefixes": int(at.sum()), "open": still_open[at, move].mean()}
        row["chance"] = legal[at, move].sum(axis=1).mean() / (playable - move - 1)
        row["top1_known"] = _mean(hit[at & ~still_open[:, move], move])
        rows.append({**row, "top1_own": _mean(hit[at & ~anchored[:, move], move])})
    return rows


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan
