"""Do the models know the game? Illegal next moves, by move number and language

After every proper prefix of unseen games, the share of greedy predictions that are NOT legal moves (solid, on a
logarithmic axis: lower is better) and the probability that the model gives to illegal moves and other tokens (dashed).
Grey: what a guess among the empty squares would score.

What could fool it: easy positions (the guess by move number), memory (held-out games), a mean over languages (each
language is a curve of its own).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.legality import legal_accuracy
from mothello_interp.plots import COLOURS, LANGUAGES, add_curve, panel_grid

_GAMES = 1000
_FLOOR = 1e-4  # where a curve without a single error is drawn on the logarithmic axis


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`mothello_interp.legality.legal_accuracy` on held-out games."""
    return legal_accuracy(checkpoint, random_games(_GAMES, board=checkpoint.spec.board, seed=31))


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("legality", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime: illegal share by move number, on a logarithmic axis."""
    regimes = list(dict.fromkeys(table["regime"]))
    drawing = panel_grid([[LABELS[regime] for regime in regimes]], x="predicted move (from 0)", y="illegal share")
    table = table.assign(
        move=table["move"] + 1,
        illegal=np.maximum(1 - table["top1"], _FLOOR),
        illegal_mass=np.maximum(1 - table["legal_mass"], _FLOOR),
        illegal_guess=np.maximum(1 - table["guess"], _FLOOR),
    )
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        shared: dict[str, Any] = {"column": column, "legend": column == 1, "x": "move"}
        for index, (_, curve) in enumerate(here.groupby("language")):
            name, colour = "AB"[index] if index < 2 else str(index), LANGUAGES[index]
            hover = ("prefixes",)
            add_curve(drawing, curve, y="illegal", name=f"language {name}", colour=colour, hover=hover, **shared)
            add_curve(drawing, curve, y="illegal_mass", name=f"language {name}: probability", colour=colour, dash="dash",
                      width=1.2, **shared)  # fmt: skip
        add_curve(drawing, curve, y="illegal_guess", name="guess", colour=COLOURS["zero"], dash="dot", **shared)
    return drawing.update_yaxes(type="log", range=[-4, 0], tickvals=[1e-4, 1e-3, 1e-2, 0.1, 1],
                                ticktext=["≤ 0.01%", "0.1%", "1%", "10%", "100%"])  # fmt: skip


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Top-1 legal accuracy (top1_own: where the prediction is no anchor) and legal mass, by regime, seed and language."""
    names = ["top1", "top1_own", "legal_mass", "guess"]
    table = table.assign(
        top1_own=table["top1_own"].fillna(table["top1"])
    )  # no prediction there was a move of one's own
    weighted = table.assign(**{name: table[name] * table["prefixes"] for name in names})
    groups = weighted.groupby(["regime", "seed", "language"], as_index=False, sort=False)
    total = groups[[*names, "prefixes"]].sum()
    for name in names:
        total[name] /= total["prefixes"]
    return total.assign(regime=total["regime"].map(LABELS))
