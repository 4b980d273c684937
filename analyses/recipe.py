"""How weight decay decides whether languages align, of four naive ones, two atomic ones, and one that is compositional."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import Checkpoint
from analyses._tables import cross, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_lines, panel_grid

_WORLDS = {
    "four-atomic": "4 naive languages",
    "atomic": "2 atomic, 4 anchors",
    "compositional": "compositional, 4 anchors",
}
_RUNS = {
    "mini/four-atomic": ("four-atomic", 3.0),
    "recipe/four-atomic-decay-1": ("four-atomic", 1.0),
    "recipe/four-atomic-decay-6": ("four-atomic", 6.0),
    "mini/atomic-atomic-anchors4": ("atomic", 0.3),
    "recipe/atomic-decay-3": ("atomic", 3.0),
    "mini/atomic-compositional-anchors4": ("compositional", 0.3),
    "recipe/compositional-decay-1": ("compositional", 1.0),
    "recipe/compositional-decay-3": ("compositional", 3.0),
    "recipe/compositional-decay-6": ("compositional", 6.0),
}  # world and weight decay
MODELS = {run: f"{_WORLDS[world]}, decay {decay:g}" for run, (world, decay) in _RUNS.items()}
STORED = True  # most of these models are not bundled
_SHOWN = 1  # the layer drawn


def measure(checkpoint: Checkpoint, *, fit: int = 600, score: int = 300) -> pd.DataFrame:
    """`align` of all pairs, through the best symmetry where languages have no anchors ("pairs"), and the share of complete
    moves that are legal ("games")."""
    from mothello_interp.alignment import align
    from mothello_interp.legality import legal_accuracy
    from mothello_interp.probes import fit_probes

    board = checkpoint.spec.board
    probes = fit_probes(checkpoint, random_games(fit, board=board, seed=121), batch=256, seed=0)
    table = align(probes, checkpoint, random_games(score, board=board, seed=122), resamples=200)
    if checkpoint.mothello.anchors:
        table = where(table, symmetry="identity")
    best = table.groupby(["layer", "source", "target"])["accuracy"].idxmax()
    columns = ["layer", "source", "target", "symmetry", "accuracy", "low", "high", "floor", "ceiling", "normalised"]
    legal = legal_accuracy(checkpoint.readings(random_games(score, board=board, seed=123)), mass=False)
    moves = legal.groupby("language").apply(lambda rows: np.average(rows["top1"], weights=rows["prefixes"]))
    games = moves.rename("top1").reset_index().assign(part="games")
    return pd.concat([table.loc[best, columns].assign(part="pairs"), games], ignore_index=True)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """With the world and the weight decay of each row's model."""
    of = {label: _RUNS[run] for run, label in MODELS.items()}
    world, decay = zip(*(of[regime] for regime in table["regime"]), strict=True)
    return table.assign(world=world, decay=decay)


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a world: alignment of every pair at one layer, and legal moves, by weight decay."""
    drawing = panel_grid([list(_WORLDS.values())], x="weight decay", y="")
    rows = _placed(table)
    pairs = where(cross(rows), part="pairs", layer=_SHOWN)
    games = where(rows, part="games")
    for column, world in enumerate(_WORLDS, 1):
        look: dict[str, Any] = {
            "symbol": "circle",
            "width": 0,
            "opacity": 0.6,
            "hover": ("source", "target", "symmetry"),
        }
        dots = Line("normalised", f"normalised alignment at layer {_SHOWN}, a dot a pair", LANGUAGES[0], **look)
        mean = Line("normalised", "their mean", LANGUAGES[0], width=3)
        legal = Line("top1", "legal moves, the worst language", COLOURS["ceiling"], dash="dash")
        here = where(pairs, world=world)
        add_lines(drawing, here, [dots], x="decay", column=column)
        add_lines(drawing, here.groupby("decay")["normalised"].mean().reset_index(), [mean], x="decay", column=column)
        worst = where(games, world=world).groupby("decay")["top1"].min().reset_index()
        add_lines(drawing, worst, [legal], x="decay", column=column)
    ticks = sorted(rows["decay"].unique())
    drawing.update_xaxes(
        type="log",
        tickvals=ticks,
        ticktext=[f"{decay:g}" for decay in ticks],
        range=list(np.log10([ticks[0] / 1.3, ticks[-1] * 1.3])),
    )
    return drawing.update_yaxes(range=[-0.05, 1.05]).update_layout(height=420)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model: legal moves in its worst language, and of all pairs the lowest and the highest normalised alignment by layer."""

    def row(group: pd.DataFrame) -> dict[str, float]:
        pairs = where(cross(group), part="pairs")
        found = {"legal moves": where(group, part="games")["top1"].min()}
        for layer in (0, 1, 2):
            here = where(pairs, layer=layer)["normalised"]
            found |= {f"lowest, layer {layer}": here.min(), f"highest, layer {layer}": here.max()}
        return found

    return summary(
        _placed(table).sort_values(["world", "decay"], kind="stable"), ["world", "decay", "regime", "seed"], row
    )
