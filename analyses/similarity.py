"""Which measure of similarity tells shared from alike, and which one predicts transfer?

The same games in both languages, row against row within each move number: every measure (rows) at every layer (columns).
First row, for comparison: alignment of a board probe, from floor to ceiling. The next three need the same coordinates, as a
probe does; the others see past a rotation. A number in brackets is not above the 95% quantile of games re-paired at
random. The last panel is random weights: what a measure finds there it finds in the bag of moves, before anything is
learned. Where a measure is high and the first row is low, the languages are alike, each in coordinates of its own.

The summary asks which measure, taken before fine-tuning at the layer three quarters up, goes with what fine-tuning in one
language then does to the other: the change, from start to end, of the share of legal moves in its own words and in any
language's (`transfer`; rank correlation over its models, with their number, and how often models dealt anew to the changes
go together as closely, `p`).

What is seen: the measures disagree about the naive model. Alignment, retrieval and cosine find next to nothing there; all
that see past a rotation find most of what they find where languages share (CKA 0.9 and 1.0), and of these SVCCA, PWCCA and
nearest neighbours find no more than in random weights. They disagree again in the last layer of the model with anchors,
where alignment is gone and cosine falls, and the others, retrieval too, stay high. Which one predicts transfer? What becomes
of the game, legality in any words, goes with all of them, and with CKA, alone or with a Gaussian, least; nine models do not
tell the others apart (of seven of these nine, alignment went best with it; of all, PWCCA does). Whether the answer stays in
the language's own words goes with none beyond chance: a tongue is another matter (eight anchors align two languages, and
the second loses its words: `transfer`).

What could fool it: position embeddings (only rows of one move number are compared), too few games (debiased CKA; the null
has the bias of SVCCA, PWCCA and Procrustes; the latter is scored on other games than it is fitted on), a rotation (the first
rows), a language that was good before (what counts is the change), few models (`p`; and eleven measures are tried, so the
best of them is partly luck), models that differ in more than sharing (regime and type of language: a correlation over them
is no cause).
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
_DEALS = 9999
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
    curves = over_models("transfer", recorded, usual, zoo=zoo, compute=False)
    return table.merge(_changes(curves), how="left", on=["regime", "seed"])


def _changes(curves: pd.DataFrame) -> pd.DataFrame:
    """By pretrained model and seed: how much of the target's legal moves fine-tuning gave (or took), in its own words and in any."""
    target = curves[curves["role"] == "target"].sort_values("epoch")
    start = target["regime"].str.replace(r"-(mini|paper)-language\d$", "", regex=True)
    runs = target.assign(regime=start.map(_TRANSFER)).groupby(["regime", "seed"])[["top1", "top1_any"]]
    changes = runs.last() - runs.first()
    return changes.rename(columns={"top1": "transfer_own", "top1_any": "transfer_any"}).reset_index()


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
        before = here[(here["layer"] == layer) & here["transfer_own"].notna() & here["value"].notna()]
        row["with the change in its own words"], row["p"] = _together(before["value"], before["transfer_own"])
        row["in any words"], row["p, any words"] = _together(before["value"], before["transfer_any"])
        rows.append({**row, "models": len(before)})
    return pd.DataFrame(rows)


def _together(before: pd.Series, change: pd.Series) -> tuple[float, float]:
    """Rank correlation, and the share of models dealt anew for which it is as far from 0."""
    if before.nunique() < 2 or change.nunique() < 2:
        return np.nan, np.nan
    ranks, others = before.rank().to_numpy(), change.rank().to_numpy()
    found = float(np.corrcoef(ranks, others)[0, 1])
    dealt = np.random.default_rng(0).permuted(np.tile(others, (_DEALS, 1)), axis=1)
    centred = dealt - others.mean()
    null = centred @ (ranks - ranks.mean()) / (len(ranks) * ranks.std() * others.std())
    return found, float((1 + (np.abs(null) >= abs(found) - 1e-12).sum()) / (1 + _DEALS))
