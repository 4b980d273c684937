"""A naive language's board in another's run: which moves become legal, the donor's or their mirror images?

Naive languages that share a board share it up to a symmetry (`symmetry`): the model holds a game in language A as it would
hold its mirror image in language B. If the model also *uses* the board so, then A's state, put into a run in B, must make
legal the moves of the MIRRORED board, in B's words, not those of the board itself. So: two games of equal length; at the last
move B's state is replaced by A's of the other game, and the probability is counted of moves that are legal on one image of
A's board alone, not on B's. A panel is a pair of languages (A into B), a colour one of the four images, the thick curve the
image that the probes had named beforehand, at layer 0 and on other games. Black: B's own state of the other game, the
ceiling. Grey dots: moves legal on a third game's board alone, in the same runs. Green: A's moves, in A's words.

What is seen: four naive languages that are aligned almost as well as a language with itself: at layer 0, named beforehand,
the image that the probes named becomes as legal as by B's own state, in every pair, and no other image does. Five that are
aligned in part: of the 18 pairs of five seeds that probes relate by an image, it becomes more legal than the three others in
16 (by chance four or five), each time beyond its 95% interval, and in the two others it ties with one of them; it reaches
about three quarters of B's own state, and from layers 1 and 2 on the model answers in A's words. In the six pairs of two
seeds that probes relate by none (no thick curve), the best of their images is the most legal in three (by chance one or
two). Two naive languages (last panel), which probes relate by no image, show none; four anchors show the plain board.

What could fool it: early boards, which equal their images, so that all rise a little (it would be wrong if images that the
probes did not name rose as much), and moves that are legal in most games (a third game's).
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._maps import LAYER, RAISED, best_maps
from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint, random_games
from mothello_interp.patching import cut, transplant
from mothello_interp.plots import COLOURS, LANGUAGES, add_curve, layer_axis, panel_grid

_MODELS = {
    "mini/four-atomic-long": "4 naive languages, longer",
    "mini/five-atomic": "5 naive languages",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/atomic-atomic-anchors0": "naive",
}
_GAMES = 240
_DONORS = 4  # languages whose states are put into the first one's runs


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`patching.transplant` into the first language from itself and from others, counted through all four symmetries."""
    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[: _DONORS + 1]
    maps = best_maps(checkpoint, languages=languages)[["source", "target", "symmetry", "normalised"]]
    maps = maps.rename(columns={"source": "base", "target": "donor", "symmetry": "named"})
    games = cut(random_games(4 * _GAMES, board=board, seed=66), _GAMES, seed=0, earliest=board, latest=3 * board)
    base, tables = languages[0], []
    for donor in languages:
        symmetries = tuple(SYMMETRIES.values()) if donor != base else (SYMMETRIES["identity"],)
        table = transplant(checkpoint, games, base=base, donor=donor, symmetries=symmetries, resamples=200)
        tables.append(table.merge(maps[maps["donor"] == donor], how="left", on=["base", "donor"]))
    return pd.concat(tables, ignore_index=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models, and the stored rows of five naive languages."""
    return over_models("transplant", measure, _MODELS, zoo=zoo)


def _title(regime: str) -> str:
    """What the figure calls a regime."""
    return LABELS.get(regime, regime)


def _pairs(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    """(regime, seed, donor) of the pairs of different languages: all donors of stored models, one seed of the others."""
    across = table[table["base"] != table["donor"]].drop_duplicates(["regime", "seed", "donor"])
    order = list(_MODELS.values())
    several = across["regime"].map(across.groupby("regime")["donor"].nunique()) > 1
    first = across["seed"] == across.groupby("regime")["seed"].transform("min")
    kept = across[several | first]
    keys = zip(kept["regime"], kept["seed"], kept["donor"], strict=True)
    return sorted(
        ((str(regime), int(seed), int(donor)) for regime, seed, donor in keys),
        key=lambda key: (order.index(key[0]), *key[1:]),
    )


_WIDTH = 4  # panels in a row


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a pair of languages: mass on the moves of the four images of the donor's board, by layer."""
    pairs = _pairs(table)
    rows = -(-len(pairs) // _WIDTH)
    titles = [f"{_title(regime)}<br>seed {seed}, {donor} into 0" for regime, seed, donor in pairs]
    titles += [""] * (rows * _WIDTH - len(pairs))
    grid = [titles[start : start + _WIDTH] for start in range(0, len(titles), _WIDTH)]
    drawing = panel_grid(grid, x="", y="mass on donor's moves", shared=False)
    for place, (regime, seed, donor) in enumerate(pairs):
        model = table[(table["regime"] == regime) & (table["seed"] == seed)]
        _panel(drawing, model, donor, place // _WIDTH + 1, place % _WIDTH + 1)
    for place in range(len(pairs), rows * _WIDTH):
        empty = {"row": place // _WIDTH + 1, "col": place % _WIDTH + 1}
        drawing.update_xaxes(visible=False, **empty).update_yaxes(visible=False, **empty)
    layer_axis(drawing, table["layer"]).update_xaxes(title_text="layer")
    return drawing.update_yaxes(range=[-0.03, 0.73])


def _panel(drawing: go.Figure, model: pd.DataFrame, donor: int, row: int, column: int) -> None:
    """The four images, the ceiling, the zero, and the donor's moves in its own words."""
    here, own = model[model["donor"] == donor], model[model["donor"] == model["base"]]
    shared: dict[str, Any] = {"x": "layer", "row": row, "column": column, "legend": row == column == 1}
    add_curve(drawing, own, y="mass", name="own language", colour=COLOURS["ceiling"], **shared)
    for name in SYMMETRIES:
        image = here[here["symmetry"] == name]
        named = bool((image["named"] == name).any() and image["normalised"].iloc[0] >= RAISED)
        add_curve(drawing, image, y="mass", name=name.replace("_", " "), colour=COLOURS[name], width=5 if named else 1.5,
                  band=("low", "high") if named else None, hover=("zero", "kept", "unpatched", "games"), **shared)  # fmt: skip
    plain = here[here["symmetry"] == "identity"]
    add_curve(
        drawing, plain, y="zero", name="a third game's moves", colour=COLOURS["zero"], dash="dot", width=1.5, **shared
    )
    add_curve(drawing, plain, y="donor_words", name="in the donor's words", colour=LANGUAGES[2], width=1.5, **shared)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: the image that the probes named, and what becomes legal at the layer named beforehand."""
    rows = []
    for (regime, seed), model in table.groupby(["regime", "seed"], sort=False):
        at = model[model["layer"] == LAYER]
        own = at[at["donor"] == at["base"]]["mass"].mean()
        for donor, group in at[at["donor"] != at["base"]].groupby("donor"):
            named, best = group["named"].iloc[0], group["symmetry"].iloc[group["mass"].to_numpy().argmax()]
            through = group[group["symmetry"] == named].iloc[0]
            row = {
                "regime": _title(str(regime)),
                "seed": seed,
                "donor": donor,
                "the probes name": named.replace("_", " "),
            }
            row |= {"normalised": through["normalised"], "most legal": best.replace("_", " "), "mass": through["mass"]}
            row |= {
                "low": through["low"],
                "high": through["high"],
                "own language": own,
                "a third game's": through["zero"],
            }
            row["highest of the others"] = group[group["symmetry"] != named]["mass"].max()
            rows.append(row | {"without patching": through["unpatched"], "games": through["games"]})
    return pd.DataFrame(rows)
