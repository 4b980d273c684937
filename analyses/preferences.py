"""Does learning carry over through the map? A preference for squares, taught in one language, in all others

If naive languages share one code up to a symmetry of the board (`symmetry`), then what a model learns in one of them should
appear in the others, through that symmetry. So: draw a preference at random, a number for every square; train the model on
for a moment, in one language alone, to play the squares it prefers among the legal ones; and ask in every other language
which of the four images of the preference its choices now follow. Carried over: the change of the legal moves'
log-probabilities, regressed on the four images at once; 1 is the whole preference. A dot is a language taught and another
asked: large and coloured, the image that probes name best, at layer 0 and on other games; grey rings, the image they name
second; small and pale, the two others; edged diamonds, the first again, taught lightly (half of the games, a fifth of the
learning rate), where that was measured. Across: how far up the probe reads the first image, from floor to ceiling. Bars: 95%
over six draws of the preference.

What is seen: what was taught arrives at the mirrored squares. Where naive languages have a map (`symmetry`), the image named
best is the one that transferred most in most directions, and where it is not, the second is: such a pair has two maps
(`mixtures`), and learning takes both. Images named last carry nothing on average. More carries over where a pair is aligned
more fully: between four naive languages that are aligned almost as well as a language with itself, most of the preference.
Alignment is not all of it: two languages of four anchors (Muon) are aligned as fully and pass on less than a third. Two
naive languages trained with Muon, which probes relate by no image, are the null.

All this is read in the share of the probability that the legal moves of a language that was NOT taught keep (summary,
untaught legal). Taught fully, that is nearly nothing in the models of those four naive languages, which then go on in the
taught language's words: as with anchors in `transfer`, sharing the game and keeping the tongue are two things. Taught
lightly they keep nearly all, and nearly as much carries over: the result does not hang on a tongue that is lost.

What could fool it: a model that merely prefers some squares everywhere (a preference is random, drawn anew six times; the
images are regressed on together, so that one cannot stand for another), words that two languages share (moves that are
anchors are left out), a model that breaks (see above), maps chosen to fit (they are the probes', from before). Directions
are not independent: five languages that share one code have four maps between them. It would be wrong if images that probes
name last rose too, or if learning transferred to a language that shares no code.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.stats import t as student

from analyses import _maps
from analyses._maps import aligned, best_maps, probes_at
from analyses._models import LABELS, Checkpoint
from analyses._tables import cross, grid, summary, where
from mothello_interp.othello import SYMMETRIES, Games, random_games
from mothello_interp.plots import COLOURS, panel_grid

MODELS = _maps.MODELS | {"mini/atomic-atomic-anchors4": "anchors", "mini/atomic-atomic-anchors0": "naive"}
STORED = True  # a model takes minutes
_LANGUAGES = 5  # at most, of many
_TEACHING: dict[str, dict[str, Any]] = {"full": {}, "light": {"games": 1280, "lr": 1e-4}}  # of `fine_tune_preference`
_KINDS = {"first": "named best", "second": "named second", "last": "named last"}
_WIDTH = 4  # panels in a row


def measure(
    checkpoint: Checkpoint, *, draws: int = 6, games: int = 200, fit: int = _maps.FIT, score: int = _maps.SCORE
) -> pd.DataFrame:
    """`transferred_preference` of every draw from every language to every one of the first few, by how hard it is taught, beside the
    probes' maps (of so many games to fit and to score); taught_tokens_before, taught_tokens_after: the probability of tokens of
    the language taught."""
    from mothello_interp.preferences import fine_tune_preference, move_preferences, transferred_preference

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:_LANGUAGES]
    played = random_games(games, board=board, seed=67)
    before = move_preferences(checkpoint, played, languages=languages)
    tokens = _output_languages(checkpoint, played, languages)
    tables = []
    for teaching, source, draw in product(_TEACHING, languages, range(draws)):
        preference = np.random.default_rng((draw, source)).normal(size=board**2)
        taught = fine_tune_preference(checkpoint, preference, language=source, seed=draw, **_TEACHING[teaching])
        after = move_preferences(taught, played, languages=languages)
        table = transferred_preference(before, after, preference, resamples=2)
        table = table.rename(columns={"language": "target"}).drop(columns=["low", "high"])
        there, later = checkpoint.mothello.output_of(source), _output_languages(taught, played, languages)
        table["taught_tokens_before"] = table["target"].map({target: tokens[target][there] for target in languages})
        table["taught_tokens_after"] = table["target"].map({target: later[target][there] for target in languages})
        tables.append(table.assign(source=source, draw=draw, teaching=teaching))
    maps = best_maps(checkpoint, probes_at(checkpoint, _maps.LAYER, languages, fit=fit), score=score)
    maps = maps.merge(aligned(maps)[["source", "target", "aligned"]], how="left", on=["source", "target"])
    maps = maps.rename(columns={"symmetry": "first", "runner_up": "second"})
    columns = ["source", "target", "first", "second", "normalised", "aligned"]
    return pd.concat(tables, ignore_index=True).merge(maps[columns], on=["source", "target"])


def _output_languages(checkpoint: Checkpoint, games: Games, languages: Sequence[int]) -> dict[int, np.ndarray]:
    """By language the probability of each output language, mean over positions; anchors belong to none."""
    followed = np.pad(games.moves[:, 1:] >= 0, ((0, 0), (0, 1)))
    readings = checkpoint.readings(games, languages)
    return {reading.language: reading.output_language_mass()[followed].mean(axis=0) for reading in readings}


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws with its 95% interval, by model, teaching, pair of different languages and image; kind: a key of `_KINDS`."""
    keys = ["regime", "seed", "teaching", "source", "target", "first", "second", "normalised", "aligned", "symmetry"]
    pairs = cross(table).groupby(keys, sort=False)["coefficient"].agg(["mean", "sem", "count"]).reset_index()
    half = student.ppf(0.975, np.maximum(pairs["count"] - 1, 1)) * pairs["sem"]
    named = [pairs["symmetry"] == pairs["first"], pairs["symmetry"] == pairs["second"]]
    kind = np.select(named, ["first", "second"], "last")
    return pairs.rename(columns={"mean": "coefficient"}).assign(half=half, kind=kind)


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a regime: what transferred, by how far up the pair is aligned."""
    pairs = _pairs(table)
    regimes = [regime for regime in MODELS.values() if regime in set(pairs["regime"])]
    titles = grid([LABELS.get(regime, regime) for regime in regimes], _WIDTH)
    drawing = panel_grid(titles, x="alignment of the pair, read by probes, floor (0) to ceiling (1)", y="transferred")
    for place, regime in enumerate(regimes):
        at: dict[str, Any] = {"row": place // _WIDTH + 1, "col": place % _WIDTH + 1}
        _panel(drawing, where(pairs, regime=regime), at)
    drawing.update_xaxes(range=[-0.05, 1.05]).update_yaxes(range=[-0.15, 1.05])
    return drawing.add_hline(y=0, line={"color": COLOURS["floor"], "width": 1})


def _panel(drawing: go.Figure, pairs: pd.DataFrame, at: dict[str, Any]) -> None:
    """The pairs of one regime."""
    full, ring = where(pairs, teaching="full"), {"size": 7, "color": COLOURS["floor"], "symbol": "circle-open"}
    _dots(drawing, where(full, kind="last"), _KINDS["last"], {"size": 4, "color": "#BBBBBB"}, at)
    _dots(drawing, where(full, kind="second"), _KINDS["second"], ring, at)
    for name in SYMMETRIES:
        label, marker = f"{_KINDS['first']}: {name.replace('_', ' ')}", {"size": 9, "color": COLOURS[name]}
        _dots(drawing, where(full, kind="first", symmetry=name), label, marker, at, bars=True)
    more = where(pairs, teaching="light", kind="first")
    edged = {"size": 8, "symbol": "diamond", "line": {"width": 1}, "color": more["symmetry"].map(COLOURS).tolist()}
    _dots(drawing, more, f"{_KINDS['first']}, taught lightly", edged, at)


def _dots(
    drawing: go.Figure, pairs: pd.DataFrame, name: str, marker: dict[str, Any], at: dict[str, Any], bars: bool = False
) -> None:  # fmt: skip
    """A dot a pair; in the legend from the first panel that has one."""
    if pairs.empty:
        return
    drawing.add_scatter(
        x=pairs["normalised"], y=pairs["coefficient"], mode="markers", name=name, legendgroup=name,
        showlegend=name not in {trace.name for trace in drawing.data},
        error_y={"array": pairs["half"], "thickness": 1, "width": 0} if bars else None, marker=marker,
        customdata=pairs[["seed", "source", "target", "symmetry"]],
        hovertemplate="seed %{customdata[0]}: taught %{customdata[1]}, asked %{customdata[2]}<br>%{customdata[3]}"
        "<br>transferred %{y:.2f}, alignment %{x:.2f}<extra></extra>", **at,
    )  # fmt: skip


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model and teaching: in how many directions between languages that have a map (as in `symmetry`) it is the image
    that transferred most, and in how many of the others the second; means over all directions; rank correlation of
    alignment and what transferred; of the languages that were not taught, the probability of legal moves before and after,
    in which all this is read, and of going on in the taught language's words."""
    return summary(table, ["regime", "seed", "teaching"], _carried)


def _carried(model: pd.DataFrame) -> dict[str, Any]:
    """Of one model and teaching."""
    pairs, untaught = _pairs(model), cross(model)
    own = where(model[model["source"] == model["target"]], symmetry="identity")
    means = pairs.groupby("kind")["coefficient"].mean()
    most = pairs.loc[pairs.groupby(["source", "target"])["coefficient"].idxmax()]
    most = most[most["aligned"].astype(bool)]
    first = where(pairs, kind="first")
    return {
        "directions with a map": f"{len(most)} of {len(first)}",
        "best first": f"{(most['kind'] == 'first').sum()} of {len(most)}",
        "second first": int((most["kind"] == "second").sum()),
        "transferred, best": means["first"],
        "least": first["coefficient"].min(),
        "most": first["coefficient"].max(),
        "second": means["second"],
        "last": means["last"],
        "taught language": own["coefficient"].mean(),
        "rank correlation": first["normalised"].corr(first["coefficient"], "spearman") if len(first) > 2 else None,
        "untaught legal before": untaught["legal_before"].mean(),
        "untaught legal after": untaught["legal_after"].mean(),
        "in the taught words before": untaught["taught_tokens_before"].mean(),
        "in the taught words after": untaught["taught_tokens_after"].mean(),
        "draws": model["draw"].nunique(),
    }
