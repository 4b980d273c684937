"""Does a probe of one language edit the board in another? Turned discs, and the moves predicted then

The model reads a game in one language. At its last move the residual stream is moved so that a probe reads one disc (or
three) turned, at the layer given and at all later ones; then the k likeliest next moves are taken, k being the number of
moves legal on the edited board, and those that are wrong or missing are counted (Li et al. 2023). Dashes: nothing edited,
the null. Dots: the model's errors on the true board, what it gets wrong anyway; an edit cannot be expected to do better.
Black: through the probe of the language that is being read, the ceiling. Thick: along the direction that the probe of the
OTHER language gives (thin: other seeds). Grey: along a random direction, the zero. At every layer all of
them step as far as the language's own probe would there, so that only the direction differs. A thick curve on the black one: the
direction that means "this disc is turned" in one language means it in the other, to the model and not only to a probe.
On the grey one: it means nothing there.

Bands are 95% over games; both directions between the languages are averaged, and so are their bands. Linear probes in
the frame "mine / empty / theirs" move the row to the mirror image of what they read and as far again (scale 2, chosen on
other games). MLP probes are followed for 20 gradient steps. Boards whose legal moves stay the same (a third of those with
one disc turned) are left out: they ask nothing. What could fool it: damage (a random step raises the errors above the
null), one step longer than another (all are equal), a model that errs anyway (dots). An edit that begins at the
last layers does less, however well a probe reads the board there: most of its use lies before (the steps are shorter
there too; column length).
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.interventions import edit_effect, edited_boards
from mothello_interp.plots import COLOURS, add_curve, layer_axis, panel_grid
from mothello_interp.probes import fit_probes_on

_FIT, _BOARDS = 400, 150
_SEEDS = {"fit": 71, "boards": 72}
_SCALE = 2.0
_EPOCHS = {"linear": 16, "mlp": 8}
_ROWS = {  # kind of probe and discs turned, and how the figure calls them
    ("linear", 1): "linear probes, 1 disc",
    ("linear", 3): "linear probes, 3 discs",
    ("mlp", 1): "MLP probes, 1 disc",
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`interventions.edit_effect` in each of the first two languages, through the probes of both."""
    board = checkpoint.spec.board
    languages = checkpoint.mothello.inputs[:2]
    rows = collect(checkpoint, random_games(_FIT, board=board, seed=_SEEDS["fit"]), languages=languages)
    games = random_games(8 * _BOARDS, board=board, seed=_SEEDS["boards"])
    boards = {discs: edited_boards(games, _BOARDS, squares=discs, seed=0) for discs in (1, 3)}
    probes: dict[str, Any] = {
        kind: fit_probes_on(rows, kind=kind, frame="relative", epochs=epochs, batch=512, seed=0)  # type: ignore[arg-type]
        for kind, epochs in _EPOCHS.items()
    }
    return pd.concat(
        [
            edit_effect(checkpoint, boards[discs], probes[kind], language=language, scale=_SCALE)
            for kind, discs in _ROWS
            for language in languages
        ],
        ignore_index=True,
    )


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("interventions", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime, a row a kind of probe and number of discs: errors by the layer at which the edit begins."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], *[[""] * len(regimes)] * (len(_ROWS) - 1)]
    labels = [f"{label}<br>errors a game" for label in _ROWS.values()]
    drawing = panel_grid(titles, x="layer at which the edit begins", y=labels)
    columns = ["errors", "low", "high", "null", "unedited", "mass", "null_mass", "length"]
    curves = table.groupby(["regime", "seed", "kind", "squares", "edit", "layer"], as_index=False)[columns].mean()
    for row, (kind, discs) in enumerate(_ROWS, 1):
        line = curves[(curves["kind"] == kind) & (curves["squares"] == discs)]
        drawing.update_yaxes(range=[0, 1.03 * line[["errors", "null", "high"]].to_numpy().max()], row=row)
        for column, regime in enumerate(regimes, 1):
            _panel(drawing, line[line["regime"] == regime], COLOURS[regime], row, column)
    layer_axis(drawing, table["layer"])
    return drawing.update_layout(margin_l=90)


def _panel(drawing: go.Figure, here: pd.DataFrame, colour: str, row: int, column: int) -> None:
    """The curves of one regime, kind of probe and number of discs."""
    first = here["seed"] == here["seed"].min()
    shared: dict[str, Any] = {"x": "layer", "row": row, "column": column}
    shared["legend"] = row == column == 1
    hover = ["null", "unedited", "mass", "null_mass", "length"]
    edits = {edit: here[first & (here["edit"] == edit)] for edit in ("own", "other", "random")}
    add_curve(drawing, edits["own"], y="null", name="no edit", colour=COLOURS["zero"], dash="dash", width=1.5, **shared)
    add_curve(drawing, edits["own"], y="unedited", name="no edit, true board", colour=COLOURS["zero"], dash="dot",
              width=1.5, **shared)  # fmt: skip
    add_curve(drawing, edits["random"], y="errors", name="random direction", colour=COLOURS["random weights"],
              hover=hover, **shared)  # fmt: skip
    add_curve(drawing, edits["other"], y="errors", name="other language's probe", colour=colour, width=4,
              band=("low", "high"), hover=hover, **shared)  # fmt: skip
    others = here[~first & (here["edit"] == "other")]
    for place, (_, curve) in enumerate(others.groupby("seed")):
        add_curve(drawing, curve, y="errors", name="other seeds", colour=colour, width=1,
                  **{**shared, "legend": shared["legend"] and place == 0})  # fmt: skip
    add_curve(drawing, edits["own"], y="errors", name="own probe", colour=COLOURS["ceiling"], hover=hover, **shared)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer where the language's own probe does best: how much of its effect the other language's has."""
    rows = []
    for (regime, kind, discs), group in table.groupby(["regime", "kind", "squares"], sort=False):
        layer = group[group["edit"] == "own"].groupby("layer")["errors"].mean().idxmin()
        here = group[group["layer"] == layer]
        means = {
            edit: rows_of.groupby("seed")[["errors", "null", "unedited"]].mean()
            for edit, rows_of in here.groupby("edit")
        }
        at: dict[str, Any] = {str(edit): values for edit, values in means.items()}
        gains = {edit: at[edit]["null"] - at[edit]["errors"] for edit in at}
        cross = here[here["edit"] == "other"]
        row = {"regime": LABELS[str(regime)], "probe": kind, "discs turned": discs, "layer": layer}
        row |= {"no edit": at["own"]["null"].mean(), "own probe": at["own"]["errors"].mean()}
        row |= {"other language's probe": at["other"]["errors"].mean(), "low": cross["low"].min()}
        row |= {"high": cross["high"].max(), "random direction": at["random"]["errors"].mean()}
        row |= {"no edit, true board": at["own"]["unedited"].mean()}
        share = gains["other"] / gains["own"]
        rows.append({**row, "share of own, each seed": ", ".join(f"{value:.2f}" for value in share)})
    return pd.DataFrame(rows)
