"""Probe transfer by move number, under each of the four board symmetries."""

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._probes import board_probes
from analyses._tables import lowest_seed
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, bounds, facet


def measure(checkpoint: Checkpoint, *, fit: int = 1000, choose: int = 200, score: int = 500) -> pd.DataFrame:
    """`align_by_move` between the first two input languages, at the layer that the source chooses on other games."""
    from mothello_interp.alignment import align, align_by_move, best_layer

    board = checkpoint.spec.board
    probes = board_probes(checkpoint, games=fit)
    own = align(probes, checkpoint, random_games(choose, board=board, seed=22), resamples=1)
    source, target = probes.languages[:2]
    layer = best_layer(own, source)
    table = align_by_move(probes, checkpoint, random_games(score, board=board, seed=23), layer=layer)
    return table[(table["source"] == source) & (table["target"] == target)].assign(layer=layer)


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime: accuracy by move number, a curve a symmetry."""
    lines = []
    for name in SYMMETRIES:
        rows = {"symmetry": name}
        lines.append(Line("predicted", "expected if aligned", COLOURS[name], rows, dash="dot", width=1.2))
        lines.append(
            Line("accuracy", name.replace("_", " "), COLOURS[name], rows, width=3 if name == "identity" else 2)
        )
    lines += bounds("ceiling", "floor", rows={"symmetry": "identity"})
    layers = dict(zip(table["regime"], table["layer"], strict=True))
    titles = {regime: f"{LABELS[regime]}, layer {layer}" for regime, layer in layers.items()}
    drawing = facet(
        lowest_seed(table), {"cross-lingual accuracy": lines}, x="move", label="move (from 0)", titles=titles
    )
    return drawing.update_yaxes(range=[0.2, 1.02]).update_layout(height=430)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime: accuracy in the second half of the game, where symmetries are distinguished; and ceiling and floor."""
    late = table[table["move"] > table["move"].max() / 2]
    wide = late.pivot_table(index="regime", columns="symmetry", values="accuracy", sort=False)[list(SYMMETRIES)]
    wide = wide.join(late.groupby("regime")[["ceiling", "floor", "majority"]].mean())
    return wide.rename(index=LABELS, columns={"half_turn": "half turn"}).reset_index()
