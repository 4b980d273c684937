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

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.maps import Maps, fit_maps
from mothello_interp.patching import cut, interchange, minimal_pairs, recovery, transplant
from mothello_interp.plots import COLOURS, LANGUAGES, add_curve, add_heatmap, layer_name, panel_grid

_PAIRS, _GAMES, _FIT = 80, 120, 300
_GRIDS = {"own": "own language", "cross": "<b>other language</b>", "zero": "another game"}
_STATES = {  # of the donor's state: dash, width
    "as it is": ("solid", 4),
    "shifted": ("dot", 2),
    "turned": ("dash", 2.5),
    "turned, re-paired": ("dash", 1.5),
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`patching.recovery`, `interchange` and `transplant` (column part) between the first two languages, both ways."""
    board = checkpoint.spec.board
    pairs = minimal_pairs(random_games(2000, board=board, seed=51), _PAIRS, seed=0)
    games = cut(random_games(4 * _GAMES, board=board, seed=52), _GAMES, seed=0)
    first, second = checkpoint.mothello.inputs[:2]
    tables = []
    for base, donor in ((first, first), (second, second), (first, second), (second, first)):
        tables.append(recovery(checkpoint, pairs, base=base, donor=donor).assign(part="pairs", state="as it is"))
        if base == donor:
            own = transplant(checkpoint, games, base=base, donor=base)
            tables.append(own.assign(part="transplant", state="own"))
            continue
        for state, maps in _maps(checkpoint, base, donor):
            same = interchange(checkpoint, games, base=base, donor=donor, through=maps)
            other = transplant(checkpoint, games, base=base, donor=donor, through=maps)
            tables += [same.assign(part="interchange", state=state), other.assign(part="transplant", state=state)]
    return pd.concat(tables, ignore_index=True)


def _maps(checkpoint: Checkpoint, base: int, donor: int) -> Iterator[tuple[str, Maps | None]]:
    """What the donor's states go through, by state."""
    games = random_games(_FIT, board=checkpoint.spec.board, seed=53)
    given, wanted = (collect(checkpoint, games, languages=[language]) for language in (donor, base))
    yield "as it is", None
    yield "shifted", fit_maps(given, wanted, kind="mean_shift")
    yield "turned", fit_maps(given, wanted)
    yield "turned, re-paired", fit_maps(given, wanted, mismatched=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of the other seeds."""
    return over_models("patching", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; three grids of minimal pairs, then curves of interchange and of transplant, all by layer."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], *[[""] * len(regimes)] * (len(_GRIDS) + 1)]
    labels = [f"{label}<br>move" for label in _GRIDS.values()]
    labels += ["interchange<br>legal mass", "transplant<br>mass on donor's moves"]
    drawing = panel_grid(titles, x="layer", y=labels)
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        _grids(drawing, here[here["part"] == "pairs"], column)
        for row, (part, mass) in enumerate((("interchange", "legal_mass"), ("transplant", "mass")), len(_GRIDS) + 1):
            _curves(drawing, here[here["part"] == part], mass, COLOURS[str(regime)], row, column)
    layers = sorted(table["layer"].unique())
    drawing.update_xaxes(
        tickvals=layers, ticktext=[layer_name(layer) for layer in layers], range=[-1.5, layers[-1] + 0.5]
    )
    for row in range(1, len(_GRIDS) + 1):
        drawing.update_xaxes(showgrid=False, row=row)
        drawing.update_yaxes(showgrid=False, tickvals=[-1, 0, 1, 2], range=[-1.5, 2.5], row=row)
    for row in (len(_GRIDS) + 1, len(_GRIDS) + 2):
        drawing.update_yaxes(range=[-0.03, 1.03], row=row)
    return drawing.update_layout(height=1300, margin_l=90, legend={"y": 0.36, "yanchor": "top"})


def _grids(drawing: go.Figure, pairs: pd.DataFrame, column: int) -> None:
    """Recovery by layer and move: ceiling, other language, zero."""
    for row, kind in enumerate(_GRIDS, 1):
        cells = pairs[(pairs["base"] == pairs["donor"]) == (kind == "own")]
        means = cells.groupby(["layer", "offset"], as_index=False)[["recovery", "zero"]].mean()
        means["recovery"] = means["zero"] if kind == "zero" else means["recovery"]
        add_heatmap(drawing, means, x="layer", y="offset", z="recovery", limits=(-1, 1), row=row, column=column)
    bar = {"y": 1, "yanchor": "top", "len": 0.55}
    drawing.update_traces(colorbar=bar, selector={"type": "heatmap", "showscale": True})


def _curves(drawing: go.Figure, rows: pd.DataFrame, mass: str, colour: str, row: int, column: int) -> None:
    """What happens to a mass, by state, both directions averaged."""
    shared: dict[str, Any] = {"x": "layer", "row": row, "column": column}
    part = rows["part"].iloc[0]
    names = [name for name in (mass, "low", "high", "zero", "ceiling", "donor_words") if name in rows]
    curves = rows.groupby(["state", "layer"], as_index=False)[names].mean()
    own = curves[curves["state"] == "own"].assign(ceiling=lambda found: found[mass])
    plain = curves[curves["state"] == "as it is"]
    add_curve(drawing, own if part == "transplant" else plain, y="ceiling", name="own state", colour=COLOURS["ceiling"],
              legend=row > 4 and column == 1, **shared)  # fmt: skip
    for state, (dash, width) in _STATES.items():
        curve = curves[curves["state"] == state]
        null = state == "turned, re-paired"
        add_curve(drawing, curve, y=mass, name=f"other language, {state}", colour=COLOURS["zero"] if null else colour, dash=dash,
                  width=width, legend=row > 4 and column == 1, band=None if width < 4 else ("low", "high"), **shared)  # fmt: skip
    add_curve(drawing, plain, y="zero", name="another game's state", colour=COLOURS["zero"], dash="dot", width=1.5,
              legend=row > 4 and column == 1, **shared)  # fmt: skip
    if part == "transplant":
        add_curve(drawing, plain, y="donor_words", name="as it is, in the donor's words", colour=LANGUAGES[3], width=1.5,
                  legend=column == 1, **shared)  # fmt: skip


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """At each layer behind the embeddings: pairs at the last shared move, legal mass, and the donor's moves."""
    rows = []
    for (regime, seed, layer), group in table[table["layer"] >= 0].groupby(["regime", "seed", "layer"], sort=False):
        row: dict[str, Any] = {"regime": LABELS[str(regime)], "seed": seed, "layer": layer}
        pairs = group[(group["part"] == "pairs") & (group["offset"] == group["offset"].max())]
        own, cross = pairs[pairs["base"] == pairs["donor"]], pairs[pairs["base"] != pairs["donor"]]
        if len(pairs):
            row |= {"recovery": cross["recovery"].mean(), "low": cross["low"].min(), "high": cross["high"].max()}
            row |= {"own language": own["recovery"].mean(), "another game": cross["zero"].mean()}
            row["share"] = (row["recovery"] - row["another game"]) / (row["own language"] - row["another game"])
        for part, mass in (("interchange", "legal_mass"), ("transplant", "mass")):
            asked = group[group["part"] == part]
            plain = asked[asked["state"] == "as it is"]
            ceiling = plain["ceiling"] if part == "interchange" else asked[asked["state"] == "own"][mass]
            row |= {part: plain[mass].mean(), f"{part}: own": ceiling.mean(), f"{part}: zero": plain["zero"].mean()}
            row[f"{part}: turned"] = asked[asked["state"] == "turned"][mass].mean()
        row["in the donor's words"] = plain["donor_words"].mean()
        rows.append(row)
    return pd.DataFrame(rows)
