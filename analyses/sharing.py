"""What decides whether two languages align: initial weights, anchors, and one change each."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import Checkpoint
from analyses._tables import summary
from analyses.emergence import alignment, legality, over_steps
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_label, add_lines, panel_grid

_LEGAL = 0.9  # where models are compared
_INITS, _ANCHORS = ("0.002", "0.02", "0.07"), (0, 1, 4)
_BASE = ("0.02", 4)  # what is changed one by one
_ALONE = {
    "adamw": "AdamW",
    "sampled": "sampled targets",
    "weight-decay-0": "weight decay 0",
    "weight-decay-1": "weight decay 1",
    "width-64": "width 64",
    "width-192": "width 192",
    "weights-90-10": "languages 90 : 10",
    "redrawn": "51,200 games, redrawn",
    "parallel": "51,200 games, parallel",
    "disjoint": "51,200 games, disjoint",
}
_MAP = {(init, n): f"init {init}, {n} anchor{'s' * (n != 1)}" for init in _INITS for n in _ANCHORS}
MODELS = {f"sharing/init-{init}-anchors{n}": label for (init, n), label in _MAP.items()} | {
    f"sharing/{name}": label for name, label in _ALONE.items()
}
STORED = True  # these models are not bundled


def measure(checkpoint: Checkpoint, *, fit: int = 600, score: int = 300, near: float = 0.8) -> pd.DataFrame:
    """Legal accuracy and alignment at each kept checkpoint of a run whose legal accuracy is near the level or beyond it.

    Raises:
        ValueError: for a checkpoint without a folder `steps` next to it.
    """

    def at(step: Checkpoint) -> dict[str, Any]:
        legal = legality(step, score)
        return {"legal": legal, **(alignment(step, fit, score) if legal >= near else {})}

    table = over_steps(checkpoint, at)
    return table[table["legal"] >= near] if (table["legal"] >= near).any() else table.tail(1)


def figure(table: pd.DataFrame) -> go.Figure:
    """Left, alignment by the scale of the initial weights and the number of anchors; right, one change at a time."""
    found = _at_level(table)
    drawing = panel_grid(
        [["initial weights and anchors", "one change to the model with 4 anchors"]], x="", y="", shared=False
    )
    dots: dict[str, Any] = {
        "width": 0,
        "symbol": "circle",
        "opacity": 0.6,
        "shown": False,
        "hover": ("seed", "normalised", "games"),
    }
    for n, colour in zip(_ANCHORS, LANGUAGES, strict=False):
        names = {_MAP[init, n]: float(init) for init in _INITS}
        here = found[found["regime"].isin(names)]
        here = here.assign(init=here["regime"].map(names))
        add_lines(drawing, here, [Line("best", f"{n} anchors", colour, **dots)], x="init")
        means = here.groupby("init")["best"].mean().reset_index()
        add_lines(drawing, means, [Line("best", f"{n} anchors", colour, width=3, shown=False)], x="init")
        if len(means):
            label = f"<b>{n} anchor{'s' * (n != 1)}</b>"
            add_label(
                drawing, label, np.log10(means["init"].iloc[0]) + 0.05, means["best"].iloc[0], colour, anchor="left"
            )
    alone = found[found["regime"].isin([_MAP[_BASE], *_ALONE.values()])].replace({"regime": {_MAP[_BASE]: "no change"}})
    order = alone.groupby("regime")["best"].mean().sort_values().index.tolist()
    alone = alone.assign(place=alone["regime"].map(order.index))
    add_lines(drawing, alone, [Line("place", "one change", COLOURS["ceiling"], **dots)], x="best", column=2)
    drawing.update_xaxes(type="log", tickvals=[float(init) for init in _INITS], ticktext=list(_INITS),
                         title="standard deviation of<br>the initial weights", row=1, col=1)  # fmt: skip
    level = {"title": f"normalised alignment<br>at {_LEGAL:g} legal", "range": [-0.03, found["best"].max() + 0.1]}
    drawing.update_yaxes(**level, row=1, col=1).update_xaxes(**level, row=1, col=2)
    names_ = {"tickvals": list(range(len(order))), "ticktext": order, "range": [-0.5, len(order) - 0.5]}
    return drawing.update_yaxes(**names_, side="right", row=1, col=2).update_layout(
        height=450, margin={"r": 190, "l": 95, "b": 90}
    )


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model, the most aligned first: alignment where legality passes the level (mean, lowest, highest seed), games until then,
    and alignment and legality where training ends."""
    last = table.sort_values("games").groupby(["regime", "seed"], sort=False).tail(1).groupby("regime")
    groups = _at_level(table).groupby("regime", sort=False)
    found = groups["best"].agg(["size", "mean", "min", "max"]).reset_index()
    found.columns = pd.Index(["regime", "seeds", "alignment", "lowest", "highest"])
    found = found.assign(games=groups["games"].mean().to_numpy())
    found = found.assign(
        **{
            name: found["regime"].map(last[column].mean())
            for name, column in (("at the end", "best"), ("legal", "legal"))
        }
    )
    found = found.assign(reached=groups["best"].count().to_numpy(), identity=groups["normalised"].mean().to_numpy())
    return found.sort_values("alignment", ascending=False, kind="stable").reset_index(drop=True)


def _at_level(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run: all columns where its legal accuracy first passes the level, between two steps; NaN if it never does."""
    columns = ["games", "best", "normalised", "not_identity"]

    def crossing(run: pd.DataFrame) -> dict[str, float]:
        run = run.sort_values("games")
        beyond = np.flatnonzero(run["legal"] >= _LEGAL)
        if not len(beyond):
            return dict.fromkeys(columns, np.nan)
        before, after = run.iloc[max(beyond[0] - 1, 0)], run.iloc[beyond[0]]
        rise = after["legal"] - before["legal"]
        way = min(max((_LEGAL - before["legal"]) / rise, 0), 1) if rise > 0 else 1
        return {name: before[name] + way * (after[name] - before[name]) for name in columns}

    return summary(table, ["regime", "seed"], crossing)
