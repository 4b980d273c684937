"""Is the shared board used? Patching one language's state into the other

Three questions about a model that reads in language B, the base, while one of its states is replaced by that of language A,
the donor. *Minimal pairs* (heat maps; two games that differ in one move and agree on the two after it): how much of the
clean prediction, in B's own tokens, returns with A's clean state? Moves count from the one that differs: at -1 the games are
still equal, so that the ceiling is 0 there and anything else is damage. First A is B itself, the ceiling; then the other
language; then some other game's state, the zero, which lies near 0.5 wherever wiping out the corrupted prediction is half of
the way back. *Interchange* (fourth row; the same game, its last move): how much probability stays on the legal moves? *State
transplant* (last row; another game): how much goes to moves that are legal on the donor's board alone, in B's words, and
(pink) in A's? Behind the last block nothing but the answer reads a state, so the heat maps end before it.

Black: B's own state, the ceiling. Grey dots: another game's state, the zero. Coloured: A's state as it is (thick), shifted by
the difference of the languages' means (dots), or turned by an orthogonal map fitted on other games (dashes). Grey dashes:
turned by a map fitted on games paired at random, the null of turning. Intervals over games and pairs are in the table, for
each direction; bands are the mean of the two.

What is seen: under a unified output A's state is as good as B's own everywhere, with four anchors up to layer 1 (and, shifted
by the means, to the end), in the naive model no better than another game's, and the model then answers in A's words; but
turned it is as good as B's own at every layer: the naive languages hold one board in two rotated copies. With anchors the
shifted state gives the legal moves to the end, though a probe of A reads little of B's board in the last layers (`structure`).

What could fool it: a rotation has many free parameters (one fitted on re-paired games must do worse), legal mass that
survives anything (another game's state), and pairs that hardly differ (they are dropped and counted, and ratios are of sums).
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_heatmap, facet, layer_name

_GRIDS = {"own": "own language", "cross": "<b>other language</b>", "floor": "another game"}
_MASSES = {"interchange": "legal_mass", "transplant": "mass"}
_STATES: dict[str, dict[str, Any]] = {  # of the donor's state
    "as it is": {"width": 4, "band": ("low", "high")},
    "mean-shifted": {"dash": "dot", "width": 2},
    "rotated": {"dash": "dash"},
    "rotated, mismatched": {"dash": "dash", "width": 1.5, "colour": COLOURS["floor"]},
}


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
        for state, maps in _maps(checkpoint, source, target, fit):
            same, other = interchange(given, run, through=maps), transplant(given, run, through=maps)
            tables += [same.assign(part="interchange", state=state), other.assign(part="transplant", state=state)]
    return pd.concat(tables, ignore_index=True)


def _maps(checkpoint: Checkpoint, source: int, target: int, fit: int) -> Iterator[tuple[str, Any]]:
    """What the source's states go through, by state."""
    from mothello_interp.activations import collect
    from mothello_interp.maps import fit_maps

    games = random_games(fit, board=checkpoint.spec.board, seed=53)
    given, wanted = (collect(checkpoint, games, languages=[language]) for language in (source, target))
    yield "as it is", None
    yield "mean-shifted", fit_maps(given, wanted, kind="mean_shift")
    yield "rotated", fit_maps(given, wanted)
    yield "rotated, mismatched", fit_maps(given, wanted, mismatched=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; three grids of minimal pairs, then curves of interchange and of transplant, all by layer."""
    first, layers = lowest_seed(table), sorted(table["layer"].unique())
    rows: dict[str, list[Line]] = {f"{label}<br>move": [] for label in _GRIDS.values()}
    rows |= {
        "interchange<br>legal mass": _lines("interchange"),
        "transplant<br>mass on source's moves": _lines("transplant"),
    }
    masses = ["legal_mass", "mass", "low", "high", "floor", "ceiling", "source_tokens"]
    means = first.groupby(["regime", "part", "state", "layer"], as_index=False, sort=False)[masses].mean()
    drawing = facet(means, rows, x="layer", titles=LABELS)
    for column, (_, pairs) in enumerate(where(first, part="pairs").groupby("regime", sort=False), 1):
        _grids(drawing, pairs, column)
    names = [layer_name(layer) for layer in layers]
    drawing.update_xaxes(tickvals=layers, ticktext=names, range=[-1.5, layers[-1] + 0.5])
    for row in range(1, len(rows) + 1):
        if row <= len(_GRIDS):
            drawing.update_xaxes(showgrid=False, row=row)
            drawing.update_yaxes(showgrid=False, tickvals=[-1, 0, 1, 2], range=[-1.5, 2.5], row=row)
        else:
            drawing.update_yaxes(range=[-0.03, 1.03], row=row)
    return drawing.update_layout(height=1300, margin_l=90, legend={"y": 0.36, "yanchor": "top"})


def _grids(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Recovery by layer and move: ceiling, other language, floor."""
    for row, kind in enumerate(_GRIDS, 1):
        cells = pairs[(pairs["source"] == pairs["target"]) == (kind == "own")]
        shown = cells.assign(recovery=cells["floor" if kind == "floor" else "recovery"])
        means = shown.groupby(["layer", "offset"])["recovery"].mean().reset_index()
        add_heatmap(drawing, means, x="layer", y="offset", z="recovery", limits=(-1, 1), row=row, column=column)
    bar = {"y": 1, "yanchor": "top", "len": 0.55}
    drawing.update_traces(colorbar=bar, selector={"type": "heatmap", "showscale": True})


def _lines(part: str) -> list[Line]:
    """What happens to a mass, by state, both directions averaged."""
    mass, plain = _MASSES[part], {"part": part, "state": "as it is"}
    ceiling = ("ceiling", plain) if part == "interchange" else (mass, {"part": part, "state": "own"})
    lines = [Line(ceiling[0], "own state", COLOURS["ceiling"], ceiling[1])]
    for state, look in _STATES.items():
        lines.append(
            Line(mass, f"other language, {state}", rows={"part": part, "state": state}, **{"colour": "", **look})
        )
    lines.append(Line("floor", "another game's state", COLOURS["floor"], plain, dash="dot", width=1.5))
    if part == "transplant":
        lines.append(Line("source_tokens", "as it is, in the source's tokens", LANGUAGES[3], plain, width=1.5))
    return lines


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At each layer after the embeddings: pairs at the last shared move, legal mass, and the source's moves."""
    return summary(table[table["layer"] >= 0], ["regime", "seed", "layer"], _at_layer)


def _at_layer(group: pd.DataFrame) -> dict[str, Any]:
    """Of one model and layer, both directions averaged."""
    row: dict[str, Any] = {}
    pairs = where(group, part="pairs")
    pairs = where(pairs, offset=pairs["offset"].max())
    own, across = pairs[pairs["source"] == pairs["target"]], pairs[pairs["source"] != pairs["target"]]
    if len(pairs):
        row |= {"recovery": across["recovery"].mean(), "low": across["low"].min(), "high": across["high"].max()}
        row |= {"own language": own["recovery"].mean(), "another game": across["floor"].mean()}
        row["share"] = (row["recovery"] - row["another game"]) / (row["own language"] - row["another game"])
    for part, mass in _MASSES.items():
        plain = where(group, part=part, state="as it is")
        ceiling = plain["ceiling"] if part == "interchange" else where(group, part=part, state="own")[mass]
        row |= {part: plain[mass].mean(), f"{part}: own": ceiling.mean(), f"{part}: floor": plain["floor"].mean()}
        row[f"{part}: rotated"] = where(group, part=part, state="rotated")[mass].mean()
    return {**row, "in the source's tokens": plain["source_tokens"].mean()}
