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

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.attention import attention_by_move, attention_overlap
from mothello_interp.othello import Games
from mothello_interp.patching import SHARED_AFTER, Pairs, minimal_pairs, recovery
from mothello_interp.plots import COLOURS, LANGUAGES, add_attention, add_curve, add_heatmap, panel_grid

_PAIRS, _GAMES, _MOVES = 40, 100, 20
_HOOKS = {"z": "a head", "attn_out": "attention", "mlp_out": "MLP", "resid_post": "residual stream"}
_ROWS = ("own language<br>layer", "<b>other language</b><br>layer", "another game<br>layer", "by gradient", "attention shared",
         "first language<br>move", "second language<br>move")  # fmt: skip


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Recovery, exact and estimated, at every hook ("pairs"); overlap of patterns ("overlap"); one pattern ("pattern")."""
    board = checkpoint.spec.board
    pairs = minimal_pairs(random_games(2000, board=board, seed=51), _PAIRS, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for base, donor in ((first, first), (second, second), (first, second), (second, first)):
        tables += [_recovered(checkpoint, pairs, base, donor, hook) for hook in _HOOKS if hook == "z" or base != donor]
    found = pd.concat(tables, ignore_index=True).assign(part="pairs")
    overlap = attention_overlap(checkpoint, random_games(_GAMES, board=board, seed=54), first, second)
    own = found[(found["place"] == "z") & (found["base"] == found["donor"]) & (found["offset"] == SHARED_AFTER)]
    layer, head = _strongest(own)
    patterns = [_pattern(checkpoint, language, layer, head) for language in (first, second)]
    return pd.concat([found, overlap.assign(part="overlap"), *patterns], ignore_index=True)


def _strongest(rows: pd.DataFrame) -> tuple[int, int]:
    """(layer, head) with the highest mean recovery."""
    means = rows.groupby(["layer", "head"], as_index=False)["recovery"].mean()
    best = means.loc[means["recovery"].idxmax()]
    return int(best["layer"]), int(best["head"])


def _recovered(checkpoint: Checkpoint, pairs: Pairs, base: int, donor: int, hook: str) -> pd.DataFrame:
    """`patching.recovery` at a hook, and its estimate beside it."""
    exact, estimate = (
        recovery(checkpoint, pairs, base=base, donor=donor, hook=hook, approximate=approximate, resamples=200)
        for approximate in (False, True)
    )
    return exact.assign(place=hook, estimate=estimate["recovery"])


def _pattern(checkpoint: Checkpoint, language: int, layer: int, head: int) -> pd.DataFrame:
    """The attention of one head along one game."""
    games = random_games(20, board=checkpoint.spec.board, seed=55)
    longest = Games(games.moves[games.lengths.argmax()][None], games.board)
    weights = attention_by_move(checkpoint, longest, language)[layer, head, 0, :_MOVES, :_MOVES]
    found = pd.DataFrame(weights.numpy()).rename_axis("move").reset_index()
    table = found.melt("move", var_name="other_move", value_name="weight").astype({"other_move": int})
    return table.assign(part="pattern", language=language, layer=layer, head=head)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models."""
    return over_models("heads", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; heads of the own language and of the other, the estimate, the overlap, and one pattern in each."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], *[[""] * len(regimes) for _ in _ROWS[1:]]]
    chosen = []
    for column, regime in enumerate(regimes):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        titles[3][column] = f"r = {_correlation(here):.2f}"
        layer, head = here[here["part"] == "pattern"][["layer", "head"]].iloc[0]
        titles[5][column] = f"layer {layer:.0f}, head {head:.0f}"
        chosen.append(here)
    drawing = panel_grid(titles, x="move attended to", y=list(_ROWS), shared=False)
    for column, here in enumerate(chosen, 1):
        _heads(drawing, here[here["part"] == "pairs"], column)
        _estimates(drawing, here[here["part"] == "pairs"], column)
        _overlaps(drawing, here[here["part"] == "overlap"], COLOURS[str(regimes[column - 1])], column)
        patterns = here[here["part"] == "pattern"]
        for row, language in enumerate(dict.fromkeys(patterns["language"]), 6):
            add_attention(drawing, patterns[patterns["language"] == language], row=row, column=column)
    drawing.update_traces(showscale=False, selector={"type": "heatmap"})
    for row, title in ((1, "recovery"), (6, "attention")):
        bar = {"title": {"text": title}, "thickness": 14, "len": 0.26, "y": 1 - (row - 1) / 7, "yanchor": "top"}
        axis = drawing.get_subplot(row, 1).yaxis.plotly_name.replace("axis", "")
        drawing.update_traces(showscale=True, colorbar=bar, selector={"type": "heatmap", "yaxis": axis})
    return drawing.update_layout(height=2000, margin_l=90, legend={"y": 0.56, "yanchor": "top"})


def _heads(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Recovery at the last shared move by layer and head, both directions averaged."""
    ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == pairs["offset"].max())]
    own = ends["base"] == ends["donor"]
    for row, (cells, value) in enumerate(((ends[own], "recovery"), (ends[~own], "recovery"), (ends[~own], "zero")), 1):
        means = cells.groupby(["layer", "head"], as_index=False)[value].mean().rename(columns={value: "recovery"})
        add_heatmap(drawing, means, x="head", y="layer", z="recovery", limits=(-0.3, 0.3), row=row, column=column)
        drawing.update_xaxes(title_text="head", dtick=1, showgrid=False, row=row, col=column)
        drawing.update_yaxes(dtick=1, showgrid=False, row=row, col=column)


def _estimates(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Every cell of every hook, exact and estimated."""
    across = pairs[pairs["base"] != pairs["donor"]]
    for colour, (hook, name) in zip(LANGUAGES, _HOOKS.items(), strict=False):
        add_curve(drawing, across[across["place"] == hook], x="recovery", y="estimate", name=name, colour=colour, width=0,
                  markers=True, opacity=0.6, row=4, column=column, legend=column == 1, hover=("layer", "head", "offset"))  # fmt: skip
    ends = across["recovery"].min(), across["recovery"].max()
    equal = pd.DataFrame({"recovery": ends, "estimate": ends})
    add_curve(drawing, equal, x="recovery", y="estimate", name="equal", colour=COLOURS["zero"], dash="dot", width=1.5, row=4,
              column=column, legend=column == 1)  # fmt: skip
    drawing.update_traces(marker_size=6, selector={"mode": "markers"}, row=4, col=column)
    drawing.update_xaxes(title_text="recovery, patched", row=4, col=column)


def _overlaps(drawing: go.Figure, overlap: pd.DataFrame, colour: str, column: int) -> None:
    """One place on the axis a head, layers one behind the other."""
    n_heads = int(overlap["head"].max()) + 1
    table = overlap.assign(place=overlap["layer"] * n_heads + overlap["head"])
    shared: dict[str, Any] = {
        "x": "place",
        "row": 5,
        "column": column,
        "legend": column == 1,
        "hover": ("layer", "head"),
    }
    add_curve(drawing, table, y="overlap", name="same game", colour=colour, width=0, markers=True, **shared)
    add_curve(
        drawing,
        table,
        y="zero",
        name="another game",
        colour=COLOURS["zero"],
        width=0,
        markers=True,
        symbol="x",
        **shared,
    )
    ticks = table[table["head"] == 0]
    drawing.update_xaxes(title_text="head", tickvals=ticks["place"], ticktext=[f"L{layer:.0f}H0" for layer in ticks["layer"]],
                         row=5, col=column)  # fmt: skip
    drawing.update_yaxes(range=[-0.03, 1.05], row=5, col=column)


def _correlation(rows: pd.DataFrame) -> float:
    """Of the estimate with the exact value, over the cells between languages."""
    across = rows[(rows["part"] == "pairs") & (rows["base"] != rows["donor"])]
    return float(across["recovery"].corr(across["estimate"]))


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """The head that carries most in its own language, the estimates by hook, and the overlap over all heads."""
    rows = []
    for (regime, seed), group in table.groupby(["regime", "seed"], sort=False):
        pairs = group[group["part"] == "pairs"]
        ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == pairs["offset"].max())]
        own, cross = ends[ends["base"] == ends["donor"]], ends[ends["base"] != ends["donor"]]
        layer, head = _strongest(own)
        at = [part[(part["layer"] == layer) & (part["head"] == head)] for part in (own, cross)]
        row: dict[str, Any] = {"regime": LABELS[str(regime)], "seed": seed, "head": f"L{layer:.0f}H{head:.0f}"}
        row |= {"own language": at[0]["recovery"].mean(), "other language": at[1]["recovery"].mean()}
        row |= {"low": at[1]["low"].min(), "high": at[1]["high"].max(), "another game": at[1]["zero"].mean()}
        for hook, name in _HOOKS.items():
            row[f"r, {name}"] = _correlation(group[(group["part"] != "pairs") | (group["place"] == hook)])
        overlap = group[group["part"] == "overlap"]
        rows.append({**row, "attention shared": overlap["overlap"].mean(), "with another game": overlap["zero"].mean()})
    return pd.DataFrame(rows)
