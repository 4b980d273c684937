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

_GRIDS = {"own": "own language", "cross": "<b>other language</b>", "zero": "another game"}
_MASSES = {"interchange": "legal_mass", "transplant": "mass"}
_STATES: dict[str, dict[str, Any]] = {  # of the donor's state
    "as it is": {"width": 4, "band": ("low", "high")},
    "shifted": {"dash": "dot", "width": 2},
    "turned": {"dash": "dash"},
    "turned, re-paired": {"dash": "dash", "width": 1.5, "colour": COLOURS["zero"]},
}


def measure(checkpoint: Checkpoint, *, pairs: int = 80, games: int = 120, fit: int = 300) -> pd.DataFrame:
    """`patching.recovery`, `interchange` and `transplant` (column part) between the first two languages, both ways."""
    from mothello_interp.patching import cut, interchange, minimal_pairs, recovery, transplant

    board = checkpoint.spec.board
    minimal = minimal_pairs(random_games(2000, board=board, seed=51), pairs, seed=0)
    played = cut(random_games(4 * games, board=board, seed=52), games, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for base, donor in ((first, first), (second, second), (first, second), (second, first)):
        tables.append(recovery(checkpoint, minimal, base=base, donor=donor).assign(part="pairs", state="as it is"))
        if base == donor:
            own = transplant(checkpoint, played, base=base, donor=base)
            tables.append(own.assign(part="transplant", state="own"))
            continue
        for state, maps in _maps(checkpoint, base, donor, fit):
            same = interchange(checkpoint, played, base=base, donor=donor, through=maps)
            other = transplant(checkpoint, played, base=base, donor=donor, through=maps)
            tables += [same.assign(part="interchange", state=state), other.assign(part="transplant", state=state)]
    return pd.concat(tables, ignore_index=True)


def _maps(checkpoint: Checkpoint, base: int, donor: int, fit: int) -> Iterator[tuple[str, Any]]:
    """What the donor's states go through, by state."""
    from mothello_interp.patching import fit_maps

    games = random_games(fit, board=checkpoint.spec.board, seed=53)
    yield "as it is", None
    yield "shifted", fit_maps(checkpoint, games, base=base, donor=donor, kind="mean")
    yield "turned", fit_maps(checkpoint, games, base=base, donor=donor)
    yield "turned, re-paired", fit_maps(checkpoint, games, base=base, donor=donor, repaired=True)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; three grids of minimal pairs, then curves of interchange and of transplant, all by layer."""
    first, layers = lowest_seed(table), sorted(table["layer"].unique())
    rows: dict[str, list[Line]] = {f"{label}<br>move": [] for label in _GRIDS.values()}
    rows |= {
        "interchange<br>legal mass": _lines("interchange"),
        "transplant<br>mass on donor's moves": _lines("transplant"),
    }
    masses = ["legal_mass", "mass", "low", "high", "zero", "ceiling", "donor_words"]
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
    """Recovery by layer and move: ceiling, other language, zero."""
    for row, kind in enumerate(_GRIDS, 1):
        cells = pairs[(pairs["base"] == pairs["donor"]) == (kind == "own")]
        shown = cells.assign(recovery=cells["zero" if kind == "zero" else "recovery"])
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
    lines.append(Line("zero", "another game's state", COLOURS["zero"], plain, dash="dot", width=1.5))
    if part == "transplant":
        lines.append(Line("donor_words", "as it is, in the donor's words", LANGUAGES[3], plain, width=1.5))
    return lines


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At each layer after the embeddings: pairs at the last shared move, legal mass, and the donor's moves."""
    return summary(table[table["layer"] >= 0], ["regime", "seed", "layer"], _at_layer)


def _at_layer(group: pd.DataFrame) -> dict[str, Any]:
    """Of one model and layer, both directions averaged."""
    row: dict[str, Any] = {}
    pairs = where(group, part="pairs")
    pairs = where(pairs, offset=pairs["offset"].max())
    own, across = pairs[pairs["base"] == pairs["donor"]], pairs[pairs["base"] != pairs["donor"]]
    if len(pairs):
        row |= {"recovery": across["recovery"].mean(), "low": across["low"].min(), "high": across["high"].max()}
        row |= {"own language": own["recovery"].mean(), "another game": across["zero"].mean()}
        row["share"] = (row["recovery"] - row["another game"]) / (row["own language"] - row["another game"])
    for part, mass in _MASSES.items():
        plain = where(group, part=part, state="as it is")
        ceiling = plain["ceiling"] if part == "interchange" else where(group, part=part, state="own")[mass]
        row |= {part: plain[mass].mean(), f"{part}: own": ceiling.mean(), f"{part}: zero": plain["zero"].mean()}
        row[f"{part}: turned"] = where(group, part=part, state="turned")[mass].mean()
    return {**row, "in the donor's words": plain["donor_words"].mean()}
