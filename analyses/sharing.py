"""What makes languages share? Alignment by the scale of the initial weights and the number of anchors

Small models of two atomic languages, trained alike but for one thing, and compared where each is equally good at the game:
alignment at layer 1, from floor (0) to ceiling (1), through the symmetry that suits each direction best (chosen on other
games), interpolated along the run to the moment when its top-1 legal accuracy passes 0.9. Left: the standard deviation of the
initial weights (logarithmic; 0.07 is HookedTransformer's default), a colour a number of anchors; a dot a seed, the line their
mean. Right: one change each to the model of 4 anchors and 0.02, in one seed; the three seeds without a change are the first
row. The last three draw on the same 51,200 games again and again instead of new ones: dealt anew to the languages each time
(redrawn), in all languages (parallel), or each in one (disjoint). Both axes end far below the ceiling.

What is seen, in the means: smaller initial weights and more anchors bring languages together, each the more so with the
other; without anchors, at any scale, there is next to nothing by then. Of the three seeds with one anchor and the smallest
weights one is below those without any: one anchor may help or not. No model comes half of the way before it plays that well:
sharing comes after the game (`emergence`). Models with small initial weights have seen more games when they reach the level
(summary), but where all have seen equally many, at the end of training, the order is the same.

Of the single changes none does as much as the smallest initial weights. The seeds of the base span 0.10 to 0.15, so that
nothing can be said of weight decay, width 192 and the finite sets of games (0.11 to 0.16; parallel and disjoint do not differ
from redrawn by more than those seeds from one another). Beyond that are sampled targets, AdamW and unequal languages (0.19 to
0.21) and, barely, width 64 (0.17); all of these slow learning down, so that more games have been seen by then.

What could fool it: a model that merely lags behind (equal legal accuracy; one that never reaches it is missing, and the
summary counts it), an alignment that is there but through a reflection (the best of four symmetries; through the identity
alone on hovering), luck (three seeds on the left, which differ by up to 0.28 with one anchor; one on the right), the
optimiser (Muon; one row is AdamW).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import Checkpoint
from analyses._tables import summary
from analyses.emergence import alignment, legality, over_steps
from mothello_interp.plots import LANGUAGES, panel_grid

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
        ValueError: for a checkpoint without a folder `steps` beside it.
    """

    def at(step: Checkpoint) -> dict[str, Any]:
        legal = legality(step, score)
        return {"legal": legal, **(alignment(step, fit, score) if legal >= near else {})}

    table = over_steps(checkpoint, at)
    return table[table["legal"] >= near] if (table["legal"] >= near).any() else table.tail(1)


def figure(table: pd.DataFrame) -> go.Figure:
    """Two panels: by initial weights and anchors; one change at a time."""
    found = _at_level(table)
    drawing = panel_grid([["initial weights and anchors", "one change each"]], x="", y="", shared=False)
    for n, colour in zip(_ANCHORS, LANGUAGES, strict=False):
        names = {_MAP[init, n]: float(init) for init in _INITS}
        here = found[found["regime"].isin(names)]
        here = here.assign(init=here["regime"].map(names)).sort_values("init")
        _add_dots(drawing, here, x="init", y="best", name=f"{n} anchor{'s' * (n != 1)}", colour=colour, column=1)
        means = here.groupby("init", as_index=False)["best"].mean()
        drawing.add_scatter(x=means["init"], y=means["best"], mode="lines", line={"color": colour}, showlegend=False,
                            hoverinfo="skip", row=1, col=1)  # fmt: skip
    rows = [_MAP[_BASE], *_ALONE.values()]
    _add_dots(drawing, found[found["regime"].isin(rows)], x="best", y="regime", name="", colour="#333333", column=2)
    drawing.update_xaxes(type="log", tickvals=[float(init) for init in _INITS], ticktext=list(_INITS),
                         title="standard deviation of the initial weights", row=1, col=1)  # fmt: skip
    level = {"title": f"alignment at {_LEGAL:g} legal (ceiling 1)", "range": [-0.05, found["best"].max() + 0.1]}
    drawing.update_yaxes(**level, row=1, col=1).update_xaxes(**level, row=1, col=2)
    drawing.update_yaxes(categoryorder="array", categoryarray=rows[::-1], showticklabels=True, side="right",
                         automargin=True, row=1, col=2)  # fmt: skip
    return drawing.update_layout(legend={"x": 0.3, "y": 0.98, "yanchor": "top"})


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model: seeds, how many pass the level, games until then, alignment there (mean, least, most), and the identity's; and
    the means of alignment and legal accuracy where training ends."""
    last = table.sort_values("games").groupby(["regime", "seed"], sort=False).tail(1).groupby("regime")
    groups = _at_level(table).groupby("regime", sort=False)
    found = groups["best"].agg(["size", "count", "mean", "min", "max"]).reset_index()
    found.columns = pd.Index(["regime", "seeds", "reached", "alignment", "least", "most"])
    found = found.assign(identity=groups["normalised"].mean().to_numpy(), games=groups["games"].mean().to_numpy())
    return found.assign(**{f"{name}, end": found["regime"].map(last[name].mean()) for name in ("best", "legal")})


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


def _add_dots(figure: go.Figure, table: pd.DataFrame, *, x: str, y: str, name: str, colour: str, column: int) -> None:
    """A dot a run."""
    about = table[["seed", "normalised", "not_identity", "games"]].to_numpy()
    hover = "seed %{customdata[0]}<br>identity %{customdata[1]:.2f}<br>through another map %{customdata[2]:.1f}"
    figure.add_scatter(x=table[x], y=table[y], mode="markers", marker={"color": colour, "size": 9, "opacity": 0.8},
                       name=name, showlegend=bool(name), customdata=about, row=1, col=column,
                       hovertemplate=hover + "<br>after %{customdata[3]:,.0f} games<extra></extra>")  # fmt: skip
