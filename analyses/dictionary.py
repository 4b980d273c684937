"""A dictionary without a translated token: two languages' moves, matched by embeddings or by geometry alone."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, OTHER_FILES, Checkpoint, other_model
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import CONTROLS, SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, add_lines, panel_grid

INPUTS = OTHER_FILES
_ALL = list(SYMMETRIES | CONTROLS)


def measure(checkpoint: Checkpoint, *, games: int = 200, restarts: int = 24) -> pd.DataFrame:
    """Matchings of the first two input languages, by token embeddings and by layer; and with another model's language."""
    from mothello_interp.activations import all_layers
    from mothello_interp.dictionary import embedding_map

    source, target = checkpoint.mothello.inputs[:2]
    rows = []
    for weights, model in (("trained", checkpoint), ("random", checkpoint.untrained())):
        matched = embedding_map(model, source, target)
        rows.append(
            {
                "weights": weights,
                "part": "embeddings",
                "layer": -2,
                **_described(matched),
                "fit": matched["cosine"].mean(),
            }
        )
        for layer in all_layers(checkpoint):
            found = _geometry(model, source, model, target, layer, games, restarts)
            rows.append({"weights": weights, "part": "geometry", "layer": layer, **found})
    if other := other_model(checkpoint):
        for layer in all_layers(checkpoint):
            found = _geometry(checkpoint, source, other, 0, layer, games, restarts)
            rows.append({"weights": "trained", "part": "another model", "layer": layer, **found})
    return pd.DataFrame(rows)


def _geometry(
    one: Checkpoint, source: int, other: Checkpoint, target: int, layer: int, games: int, restarts: int
) -> dict[str, Any]:
    """The best matching of mean states after each move, from different games of each language."""
    from mothello_interp.dictionary import describe_matching, match_unpaired, move_states

    board = one.spec.board
    played = [random_games(games, board=board, seed=seed) for seed in (141, 142)]
    (squares, x), (theirs, y) = (
        move_states(model.read(given, language), layer)
        for model, given, language in zip((one, other), played, (source, target), strict=True)
    )
    orders, fits = match_unpaired(x, y, restarts=restarts)
    found = [_described(describe_matching(squares, theirs[order], board)) for order in orders]
    complete = {match["symmetry"] for match in found if match["share"] == 1}
    return {**found[0], "fit": fits[0], "symmetries": len(complete)}


def _described(matched: pd.DataFrame) -> dict[str, Any]:
    """The symmetry that most squares follow, and how many do."""
    shares = matched[_ALL].mean()
    return {"symmetry": shares.idxmax(), "share": shares.max(), "squares": len(matched)}


_LINES = [
    Line(
        "share",
        "two languages of one model",
        COLOURS["ceiling"],
        {"part": "geometry", "weights": "trained"},
        symbol="circle",
    ),
    Line("share", "with another model", COLOURS["naive"], {"part": "another model"}, symbol="diamond"),
    Line("share", "random weights", COLOURS["floor"], {"part": "geometry", "weights": "random"}, dash="dash"),
]


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a model: share of squares matched as one symmetry says, by layer; lowest seeds."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [LABELS[regime] for regime in regimes]
    drawing = panel_grid([titles], x="layer (-1: embeddings)", y="squares matched by one symmetry")
    for column, (_, here) in enumerate(lowest_seed(table).groupby("regime", sort=False), 1):
        add_lines(drawing, where(here[here["layer"] > -2]), _LINES, x="layer", row=1, column=column)
        drawing.update_yaxes(range=[-0.02, 1.05], row=1, col=column)
    return drawing


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model and seed: share of squares matched as one symmetry says, by embeddings, by geometry at the best layer, with
    another model, and under random weights; and the symmetry."""
    return summary(table, ["regime", "seed"], _best)


def _best(group: pd.DataFrame) -> dict[str, Any]:
    """Of one model: of each kind of matching the layer at which most squares follow one symmetry."""
    row: dict[str, Any] = {}
    trained = where(group, weights="trained")
    for name, rows in (
        ("embeddings", where(trained, part="embeddings")),
        ("geometry", where(trained, part="geometry")),
        ("another model", where(trained, part="another model")),
        ("random weights", where(group, weights="random", part="geometry")),
    ):
        if len(rows):
            best: Any = rows.sort_values("share", kind="stable").iloc[-1]
            row |= {name: best["share"], f"{name}, symmetry": best["symmetry"].replace("_", " ")}
    return row
