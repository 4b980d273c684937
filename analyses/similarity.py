"""Which measure of similarity tells shared from alike, and which one predicts transfer?

The same games in both languages, row against row within each move number: every measure (rows) at every layer (columns).
First row, for comparison: alignment of a board probe, from floor to ceiling (blank while these are closer than 0.1). The next
three need the same coordinates, as a probe does; the others see past a rotation. A number in brackets is not above the 95%
quantile of games re-paired at random (alignment 99 times, the others 19 times; principal angles: coordinates turned). The
last panel is random weights of the same models, at one layer, which the summary puts beside the trained ones: what a measure
finds there it finds in the bag of moves, before anything is learned. Alignment too can be above its null there (0.03 with
four anchors; 0.14 with the eight of `transfer`). Where a measure is high and the first row is low, the languages are alike,
each in coordinates of its own.

The summary asks which measure, taken before fine-tuning at the layer three quarters up, goes with what fine-tuning in one
language then does to the other: the change, from start to end, of the share of legal moves in its own words and in any
language's (`transfer`; rank correlation over its models, with their number, and how often models dealt anew to the changes go
together as closely, `p`).

What is seen, in one seed of each model: the measures disagree about the naive model. Alignment, retrieval and cosine find
next to nothing there; all that see past a rotation find most of what they find where languages share (at layer 2 CKA is 0.83
and 0.99), and of these SVCCA, PWCCA and nearest neighbours find less than in random weights of that model. They disagree
again in the last layer of the model with anchors, where alignment is gone, cosine and principal angles fall, and the others,
retrieval too, stay high. Which one predicts transfer? What becomes of the game, legality in any words, goes with all of them,
and with CKA, alone or with a Gaussian, least; nine models do not tell the others apart (of seven of these nine, alignment
went best with it; of all, PWCCA does). Whether the answer stays in the language's own words goes with none beyond chance: a
tongue is another matter (eight anchors align two languages, and the second loses its words: `transfer`).

What could fool it: position embeddings (only rows of one move number are compared), too few games (debiased CKA; the null has
the bias of SVCCA, PWCCA and Procrustes; the latter is scored on other games than it is fitted on), a rotation (the first
rows), a language that was good before (what counts is the change), few models, one seed each (`p`; and eleven measures are
tried, so the best of them is partly luck), models that differ in more than sharing (regime and type of language: a
correlation over them is no cause).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Activations, Checkpoint, Probes, Zoo, over_models
from analyses._models import MODELS as REGIMES
from analyses._tables import cross, where
from analyses.transfer import MODELS as FINE_TUNED
from analyses.transfer import NAMED, TARGETS
from analyses.transfer import measure as recorded
from mothello_interp.othello import random_games
from mothello_interp.plots import add_heatmap, layer_name, panel_grid

_DEALS = 9999
_FIRST = ("alignment", "retrieval", "cosine", "principal_angles")  # that need the same coordinates, as a probe does
_TRANSFER = {
    f"mini/transfer-{target}-{name}": f"{target}, {NAMED[regime]}"
    for target in TARGETS
    for name, regime in (("naive", "naive"), ("anchors8", "anchors"), ("unified", "unified"))
}


def measure(
    checkpoint: Checkpoint, *, games: int = 620, fit: int = 600, score: int = 200, permutations: int = 19,
    repaired: int = 99,
) -> pd.DataFrame:  # fmt: skip
    """`compare` with every measure, and alignment (whose floor is cheaper), of the first two input languages;
    and of random weights, at the layer three quarters up."""
    from mothello_interp.activations import paper_layer

    sizes, layer = (games, fit, score), paper_layer(checkpoint.spec.model.n_layers)
    tables = []
    for weights, model, layers in (("trained", checkpoint, None), ("random", checkpoint.untrained(), [layer])):
        found = _compared(model, layers, sizes, permutations, repaired)
        tables += [table.assign(weights=weights) for table in found]
    return pd.concat(tables, ignore_index=True)


def _compared(
    checkpoint: Checkpoint, layers: list[int] | None, sizes: Sequence[int], permutations: int, repaired: int
) -> list[pd.DataFrame]:
    """All measures, and alignment in both directions on the mean; each beside its null."""
    from mothello_interp.activations import collect
    from mothello_interp.comparison import compare
    from mothello_interp.probes import fit_probes_on
    from mothello_interp.similarity import MEASURES

    first, second = checkpoint.mothello.inputs[:2]
    games = [
        random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in zip(sizes, (111, 112, 113), strict=True)
    ]
    rows, fit, score = (collect(checkpoint, part, layers=layers, languages=(first, second)) for part in games)
    similar = compare(rows, first, rows, second, measures=tuple(MEASURES), permutations=permutations)
    return [similar, _aligned(fit_probes_on(fit, seed=0), score, repaired)]


def _aligned(probes: Probes, rows: Activations, repaired: int) -> pd.DataFrame:
    """Alignment as one of the measures: means of both directions, with those of mismatched boards as the floor."""
    from mothello_interp.alignment import align_on
    from mothello_interp.forward import hook_name

    aligned = where(cross(align_on(probes, rows, resamples=200)), symmetry="identity")
    columns = {"normalised": "value", "normalised_low": "low", "normalised_high": "high"}
    means = aligned.groupby("layer", as_index=False)[list(columns)].mean().rename(columns=columns)
    null = _repaired(probes, rows, aligned, repaired)
    means = means.assign(
        hook=[hook_name(layer) for layer in means["layer"]], measure="alignment", games=len(rows.games)
    )
    means = means.assign(floor=null.mean(axis=1), floor_high=np.quantile(null, 0.95, axis=1))
    means["above"] = means["value"] - means["floor_high"]
    means["p"] = (1 + (null >= means["value"].to_numpy()[:, None]).sum(axis=1)) / (1 + repaired)
    beside = ["floor", "floor_high", "above", "p"]
    means[beside] = means[beside].mask(means["value"].isna())
    return means


def _repaired(probes: Probes, rows: Activations, aligned: pd.DataFrame, times: int) -> np.ndarray:
    """What alignment is with boards of games re-paired at random, within move number, `[layer permutation]`."""
    kept, truth = rows.labels(probes.frame)
    game, move = rows.game[kept], rows.move[kept]
    place = np.full((len(rows.games), move.max() + 1), -1)
    place[game, move] = np.arange(len(game))
    rng = np.random.default_rng(0)
    others = [place[rng.permutation(len(rows.games))[game], move] for _ in range(times)]  # -1: that game was over
    null = np.zeros((len(probes.layers), times))
    for row in aligned.to_dict("records"):
        predicted = probes.predict(rows.at(row["target"], row["layer"]), row["source"], row["layer"])[kept]
        read = np.array([(predicted[other >= 0] == truth[other[other >= 0]]).mean() for other in others])
        way = (read - row["floor"]) / (row["ceiling"] - row["floor"])
        null[probes.layers.index(row["layer"])] += way / 2  # of two directions
    return null


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows, since all measures take minutes; with what fine-tuning did to the models it started from."""
    table = over_models("similarity", measure, REGIMES | _TRANSFER, zoo=zoo, stored=True)
    usual = {name: name for name in FINE_TUNED if "-rising-" not in name}
    curves = over_models("transfer", recorded, usual, zoo=zoo, stored=True)
    return table.merge(_changes(curves), how="left", on=["regime", "seed"])


def _changes(curves: pd.DataFrame) -> pd.DataFrame:
    """By pretrained model and seed: how much of the target's legal moves fine-tuning gave (or took), in its own words and in any."""
    target = where(curves, role="target").sort_values("epoch")
    start = target["regime"].str.replace(r"-(mini|paper)-language\d$", "", regex=True)
    runs = target.assign(regime=start.map(_TRANSFER)).groupby(["regime", "seed"])[["top1", "top1_any"]]
    changes = runs.last() - runs.first()
    return changes.rename(columns={"top1": "transfer_own", "top1_any": "transfer_any"}).reset_index()


def _order(table: pd.DataFrame) -> list[str]:
    """The measures as they are shown: in the order of the table, after those that need the same coordinates."""
    return list(dict.fromkeys([*_FIRST, *table["measure"]]))


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a regime, measures by layer; and one for random weights, by regime."""
    here, order = where(table, seed=table["seed"].min()), _order(table)
    regimes = [regime for regime in LABELS if regime in set(here["regime"])] or list(dict.fromkeys(here["regime"]))[:3]
    panels = [where(here, regime=regime, weights="trained") for regime in regimes]
    random = where(here[here["regime"].isin(regimes)], weights="random")
    (at,) = random["layer"].unique()
    panels.append(random.assign(layer=random["regime"].map(regimes.index)))  # one layer of each: a column a regime
    titles = [*(LABELS.get(regime, regime) for regime in regimes), f"random weights, layer {layer_name(at)}"]
    drawing = panel_grid([titles], x="layer", y="")
    for column, cells in enumerate(panels, 1):
        cells = cells.assign(place=cells["measure"].map(order.index), label=_labels(cells))
        add_heatmap(drawing, cells, x="layer", y="place", z="value", limits=(-1, 1), column=column, label="label")
        layers = sorted(cells["layer"].unique())
        ticks = regimes if column > len(regimes) else [layer_name(layer) for layer in layers]
        drawing.update_xaxes(tickvals=layers, ticktext=ticks, showgrid=False, col=column)
    names = [name.replace("_", " ") for name in order]
    drawing.update_yaxes(tickvals=list(range(len(order))), ticktext=names, autorange="reversed", showgrid=False)
    return drawing.update_layout(height=90 + 40 * len(order), margin={"l": 130})


def _labels(cells: pd.DataFrame) -> list[str]:
    """Values, in brackets where they are not above their null; without a zero in front, for want of room."""
    inside = zip(cells["value"].round(2) + 0.0, cells["value"] > cells["floor_high"], strict=True)
    short = [(f"{value:.2f}".replace("0.", ".", 1), above) for value, above in inside]
    return ["" if text == "nan" else text if above else f"({text})" for text, above in short]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a measure, all at the layer three quarters up: each regime, random weights of its models, and the correlation with
    transfer."""
    (layer,) = where(table, weights="random")["layer"].unique()
    return pd.DataFrame([_beside_transfer(where(table, layer=layer, measure=name), name) for name in _order(table)])


def _beside_transfer(here: pd.DataFrame, name: str) -> dict[str, Any]:
    """One measure at one layer."""
    row: dict[str, Any] = {"measure": name.replace("_", " "), "layer": here["layer"].iloc[0]}
    for regime, label in LABELS.items():
        row[label] = where(here, regime=regime, weights="trained")["value"].mean()
        row[f"{label}, random weights"] = where(here, regime=regime, weights="random")["value"].mean()
    before = where(here, weights="trained").dropna(subset=["transfer_own", "value"])
    row["with the change in its own words"], row["p"] = _together(before["value"], before["transfer_own"])
    row["in any words"], row["p, any words"] = _together(before["value"], before["transfer_any"])
    return {**row, "models": len(before)}


def _together(before: pd.Series, change: pd.Series) -> tuple[float, float]:
    """Rank correlation, and the share of models dealt anew for which it is as far from 0."""
    if before.nunique() < 2 or change.nunique() < 2:
        return np.nan, np.nan
    ranks, others = before.rank().to_numpy(), change.rank().to_numpy()
    found = float(np.corrcoef(ranks, others)[0, 1])
    dealt = np.random.default_rng(0).permuted(np.tile(others, (_DEALS, 1)), axis=1)
    null = (dealt - others.mean()) @ (ranks - ranks.mean()) / (len(ranks) * ranks.std() * others.std())
    return found, float((1 + (np.abs(null) >= abs(found) - 1e-12).sum()) / (1 + _DEALS))
