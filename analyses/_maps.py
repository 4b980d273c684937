"""The board symmetry through which a probe of one language reads another best, named before anything else is measured."""

from collections.abc import Sequence

import pandas as pd

from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.alignment import align_up_to_symmetry
from mothello_interp.probes import fit_probes_on

LAYER = 0  # named beforehand: where the prototype's languages met
RAISED = 0.2  # of the way from floor to ceiling, as in `anchors`
_FIT, _SCORE = 1000, 800


def named_maps(checkpoint: Checkpoint, languages: Sequence[int]) -> pd.DataFrame:
    """For each ordered pair the image that the source's probe reads best in the target (named), and how far up (normalised);
    columns source, target, named, normalised."""
    fit, score = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((_FIT, 61), (_SCORE, 62)))
    rows = collect(checkpoint, fit, layers=[LAYER], languages=languages)
    probes = fit_probes_on(rows, kind="linear", frame="relative", seed=0)
    found = align_up_to_symmetry(probes, checkpoint, score, layer=LAYER, resamples=20)
    return found.rename(columns={"symmetry": "named"})[["source", "target", "named", "normalised"]]
