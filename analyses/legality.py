"""Illegal next moves, by move number and language."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary
from mothello_interp.othello import random_games
from mothello_interp.plots import LANGUAGES, Line, bounds, facet

_FLOOR = 1e-4  # where a curve without a single error is drawn on the logarithmic axis


def measure(checkpoint: Checkpoint, *, games: int = 1000) -> pd.DataFrame:
    """`mothello_interp.legality.legal_accuracy` on held-out games."""
    from mothello_interp.legality import legal_accuracy

    return legal_accuracy(checkpoint.readings(random_games(games, board=checkpoint.spec.board, seed=31)))


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime: illegal share by move number, on a logarithmic axis."""
    shares = {
        name: np.maximum(1 - table[column], _FLOOR) for name, column in (("illegal", "top1"), ("chance", "chance"))
    }
    illegal = lowest_seed(table.assign(move=table["move"] + 1, **shares)).reset_index(drop=True)
    illegal["place"] = illegal.groupby("regime")["language"].rank("dense").astype(int) - 1
    lines = [
        Line(
            "illegal",
            f"language {'AB'[place] if place < 2 else place}",
            LANGUAGES[place],
            {"place": place},
            hover=("prefixes",),
        )
        for place in range(illegal["place"].max() + 1)
    ]
    lines += bounds("chance", names=["random empty square"], dash="dot", width=2.5, rows={"place": 0})
    drawing = facet(illegal, {"illegal share": lines}, x="move", label="predicted move (from 0)", titles=LABELS)
    drawing.update_yaxes(type="log", range=[-4, 0], tickvals=[1e-4, 1e-3, 1e-2, 0.1, 1],
                         ticktext=["≤ 0.01%", "0.1%", "1%", "10%", "100%"])  # fmt: skip
    return drawing.update_layout(height=400)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Top-1 legal accuracy (top1_own: where the prediction is no anchor) and legal mass, by regime, seed and language."""
    names = ["top1", "top1_own", "legal_mass", "chance"]
    own = table["top1_own"].fillna(table["top1"])  # NaN: no prediction there was a move of one's own
    table = table.assign(top1_own=own)

    def row(group: pd.DataFrame) -> dict[str, float]:
        means = {name: np.average(group[name], weights=group["prefixes"]) for name in names}
        return {**means, "prefixes": group["prefixes"].sum()}

    return summary(table, ["regime", "seed", "language"], row)
