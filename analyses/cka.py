"""CKA by layer next to measures that need the same coordinates."""

from itertools import product
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_heatmap, facet, layer_axis, layer_name

_STYLES = {"languages": ("solid", 3.5), "random weights": ("dash", 1.5), "another seed": ("dot", 1.8)}


def measure(checkpoint: Checkpoint, *, games: int = 700, permutations: int = 20) -> pd.DataFrame:
    """`compare` of the first two input languages; of random weights; of another seed's first language; and CKA of the
    first two in different layers."""
    from mothello_interp.activations import collect
    from mothello_interp.comparison import compare
    from mothello_interp.models import load

    played = random_games(games, board=checkpoint.spec.board, seed=41)
    first, second = checkpoint.mothello.inputs[:2]
    seed = checkpoint.provenance["seed"]
    rows = collect(checkpoint, played, languages=(first, second))
    untrained = collect(checkpoint.untrained(seed), played, languages=(first, second))
    found = {
        "languages": compare(rows, first, rows, second, permutations=permutations),
        "random weights": compare(untrained, first, untrained, second, permutations=permutations),
    }
    if seed != 0:
        bundled = collect(load(checkpoint.provenance["preset"]), played, languages=(first,))
        found["another seed"] = compare(rows, first, bundled, first, permutations=permutations)
    tables = [table.assign(comparison=name) for name, table in found.items()]
    pairs = compare(rows, first, rows, second, measures=["cka"], layer_by_layer=True, permutations=0)
    tables.append(pairs[pairs["layer"] != pairs["target_layer"]].assign(comparison="languages"))
    return pd.concat(tables, ignore_index=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """One column a regime: the three measures by layer, and CKA for all pairs of layers."""
    same = table[table["layer"] == table["target_layer"]]
    first = same[same["seed"] == same.groupby(["regime", "comparison"])["seed"].transform("min")]
    lines = [_line(*key) for key in product(_STYLES, ("cka", "retrieval", "cosine"))]
    drawing = facet(first, {"similarity": lines, "CKA: layer": []}, x="layer", titles=LABELS, shared=False)
    for column, (_, cells) in enumerate(lowest_seed(table).groupby("regime", sort=False), 1):
        layer_axis(drawing, table["layer"], row=1, col=column).update_xaxes(title_text="layer", row=1, col=column)
        _layer_by_layer(drawing, where(cells, comparison="languages", measure="cka"), 2, column)
    return drawing.update_yaxes(range=[-0.05, 1.05], row=1).update_layout(height=700)


def _line(comparison: str, name: str) -> Line:
    """One measure of one comparison."""
    dash, width = _STYLES[comparison]
    languages = comparison == "languages"
    return Line("value", name if languages else f"{name}: {comparison}", COLOURS[name],
                {"comparison": comparison, "measure": name}, dash=dash, width=width,
                band=("low", "high") if languages else None,
                hover=("low", "high", "floor", "floor_high", "p", "games", "moves"))  # fmt: skip


def _layer_by_layer(drawing: go.Figure, cells: pd.DataFrame, row: int, column: int) -> None:
    """All pairs of layers."""
    add_heatmap(drawing, cells, x="target_layer", y="layer", z="value", limits=(0, 1), row=row, column=column,
                diverging=False)  # fmt: skip
    layers = sorted(cells["layer"].unique())
    axis: dict[str, Any] = {"tickvals": layers, "ticktext": list(map(layer_name, layers)), "row": row, "col": column}
    drawing.update_xaxes(title_text="layer, other language", **axis).update_yaxes(autorange="reversed", **axis)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime, comparison and measure: mean over the layers after the embeddings and its range over seeds, with the 95%
    quantile of the permutation floor."""
    inner = table[(table["layer"] >= 0) & (table["layer"] == table["target_layer"])]

    def row(group: pd.DataFrame) -> dict[str, Any]:
        seeds = group.groupby("seed")["value"].mean()
        return {
            "value": seeds.mean(),
            "lowest seed": seeds.min(),
            "highest seed": seeds.max(),
            "floor, 95%": group["floor_high"].mean(),
        }

    return summary(inner, ["regime", "comparison", "measure"], row)
