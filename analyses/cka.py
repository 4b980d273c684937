"""Does similarity tell shared from merely alike? CKA beside measures that need the same coordinates

The same games in both languages, compared row by row within each move number. First row, by layer: CKA (blue) asks whether
the two clouds of points have the same shape, whichever way they are turned; retrieval (orange) asks whether a game's nearest
neighbour in the other language is itself; cosine (green) whether the two point the same way. Dashed: random weights, at
the usual scale of 0.02. Dotted: the same language in a model trained from another seed, which shares no coordinates at all.
Below, every layer of one language with every layer of the other, by CKA and by cosine, on one scale from 0 to 1.

What is seen: where CKA is high and the others hardly leave their null (naive: one game in ten finds itself, at most, and
re-paired games one in five hundred), the languages are alike but not shared: CKA alone would call the naive model
language-neutral, and layer by layer it draws the same picture of all three. Each layer is most like the same layer of the
other language, the less like the further away; cosine has that order with anchors and a unified output only (all three seeds).

What could fool it: position embeddings (only rows of one move number are compared), too few games (debiased estimator;
an error below four games a dimension), a rotation (retrieval and cosine). The null re-pairs whole games at random.
Retrieval stops short of 1 where several games still share a position, and is low at the embeddings, which know the last
move alone.
"""

from itertools import product
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import listed, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_heatmap, facet, layer_axis, layer_name

_PAIRS = {"cka": "CKA", "cosine": "cosine"}  # shown layer by layer
_STYLES = {"languages": ("solid", 3.5), "random weights": ("dash", 1.5), "another seed": ("dot", 1.8)}


def measure(checkpoint: Checkpoint, *, games: int = 700, permutations: int = 20) -> pd.DataFrame:
    """`compare` of the first two input languages, layer by layer; of random weights; and of another seed's
    first language."""
    from mothello_interp.activations import collect
    from mothello_interp.comparison import compare
    from mothello_interp.models import load

    played = random_games(games, board=checkpoint.spec.board, seed=41)
    first, second = checkpoint.mothello.inputs[:2]
    seed = checkpoint.provenance["seed"]
    rows = collect(checkpoint, played, languages=(first, second))
    untrained = collect(checkpoint.untrained(seed), played, languages=(first, second))
    found = {
        "languages": compare(rows, first, rows, second, permutations=permutations, layer_by_layer=True),
        "random weights": compare(untrained, first, untrained, second, permutations=permutations),
    }
    if seed != 0:
        bundled = collect(load(checkpoint.provenance["preset"]), played, languages=(first,))
        found["another seed"] = compare(rows, first, bundled, first, permutations=permutations)
    return pd.concat([table.assign(comparison=name) for name, table in found.items()], ignore_index=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """One column a regime: the three measures by layer, then two of them for all pairs of layers."""
    same = table[table["layer"] == table["target_layer"]]
    first = same[same["seed"] == same.groupby(["regime", "comparison"])["seed"].transform("min")]
    rows: dict[str, list[Line]] = {
        "similarity": [_line(*key) for key in product(_STYLES, ("cka", "retrieval", "cosine"))]
    }
    rows |= {f"{label}: layer": [] for label in _PAIRS.values()}
    drawing = facet(first, rows, x="layer", titles=LABELS, shared=False)
    for column, (_, cells) in enumerate(lowest_seed(table).groupby("regime", sort=False), 1):
        layer_axis(drawing, table["layer"], row=1, col=column).update_xaxes(title_text="layer", row=1, col=column)
        for row, name in enumerate(_PAIRS, 2):
            _layer_by_layer(drawing, where(cells, comparison="languages", measure=name), row, column)
    return drawing.update_yaxes(range=[-0.05, 1.05], row=1)


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
    """Mean over the layers after the embeddings, each seed, with the floor's 95% quantile."""
    inner = table[(table["layer"] >= 0) & (table["layer"] == table["target_layer"])]
    return summary(inner, ["regime", "comparison", "measure"], lambda group: {
        "value, each seed": listed(group.groupby("seed")["value"].mean(), 3),
        "floor, 95%": group["floor_high"].mean(),
    })  # fmt: skip
