"""Activation patching from one language into another: minimal pairs, interchange and state transplant."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, OTHER_FILES, Checkpoint, other_model
from analyses._tables import lowest_seed, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_label, facet, layer_axis, layer_name

INPUTS = OTHER_FILES
_MASSES = {"interchange": "legal_mass", "transplant": "mass"}
_CONTROLS = ("own", "mean-shifted", "rotated", "rotated, mismatched", "another model, rotated")
_AT = ("regime", "seed", "layer")


def measure(checkpoint: Checkpoint, *, pairs: int = 80, games: int = 120, fit: int = 300) -> pd.DataFrame:
    """`patching.recovery`, `interchange` and `transplant` (column part) between the first two languages, both ways."""
    from mothello_interp.pairs import minimal_pairs, truncate_games
    from mothello_interp.patching import interchange, recovery, transplant

    board = checkpoint.spec.board
    minimal = minimal_pairs(random_games(2000, board=board, seed=51), pairs, seed=0)
    played = truncate_games(random_games(4 * games, board=board, seed=52), games, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for target, source in ((first, first), (second, second), (first, second), (second, first)):
        clean, corrupted = checkpoint.read(minimal.clean, source), checkpoint.read(minimal.corrupted, target)
        tables.append(recovery(clean, corrupted).assign(part="pairs", state="as it is"))
        given, run = checkpoint.read(played, source), checkpoint.read(played, target)
        if source == target:
            tables.append(transplant(given, run).assign(part="transplant", state="own"))
            continue
        for state, states, maps in _states(checkpoint, given, target, fit):
            same, other = interchange(states, run, through=maps), transplant(states, run, through=maps)
            tables += [same.assign(part="interchange", state=state), other.assign(part="transplant", state=state)]
    return pd.concat(tables, ignore_index=True)


def _states(checkpoint: Checkpoint, source: Any, target: int, fit: int) -> Iterator[tuple[str, Any, Any]]:
    """(name, the reading whose states are patched in, the maps they pass): the source's, and another model's of the same games."""
    from mothello_interp.activations import collect
    from mothello_interp.maps import fit_maps

    games = random_games(fit, board=checkpoint.spec.board, seed=53)
    given, wanted = (collect(checkpoint, games, languages=[language]) for language in (source.language, target))
    yield "as it is", source, None
    yield "mean-shifted", source, fit_maps(given, wanted, kind="mean_shift")
    yield "rotated", source, fit_maps(given, wanted)
    yield "rotated, mismatched", source, fit_maps(given, wanted, mismatched=True)
    if other := other_model(checkpoint, same_recipe=True):
        language = other.mothello.inputs[0]
        theirs = collect(other, games, languages=[language])
        yield "another model, rotated", other.read(source.games, language), fit_maps(theirs, wanted)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime, by layer: the source's moves after a transplant, and recovery of minimal pairs."""
    means = lowest_seed(pd.concat([_transplants(table), _pairs(table)], ignore_index=True))
    parts = {"probability of the<br>source's moves": "transplant", "recovery<br>(minimal pairs)": "pairs"}
    rows = {name: [line for line in _lines(part) if means[line.y].notna().any()] for name, part in parts.items()}
    drawing = facet(means, rows, x="layer", titles=LABELS)
    layer_axis(drawing, table["layer"])
    last = where(means, regime=means["regime"].iloc[0], part="transplant", layer=max(table["layer"])).iloc[0]
    place: dict[str, Any] = {"anchor": "right"}
    at = float(last["layer"]) - 0.1
    add_label(drawing, "own state (ceiling)", at, last["own"], COLOURS["ceiling"], **place)
    add_label(drawing, "third game (floor)", at, last["floor"], COLOURS["floor"], **place)
    return drawing.update_yaxes(range=[-0.05, 1.05]).update_layout(height=640, margin_l=95)


def _lines(part: str) -> list[Line]:
    """The curves of one row; a colour is that of the regime unless it is named."""
    rows = {"part": part}
    look: dict[str, Any] = {"rows": rows, "shown": False}
    lines = [Line("own", "own state", COLOURS["ceiling"], width=1.5, **look)]
    lines.append(Line("floor", "floor", COLOURS["floor"], dash="dot", width=1.5, **look))
    if part == "transplant":
        lines.append(Line("rotated", "other language's state, rotated", COLOURS["rotated"], rows, dash="dash"))
        lines.append(Line("source_tokens", "same moves, in the source's tokens", COLOURS["paper"], rows, dash="dot"))
        lines.append(
            Line("another model, rotated", "another model's state, rotated", COLOURS["another model"], rows, dash="dot")
        )
    lines.append(Line("value", "<b>other language's state</b>", "", rows, width=4, band=("low", "high")))
    return lines


def _transplants(table: pd.DataFrame) -> pd.DataFrame:
    """By model and layer, mean of both directions: mass on the source's moves, own and rotated, floor, in its own tokens."""
    keys = list(_AT)
    rows = where(table, part="transplant")
    plain = (
        where(rows, state="as it is")
        .groupby(keys, sort=False)[["mass", "low", "high", "floor", "source_tokens"]]
        .mean()
    )
    others = {name: where(rows, state=name).groupby(keys)["mass"].mean() for name in _CONTROLS}
    return plain.rename(columns={"mass": "value"}).assign(**others, part="transplant").reset_index()


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """By model and layer, mean of both directions: recovery at the last shared move, own, and of another game's state."""
    rows = where(table, part="pairs")
    rows = rows[(rows["offset"] == rows["offset"].max())]
    own, across = rows[rows["source"] == rows["target"]], rows[rows["source"] != rows["target"]]
    found = across.groupby(list(_AT), sort=False)[["recovery", "low", "high", "floor"]].mean()
    found = found.rename(columns={"recovery": "value"}).assign(
        own=own.groupby(list(_AT))["recovery"].mean(), part="pairs"
    )
    return found.reset_index()


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model and layer: mass on the source's moves by what is patched in; recovery of minimal pairs; legal mass after interchange."""
    keys = list(_AT)
    found = _transplants(table).set_index(keys)
    names = {"own": "own state", "value": "other language's", "rotated": "other's, rotated", "floor": "floor",
             "source_tokens": "in the source's tokens", "mean-shifted": "other's, mean-shifted",
             "rotated, mismatched": "rotated by a mismatched map", "another model, rotated": "another model's, rotated"}  # fmt: skip
    shown = found.rename(columns=names)[list(names.values())].dropna(axis=1, how="all")
    pairs = _pairs(table).set_index(keys)[["value", "own", "floor"]]
    pairs.columns = pd.Index(["recovery", "recovery, own", "recovery, floor"])
    legal = where(table, part="interchange", state="as it is").groupby(keys)[["legal_mass", "ceiling", "floor"]].mean()
    legal.columns = pd.Index(["interchange", "interchange, own", "interchange, floor"])
    shown = shown.join(pairs).join(legal).reset_index()
    return shown.assign(regime=shown["regime"].map(LABELS), layer=shown["layer"].map(layer_name))
