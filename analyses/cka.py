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

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, load, random_games
from mothello_interp.activations import collect
from mothello_interp.comparison import compare
from mothello_interp.plots import COLOURS, add_curve, add_heatmap, layer_axis, layer_name, panel_grid

_GAMES, _PERMUTATIONS = 700, 20
_PAIRS = {"cka": "CKA", "cosine": "cosine"}  # shown layer by layer


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`compare` of the first two input languages, layer by layer; of random weights; and of another seed's
    first language."""
    games = random_games(_GAMES, board=checkpoint.spec.board, seed=41)
    first, second = checkpoint.mothello.inputs[:2]
    rows = collect(checkpoint, games, languages=(first, second))
    untrained = collect(checkpoint.untrained(checkpoint.provenance["seed"]), games, languages=(first, second))
    tables = [
        compare(rows, first, rows, second, permutations=_PERMUTATIONS, layer_by_layer=True).assign(
            comparison="languages"
        ),
        compare(untrained, first, untrained, second, permutations=_PERMUTATIONS).assign(comparison="random weights"),
    ]
    if checkpoint.provenance["seed"] != 0:
        bundled = collect(load(checkpoint.provenance["preset"]), games, languages=(first,))
        tables.append(
            compare(rows, first, bundled, first, permutations=_PERMUTATIONS).assign(comparison="another seed")
        )
    return pd.concat(tables, ignore_index=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("cka", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """One column a regime: the three measures by layer, then two of them for all pairs of layers."""
    regimes = list(dict.fromkeys(table["regime"]))
    blank = [""] * len(regimes)
    titles = [[LABELS[regime] for regime in regimes], blank, blank]
    drawing = panel_grid(
        titles, x="layer", y=["similarity", *(f"{label}: layer" for label in _PAIRS.values())], shared=False
    )
    styles = {"languages": ("solid", 3.5), "random weights": ("dash", 1.5), "another seed": ("dot", 1.8)}
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["layer"] == table["target_layer"])]
        for comparison, measure_name in product(styles, ("cka", "retrieval", "cosine")):
            group = here[(here["comparison"] == comparison) & (here["measure"] == measure_name)]
            curve = group[group["seed"] == group["seed"].min()]
            dash, width = styles[comparison]
            add_curve(
                drawing,
                curve,
                x="layer",
                y="value",
                name=measure_name if comparison == "languages" else f"{measure_name}: {comparison}",
                colour=COLOURS[measure_name],
                column=column,
                dash=dash,
                width=width,
                band=("low", "high") if comparison == "languages" else None,
                legend=column == 1,
                hover=("low", "high", "floor", "floor_high", "p", "games", "moves"),
            )
        layer_axis(drawing, table["layer"], row=1, col=column).update_xaxes(title_text="layer", row=1, col=column)
        drawing.update_yaxes(range=[-0.05, 1.05], row=1, col=column)
        pairs = table[(table["regime"] == regime) & (table["comparison"] == "languages")]
        for row, name in enumerate(_PAIRS, 2):
            _layer_by_layer(drawing, pairs[pairs["measure"] == name], row, column)
    return drawing


def _layer_by_layer(drawing: go.Figure, pairs: pd.DataFrame, row: int, column: int) -> None:
    """All pairs of layers of the lowest seed."""
    cells = pairs[pairs["seed"] == pairs["seed"].min()]
    add_heatmap(drawing, cells, x="target_layer", y="layer", z="value", limits=(0, 1), row=row, column=column,
                diverging=False)  # fmt: skip
    layers = sorted(cells["layer"].unique())
    names = [layer_name(layer) for layer in layers]
    drawing.update_xaxes(tickvals=layers, ticktext=names, title_text="layer, other language", row=row, col=column)
    drawing.update_yaxes(tickvals=layers, ticktext=names, autorange="reversed", row=row, col=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the layers after the embeddings, each seed, with the floor's 95% quantile."""
    inner = table[(table["layer"] >= 0) & (table["layer"] == table["target_layer"])]
    rows = []
    for (regime, comparison, name), group in inner.groupby(["regime", "comparison", "measure"], sort=False):
        by_seed = group.groupby("seed")["value"].mean()
        row = {"regime": LABELS[str(regime)], "comparison": comparison, "measure": name}
        row["value, each seed"] = ", ".join(f"{value:.3f}" for value in by_seed)
        rows.append({**row, "floor, 95%": group["floor_high"].mean()})
    return pd.DataFrame(rows)
