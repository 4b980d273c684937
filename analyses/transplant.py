"""State transplant between naive languages: which image of the board becomes legal."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses import _maps
from analyses._maps import LAYER, best_maps, between_models, probes_at, strip_places, threshold
from analyses._models import LABELS, OTHER_FILES, Checkpoint
from analyses._tables import where
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, add_lines, panel_grid

MODELS = {
    "mini/four-atomic": "4 naive languages",
    "mini/five-atomic": "5 naive languages",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/atomic-atomic-anchors0": "naive",
}
INPUTS = OTHER_FILES
_SOURCES = 4  # languages whose states are put into the first one's runs
_SHARES = {"effect": "mass", "effect_low": "low", "floor share": "floor"}  # of the effect of the own state


def measure(
    checkpoint: Checkpoint, *, games: int = 240, fit: int = _maps.FIT, score: int = _maps.SCORE
) -> pd.DataFrame:
    """`patching.transplant` into the first language from itself and from others, counted through all four symmetries; and the
    probes' maps, of so many games to fit and to score."""
    from mothello_interp.pairs import truncate_games
    from mothello_interp.patching import transplant

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[: _SOURCES + 1]
    probes = probes_at(checkpoint, LAYER, languages, fit=fit)
    maps, above = (
        best_maps(checkpoint, probes, score=score),
        threshold(between_models(checkpoint, probes, fit=fit, score=score)),
    )
    maps = maps[["source", "target", "symmetry", "normalised"]]
    maps = maps.rename(
        columns={"source": "target", "target": "source", "symmetry": "named"}
    )  # the target's probe on the source
    random = random_games(4 * games, board=board, seed=66)
    played = truncate_games(random, games, seed=0, earliest=board, latest=3 * board)
    target, tables = checkpoint.read(played, languages[0]), []
    for source in checkpoint.readings(played, languages):
        symmetries = tuple(SYMMETRIES.values()) if source.language != target.language else (SYMMETRIES["identity"],)
        table = transplant(source, target, symmetries=symmetries, resamples=200)
        tables.append(table.merge(maps[maps["source"] == source.language], how="left", on=["source", "target"]))
    return pd.concat(tables, ignore_index=True).assign(threshold=above)


def figure(table: pd.DataFrame) -> go.Figure:
    """A strip a model: of every source language, the effect on the four images of its board, at the layer fixed beforehand."""
    rows, drawing = _effects(table), panel_grid([[""]], x="", y="effect, own state = 1")
    place, middle = strip_places(list(dict.fromkeys(zip(rows["regime"], rows["seed"], strict=True))))
    sources = rows["source"].map({source: index for index, source in enumerate(sorted(rows["source"].unique()))})
    at = [place[key] for key in zip(rows["regime"], rows["seed"], strict=True)]
    rows = rows.assign(place=at + 0.7 * ((sources + 0.5) / _SOURCES - 0.5))
    look: dict[str, Any] = {"width": 0, "hover": ("source", "normalised", "mass", "floor")}
    grey, named = rows[rows["role"] != "named"], rows[rows["role"] == "named"]
    add_lines(
        drawing,
        grey,
        [Line("effect", "another image", COLOURS["floor"], symbol="circle-open", opacity=0.6, **look)],
        x="place",
    )
    lines = [Line("effect", f"named by the probes: {name.replace('_', ' ')}", COLOURS[name], {"symmetry": name}, symbol="circle", **look)
             for name in SYMMETRIES]  # fmt: skip
    add_lines(drawing, named, lines, x="place")
    drawing.add_hline(y=1, line={"color": COLOURS["ceiling"], "width": 1.5})
    drawing.update_xaxes(
        tickvals=list(middle), ticktext=list(middle.values()), showgrid=False, tickangle=0, tickfont_size=12
    )
    return drawing.update_yaxes(range=[-0.03, 1.12]).update_layout(height=470)


def _effects(table: pd.DataFrame) -> pd.DataFrame:
    """At the layer fixed beforehand, of every source and image: the effect, as a share of the language's own state; role: "named" by
    the probes, "other", or "none" where the probes align the pair through no symmetry."""
    here = where(table, layer=LAYER)
    own = here[here["source"] == here["target"]].set_index(["regime", "seed"])["mass"].rename("own")
    rows = here[here["source"] != here["target"]].join(own, on=["regime", "seed"])
    aligned = rows["normalised"] > table.get("threshold", pd.Series([0.0])).max()
    named = np.where(aligned, np.where(rows["symmetry"] == rows["named"], "named", "other"), "none")
    rows = rows.assign(
        aligned=aligned, role=named, **{name: rows[column] / rows["own"] for name, column in _SHARES.items()}
    )
    order = rows["regime"].map(list(MODELS.values()).index)
    return rows.assign(order=order).sort_values(["order", "seed", "source"], kind="stable")


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By pair: the symmetry that the probes name and the one whose moves become most legal; effects as shares of the effect of the
    language's own state; whether the named one is beyond all others, its interval included."""
    keys = ["regime", "seed", "source"]
    found: list[dict[str, Any]] = [
        dict(zip(keys, key, strict=True)) | _of_pair(group) for key, group in _effects(table).groupby(keys, sort=False)
    ]
    rows = pd.DataFrame(found)
    return rows.assign(regime=rows["regime"].map(lambda regime: LABELS.get(regime, regime)))


def _of_pair(group: pd.DataFrame) -> dict[str, Any]:
    """Of one pair."""
    named, most = group["named"].iloc[0], group["symmetry"].iloc[int(group["effect"].argmax())]
    through, others = where(group, symmetry=named).iloc[0], group[group["symmetry"] != named]["effect"].max()
    row = {"named by the probes": named.replace("_", " "), "most legal": most.replace("_", " ")}
    row |= {"effect": through["effect"], "highest other": others, "floor": through["floor share"]}
    row |= {"normalised": through["normalised"], "aligned": through["aligned"], "first": named == most}
    return row | {
        "beyond": through["effect_low"] > others,
        "mass": through["mass"],
        "own": through["own"],
        "games": through["games"],
    }
