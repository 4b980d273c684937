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

from analyses._models import LABELS, Activations, Checkpoint, Probes
from analyses._tables import cross, listed, lowest_seed, summary, where
from mothello_interp.othello import SYMMETRIES, Games, random_games
from mothello_interp.plots import COLOURS, Line, add_lines, bounds, layer_axis, panel_grid

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
MODELS = {
    f"mini/atomic-{kind}-{'unified' if n is None else f'anchors{n}'}": regime for regime, (kind, n, _) in _CELLS.items()
}


def measure(
    checkpoint: Checkpoint, *, fit: int = 1000, choose: int = 200, score: int = 500, score_seed: int = 13
) -> pd.DataFrame:
    """Alignment of every pair of languages, for trained and random weights: see `mothello_interp.alignment.align`."""
    from mothello_interp.activations import collect
    from mothello_interp.probes import fit_probes_on

    fitted, chosen, scored = (
        random_games(n, board=checkpoint.spec.board, seed=seed)
        for n, seed in ((fit, 11), (choose, 12), (score, score_seed))
    )
    tables = []
    for weights, model in (("trained", checkpoint), ("random", checkpoint.untrained())):
        rows = collect(model, fitted)
        probes = [fit_probes_on(rows, kind="linear", frame="relative", seed=0)]
        if weights == "trained":
            probes.append(fit_probes_on(_three_quarters_up(rows), kind="mlp", frame="absolute", seed=0))
        tables += [_aligned(found, model, chosen, scored, weights) for found in probes]
    return pd.concat(tables, ignore_index=True)


def _aligned(probes: Probes, model: Checkpoint, choose: Games, score: Games, weights: str) -> pd.DataFrame:
    """`align`, and on other games: the layer that the source chooses (chosen), the symmetry of each pair (best)."""
    from mothello_interp.alignment import align, best_layer

    own, table = align(probes, model, choose, resamples=1), align(probes, model, score)
    layer = {language: best_layer(own, language) for language in probes.languages}
    highest = own.groupby(["layer", "source", "target"])["accuracy"].transform("max")
    table = table.assign(chosen=table["layer"] == table["source"].map(layer), best=highest == own["accuracy"])
    return table.assign(weights=weights, kind=probes.kind, frame=probes.frame)


def _three_quarters_up(rows: Activations) -> Activations:
    """The rows of the layer that the paper reads."""
    from mothello_interp.activations import paper_layer

    place = rows.layers.index(paper_layer(max(rows.layers) + 1))
    return replace(rows, values=rows.values[:, place : place + 1], layers=(rows.layers[place],))


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime, accuracy by layer; below, one a type of the second language, by the number of anchors."""
    regimes = [regime for regime in LABELS if regime in set(table["regime"])]
    kinds = [kind for kind in _TABLE_1 if any(_regime(kind, n) in set(table["regime"]) for n in _TABLE_1[kind])]
    width = max(len(regimes), len(kinds))
    titles = [[LABELS[regime] for regime in regimes], [f"atomic + {kind}" for kind in kinds]]
    labels = ["accuracy in the other language", "accuracy, as in Table 1"]
    drawing = panel_grid([row + [""] * (width - len(row)) for row in titles], x="layer", y=labels, shared=False)
    columns = ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"]
    by = ["regime", "seed", "weights", "symmetry", "layer"]
    means = cross(where(table, kind="linear")).groupby(by, as_index=False)[columns].mean()
    means["first"] = means.index.isin(lowest_seed(means).index)
    for column, regime in enumerate(regimes, 1):
        add_lines(drawing, where(means, regime=regime), _by_layer(COLOURS[regime]), x="layer", column=column)
    layer_axis(drawing, table["layer"], row=1).update_xaxes(title="layer", row=1)
    for column, kind in enumerate(kinds, 1):
        _draw_table_1(drawing, table, kind, column)
    drawing.update_xaxes(tickvals=[0, 1, 2, 4], range=[-0.4, 4.4], title="number of anchors", row=2)
    return drawing.update_yaxes(range=[0.3, 1.02])


def _by_layer(colour: str) -> list[Line]:
    """The curves of one regime."""
    first, plain = {"first": True, "weights": "trained"}, {"symmetry": "identity"}
    hover = ["floor", "ceiling", "majority", "normalised"]
    lines = [Line("accuracy", "other language", colour, first | plain, width=4, band=("low", "high"), hover=hover)]
    lines.append(Line("accuracy", "other seeds", colour, {**first, **plain, "first": False}, each="seed", width=1))
    lines += bounds("ceiling", "floor", "majority", rows=first | plain)
    random: dict[str, Any] = {**first, **plain, "weights": "random"}
    lines.append(Line("accuracy", "random weights", COLOURS["random weights"], random))
    for name in sorted(set(SYMMETRIES) - {"identity"}):
        through = f"through the {name.replace('_', ' ')}"
        lines.append(Line("accuracy", through, COLOURS[name], first | {"symmetry": name}, dash="dash", width=1.5))
    return lines


def _draw_table_1(drawing: go.Figure, table: pd.DataFrame, kind: str, column: int) -> None:
    """One row of the paper's table: our values, their floor, guess and ceiling, and the paper's."""
    number = {_regime(kind, n): n for n in _TABLE_1[kind]}
    cells = cross(where(table, symmetry="identity", kind="mlp", weights="trained"))
    cells = cells[cells["regime"].isin(number)]
    cells = cells.assign(anchors=cells["regime"].map(number).astype(int))
    means = cells.groupby("anchors", as_index=False)[["accuracy", "floor", "majority", "ceiling"]].mean()
    paper = pd.DataFrame({"anchors": list(_TABLE_1[kind]), "accuracy": list(_TABLE_1[kind].values())})
    dots = Line("accuracy", "each direction and seed", COLOURS["anchors"], symbol="circle", width=0,
                hover=("seed", "source", "target"))  # fmt: skip
    lines = [*bounds("ceiling", "floor", "majority"), Line("accuracy", "ours", COLOURS["anchors"])]
    theirs = Line("accuracy", "the paper's", COLOURS["naive"], symbol="diamond-open", width=0)
    for points, drawn in ((means, lines), (cells, [dots]), (paper, [theirs])):
        add_lines(drawing, points, drawn, x="anchors", row=2, column=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer that the source's own accuracy chooses on other games, beside the paper's value (8x8, MLP, layer 6)."""
    rows = cross(where(table, weights="trained"))
    found = summary(rows[rows["chosen"].astype(bool)], ["regime", "kind"], _at_the_layer)
    return found.drop(columns="kind")


def _at_the_layer(group: pd.DataFrame) -> dict[str, Any]:
    """All directions and seeds of one regime and kind of probe."""
    identity, best = (
        where(group, symmetry="identity"),
        group[group["best"].astype(bool)].sort_values(["seed", "source"]),
    )
    named = best["symmetry"].where(best["normalised"] >= _ALIGNED, "none")
    _, number, value = _CELLS[group["regime"].iloc[0]]
    return {
        "probe": "linear, relative" if group["kind"].iloc[0] == "linear" else "MLP, absolute (the paper's)",
        "layer": ", ".join(str(layer) for layer in sorted(identity["layer"].unique())),
        **identity[["accuracy", "floor", "ceiling"]].mean(),
        "normalised, lowest of any direction and seed": identity["normalised"].min(),
        "normalised, each seed": listed(identity.groupby("seed")["normalised"].mean()),
        "best symmetry, each pair and seed": ", ".join(dict.fromkeys(named)),
        "normalised under it": best["normalised"].mean(),
        "paper's accuracy": value,
        "paper's place": "Table 1" if number is not None else "transfer figure, one opening",
    }
