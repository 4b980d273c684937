"""Through which symmetry, if any? Probe transfer by move number

The same transfer as in `anchors`, at the layer where the source reads its own board best, one curve for each of the four
symmetries that keep the start position. An aligned pair has one curve on the ceiling, and the other three fall to where a
board agrees with its own image (thin dots: what P_src itself scores at home, read through each map). That fall is the
signature of WHICH map relates the languages. Curves that run together along the floor mean no map at all.

What could fool it: early boards look like their own images, so only the later moves tell the maps apart; the floor (the
same predictions against other games' boards at that move) and the guess are drawn for each move.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint, random_games
from mothello_interp.alignment import align, align_by_move, best_layer
from mothello_interp.plots import COLOURS, add_curve, panel_grid
from mothello_interp.probes import fit_probes

_FIT, _CHOOSE, _SCORE = 1000, 200, 500


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`align_by_move` between the first two input languages, at the layer that the source chooses on other games."""
    board = checkpoint.spec.board
    probes = fit_probes(checkpoint, random_games(_FIT, board=board, seed=21), seed=0)
    own = align(probes, checkpoint, random_games(_CHOOSE, board=board, seed=22), resamples=1)
    source, target = probes.languages[:2]
    layer = best_layer(own, source)
    table = align_by_move(probes, checkpoint, random_games(_SCORE, board=board, seed=23), layer=layer)
    return table[(table["source"] == source) & (table["target"] == target)].assign(layer=layer)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models."""
    return over_models("moves", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime: accuracy by move number, a curve a symmetry."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [f"{LABELS[regime]}, layer {table[table['regime'] == regime]['layer'].iloc[0]}" for regime in regimes]
    drawing = panel_grid([titles], x="move (from 0)", y="accuracy in the other language")
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        shared: dict[str, Any] = {"column": column, "legend": column == 1, "x": "move"}
        for name in SYMMETRIES:
            curve = here[here["symmetry"] == name]
            add_curve(drawing, curve, y="accuracy", name=name.replace("_", " "), colour=COLOURS[name], **shared)
            add_curve(drawing, curve, y="predicted", name="expected if aligned", colour=COLOURS[name], dash="dot",
                      width=1, **{**shared, "legend": column == 1 and name == "identity"})  # fmt: skip
        identity = here[here["symmetry"] == "identity"]
        for line, dash in (("ceiling", "solid"), ("floor", "dot"), ("majority", "dash")):
            colour = COLOURS["ceiling"] if line == "ceiling" else COLOURS["zero"]
            add_curve(drawing, identity, y=line, name=line, colour=colour, dash=dash, width=1.5, **shared)
    return drawing.update_yaxes(range=[0, 1.02])


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in the second half of the game, where the maps are told apart."""
    late = table[table["move"] > table["move"].max() / 2]
    wide = late.pivot_table(index="regime", columns="symmetry", values="accuracy", sort=False)[list(SYMMETRIES)]
    return wide.rename(index=LABELS).reset_index()
