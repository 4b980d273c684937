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

from analyses._models import LABELS, Checkpoint
from analyses._tables import listed, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, bounds, facet, layer_axis

_SCALE = 2.0
_EPOCHS = {"linear": 16, "mlp": 8}
_ROWS = {  # kind of probe and discs turned, and how the figure calls them
    ("linear", 1): "linear probes, 1 disc",
    ("linear", 3): "linear probes, 3 discs",
    ("mlp", 1): "MLP probes, 1 disc",
}


def measure(checkpoint: Checkpoint, *, fit: int = 400, boards: int = 150) -> pd.DataFrame:
    """`edit_effect` in each of the first two languages, through the probes of both."""
    from mothello_interp.activations import collect
    from mothello_interp.effects import edit_effect, edited_boards
    from mothello_interp.probes import fit_probes_on

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:2]
    rows = collect(checkpoint, random_games(fit, board=board, seed=71), languages=languages)
    games = random_games(8 * boards, board=board, seed=72)
    edited = {discs: edited_boards(games, boards, squares=discs, seed=0) for discs in (1, 3)}
    probes: dict[str, Any] = {
        kind: fit_probes_on(rows, kind=kind, frame="relative", epochs=epochs, batch=512, seed=0)  # type: ignore[arg-type]
        for kind, epochs in _EPOCHS.items()
    }
    tables = [
        edit_effect(checkpoint.read(edited[discs].games, language), edited[discs], probes[kind], scale=_SCALE)
        for kind, discs in _ROWS
        for language in languages
    ]
    return pd.concat(tables, ignore_index=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime, a row a kind of probe and number of discs: errors by the layer at which the edit begins."""
    columns = ["errors", "low", "high", "floor", "unedited", "mass", "floor_mass", "length"]
    by = ["regime", "seed", "kind", "squares", "edit", "layer"]
    means = table.groupby(by, as_index=False, sort=False)[columns].mean()
    means["first"] = means.index.isin(lowest_seed(means).index)
    rows = {f"{label}<br>errors a game": _lines(*key) for key, label in _ROWS.items()}
    drawing = facet(means, rows, x="layer", label="layer at which the edit begins", titles=LABELS)
    for row, (kind, discs) in enumerate(_ROWS, 1):
        highest = where(means, kind=kind, squares=discs)[["errors", "floor", "high"]].to_numpy().max()
        drawing.update_yaxes(range=[0, 1.03 * highest], row=row)
    return layer_axis(drawing, table["layer"]).update_layout(margin_l=90)


def _lines(kind: str, discs: int) -> list[Line]:
    """The curves of one kind of probe and number of discs."""
    hover = ["floor", "unedited", "mass", "floor_mass", "length"]
    own, other, random = (
        {"kind": kind, "squares": discs, "edit": edit, "first": True} for edit in ("own", "other", "random")
    )
    return [
        *bounds("floor", names=["no edit"], rows=own),
        *bounds("unedited", names=["no edit, true board"], dash="dot", rows=own),
        Line("errors", "random direction", COLOURS["random weights"], random, hover=hover),
        Line("errors", "other language's probe", "", other, width=4, band=("low", "high"), hover=hover),
        Line("errors", "other seeds", "", other | {"first": False}, each="seed", width=1),
        Line("errors", "own probe", COLOURS["ceiling"], own, hover=hover),
    ]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer where the language's own probe does best: how much of its effect the other language's has."""
    found = summary(table, ["regime", "kind", "squares"], _at_the_best_layer)
    return found.rename(columns={"kind": "probe", "squares": "discs turned"})


def _at_the_best_layer(group: pd.DataFrame) -> dict[str, Any]:
    """Of one regime, kind of probe and number of discs: means of seeds."""
    layer = where(group, edit="own").groupby("layer")["errors"].mean().idxmin()
    here = where(group, layer=layer)
    means = here.groupby(["edit", "seed"])[["errors", "floor", "unedited"]].mean()
    own, other, random = (means.loc[edit] for edit in ("own", "other", "random"))
    across = where(here, edit="other")
    return {
        "layer": layer,
        "no edit": own["floor"].mean(),
        "own probe": own["errors"].mean(),
        "other language's probe": other["errors"].mean(),
        "low": across["low"].min(),
        "high": across["high"].max(),
        "random direction": random["errors"].mean(),
        "no edit, true board": own["unedited"].mean(),
        "share of own, each seed": listed((other["floor"] - other["errors"]) / (own["floor"] - own["errors"])),
    }
