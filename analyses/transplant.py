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

from analyses import _maps
from analyses._maps import LAYER, RAISED, best_maps, probes_at
from analyses._models import LABELS, Checkpoint
from analyses._tables import grid, where
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_lines, layer_axis, panel_grid

MODELS = {
    "mini/four-atomic-long": "4 naive languages, longer",
    "mini/five-atomic": "5 naive languages",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/atomic-atomic-anchors0": "naive",
}
_SOURCES = 4  # languages whose states are put into the first one's runs
_WIDTH = 4  # panels in a row


def measure(
    checkpoint: Checkpoint, *, games: int = 240, fit: int = _maps.FIT, score: int = _maps.SCORE
) -> pd.DataFrame:
    """`patching.transplant` into the first language from itself and from others, counted through all four symmetries; and the
    probes' maps, of so many games to fit and to score."""
    from mothello_interp.pairs import truncate_games
    from mothello_interp.patching import transplant

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[: _SOURCES + 1]
    maps = best_maps(checkpoint, probes_at(checkpoint, LAYER, languages, fit=fit), score=score)
    maps = maps[["source", "target", "symmetry", "normalised"]]
    maps = maps.rename(
        columns={"source": "target", "target": "source", "symmetry": "named"}
    )  # the target's probe on the source
    random = random_games(4 * games, board=board, seed=66)
    played = truncate_games(random, games, seed=0, earliest=board, latest=3 * board)
    target, tables = checkpoint.read(played, languages[0]), []
    for source in checkpoint.readings(played, languages):
        symmetries = tuple(SYMMETRIES.values()) if source.language != target.language else (SYMMETRIES["identity"],)
        table = transplant(source, target, symmetries=symmetries, resamples=200)
        tables.append(table.merge(maps[maps["source"] == source.language], how="left", on=["source", "target"]))
    return pd.concat(tables, ignore_index=True)


def _pairs(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    """(regime, seed, source) of the pairs of different languages: all sources of stored models, one seed of the others."""
    across = table[table["target"] != table["source"]].drop_duplicates(["regime", "seed", "source"])
    regimes = across.groupby("regime")
    kept = across[(regimes["source"].transform("nunique") > 1) | (across["seed"] == regimes["seed"].transform("min"))]
    keys = kept[["regime", "seed", "source"]].itertuples(index=False, name=None)
    order = list(MODELS.values())
    return sorted(keys, key=lambda key: (order.index(key[0]), *key[1:]))


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a pair of languages: mass on the moves of the four images of the source's board, by layer."""
    pairs = _pairs(table)
    titles = grid(
        [f"{LABELS.get(regime, regime)}<br>seed {seed}, {source} into 0" for regime, seed, source in pairs], _WIDTH
    )
    drawing = panel_grid(titles, x="", y="mass on source's moves", shared=False)
    for place in range(len(titles) * _WIDTH):
        row, column = place // _WIDTH + 1, place % _WIDTH + 1
        if place < len(pairs):
            regime, seed, source = pairs[place]
            model = where(table, regime=regime, seed=seed)
            here, own = where(model, source=source), model[model["source"] == model["target"]]
            add_lines(
                drawing, own, [Line("mass", "own language", COLOURS["ceiling"])], x="layer", row=row, column=column
            )
            add_lines(drawing, here, _lines(here), x="layer", row=row, column=column)
        else:
            drawing.update_xaxes(visible=False, row=row, col=column).update_yaxes(visible=False, row=row, col=column)
    layer_axis(drawing, table["layer"]).update_xaxes(title_text="layer")
    return drawing.update_yaxes(range=[-0.03, 0.73])


def _lines(here: pd.DataFrame) -> list[Line]:
    """The four images, the one that the probes named thick; a third game's moves, and the source's moves in its own tokens."""
    named = here["named"].iloc[0] if here["normalised"].iloc[0] >= RAISED else None
    thick: dict[str, Any] = {"width": 5, "band": ("low", "high")}
    lines = [
        Line("mass", name.replace("_", " "), COLOURS[name], {"symmetry": name}, hover=("floor", "retained", "unpatched", "games"),
             **(thick if name == named else {"width": 1.5}))
        for name in SYMMETRIES
    ]  # fmt: skip
    plain = {"symmetry": "identity"}
    lines.append(Line("floor", "a third game's moves", COLOURS["floor"], plain, dash="dot", width=1.5))
    return [*lines, Line("source_tokens", "in the source's tokens", LANGUAGES[2], plain, width=1.5)]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: the image that the probes named, and what becomes legal at the layer named beforehand."""
    rows = []
    for (regime, seed), model in where(table, layer=LAYER).groupby(["regime", "seed"], sort=False):
        across = model["source"] != model["target"]
        own = model[~across]["mass"].mean()
        for source, group in model[across].groupby("source"):
            row = {"regime": LABELS.get(str(regime), regime), "seed": seed, "source": source}
            rows.append(row | _becomes_legal(group, own))
    return pd.DataFrame(rows)


def _becomes_legal(group: pd.DataFrame, own: float) -> dict[str, Any]:
    """Of one pair, by the image of the source's board."""
    named, best = group["named"].iloc[0], group["symmetry"].iloc[group["mass"].to_numpy().argmax()]
    through = where(group, symmetry=named).iloc[0]
    row = {"the probes name": named.replace("_", " "), "normalised": through["normalised"]}
    row |= {"most legal": best.replace("_", " "), **through[["mass", "low", "high"]], "own language": own}
    row |= {
        "a third game's": through["floor"],
        "highest of the others": group[group["symmetry"] != named]["mass"].max(),
    }
    return row | {"without patching": through["unpatched"], "games": through["games"]}
