"""Attention heads: what each carries between languages, and whether it attends to the same moves."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, add_heatmap, add_lines, panel_grid

_HOOKS = {"z": "a head", "attn_out": "attention", "mlp_out": "MLP", "resid_post": "residual stream"}
_ROWS = ("own language<br>layer", "<b>other language</b><br>layer", "attention overlap")


def measure(checkpoint: Checkpoint, *, pairs: int = 40, games: int = 100) -> pd.DataFrame:
    """Recovery, exact and estimated, at every hook ("pairs"), and overlap of attention patterns ("overlap")."""
    from mothello_interp.attention import attention_overlap
    from mothello_interp.pairs import minimal_pairs
    from mothello_interp.patching import recovery

    board = checkpoint.spec.board
    minimal = minimal_pairs(random_games(2000, board=board, seed=51), pairs, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for target, source in ((first, first), (second, second), (first, second), (second, first)):
        clean, corrupted = checkpoint.read(minimal.clean, source), checkpoint.read(minimal.corrupted, target)
        for hook in (hook for hook in _HOOKS if hook == "z" or source != target):
            exact, estimate = (
                recovery(clean, corrupted, hook=hook, approximate=approximate, resamples=200)
                for approximate in (False, True)
            )
            tables.append(exact.assign(place=hook, estimate=estimate["recovery"]))
    found = pd.concat(tables, ignore_index=True).assign(part="pairs")
    overlap = attention_overlap(*checkpoint.readings(random_games(games, board=board, seed=54), [first, second]))
    return pd.concat([found, overlap.assign(part="overlap")], ignore_index=True)


def _own(pairs: pd.DataFrame) -> pd.DataFrame:
    """Within one language."""
    return pairs[pairs["source"] == pairs["target"]]


def _across(pairs: pd.DataFrame) -> pd.DataFrame:
    """Between languages."""
    return pairs[pairs["source"] != pairs["target"]]


def _strongest(rows: pd.DataFrame) -> tuple[int, int]:
    """(layer, head) with the highest mean recovery."""
    means = rows.groupby(["layer", "head"])["recovery"].mean()
    layer, head = means.index[int(means.argmax())]
    return int(layer), int(head)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: heads of the own language and of the other, and the overlap of their attention."""
    chosen = list(lowest_seed(table).groupby("regime", sort=False))
    titles = [[LABELS[str(regime)] for regime, _ in chosen], *[[""] * len(chosen) for _ in _ROWS[1:]]]
    drawing = panel_grid(titles, x="head", y=list(_ROWS), shared=False)
    for column, (regime, here) in enumerate(chosen, 1):
        _heads(drawing, where(here, part="pairs"), column)
        _overlaps(drawing, where(here, part="overlap"), COLOURS.get(str(regime), COLOURS["own"]), column)
    return drawing.update_layout(height=900, margin_l=90)


def _heads(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Recovery at the last shared move by layer and head, both directions averaged."""
    ends = where(pairs, place="z", offset=pairs["offset"].max())
    for row, cells in enumerate((_own(ends), _across(ends)), 1):
        means = cells.groupby(["layer", "head"])["recovery"].mean().reset_index()
        add_heatmap(drawing, means, x="head", y="layer", z="recovery", limits=(-0.3, 0.3), row=row, column=column)
        drawing.update_xaxes(dtick=1, showgrid=False, row=row, col=column)
        drawing.update_yaxes(dtick=1, showgrid=False, row=row, col=column)
    drawing.update_traces(colorbar={"y": 1, "yanchor": "top", "len": 0.62}, selector={"type": "heatmap"})


def _overlaps(drawing: go.Figure, overlap: pd.DataFrame, colour: str, column: int) -> None:
    """One place on the axis a head, layers one after the other."""
    table = overlap.assign(place=overlap["layer"] * (int(overlap["head"].max()) + 1) + overlap["head"])
    look: dict[str, Any] = {"width": 0, "hover": ("layer", "head")}
    lines = [Line("overlap", "same game", colour, symbol="circle", **look)]
    lines.append(Line("floor", "mismatched games", COLOURS["floor"], symbol="x", **look))
    add_lines(drawing, table, lines, x="place", row=3, column=column)
    ticks = where(table, head=0)
    drawing.update_xaxes(title_text="head", tickvals=ticks["place"], ticktext=[f"L{layer:.0f}H0" for layer in ticks["layer"]],
                         row=3, col=column)  # fmt: skip
    drawing.update_yaxes(range=[-0.03, 1.05], row=3, col=column)


def _correlation(pairs: pd.DataFrame) -> float:
    """Of the estimate with the exact value, over the cells between languages."""
    cells = _across(pairs)
    return float(cells["recovery"].corr(cells["estimate"]))


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime: recovery of the head that carries most in its own language, overlap of attention, and the correlation of gradient
    estimates with exact patching, by hook."""
    return summary(table, ["regime", "seed"], _strongest_head)


def _strongest_head(group: pd.DataFrame) -> dict[str, Any]:
    """Of one model."""
    pairs, overlap = where(group, part="pairs"), where(group, part="overlap")
    ends = where(pairs, place="z", offset=pairs["offset"].max())
    layer, head = _strongest(_own(ends))
    own, across = (where(part, layer=layer, head=head) for part in (_own(ends), _across(ends)))
    row: dict[str, Any] = {"strongest head": f"L{layer:.0f}H{head:.0f}", "own language": own["recovery"].mean()}
    row |= {"other language": across["recovery"].mean(), "another game": across["floor"].mean()}
    row |= {"attention overlap": overlap["overlap"].mean(), "mismatched": overlap["floor"].mean()}
    row |= {f"r, {name}": _correlation(where(pairs, place=hook)) for hook, name in _HOOKS.items()}
    return row | {"low": across["low"].min(), "high": across["high"].max()}
