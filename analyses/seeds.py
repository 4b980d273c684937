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

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analyses._models import Checkpoint
from analyses._tables import cross, grid, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import add_heatmap, panel_grid

MODELS = {"mini/five-atomic": "5 naive languages"}
_PAPER = {"diagonal": "0.95 to 0.97", "off": "0.53 to 0.62, some pairs 0.77 to 0.96"}
_WIDTH = 3  # seeds side by side
_COLUMNS = ["layer", "source", "target", "symmetry", "accuracy", "low", "high", "majority", "predicted", "floor", "ceiling",
            "normalised", "games"]  # fmt: skip


def measure(checkpoint: Checkpoint, *, fit: int = 1000, score: int = 200) -> pd.DataFrame:
    """`align_on` of all pairs under the four symmetries, as the paper has it: MLP probes on white / empty / black, three
    quarters up."""
    from mothello_interp.activations import collect, paper_layer
    from mothello_interp.alignment import align_on
    from mothello_interp.probes import fit_probes_on

    layer, board = paper_layer(checkpoint.spec.model.n_layers), checkpoint.spec.board
    fitted = collect(checkpoint, random_games(fit, board=board, seed=71), layers=[layer])
    probes = fit_probes_on(fitted, kind="mlp", frame="absolute", seed=0)
    rows = collect(checkpoint, random_games(score, board=board, seed=72), layers=[layer])
    return align_on(probes, rows, resamples=200)[_COLUMNS]


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a seed: against the board, and below against its best image; then the next seeds."""
    seeds = sorted(table["seed"].unique())
    blocks = grid([f"seed {seed}" for seed in seeds], min(_WIDTH, len(seeds)))
    titles = [row for names in blocks for row in (names, [""] * len(names))]
    labels = ["against the board", "against its best image"] * len(blocks)
    drawing = panel_grid(titles, x="language it reads", y=labels)
    for place, seed in enumerate(seeds):
        here = where(table, seed=seed)
        best = here.groupby(["source", "target"])["accuracy"].max().reset_index()
        for row, cells in enumerate((where(here, symmetry="identity"), best), 2 * (place // _WIDTH) + 1):
            draw_matrix(drawing, cells, sorted(here["source"].unique()), row=row, column=place % _WIDTH + 1, text=True)
    return drawing


def draw_matrix(
    figure: go.Figure, values: pd.DataFrame, order: Sequence[int], *, row: int, column: int, text: bool
) -> None:
    """One panel of accuracies, languages in the given order; the scale is that of the paper's values."""
    place = {language: index for index, language in enumerate(order)}
    cells = values.assign(source=values["source"].map(place), target=values["target"].map(place))
    add_heatmap(figure, cells, x="target", y="source", z="accuracy", limits=(0.4, 1.0), row=row, column=column,
                text=text, title="row: language of the probe", diverging=False)  # fmt: skip
    axis = {"tickvals": list(place.values()), "ticktext": list(map(str, order)), "showgrid": False}
    figure.update_xaxes(**axis, row=row, col=column).update_yaxes(autorange="reversed", **axis, row=row, col=column)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Range over pairs, each seed, beside the paper's."""

    def row(group: pd.DataFrame) -> dict[str, object]:
        plain = where(group, symmetry="identity")
        own, across = plain[plain["source"] == plain["target"]], cross(plain)
        best = cross(group).groupby(["source", "target"])["accuracy"].max()
        found = {"own language": _range(own["accuracy"]), "paper's": _PAPER["diagonal"]}
        found |= {"other language": _range(across["accuracy"]), "paper's ": _PAPER["off"]}
        found |= {"under the best symmetry": _range(best)}
        return {**found, "majority": plain["majority"].mean(), "floor": across["floor"].mean()}

    return summary(table, ["regime", "seed"], row)


def _range(values: pd.Series) -> str:
    """The lowest and the highest."""
    return f"{values.min():.2f} to {values.max():.2f}"
