"""Where do two languages meet? Probe transfer by layer, with and without anchors

A probe learns to read the board from games written in one language and is applied, unchanged, to the same games in the other.
Thick line: its accuracy there (both directions averaged, and so is the band, 95% over games; thin lines: other seeds). Black:
its accuracy at home, the ceiling. Grey dots: the same predictions against other games' boards, the floor; grey dashes: the
best guess from square and move number. A curve on the ceiling means one shared code of the board; a curve on the floor means
none. Dashed colours read the target through another symmetry of the board: without anchors nothing in the data says which of
four maps relates two languages, so all four are shown.

What could fool it: a weak probe (the ceiling shows it), boards that are easy to guess (floor and guess), a map other than the
identity (the symmetries), position embeddings, which random weights share too (grey line; drawn at the usual scale of 0.02),
luck (three seeds of each panel above). The layer and the best symmetry of the headline are chosen on other games than it is
scored on; a best symmetry below a fifth of the way from floor to ceiling is called none. Linear probes, frame "mine / empty /
theirs".

Lower panels: the paper's Table 1, by the type of the second language and the number of anchors, in its own measure: MLP
probes on black / empty / white at the layer three quarters up. Dots are both directions and all seeds, the line their mean,
diamonds the paper's values (8x8, where four anchors are 4 of 60 squares; here they are 4 of 32). Its 0.45 to 0.61 lie below
the guess. By and large more anchors align more, as in the paper; but only two atomic languages with four anchors come near
its values. All others, one seed each but for the naive pair, stay below a quarter of the way from floor to ceiling after
512,000 games. Two atomic languages play nearly as well with fewer anchors as with four (top-1 legal on unseen games .976 to
.981 against .983 to .986); a split or compositional one plays less well with any number (.931 to .939; its atomic partner
.976 to .978), so it may simply lag. What makes languages share at equal play is the question of `sharing`.
"""

from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import Activations, collect, paper_layer
from mothello_interp.alignment import align, best_layer
from mothello_interp.plots import COLOURS, add_curve, layer_axis, panel_grid
from mothello_interp.probes import fit_probes_on

_FIT, _CHOOSE, _SCORE = 1000, 200, 500
_SEEDS = {"fit": 11, "choose": 12, "score": 13}
_ALIGNED = 0.2  # stated before looking: below this share of the way from floor to ceiling no symmetry is named
_TABLE_1 = {
    "atomic": {0: 0.53, 1: 0.82, 2: 0.97, 4: 0.97},
    "split": {0: 0.47, 1: 0.47, 2: 0.73, 4: 0.97},
    "compositional": {0: 0.51, 1: 0.59, 2: 0.67, 4: 0.97},
}
_UNIFIED = {"atomic": 0.90, "split": 0.80, "compositional": 0.88}  # at the start of fine-tuning, trained on one opening


def _regime(kind: str, anchors: int | None) -> str:
    """How a table lists the pair of an atomic language and one of a kind; None is unified output."""
    among = {("atomic", 0): "naive", ("atomic", 4): "anchors", ("atomic", None): "unified"}
    words = "unified output" if anchors is None else f"{anchors} anchor{'s' * (anchors != 1)}"
    return among.get((kind, anchors), f"{kind}, {words}")


_CELLS: dict[str, tuple[str, int | None, float]] = {
    _regime(kind, n): (kind, n, value) for kind, row in _TABLE_1.items() for n, value in row.items()
}
_CELLS |= {_regime(kind, None): (kind, None, value) for kind, value in _UNIFIED.items()}
_MODELS = {
    f"mini/atomic-{kind}-{'unified' if n is None else f'anchors{n}'}": regime for regime, (kind, n, _) in _CELLS.items()
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Alignment of every pair of languages, for trained and random weights: see `mothello_interp.alignment.align`."""
    board = checkpoint.spec.board
    fit, choose, score = (
        random_games(n, board=board, seed=_SEEDS[use])
        for n, use in ((_FIT, "fit"), (_CHOOSE, "choose"), (_SCORE, "score"))
    )
    tables = []
    for weights, model in (("trained", checkpoint), ("random", checkpoint.untrained())):
        rows = collect(model, fit)
        probes = fit_probes_on(rows, kind="linear", frame="relative", seed=0)
        own = align(probes, model, choose, resamples=1)
        chosen = {language: best_layer(own, language) for language in probes.languages}
        table = align(probes, model, score)
        table["chosen"] = table["layer"] == table["source"].map(chosen)
        table["best"] = own.groupby(["layer", "source", "target"])["accuracy"].transform("max") == own["accuracy"]
        tables.append(table.assign(weights=weights, kind="linear", frame="relative"))
        if weights == "trained":
            as_in_the_paper = fit_probes_on(_three_quarters_up(rows), kind="mlp", frame="absolute", seed=0)
            own = align(as_in_the_paper, model, choose, resamples=1)
            table = align(as_in_the_paper, model, score)
            table["best"] = own.groupby(["layer", "source", "target"])["accuracy"].transform("max") == own["accuracy"]
            tables.append(table.assign(chosen=True, weights=weights, kind="mlp", frame="absolute"))
    return pd.concat(tables, ignore_index=True)


def _three_quarters_up(rows: Activations) -> Activations:
    """The rows of the layer that the paper reads."""
    place = rows.layers.index(paper_layer(max(rows.layers) + 1))
    return replace(rows, values=rows.values[:, place : place + 1], layers=(rows.layers[place],))


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("anchors", measure, _MODELS, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime, accuracy by layer; below, one a type of the second language, by the number of anchors."""
    regimes = [regime for regime in LABELS if regime in set(table["regime"])]
    kinds = [kind for kind in _TABLE_1 if any(_regime(kind, n) in set(table["regime"]) for n in _TABLE_1[kind])]
    width = max(len(regimes), len(kinds))
    titles = [[LABELS[regime] for regime in regimes], [f"atomic + {kind}" for kind in kinds]]
    titles = [row + [""] * (width - len(row)) for row in titles]
    drawing = panel_grid(
        titles, x="layer", y=["accuracy in the other language", "accuracy, as in Table 1"], shared=False
    )
    cross = table[(table["source"] != table["target"]) & (table["kind"] == "linear")]
    columns = ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"]
    curves = cross.groupby(["regime", "seed", "weights", "symmetry", "layer"], as_index=False)[columns].mean()
    for column, regime in enumerate(regimes, 1):
        here = curves[curves["regime"] == regime]
        shared: dict[str, Any] = {"x": "layer", "column": column, "legend": column == 1}
        first = here["seed"] == here["seed"].min()
        trained = here["weights"] == "trained"
        identity = here["symmetry"] == "identity"
        main = here[first & trained & identity]
        add_curve(drawing, main, y="accuracy", name="other language", colour=COLOURS[regime], width=4,
                  band=("low", "high"), hover=columns[3:], **shared)  # fmt: skip
        for place, (_, curve) in enumerate(here[~first & trained & identity].groupby("seed")):
            add_curve(drawing, curve, y="accuracy", name="other seeds", colour=COLOURS[regime], width=1,
                      **{**shared, "legend": column == 1 and place == 0})  # fmt: skip
        for line, dash in (("ceiling", "solid"), ("floor", "dot"), ("majority", "dash")):
            colour = COLOURS["ceiling"] if line == "ceiling" else COLOURS["zero"]
            add_curve(drawing, main, y=line, name=line, colour=colour, dash=dash, width=1.5, **shared)
        add_curve(drawing, here[first & ~trained & identity], y="accuracy", name="random weights",
                  colour=COLOURS["random weights"], **shared)  # fmt: skip
        for symmetry, curve in here[first & trained & ~identity].groupby("symmetry"):
            name = f"through the {str(symmetry).replace('_', ' ')}"
            add_curve(drawing, curve, y="accuracy", name=name, colour=COLOURS[str(symmetry)], dash="dash", width=1.5,
                      **shared)  # fmt: skip
    layer_axis(drawing, table["layer"], row=1).update_xaxes(title="layer", row=1)
    for column, kind in enumerate(kinds, 1):
        _draw_table_1(drawing, table, kind, column)
    drawing.update_xaxes(tickvals=[0, 1, 2, 4], range=[-0.4, 4.4], title="number of anchors", row=2)
    return drawing.update_yaxes(range=[0.3, 1.02])


def _draw_table_1(drawing: go.Figure, table: pd.DataFrame, kind: str, column: int) -> None:
    """One row of the paper's table: our values, their floor, guess and ceiling, and the paper's."""
    number = {_regime(kind, n): n for n in _TABLE_1[kind]}
    cells = _in_the_papers_measure(table)
    cells = cells[cells["regime"].isin(number)]
    cells = cells.assign(anchors=cells["regime"].map(number).astype(int))
    means = cells.groupby("anchors", as_index=False)[["accuracy", "floor", "majority", "ceiling"]].mean()
    paper = pd.DataFrame({"anchors": list(_TABLE_1[kind]), "accuracy": list(_TABLE_1[kind].values())})
    shared: dict[str, Any] = {"x": "anchors", "row": 2, "column": column, "legend": False}
    for line, dash in (("ceiling", "solid"), ("floor", "dot"), ("majority", "dash")):
        colour = COLOURS["ceiling"] if line == "ceiling" else COLOURS["zero"]
        add_curve(drawing, means, y=line, name=line, colour=colour, dash=dash, width=1.5, **shared)
    shared["legend"] = column == 1
    add_curve(drawing, means, y="accuracy", name="ours", colour=COLOURS["anchors"], **shared)
    add_curve(drawing, cells, y="accuracy", name="each direction and seed", colour=COLOURS["anchors"], markers=True,
              width=0, hover=("seed", "source", "target"), **shared)  # fmt: skip
    add_curve(drawing, paper, y="accuracy", name="the paper's", colour=COLOURS["naive"], markers=True, width=0,
              symbol="diamond-open", **shared)  # fmt: skip


def _in_the_papers_measure(table: pd.DataFrame) -> pd.DataFrame:
    """Both directions, against the board itself, by the paper's probes."""
    across = (table["source"] != table["target"]) & (table["symmetry"] == "identity")
    return table[across & (table["kind"] == "mlp") & (table["weights"] == "trained")]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer that the source's own accuracy chooses on other games, beside the paper's value (8x8, MLP, layer 6)."""
    rows = table[(table["source"] != table["target"]) & table["chosen"].astype(bool) & (table["weights"] == "trained")]
    result = []
    for (regime, kind), group in rows.groupby(["regime", "kind"], sort=False):
        identity = group[group["symmetry"] == "identity"]
        by_seed = identity.groupby("seed")["normalised"].mean()
        best = group[group["best"].astype(bool)].sort_values(["seed", "source"])
        named = [row["symmetry"] if row["normalised"] >= _ALIGNED else "none" for row in best.to_dict("records")]
        result.append(
            {
                "regime": LABELS.get(str(regime), regime),
                "probe": "linear, relative" if kind == "linear" else "MLP, absolute (the paper's)",
                "layer": ", ".join(str(layer) for layer in sorted(identity["layer"].unique())),
                "accuracy": identity["accuracy"].mean(),
                "floor": identity["floor"].mean(),
                "ceiling": identity["ceiling"].mean(),
                "normalised, lowest of any direction and seed": identity["normalised"].min(),
                "normalised, each seed": ", ".join(f"{value:.2f}" for value in by_seed),
                "best symmetry, each pair and seed": ", ".join(dict.fromkeys(named)),
                "normalised under it": best["normalised"].mean(),
                "paper's accuracy": _CELLS[str(regime)][2],
                "paper's place": "Table 1" if _CELLS[str(regime)][1] is not None else "transfer figure, one opening",
            }
        )
    return pd.DataFrame(result)
