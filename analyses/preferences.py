"""A preference for squares, fine-tuned in one language: through which symmetry it appears in the others."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.stats import t as student

from analyses import _maps
from analyses._maps import aligned, best_maps, between_models, probes_at, threshold
from analyses._models import LABELS, Checkpoint
from analyses._tables import cross, summary, where
from mothello_interp.othello import Games, random_games
from mothello_interp.plots import COLOURS, LANGUAGES, Line, add_lines, panel_grid

MODELS = _maps.MODELS | {"mini/atomic-atomic-anchors4": "anchors", "mini/atomic-atomic-anchors0": "naive"}
STORED = True  # a model takes minutes
_LANGUAGES = 5  # at most, of many
_TEACHING: dict[str, dict[str, Any]] = {"full": {}, "light": {"games": 1280, "lr": 1e-4}}  # of `fine_tune_preference`
_GROUPS = {
    "2 to 20 naive languages": [name for name in _maps.MODELS.values() if "naive" in name],
    "one anchor in 5": [name for name in _maps.MODELS.values() if "anchor" in name],
    "2 naive (Muon)": ["naive"],
    "4 anchors (Muon)": ["anchors"],
}
_LOOK = {"full": "fine-tuned fully", "light": "fine-tuned lightly"}


def measure(
    checkpoint: Checkpoint, *, draws: int = 6, games: int = 200, fit: int = _maps.FIT, score: int = _maps.SCORE
) -> pd.DataFrame:
    """`transferred_preference` of every draw from every language to every one of the first few, by how hard it is taught, with the
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
    probes = probes_at(checkpoint, _maps.LAYER, languages, fit=fit)
    maps, above = (
        best_maps(checkpoint, probes, score=score),
        threshold(between_models(checkpoint, probes, fit=fit, score=score)),
    )
    maps = maps.merge(aligned(maps, above)[["source", "target", "aligned"]], how="left", on=["source", "target"])
    maps = maps.rename(columns={"symmetry": "first", "runner_up": "second"})
    columns = ["source", "target", "first", "second", "normalised", "aligned"]
    return pd.concat(tables, ignore_index=True).merge(maps[columns], on=["source", "target"])


def _output_languages(checkpoint: Checkpoint, games: Games, languages: Sequence[int]) -> dict[int, np.ndarray]:
    """By language the probability of each output language, mean over positions; anchors belong to none."""
    followed = np.pad(games.moves[:, 1:] >= 0, ((0, 0), (0, 1)))
    readings = checkpoint.readings(games, languages)
    return {reading.language: reading.output_language_mass()[followed].mean(axis=0) for reading in readings}


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws with its 95% interval, by model, teaching, pair of different languages and image;
    kind: whether probes name the image "first", "second" or "last"."""
    keys = ["regime", "seed", "teaching", "source", "target", "first", "second", "normalised", "aligned", "symmetry"]
    pairs = cross(table).groupby(keys, sort=False)["coefficient"].agg(["mean", "sem", "count"]).reset_index()
    half = student.ppf(0.975, np.maximum(pairs["count"] - 1, 1)) * pairs["sem"]
    named = [pairs["symmetry"] == pairs["first"], pairs["symmetry"] == pairs["second"]]
    kind = np.select(named, ["first", "second"], "last")
    return pairs.rename(columns={"mean": "coefficient"}).assign(half=half, kind=kind)


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a strength of fine-tuning: what transferred in each direction, by how well its languages are aligned."""
    pairs = _pairs(table)
    drawing = panel_grid([list(_LOOK.values())], x="normalised alignment of the pair", y="transferred preference")
    look: dict[str, Any] = {"width": 0, "symbol": "circle", "hover": ("seed", "source", "target", "half")}
    for column, teaching in enumerate(_LOOK, 1):
        here = where(pairs, teaching=teaching)
        rest = Line("coefficient", "symmetry named last", "#BBBBBB", symbol="circle-open", width=0, opacity=0.5)
        add_lines(drawing, where(here, kind="last"), [rest], x="normalised", column=column)
        for colour, (label, regimes) in zip(LANGUAGES, _GROUPS.items(), strict=False):
            group = where(here[here["regime"].isin(regimes)], kind="first")
            add_lines(
                drawing,
                group,
                [Line("coefficient", f"named best: {label}", colour, opacity=0.8, **look)],
                x="normalised",
                column=column,
            )
    drawing.update_xaxes(range=[-0.05, 1.05]).update_yaxes(range=[-0.15, 1.0])
    return drawing.add_hline(y=0, line={"color": COLOURS["floor"], "width": 1}).update_layout(height=470)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model and strength: how often the symmetry that probes name best transfers most, among aligned directions; mean transferred
    through the named best, second and last; of untaught languages, legality and the mass on the taught language's tokens."""
    found = summary(table, ["regime", "teaching", "seed"], _transferred)
    order = [LABELS.get(regime, regime) for regime in MODELS.values()]
    return found.sort_values(["teaching", "regime"], key=lambda c: c.map({name: i for i, name in enumerate([*_LOOK, *order])}),
                             kind="stable").reset_index(drop=True)  # fmt: skip


def _transferred(model: pd.DataFrame) -> dict[str, Any]:
    """Of one model and strength."""
    pairs, untaught = _pairs(model), cross(model)
    own = where(model[model["source"] == model["target"]], symmetry="identity")
    means = pairs.groupby("kind")["coefficient"].mean()
    most = pairs.loc[pairs.groupby(["source", "target"])["coefficient"].idxmax()]
    most, first = most[most["aligned"].astype(bool)], where(pairs, kind="first")
    row: dict[str, Any] = {
        "named best": means["first"],
        "named last": means["last"],
        "in the taught language": own["coefficient"].mean(),
    }
    row["best first"] = f"{(most['kind'] == 'first').sum()} of {len(most)}"
    row["legality kept"] = untaught["legal_after"].mean() / untaught["legal_before"].mean()
    row |= {
        "named second": means["second"],
        "share best first": (most["kind"] == "first").mean(),
        "aligned directions": len(most),
    }
    row |= {
        "share second first": (most["kind"] == "second").mean(),
        "taught tokens before": untaught["taught_tokens_before"].mean(),
    }
    row["rank correlation"] = first["normalised"].corr(first["coefficient"], "spearman") if len(first) > 2 else None
    return row | {"taught tokens after": untaught["taught_tokens_after"].mean(), "draws": model["draw"].nunique()}
