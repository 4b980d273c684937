"""Probe transfer by layer, with and without anchors."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._probes import board_probes
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, Line, add_label, add_lines, bounds, layer_axis, layer_name, panel_grid


def _regime(kind: str, anchors: int | None) -> str:
    """How a table lists the pair of an atomic language and one of a kind; None is unified output."""
    among = {("atomic", 0): "naive", ("atomic", 4): "anchors", ("atomic", None): "unified"}
    words = "unified output" if anchors is None else f"{anchors} anchor{'s' * (anchors != 1)}"
    return among.get((kind, anchors), f"{kind}, {words}")


KINDS, ANCHORS = ("atomic", "split", "compositional"), (0, 1, 2, 4, None)
CELLS: dict[str, tuple[str, int | None]] = {_regime(kind, n): (kind, n) for kind in KINDS for n in ANCHORS}
MODELS = {
    f"mini/atomic-{kind}-{'unified' if n is None else f'anchors{n}'}": regime for regime, (kind, n) in CELLS.items()
}


def measure(checkpoint: Checkpoint, *, fit: int = 1000, score: int = 500) -> pd.DataFrame:
    """Alignment of every pair of languages, for trained and random weights: see `mothello_interp.alignment.align`."""
    from mothello_interp.activations import paper_layer
    from mothello_interp.alignment import align
    from mothello_interp.probes import fit_probes

    fitted, scored = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((fit, 12), (score, 13)))
    layer, random = paper_layer(checkpoint.spec.model.n_layers), checkpoint.untrained()
    mlp = fit_probes(checkpoint, fitted, kind="mlp", frame="absolute", layers=[layer], seed=0)
    asked = [("trained", checkpoint, board_probes(checkpoint, games=fit)), ("trained", checkpoint, mlp)]
    asked.append(("random", random, board_probes(random, games=fit)))
    tables = [
        align(probes, model, scored).assign(kind=probes.kind, frame=probes.frame, weights=weights)
        for weights, model, probes in asked
    ]
    return pd.concat(tables, ignore_index=True)


def _by_layer(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over both directions by regime, seed, weights, symmetry and layer: of the three regimes, and of the user's."""
    columns = ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"]
    main = table["regime"].isin(list(LABELS)) | ~table["regime"].isin(list(CELLS))
    rows = cross(where(table[main], kind="linear"))
    by = ["regime", "seed", "weights", "symmetry", "layer"]
    return rows.groupby(by, as_index=False, sort=False)[columns].mean()


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
            _label(drawing, where(here, first=True, symmetry="identity"), COLOURS.get(regime, COLOURS["own"]))
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
    """Names of the curves, written next to them."""
    names = {"ceiling": "in-language (ceiling)", "majority": "majority baseline", "floor": "mismatched games (floor)"}
    layer = sorted(here["layer"])[len(here) // 2]
    row = where(here, layer=layer).iloc[0]
    for column, name in names.items():
        shade = COLOURS["ceiling" if column == "ceiling" else "floor"]
        add_label(drawing, name, layer, row[column], shade, above=column != "floor")
    add_label(drawing, "<b>cross-lingual</b>", layer, row["accuracy"], colour)


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
