"""Editing the board through a probe of the model's own language, or of the other one."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._probes import board_probes
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, bounds, facet, layer_axis

_SCALE = 2.0
_EDITS = (("linear", 1), ("linear", 3), ("mlp", 1))  # kind of probe and discs flipped; the first is drawn


def measure(checkpoint: Checkpoint, *, fit: int = 1000, mlp: int = 400, boards: int = 150) -> pd.DataFrame:
    """`edit_effect` in each of the first two languages, through the probes of both."""
    from mothello_interp.effects import edit_effect, edited_boards
    from mothello_interp.probes import fit_probes

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:2]
    fitted = random_games(mlp, board=board, seed=71)
    probes = {"linear": board_probes(checkpoint, games=fit)}
    probes["mlp"] = fit_probes(checkpoint, fitted, kind="mlp", languages=languages, epochs=8, batch=512, seed=0)
    games = random_games(8 * boards, board=board, seed=72)
    edited = {discs: edited_boards(games, boards, squares=discs, seed=0) for discs in (1, 3)}
    tables = [
        edit_effect(checkpoint.read(edited[discs].games, language), edited[discs], probes[kind], scale=_SCALE)
        for kind, discs in _EDITS
        for language in languages
    ]
    return pd.concat(tables, ignore_index=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: errors by the layer at which the edit begins, of linear probes and one disc."""
    kind, discs = _EDITS[0]
    columns = ["errors", "low", "high", "floor", "unedited", "mass", "floor_mass", "length"]
    here = where(table, kind=kind, squares=discs)
    means = here.groupby(["regime", "seed", "edit", "layer"], as_index=False, sort=False)[columns].mean()
    means["first"] = means.index.isin(lowest_seed(means).index)
    drawing = facet(
        means, {"wrong or missing moves": _lines()}, x="layer", label="layer at which the edit begins", titles=LABELS
    )
    drawing.update_yaxes(range=[0, 1.05 * means[["errors", "floor", "high"]].to_numpy().max()])
    return layer_axis(drawing, table["layer"]).update_layout(height=430)


def _lines() -> list[Line]:
    """The curves of one regime."""
    hover = ["floor", "unedited", "mass", "floor_mass", "length"]
    own, other, random = ({"edit": edit, "first": True} for edit in ("own", "other", "random"))
    return [
        *bounds("floor", names=["no edit"], dash="dash", rows=own),
        *bounds("unedited", names=["no edit, true board"], dash="dot", rows=own),
        Line("errors", "random direction", COLOURS["paper"], random, width=1.5, hover=hover),
        Line("errors", "probe of its own language", COLOURS["ceiling"], own, width=2, hover=hover),
        Line("errors", "other seeds", "", other | {"first": False}, each="seed", width=1, shown=False),
        Line("errors", "<b>probe of the other language</b>", "", other, width=4, band=("low", "high"), hover=hover),
    ]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer where the probe of the language itself does best: errors after each edit, and the other probe's effect as a
    share of its own, mean, lowest and highest seed."""
    return summary(table, ["regime", "kind", "squares"], _at_the_best_layer).rename(
        columns={"kind": "probe", "squares": "discs"}
    )


def _at_the_best_layer(group: pd.DataFrame) -> dict[str, Any]:
    """Of one regime, kind of probe and number of discs: means of seeds."""
    layer = where(group, edit="own").groupby("layer")["errors"].mean().idxmin()
    here = where(group, layer=layer)
    means = here.groupby(["edit", "seed"])[["errors", "floor", "unedited"]].mean()
    own, other, random = (means.loc[edit] for edit in ("own", "other", "random"))
    share = (other["floor"] - other["errors"]) / (own["floor"] - own["errors"])
    return {
        "no edit": own["floor"].mean(),
        "own probe": own["errors"].mean(),
        "other probe": other["errors"].mean(),
        "random": random["errors"].mean(),
        "share of own": share.mean(),
        "lowest seed": share.min(),
        "highest seed": share.max(),
        "true board": own["unedited"].mean(),
        "layer": layer,
    }
