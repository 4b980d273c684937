"""Is the shared board used? Patching one language's state into the other

Two games differ in one move and agree on the two moves after it. The model reads the corrupted game in language B; at one
layer and move its state is replaced by that of the clean game read in language A. A cell is the share of the clean
prediction, in B's own tokens, that returns. Columns count from the move that differs: at -1 the games are still equal, so
that the top row is 0 there and anything else is damage. Top: A is B, the ceiling. Middle: A is the other language. Bottom:
the state of some other game in the other language, the zero; it lies near 0.5 wherever wiping out the corrupted prediction
is half of the way back. What counts is the middle against the other two: like the top, A's state does B's work; like the
bottom, it is noise to B. With four anchors it does the work at layers 0 and 1 and mostly fails at layer 2, where a probe
still transfers: readable there is not the same as used.

What could fool it: pairs whose clean and corrupted predictions hardly differ (dropped and counted), averages of ratios
(a ratio of sums is taken), damage that looks like recovery (the zero). Intervals over pairs are in the table, for each
direction; low and high in the summary are the widest of the two.
"""

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.patching import minimal_pairs, recovery
from mothello_interp.plots import add_heatmap, layer_name, panel_grid

_PAIRS = 200
_ROWS = {"own": "own language: ceiling", "cross": "<b>other language</b>", "zero": "another game: zero"}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`patching.recovery` within each language and in both directions between the first two."""
    pairs = minimal_pairs(random_games(2000, board=checkpoint.spec.board, seed=51), _PAIRS, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for base, donor in ((first, first), (second, second), (first, second), (second, first)):
        tables.append(recovery(checkpoint, pairs, base=base, donor=donor))
    return pd.concat(tables, ignore_index=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("patching", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime, a row for the ceiling, the other language and the zero."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], *[[""] * len(regimes)] * (len(_ROWS) - 1)]
    drawing = panel_grid(
        titles, x="move, from the one that differs", y=[f"{label}<br>layer" for label in _ROWS.values()]
    )
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        for row, kind in enumerate(_ROWS, 1):
            cells = here[(here["base"] == here["donor"]) == (kind == "own")]
            means = cells.groupby(["layer", "offset"], as_index=False)[["recovery", "zero"]].mean()
            means["recovery"] = means["zero"] if kind == "zero" else means["recovery"]
            add_heatmap(drawing, means, x="offset", y="layer", z="recovery", limits=(-1, 1), row=row, column=column)
    layers, offsets = sorted(table["layer"].unique()), sorted(table["offset"].unique())
    drawing.update_xaxes(tickvals=offsets, showgrid=False)
    return drawing.update_yaxes(tickvals=layers, ticktext=[layer_name(layer) for layer in layers], showgrid=False)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the last shared move, where the prediction is made: other language against its ceiling and its zero."""
    last = table[table["offset"] == table["offset"].max()]
    rows = []
    for (regime, seed, layer), group in last.groupby(["regime", "seed", "layer"], sort=False):
        own = group[group["base"] == group["donor"]]
        cross = group[group["base"] != group["donor"]]
        if layer == -1:
            continue
        row = {"regime": LABELS[str(regime)], "seed": seed, "layer": layer, "other language": cross["recovery"].mean()}
        row |= {"low": cross["low"].min(), "high": cross["high"].max()}
        row |= {"own language": own["recovery"].mean(), "another game": cross["zero"].mean()}
        row |= {"another game, low": cross["zero_low"].min(), "another game, high": cross["zero_high"].max()}
        row["share"] = (row["other language"] - row["another game"]) / (row["own language"] - row["another game"])
        rows.append({**row, "pairs": int(cross["pairs"].min()), "dropped": int(cross["dropped"].max())})
    return pd.DataFrame(rows)
