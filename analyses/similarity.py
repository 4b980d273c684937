"""Which measure of similarity tells shared from alike, and which one predicts transfer?

The same games in both languages, row against row within each move number: every measure (rows) at every layer (columns).
First row, for comparison: alignment of a board probe, from floor to ceiling. The next three need the same coordinates, as a
probe does; the others see past a rotation. A number in brackets is not above the 95% quantile of games re-paired at
random. The last panel is random weights: what a measure finds there it finds in the bag of moves, before anything is
learned. Where a measure is high and the first row is low, the languages are alike, each in coordinates of its own.

The summary asks which measure, taken before fine-tuning, goes with what fine-tuning in one language does for the other
(rank correlation over the models of `transfer`, with the number of models: few).

What could fool it: position embeddings (only rows of one move number are compared), too few games (debiased CKA; the null
has the bias of SVCCA, PWCCA and Procrustes; the latter is scored on other games than it is fitted on), a rotation (the first
rows), models that differ in more than sharing (a correlation over regimes is no cause).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, MODELS, Zoo, over_models
from analyses._transfer import NAMED, TARGETS, fine_tuned, recorded
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect, hook_name, paper_layer
from mothello_interp.alignment import align_on
from mothello_interp.plots import add_heatmap, layer_name, panel_grid
from mothello_interp.probes import fit_probes_on
from mothello_interp.similarity import MEASURES, SAME_COORDINATES, compare

_GAMES, _FIT, _SCORE, _PERMUTATIONS = 620, 600, 200, 19
_ORDER = ("alignment", *SAME_COORDINATES, *(name for name in MEASURES if name not in SAME_COORDINATES))
_TRANSFER = {
    f"mini/transfer-{target}-{name}": f"{target}, {NAMED[regime]}"
    for target in TARGETS
    for name, regime in (("naive", "naive"), ("anchors8", "anchors"), ("unified", "unified"))
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`similarity.compare` with every measure, and alignment beside it, of the first two input languages; and of random
    weights, at the layer three quarters up."""
    layer = paper_layer(checkpoint.spec.model.n_layers)
    random = [table.assign(weights="random") for table in _compared(checkpoint.untrained(), [layer])]
    return pd.concat(
        [*(table.assign(weights="trained") for table in _compared(checkpoint)), *random], ignore_index=True
    )


def _compared(checkpoint: Checkpoint, layers: list[int] | None = None) -> list[pd.DataFrame]:
    """All measures, and alignment in both directions on the mean."""
    board, (first, second) = checkpoint.spec.board, checkpoint.mothello.inputs[:2]
    games = [random_games(n, board=board, seed=seed) for n, seed in ((_GAMES, 111), (_FIT, 112), (_SCORE, 113))]
    rows, fit, score = (collect(checkpoint, part, layers=layers, languages=(first, second)) for part in games)
    similar = compare(rows, first, rows, second, measures=tuple(MEASURES), permutations=_PERMUTATIONS)
    aligned = align_on(fit_probes_on(fit, seed=0), score, resamples=200)
    aligned = aligned[(aligned["source"] != aligned["target"]) & (aligned["symmetry"] == "identity")]
    columns = {"normalised": "value", "normalised_low": "low", "normalised_high": "high"}
    means = aligned.groupby("layer", as_index=False)[list(columns)].mean().rename(columns=columns)
    means = means.assign(
        hook=[hook_name(layer) for layer in means["layer"]], measure="alignment", null=0.0, null_high=0.0
    )
    return [similar, means]


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows, since all measures take minutes; with what fine-tuning did to the models it started from."""
    table = over_models("similarity", measure, MODELS | _TRANSFER, zoo=zoo, compute=False)
    starts = fine_tuned([f"transfer-{target}" for target in TARGETS], zoo.scale)
    usual = {name: name for name in starts if "-rising-" not in name}
    ends = over_models("transfer", recorded, usual, zoo=zoo, compute=False)
    ends = ends[(ends["role"] == "target") & (ends["epoch"] == ends["epoch"].max())]
    start = ends["regime"].str.replace(r"-(mini|paper)-language\d$", "", regex=True)
    for column, of in (("transfer_own", "top1"), ("transfer_any", "top1_any")):
        table[column] = table["regime"].map(dict(zip(start.map(_TRANSFER), ends[of], strict=True)))
    return table


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a regime, and one for random weights: measures by layer."""
    seed = table["seed"].min()
    here = table[table["seed"] == seed]
    regimes = [regime for regime in LABELS if regime in set(here["regime"])] or list(dict.fromkeys(here["regime"]))[:3]
    panels = [here[(here["regime"] == regime) & (here["weights"] == "trained")] for regime in regimes]
    random = here[(here["regime"] == regimes[0]) & (here["weights"] == "random")]
    titles = [*(LABELS.get(regime, regime) for regime in regimes), "random weights"]
    drawing = panel_grid([titles], x="layer", y="", widths=[3] * len(panels) + [1])  # one layer of random weights
    place = {name: index for index, name in enumerate(_ORDER)}
    for column, cells in enumerate([*panels, random], 1):
        cells = cells.assign(place=cells["measure"].map(place), label=_labels(cells))
        add_heatmap(drawing, cells, x="layer", y="place", z="value", limits=(-1, 1), column=column, label="label")
        layers = sorted(cells["layer"].unique())
        ticks = [layer_name(layer) for layer in layers]
        drawing.update_xaxes(tickvals=layers, ticktext=ticks, showgrid=False, col=column)
    names = [name.replace("_", " ") for name in _ORDER]
    drawing.update_yaxes(tickvals=list(place.values()), ticktext=names, autorange="reversed", showgrid=False)
    return drawing.update_layout(height=90 + 40 * len(_ORDER), margin={"l": 130})


def _labels(cells: pd.DataFrame) -> list[str]:
    """Values, in brackets where they are not above their null."""
    inside = zip(cells["value"], cells["null_high"], strict=True)
    return ["" if np.isnan(value) else f"{value:.2f}" if value > null else f"({value:.2f})" for value, null in inside]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a measure: mean over layers of each regime, random weights, and the correlation with transfer."""
    layer = table[table["weights"] == "random"]["layer"].iloc[0]
    inner = table[(table["layer"] >= 0) & (table["weights"] == "trained")]
    rows = []
    for name in _ORDER:
        here = inner[inner["measure"] == name]
        row: dict[str, Any] = {"measure": name.replace("_", " ")}
        for regime in LABELS:
            row[LABELS[regime]] = here[here["regime"] == regime]["value"].mean()
        row["random weights"] = table[(table["weights"] == "random") & (table["measure"] == name)]["value"].mean()
        before = here[(here["layer"] == layer) & here["transfer_own"].notna()]
        row["with legality in its own words"] = before["value"].corr(before["transfer_own"], method="spearman")
        row["in any words"] = before["value"].corr(before["transfer_any"], method="spearman")
        rows.append({**row, "models": len(before)})
    return pd.DataFrame(rows)
