"""The board symmetry through which a probe of one language decodes another best: chosen on half of the games, scored on the rest."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analyses._models import LABELS, Checkpoint, Probes, other_model
from analyses._tables import cross
from mothello_interp.othello import SYMMETRIES, Symmetry, random_games

MODELS = {
    "mini/two-atomic": "2 naive languages",
    "mini/four-atomic": "4 naive languages",
    "mini/five-atomic": "5 naive languages",
    "mini/twenty-atomic": "20 naive languages",
    "mini/five-atomic-off-diagonal": "5, one anchor off the diagonals",
    "mini/five-atomic-diagonal": "5, one anchor on the diagonal",
    "mini/five-atomic-antidiagonal": "5, one anchor on the antidiagonal",
}  # whose languages may meet through any symmetry, and their regimes
LAYER = 0  # named beforehand: where the prototype's languages met
FIT, SCORE = 1000, 800  # games


def probes_at(checkpoint: Checkpoint, layer: int, languages: Sequence[int] | None = None, *, fit: int = FIT) -> Probes:
    """Linear, mine / empty / theirs, of these languages (all by default) at a layer."""
    from mothello_interp.activations import collect
    from mothello_interp.probes import fit_probes_on

    rows = collect(
        checkpoint, random_games(fit, board=checkpoint.spec.board, seed=61), layers=[layer], languages=languages
    )
    return fit_probes_on(rows, kind="linear", frame="relative", seed=0)


def best_maps(
    checkpoint: Checkpoint,
    probes: Probes,
    *,
    layer: int = LAYER,
    candidates: Mapping[str, Symmetry] = SYMMETRIES,
    score: int = SCORE,
    own: Checkpoint | None = None,
) -> pd.DataFrame:
    """The best of the candidates for every ordered pair, as `align_up_to_symmetry` gives it; `own`: the model of the probes, if the
    checkpoint is another one."""
    from mothello_interp.symmetries import align_up_to_symmetry

    games = random_games(score, board=checkpoint.spec.board, seed=62)
    symmetries = tuple(candidates.values())
    return align_up_to_symmetry(probes, checkpoint, games, layer=layer, symmetries=symmetries, own=own, resamples=200)


def between_models(
    checkpoint: Checkpoint, probes: Probes, *, fit: int = FIT, score: int = SCORE, layer: int = LAYER
) -> pd.DataFrame:
    """`best_maps` between this model's languages and another model's, in both directions: what the best of four reaches by chance.
    No rows where there is no such model."""
    if not (other := other_model(checkpoint)):
        return pd.DataFrame()
    there = best_maps(other, probes, layer=layer, score=score, own=checkpoint)
    back = best_maps(checkpoint, probes_at(other, layer, fit=fit), layer=layer, score=score, own=other)
    return pd.concat([there, back], ignore_index=True)


def threshold(controls: pd.DataFrame) -> float:
    """The highest normalised alignment of pairs that share nothing, above which a pair counts as aligned; 0 if there are none."""
    return float(controls["normalised"].max()) if len(controls) else 0.0


def aligned(pairs: pd.DataFrame, above: float) -> pd.DataFrame:
    """Which pairs of different languages are aligned: both directions name inverse symmetries, each above the threshold, and each
    decodes that image on the squares where it differs from the runner-up's."""
    pairs = cross(pairs)
    there = pairs.assign(up=(pairs["normalised"] > above) & (pairs["margin_low"] > 0))
    back = there[["source", "target", "symmetry", "up"]].rename(columns={"source": "target", "target": "source"})
    both = there.merge(back, on=["source", "target"], suffixes=("", "_back"))
    mutual = both["symmetry"].map(lambda name: Symmetry.of(name).inverse.name) == both["symmetry_back"]
    return both.assign(aligned=both["up"] & both["up_back"] & mutual)


def clustered(symmetry: pd.DataFrame) -> list[list[int]]:
    """Languages in clusters of those that the identity relates, the largest cluster first.

    Args:
        symmetry: the map of each pair, indexed by source, a column a target; "none" where there is none.
    """
    from sklearn.cluster import AgglomerativeClustering

    apart = (symmetry != "identity").to_numpy(float)
    apart = np.maximum(apart, apart.T) * (1 - np.eye(len(apart)))
    found = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=0.5)
    label = found.fit_predict(apart)
    clusters = [[int(language) for language in symmetry.index[label == one]] for one in np.unique(label)]
    return sorted(clusters, key=lambda cluster: (-len(cluster), cluster))


def strip_places(models: Sequence[tuple[str, int]]) -> tuple[dict[tuple[str, int], float], dict[float, str]]:
    """Where a strip plot has each (regime, seed), seeds of a regime next to each other, and its names by their places."""
    place: dict[tuple[str, int], float] = {}
    middle, end = {}, 0.0
    for regime in dict.fromkeys(regime for regime, _ in models):
        seeds = [model for model in models if model[0] == regime]
        place |= {model: end + index for index, model in enumerate(seeds)}
        name = LABELS.get(regime, regime).replace(" languages", "")
        middle[end + (len(seeds) - 1) / 2] = "<br>".join(textwrap.wrap(name, 9, break_long_words=False))
        end += len(seeds) + 1
    return place, middle
