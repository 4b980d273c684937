"""Through which symmetry, if any? Probe transfer by move number

The same transfer as in `anchors`, at the layer where the source reads its own board best, one curve for each of the four
symmetries that keep the start position. An aligned pair has one curve on the ceiling, and the other three fall to where a
board agrees with its own image (thin dots: what P_src itself scores at home, read through each map). That fall is the
signature of WHICH map relates the languages. Curves that run together along the floor mean no map at all.

What could fool it: early boards look like their own images, so only the later moves tell the maps apart; the floor (the
same predictions against other games' boards at that move) and the guess are drawn for each move.
"""

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, bounds, facet


def measure(checkpoint: Checkpoint, *, fit: int = 1000, choose: int = 200, score: int = 500) -> pd.DataFrame:
    """`align_by_move` between the first two input languages, at the layer that the source chooses on other games."""
    from mothello_interp.alignment import align, align_by_move, best_layer
    from mothello_interp.probes import fit_probes

    board = checkpoint.spec.board
    probes = fit_probes(checkpoint, random_games(fit, board=board, seed=21), seed=0)
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
        lines.append(Line("accuracy", name.replace("_", " "), COLOURS[name], rows))
        lines.append(Line("predicted", "expected if aligned", COLOURS[name], rows, dash="dot", width=1))
    lines += bounds("ceiling", "floor", "majority", rows={"symmetry": "identity"})
    layers = dict(zip(table["regime"], table["layer"], strict=True))
    titles = {regime: f"{LABELS[regime]}, layer {layer}" for regime, layer in layers.items()}
    rows_of = {"accuracy in the other language": lines}
    drawing = facet(lowest_seed(table), rows_of, x="move", label="move (from 0)", titles=titles)
    return drawing.update_yaxes(range=[0, 1.02])


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in the second half of the game, where the maps are told apart."""
    late = table[table["move"] > table["move"].max() / 2]
    wide = late.pivot_table(index="regime", columns="symmetry", values="accuracy", sort=False)[list(SYMMETRIES)]
    return wide.rename(index=LABELS).reset_index()
