"""The paper's Table 1, in its own measure: MLP probes on black / empty / white, three quarters up."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import Checkpoint
from analyses._tables import cross
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_label, add_lines, bounds, panel_grid


def _regime(kind: str, anchors: int) -> str:
    """How a table lists the pair of an atomic language and one of a kind."""
    among = {("atomic", 0): "naive", ("atomic", 4): "anchors"}
    return among.get((kind, anchors), f"{kind}, {anchors} anchor{'s' * (anchors != 1)}")


KINDS, ANCHORS = ("atomic", "split", "compositional"), (0, 1, 2, 4)
CELLS: dict[str, tuple[str, int | None]] = {_regime(kind, n): (kind, n) for kind in KINDS for n in ANCHORS}
MODELS = {f"mini/atomic-{kind}-anchors{n}": regime for regime, (kind, n) in CELLS.items()}
_PAPER = {
    "atomic": {0: 0.53, 1: 0.82, 2: 0.97, 4: 0.97},
    "split": {0: 0.47, 1: 0.47, 2: 0.73, 4: 0.97},
    "compositional": {0: 0.51, 1: 0.59, 2: 0.67, 4: 0.97},
}


def measure(checkpoint: Checkpoint, *, fit: int = 1000, score: int = 500) -> pd.DataFrame:
    """Alignment of every pair of languages as in the paper: see `mothello_interp.alignment.align`."""
    from mothello_interp.activations import paper_layer
    from mothello_interp.alignment import align
    from mothello_interp.probes import fit_probes

    fitted, scored = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((fit, 12), (score, 13)))
    layer = paper_layer(checkpoint.spec.model.n_layers)
    probes = fit_probes(checkpoint, fitted, kind="mlp", frame="absolute", layers=[layer], seed=0)
    return align(probes, checkpoint, scored, symmetries=["identity"])


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Both directions of every seed, with columns type and anchors; without the user's own models."""
    rows = cross(table)
    rows = rows.assign(
        type=rows["regime"].map(lambda name: CELLS.get(name, ("", None))[0]),
        anchors=rows["regime"].map(lambda name: CELLS.get(name, ("", None))[1]),
    )
    return rows.dropna(subset="anchors")


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a type of the second language: accuracy by the number of anchors, ours and the paper's."""
    cells = _cells(table)
    kinds = [kind for kind in KINDS if kind in set(cells["type"])]
    drawing = panel_grid(
        [[f"atomic + {kind}" for kind in kinds] or [""]], x="number of anchor tokens", y="cross-lingual accuracy"
    )
    names, look = ["floor", "majority", "ceiling"], dict[str, Any](shown=False)
    for column, kind in enumerate(kinds, 1):
        here = cells[cells["type"] == kind]
        means = here.groupby("anchors", as_index=False)[["accuracy", *names]].mean()
        paper = pd.DataFrame({"anchors": list(_PAPER[kind]), "accuracy": list(_PAPER[kind].values())})
        add_lines(drawing, means, bounds(*names, **look), x="anchors", column=column)
        theirs, ours = COLOURS["paper"], COLOURS["anchors"]
        add_lines(
            drawing,
            paper,
            [Line("accuracy", "the paper (8x8)", theirs, symbol="diamond", dash="dash", **look)],
            x="anchors",
            column=column,
        )
        add_lines(drawing, here, [Line("accuracy", "each direction and seed", ours, symbol="circle", width=0, opacity=0.5,
                                       hover=("seed", "source", "target"), **look)], x="anchors", column=column)  # fmt: skip
        add_lines(
            drawing, means, [Line("accuracy", "this report (6x6)", ours, width=4, **look)], x="anchors", column=column
        )
        if column == len(kinds):
            _label(drawing, means.iloc[-1], column)
    return (
        drawing.update_xaxes(tickvals=[0, 1, 2, 4], range=[-0.3, 4.3])
        .update_yaxes(range=[0.38, 1.02])
        .update_layout(height=400)
    )


def _label(drawing: go.Figure, last: pd.Series, column: int) -> None:
    """Names of the curves, next to their right ends."""
    place: dict[str, Any] = {"column": column, "anchor": "right"}
    for name, text in (
        ("ceiling", "in-language (ceiling)"),
        ("majority", "majority baseline"),
        ("floor", "mismatched games (floor)"),
    ):
        shade = COLOURS["ceiling" if name == "ceiling" else "floor"]
        add_label(drawing, text, 4.2, last[name], shade, above=name != "floor", **place)
    add_label(drawing, "<b>this report (6x6)</b>", 4.2, last["accuracy"], COLOURS["anchors"], **place)
    place |= {"column": 1, "anchor": "left", "above": False}
    add_label(drawing, "<b>the paper (8x8)</b>", 2.2, _PAPER["atomic"][2], COLOURS["paper"], **place)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By type of the second language and number of anchors: accuracy, mean over both directions and all seeds."""
    groups = _cells(table).groupby(["type", "anchors"], sort=False)
    found = groups[["accuracy", "floor", "majority", "ceiling", "normalised"]].mean().reset_index()
    found = found.sort_values(
        ["type", "anchors"], key=lambda column: column.map(lambda name: KINDS.index(name) if name in KINDS else name)
    )
    found["paper"] = [_PAPER[kind][int(n)] for kind, n in zip(found["type"], found["anchors"], strict=True)]
    return found.astype({"anchors": int})
