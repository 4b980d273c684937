"""Probe transfer by layer, with and without anchors."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._probes import board_probes
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, add_label, add_lines, bounds, layer_axis, layer_name, panel_grid


def measure(checkpoint: Checkpoint, *, fit: int = 1000, score: int = 500) -> pd.DataFrame:
    """Alignment of every pair of languages, for trained and random weights: see `mothello_interp.alignment.align`."""
    from mothello_interp.alignment import align

    scored = random_games(score, board=checkpoint.spec.board, seed=13)
    models = {"trained": checkpoint, "random": checkpoint.untrained()}
    tables = [
        align(board_probes(model, games=fit), model, scored).assign(weights=weights)
        for weights, model in models.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _by_layer(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over both directions by regime, seed, weights, symmetry and layer."""
    columns = ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"]
    by = ["regime", "seed", "weights", "symmetry", "layer"]
    return cross(table).groupby(by, as_index=False, sort=False)[columns].mean()


def figure(table: pd.DataFrame) -> go.Figure:
    """One panel a regime, accuracy by layer."""
    means = _by_layer(table)
    means["first"] = means.index.isin(lowest_seed(means).index)
    there = list(dict.fromkeys(means["regime"]))
    regimes = [name for name in LABELS if name in there] + [name for name in there if name not in LABELS]
    drawing = panel_grid([[LABELS[regime] for regime in regimes]], x="layer", y="accuracy of the board probe")
    for column, regime in enumerate(regimes, 1):
        here = where(means, regime=regime, weights="trained")
        add_lines(drawing, here, _lines(COLOURS.get(regime, COLOURS["own"])), x="layer", column=column)
        if column == 1:
            _label(drawing, where(here, symmetry="identity"), COLOURS.get(regime, COLOURS["own"]))
    layer_axis(drawing, table["layer"])
    return drawing.update_yaxes(range=[0.38, 1.0]).update_layout(height=400)


def _lines(colour: str) -> list[Line]:
    """The curves of one regime."""
    first, plain = {"first": True}, {"symmetry": "identity"}
    lines = [
        Line("accuracy", f"through the {name.replace('_', ' ')}", COLOURS[name], first | {"symmetry": name}, dash="dash", width=1.5)
        for name in SYMMETRIES
        if name != "identity"
    ]  # fmt: skip
    look: dict[str, Any] = {"shown": False}
    lines += bounds("ceiling", "floor", "majority", rows=first | plain, **look)
    lines.append(
        Line("accuracy", "cross-lingual, other seeds", colour, {"first": False} | plain, each="seed", width=1, **look)
    )
    hover = ["floor", "ceiling", "majority", "normalised"]
    lines.append(
        Line("accuracy", "cross-lingual", colour, first | plain, width=4, band=("low", "high"), hover=hover, **look)
    )
    return lines


def _label(drawing: go.Figure, here: pd.DataFrame, colour: str) -> None:
    """Names of the curves, next to those of the lowest seed, but above or below the curves of all seeds."""
    first = where(here, first=True)
    layer = sorted(first["layer"])[len(first) // 2]
    row = where(first, layer=layer).iloc[0]
    add_label(drawing, "in-language (ceiling)", layer, row["ceiling"], COLOURS["ceiling"])
    add_label(drawing, "majority baseline", layer, row["majority"], COLOURS["floor"])
    add_label(drawing, "<b>cross-lingual</b>", layer, here["accuracy"].max(), colour)
    lowest = here[["accuracy", "floor"]].min().min()
    add_label(drawing, "mismatched games (floor)", layer, lowest, COLOURS["floor"], above=False)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime and layer: accuracy of the linear probe, mean over directions and seeds; normalised alignment of the seeds, of
    random weights, and through the best other symmetry."""
    means = _by_layer(table)

    def row(group: pd.DataFrame) -> dict[str, Any]:
        trained, random = (where(group, weights=weights) for weights in ("trained", "random"))
        plain = where(trained, symmetry="identity")
        others = trained[trained["symmetry"] != "identity"].groupby("symmetry")["normalised"].mean()
        found = {"in-language": plain["ceiling"], "cross-lingual": plain["accuracy"], "floor": plain["floor"]}
        return {
            **{name: values.mean() for name, values in found.items()},
            "normalised": plain["normalised"].mean(),
            "lowest seed": plain["normalised"].min(),
            "highest seed": plain["normalised"].max(),
            "best other symmetry": others.max(),
            "random weights": where(random, symmetry="identity")["normalised"].mean(),
            "majority": plain["majority"].mean(),
            "seeds": plain["seed"].nunique(),
        }

    found = summary(means, ["regime", "layer"], row)
    return found.assign(layer=found["layer"].map(layer_name))
