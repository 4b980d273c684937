"""Measures of similarity between two languages, and what fine-tuning then does to the other language."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Activations, Checkpoint, Probes, Zoo, over_models
from analyses._models import MODELS as REGIMES
from analyses._tables import cross, leading, where
from analyses.transfer import MODELS as FINE_TUNED
from analyses.transfer import NAMED, TARGETS
from analyses.transfer import measure as recorded
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_label, add_lines, layer_name, panel_grid

_DEALS = 9999
_NAMES = {"cka": "CKA", "rbf_cka": "CKA, Gaussian", "svcca": "SVCCA", "pwcca": "PWCCA", "procrustes": "Procrustes", "rsa": "RSA",
          "mutual_knn": "mutual neighbours", "alignment": "probe alignment"}  # fmt: skip
_FIRST = ("alignment", "retrieval", "cosine", "principal_angles")  # that need the same coordinates, as a probe does
_TRANSFER = {
    f"mini/transfer-{target}-{name}": f"{target}, {NAMED[regime]}"
    for target in TARGETS
    for name, regime in (("naive", "naive"), ("anchors8", "anchors"), ("unified", "unified"))
}


def measure(
    checkpoint: Checkpoint, *, games: int = 620, fit: int = 600, score: int = 200, permutations: int = 19,
    mismatched: int = 99,
) -> pd.DataFrame:  # fmt: skip
    """`compare` with every measure, and alignment (whose floor is cheaper), of the first two input languages;
    and of random weights, at the layer three quarters up."""
    from mothello_interp.activations import paper_layer

    sizes, layer = (games, fit, score), paper_layer(checkpoint.spec.model.n_layers)
    tables = []
    for weights, model, layers in (("trained", checkpoint, None), ("random", checkpoint.untrained(), [layer])):
        found = _compared(model, layers, sizes, permutations, mismatched)
        tables += [table.assign(weights=weights) for table in found]
    return pd.concat(tables, ignore_index=True)


def _compared(
    checkpoint: Checkpoint, layers: list[int] | None, sizes: Sequence[int], permutations: int, mismatched: int
) -> list[pd.DataFrame]:
    """All measures, and alignment in both directions on the mean; each with its floor."""
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
    return [similar, _aligned(fit_probes_on(fit, seed=0), score, mismatched)]


def _aligned(probes: Probes, rows: Activations, mismatched: int) -> pd.DataFrame:
    """Alignment as one of the measures: means of both directions, with those of mismatched boards as the floor."""
    from mothello_interp.alignment import align_on
    from mothello_interp.forward import hook_name

    aligned = where(cross(align_on(probes, rows, resamples=200)), symmetry="identity")
    columns = {"normalised": "value", "normalised_low": "low", "normalised_high": "high"}
    means = aligned.groupby("layer", as_index=False)[list(columns)].mean().rename(columns=columns)
    null = _floors(probes, rows, aligned, mismatched)
    means = means.assign(
        hook=[hook_name(layer) for layer in means["layer"]], measure="alignment", games=len(rows.games)
    )
    means = means.assign(floor=null.mean(axis=1), floor_high=np.quantile(null, 0.95, axis=1))
    means["above"] = means["value"] - means["floor_high"]
    means["p"] = (1 + (null >= means["value"].to_numpy()[:, None]).sum(axis=1)) / (1 + mismatched)
    beside = ["floor", "floor_high", "above", "p"]
    means[beside] = means[beside].mask(means["value"].isna())
    return means


def _floors(probes: Probes, rows: Activations, aligned: pd.DataFrame, times: int) -> np.ndarray:
    """Alignment with the boards of mismatched games, within move number, `[layer permutation]`."""
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
        way = (read - row["floor"]) / (min(row["ceiling"], row["ceiling_target"]) - row["floor"])
        null[probes.layers.index(row["layer"])] += way / 2  # of two directions
    return null


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows, since all measures take minutes; with what fine-tuning did to the models it started from."""
    table = over_models("similarity", measure, REGIMES | _TRANSFER, zoo=zoo, stored=True)
    usual = {name: name for name in FINE_TUNED if "-rising-" not in name}
    curves = over_models("transfer", recorded, usual, zoo=zoo, stored=True)
    return table.merge(_changes(curves), how="left", on=["regime", "seed"])


def _changes(curves: pd.DataFrame) -> pd.DataFrame:
    """By pretrained model and seed: change of the target's legality over fine-tuning, in its own tokens and in any."""
    target = where(curves, role="target").sort_values("epoch")
    start = target["regime"].str.replace(r"-(mini|paper)-language\d$", "", regex=True)
    runs = target.assign(regime=start.map(_TRANSFER)).groupby(["regime", "seed"])[["top1", "top1_any"]]
    changes = runs.last() - runs.first()
    return changes.rename(columns={"top1": "transfer_own", "top1_any": "transfer_any"}).reset_index()


def _order(table: pd.DataFrame) -> list[str]:
    """The measures as they are shown: in the order of the table, after those that need the same coordinates."""
    return list(dict.fromkeys([*_FIRST, *table["measure"]]))


def figure(table: pd.DataFrame) -> go.Figure:
    """A row a measure, three quarters up: its value in each regime, and in random weights."""
    (layer,) = where(table, weights="random")["layer"].unique()
    here, order = where(table, seed=table["seed"].min(), layer=layer), _order(table)
    here = here.assign(place=here["measure"].map(order.index))
    drawing = panel_grid([[""]], x=f"similarity, layer {layer_name(layer)}", y="")
    regimes = [regime for regime in LABELS if regime in set(here["regime"])] or list(dict.fromkeys(here["regime"]))[:3]
    look: dict[str, Any] = {"width": 0, "hover": ("floor_high", "p")}
    for regime in regimes[:1]:
        random = Line("place", "random weights", COLOURS["floor"], {"weights": "random"}, symbol="x", **look)
        add_lines(drawing, where(here, regime=regime), [random], x="value")
    for regime in regimes:
        dots = Line(
            "place",
            LABELS.get(regime, regime),
            COLOURS.get(regime, COLOURS["own"]),
            {"weights": "trained"},
            symbol="circle",
            **look,
        )
        add_lines(drawing, where(here, regime=regime), [dots], x="value")
    drawing.update_traces(marker_size=14)
    names = [_NAMES.get(name, name.replace("_", " ")) for name in order]
    drawing.add_hline(y=len(_FIRST) - 0.5, line={"color": COLOURS["floor"], "dash": "dot", "width": 1})
    edge = len(_FIRST) - 0.5
    add_label(drawing, "<b>same coordinates</b>", 0.92, edge, COLOURS["ceiling"], anchor="right")
    add_label(drawing, "<b>up to rotation</b>", 0.0, edge, COLOURS["ceiling"], anchor="left", above=False)
    drawing.update_yaxes(tickvals=list(range(len(order))), ticktext=names, range=[len(order) - 0.5, -0.5])
    return drawing.update_xaxes(range=[-0.06, 1.04]).update_layout(
        height=130 + 30 * len(order), margin={"l": 150, "t": 20}
    )


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a measure, at the layer three quarters up: each regime, random weights, and the rank correlation with the change of
    legality that fine-tuning in the other language brings."""
    (layer,) = where(table, weights="random")["layer"].unique()
    found = pd.DataFrame([_with_transfer(where(table, layer=layer, measure=name), name) for name in _order(table)])
    random = f"{LABELS['naive']}, random weights"
    return leading(found, "measure", *LABELS.values(), random, "correlation, any tokens", "p", "models")


def _with_transfer(here: pd.DataFrame, name: str) -> dict[str, Any]:
    """One measure at one layer."""
    trained, random = (where(here, weights=weights) for weights in ("trained", "random"))
    row: dict[str, Any] = {"measure": _NAMES.get(name, name.replace("_", " "))}
    row |= {label: where(trained, regime=regime)["value"].mean() for regime, label in LABELS.items()}
    row |= {
        f"{label}, random weights": where(random, regime=regime)["value"].mean() for regime, label in LABELS.items()
    }
    before = trained.dropna(subset=["transfer_own", "value"])
    row["correlation, any tokens"], row["p"] = _together(before["value"], before["transfer_any"])
    row["correlation, own tokens"], row["p, own tokens"] = _together(before["value"], before["transfer_own"])
    row |= {"same coordinates": name in _FIRST, "layer": here["layer"].iloc[0], "models": len(before)}
    return row


def _together(before: pd.Series, change: pd.Series) -> tuple[float, float]:
    """Rank correlation, and the share of permutations of the models for which it is as far from 0."""
    if before.nunique() < 2 or change.nunique() < 2:
        return np.nan, np.nan
    ranks, others = before.rank().to_numpy(), change.rank().to_numpy()
    found = float(np.corrcoef(ranks, others)[0, 1])
    dealt = np.random.default_rng(0).permuted(np.tile(others, (_DEALS, 1)), axis=1)
    null = (dealt - others.mean()) @ (ranks - ranks.mean()) / (len(ranks) * ranks.std() * others.std())
    return found, float((1 + (np.abs(null) >= abs(found) - 1e-12).sum()) / (1 + _DEALS))
