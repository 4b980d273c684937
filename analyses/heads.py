"""Which heads carry a move from one language into another, and do they look at the same moves?

First three rows: minimal pairs as in `patching`, but what is replaced at the last shared move is the output of one attention
head: the share of the clean prediction that returns with that head's output of the clean game, read in the same language
(the ceiling), in the other one, and with its output of another game (the zero). Fourth row: attribution patching (by
gradients, one backward pass instead of a run a cell) against the same cells patched exactly: heads, whole attention, MLPs and
the residual stream at all four moves; r is the correlation over all cells. Fifth row: how far a head attends to the same
moves of the same game in both languages (1 less the total variation distance of the two patterns), beside the pattern of
another game at the same move (crosses), which is what position alone gives. Last rows: the attention of the head that carries
most in its own language, along one game written in each language, from a move (down) to a move (across).

What is seen: with anchors and under a unified output every head does with the other language's output what it does with its
own, and attends to the same moves (overlap above 0.9, another game's about 0.7); naive heads attend alike only as far as the
position goes. No single head carries the move: what the heads of layer 0 give back, another game's output gives back nearly
as well, by wiping out the corrupted move. The gradient ranks cells fairly (r of 0.5 to 0.9 by kind of cell, in the summary)
and is far too small where effects are large.

What could fool it: heads that look at positions, whatever the game (the crosses: it would be wrong if heads agreed no more
than that), an output that only wipes out the corrupted move (the zero, another game's), and heads that do together what none
does alone: shares of single heads need not add up.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import Games, random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_attention, add_heatmap, add_lines, panel_grid

_HOOKS = {"z": "a head", "attn_out": "attention", "mlp_out": "MLP", "resid_post": "residual stream"}
_ROWS = ("own language<br>layer", "<b>other language</b><br>layer", "another game<br>layer", "by gradient", "attention shared",
         "first language<br>move", "second language<br>move")  # fmt: skip


def measure(checkpoint: Checkpoint, *, pairs: int = 40, games: int = 100, moves: int = 20) -> pd.DataFrame:
    """Recovery, exact and estimated, at every hook ("pairs"); overlap of patterns ("overlap"); one pattern ("pattern")."""
    from mothello_interp.attention import attention_overlap
    from mothello_interp.pairs import SHARED_AFTER, minimal_pairs
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
    layer, head = _strongest(_own(where(found, place="z", offset=SHARED_AFTER)))
    patterns = [_pattern(checkpoint, language, layer, head, moves) for language in (first, second)]
    return pd.concat([found, overlap.assign(part="overlap"), *patterns], ignore_index=True)


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


def _pattern(checkpoint: Checkpoint, language: int, layer: int, head: int, moves: int) -> pd.DataFrame:
    """The attention of one head along one game."""
    from mothello_interp.attention import attention_by_move

    games = random_games(20, board=checkpoint.spec.board, seed=55)
    longest = Games(games.moves[games.lengths.argmax()][None], games.board)
    weights = attention_by_move(checkpoint.read(longest, language))[layer, head, 0, :moves, :moves]
    found = pd.DataFrame(weights.numpy()).rename_axis("move").reset_index()
    table = found.melt("move", var_name="other_move", value_name="weight").astype({"other_move": int})
    return table.assign(part="pattern", language=language, layer=layer, head=head)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; heads of the own language and of the other, the estimate, the overlap, and one pattern in each."""
    chosen = list(lowest_seed(table).groupby("regime", sort=False))
    titles = [[LABELS[str(regime)] for regime, _ in chosen], *[[""] * len(chosen) for _ in _ROWS[1:]]]
    for column, (_, here) in enumerate(chosen):
        layer, head = where(here, part="pattern")[["layer", "head"]].iloc[0]
        titles[3][column] = f"r = {_correlation(where(here, part='pairs')):.2f}"
        titles[5][column] = f"layer {layer:.0f}, head {head:.0f}"
    drawing = panel_grid(titles, x="move attended to", y=list(_ROWS), shared=False)
    for column, (regime, here) in enumerate(chosen, 1):
        _heads(drawing, where(here, part="pairs"), column)
        _estimates(drawing, _across(where(here, part="pairs")), column)
        _overlaps(drawing, where(here, part="overlap"), COLOURS[str(regime)], column)
        for row, (_, pattern) in enumerate(where(here, part="pattern").groupby("language", sort=False), 6):
            add_attention(drawing, pattern, row=row, column=column)
    drawing.update_traces(showscale=False, selector={"type": "heatmap"})
    for row, title in ((1, "recovery"), (6, "attention")):
        bar = {"title": {"text": title}, "thickness": 14, "len": 0.26, "y": 1 - (row - 1) / 7, "yanchor": "top"}
        axis = drawing.get_subplot(row, 1).yaxis.plotly_name.replace("axis", "")
        drawing.update_traces(showscale=True, colorbar=bar, selector={"type": "heatmap", "yaxis": axis})
    return drawing.update_layout(height=2000, margin_l=90, legend={"y": 0.56, "yanchor": "top"})


def _heads(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Recovery at the last shared move by layer and head, both directions averaged."""
    ends = where(pairs, place="z", offset=pairs["offset"].max())
    for row, (cells, value) in enumerate(
        ((_own(ends), "recovery"), (_across(ends), "recovery"), (_across(ends), "floor")), 1
    ):
        means = cells.groupby(["layer", "head"])[value].mean().rename("recovery").reset_index()
        add_heatmap(drawing, means, x="head", y="layer", z="recovery", limits=(-0.3, 0.3), row=row, column=column)
        drawing.update_xaxes(title_text="head", dtick=1, showgrid=False, row=row, col=column)
        drawing.update_yaxes(dtick=1, showgrid=False, row=row, col=column)


def _estimates(drawing: go.Figure, cells: pd.DataFrame, column: int) -> None:
    """Every cell of every hook, exact and estimated."""
    look: dict[str, Any] = {"width": 0, "symbol": "circle", "opacity": 0.6, "hover": ("layer", "head", "offset")}
    dots = [
        Line("estimate", name, colour, {"place": hook}, **look)
        for colour, (hook, name) in zip(LANGUAGES, _HOOKS.items(), strict=False)
    ]
    ends = cells["recovery"].min(), cells["recovery"].max()
    diagonal = Line("estimate", "equal", COLOURS["floor"], dash="dot", width=1.5)
    add_lines(drawing, cells, dots, x="recovery", row=4, column=column)
    add_lines(
        drawing, pd.DataFrame({"recovery": ends, "estimate": ends}), [diagonal], x="recovery", row=4, column=column
    )
    drawing.update_traces(marker_size=6, selector={"mode": "markers"}, row=4, col=column)
    drawing.update_xaxes(title_text="recovery, patched", row=4, col=column)


def _overlaps(drawing: go.Figure, overlap: pd.DataFrame, colour: str, column: int) -> None:
    """One place on the axis a head, layers one after the other."""
    table = overlap.assign(place=overlap["layer"] * (int(overlap["head"].max()) + 1) + overlap["head"])
    look: dict[str, Any] = {"width": 0, "hover": ("layer", "head")}
    lines = [Line("overlap", "same game", colour, symbol="circle", **look)]
    lines.append(Line("floor", "another game", COLOURS["floor"], symbol="x", **look))
    add_lines(drawing, table, lines, x="place", row=5, column=column)
    ticks = where(table, head=0)
    drawing.update_xaxes(title_text="head", tickvals=ticks["place"], ticktext=[f"L{layer:.0f}H0" for layer in ticks["layer"]],
                         row=5, col=column)  # fmt: skip
    drawing.update_yaxes(range=[-0.03, 1.05], row=5, col=column)


def _correlation(pairs: pd.DataFrame) -> float:
    """Of the estimate with the exact value, over the cells between languages."""
    cells = _across(pairs)
    return float(cells["recovery"].corr(cells["estimate"]))


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """The head that carries most in its own language, the estimates by hook, and the overlap over all heads."""
    return summary(table, ["regime", "seed"], _strongest_head)


def _strongest_head(group: pd.DataFrame) -> dict[str, Any]:
    """Of one model."""
    pairs, overlap = where(group, part="pairs"), where(group, part="overlap")
    ends = where(pairs, place="z", offset=pairs["offset"].max())
    layer, head = _strongest(_own(ends))
    own, across = (where(part, layer=layer, head=head) for part in (_own(ends), _across(ends)))
    row: dict[str, Any] = {"head": f"L{layer:.0f}H{head:.0f}", "own language": own["recovery"].mean()}
    row |= {"other language": across["recovery"].mean(), "low": across["low"].min(), "high": across["high"].max()}
    row["another game"] = across["floor"].mean()
    row |= {f"r, {name}": _correlation(where(pairs, place=hook)) for hook, name in _HOOKS.items()}
    return {**row, "attention shared": overlap["overlap"].mean(), "with another game": overlap["floor"].mean()}
