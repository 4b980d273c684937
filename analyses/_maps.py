"""Through which board symmetry a probe of one language reads another best: chosen on half of the games, scored on the rest."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mothello_interp import SYMMETRIES, Checkpoint, Probes, random_games
from mothello_interp.activations import collect
from mothello_interp.othello.symmetry import Symmetry
from mothello_interp.probes import fit_probes_on
from mothello_interp.symmetries import align_up_to_symmetry

MODELS = {
    "mini/two-atomic": "2 naive languages",
    "mini/four-atomic": "4 naive languages",
    "mini/four-atomic-long": "4 naive languages, longer",
    "mini/five-atomic": "5 naive languages",
    "mini/twenty-atomic": "20 naive languages",
    "mini/five-atomic-off-diagonal": "5, one anchor off the diagonals",
    "mini/five-atomic-diagonal": "5, one anchor on the diagonal",
    "mini/five-atomic-antidiagonal": "5, one anchor on the antidiagonal",
}  # whose languages may meet through any symmetry, and their regimes
LAYER = 0  # named beforehand: where the prototype's languages met
RAISED = 0.2  # of the way from floor to ceiling, as in `anchors`
FIT, SCORE = 1000, 800


def probes_at(checkpoint: Checkpoint, layer: int, languages: Sequence[int] | None = None) -> Probes:
    """Linear, mine / empty / theirs, of these languages (all by default) at a layer."""
    fit = random_games(FIT, board=checkpoint.spec.board, seed=61)
    rows = collect(checkpoint, fit, layers=[layer], languages=languages)
    return fit_probes_on(rows, kind="linear", frame="relative", seed=0)


def best_maps(
    checkpoint: Checkpoint,
    *,
    layer: int = LAYER,
    languages: Sequence[int] | None = None,
    candidates: Mapping[str, Symmetry] = SYMMETRIES,
    probes: Probes | None = None,
) -> pd.DataFrame:
    """The best of the candidates for every ordered pair, as `align_up_to_symmetry` gives it, with these probes if there are."""
    games = random_games(SCORE, board=checkpoint.spec.board, seed=62)
    probes = probes or probes_at(checkpoint, layer, languages)
    symmetries = tuple(candidates.values())
    return align_up_to_symmetry(probes, checkpoint, games, layer=layer, symmetries=symmetries, resamples=200)


def raised(pairs: pd.DataFrame) -> pd.DataFrame:
    """Which pairs of different languages have a map (raised): both directions name it, there and back, far enough up, and
    each reads that image on the squares where it differs from the runner-up's."""
    pairs = pairs[pairs["source"] != pairs["target"]]
    there = pairs.assign(up=(pairs["normalised"] >= RAISED) & (pairs["margin_low"] > 0))
    back = there[["source", "target", "symmetry", "up"]].rename(columns={"source": "target", "target": "source"})
    both = there.merge(back, on=["source", "target"], suffixes=("", "_back"))
    mutual = both["symmetry"].map(lambda name: Symmetry.of(name).inverse.name) == both["symmetry_back"]
    return both.assign(raised=both["up"] & both["up_back"] & mutual)
