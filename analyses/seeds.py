"""Do five naive languages align, and is it luck? The paper's matrix, a panel a seed

The paper's measure, as it is: an MLP probe of the row's language (white / empty / black, three quarters up) reads the board
in the column's language. Upper row: against the board itself, as in the paper, which finds 0.95 to 0.97 on the diagonal, 0.53
to 0.62 mostly beside it, and now and then a pair at 0.77 to 0.96. Row below it: the same predictions against the image of the
board under the symmetry that suits each pair best. Where a cell is dark above and bright below, the pair shares a code and
is only read through the wrong map.

What could fool it: the guess from square and move number alone scores as much as most of the cells (summary), and the best
of four is a choice, made here on the games that are shown (`symmetry` makes it on other games, and asks whether the choices
fit together).
"""

import pandas as pd
import plotly.graph_objects as go

from analyses._matrix import draw_matrix, measure_matrix
from analyses._models import BUNDLED, Zoo, over_models
from mothello_interp import Checkpoint
from mothello_interp.plots import panel_grid

_MODELS = {"mini/five-atomic": "5 naive languages"}
_PAPER = {"diagonal": "0.95 to 0.97", "off": "0.53 to 0.62, some pairs 0.77 to 0.96"}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Accuracy of all pairs under the four symmetries."""
    return measure_matrix(checkpoint)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: models of five languages are not bundled."""
    return over_models("seeds", measure, _MODELS, zoo=zoo)


_WIDTH = 3  # seeds side by side


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a seed: against the board, and below against its best image; then the next seeds."""
    seeds = sorted(table["seed"].unique())
    width = min(_WIDTH, len(seeds))
    blocks = -(-len(seeds) // width)
    names = [f"seed {seed}" for seed in seeds] + [""] * (blocks * width - len(seeds))
    titles = [row for block in range(blocks) for row in (names[block * width : (block + 1) * width], [""] * width)]
    drawing = panel_grid(titles, x="language it reads", y=["against the board", "against its best image"] * blocks)
    for place, seed in enumerate(seeds):
        here = table[table["seed"] == seed]
        order = sorted(here["source"].unique())
        row, column = 2 * (place // width) + 1, place % width + 1
        draw_matrix(drawing, here[here["symmetry"] == "identity"], order, row=row, column=column, text=True)
        best = here.groupby(["source", "target"], as_index=False)["accuracy"].max()
        draw_matrix(drawing, best, order, row=row + 1, column=column, text=True)
    return drawing


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Range over pairs, each seed, beside the paper's."""
    rows = []
    for (regime, seed), group in table.groupby(["regime", "seed"]):
        plain = group[group["symmetry"] == "identity"]
        own, across = plain[plain["source"] == plain["target"]], plain[plain["source"] != plain["target"]]
        best = group[group["source"] != group["target"]].groupby(["source", "target"])["accuracy"].max()
        row = {"regime": regime, "seed": seed, "own language": _range(own["accuracy"]), "paper's": _PAPER["diagonal"]}
        row |= {"other language": _range(across["accuracy"]), "paper's ": _PAPER["off"]}
        row |= {"under the best symmetry": _range(best), "majority": plain["majority"].mean()}
        rows.append({**row, "floor": across["floor"].mean()})
    return pd.DataFrame(rows)


def _range(values: pd.Series) -> str:
    """The lowest and the highest."""
    return f"{values.min():.2f} to {values.max():.2f}"
