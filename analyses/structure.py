"""What has to be taken away for two languages to align? Means, a subspace, a rotation

Upper panels: how well a logistic regression reads the language from the state after a move (dots: chance). Lower panels:
alignment, from floor (0) to ceiling (1), of a probe of one language in the other, with the states as they are (full), less
each language's mean (dashes), without the subspace in which the means of languages differ (dots), and turned into each other
by the best orthogonal map (black); both directions averaged; thin: other seeds. A curve is blank where ceiling and floor are
closer than 0.1, as at the embeddings, whose states know little more than the last move. Everything is fitted on other games
than it is scored on, and probes are fitted again on changed states. Where the black curve alone rises, both languages hold
the same board in the same shape, but in coordinates of their own: alike, not shared.

What is seen, in all three seeds: of the three changes only the rotation brings the naive languages to alignment, at every
layer (0.92 of the way and more); without their means, or without the whole language subspace, they stay below a quarter of it
after the embeddings, though the language can be read off every state. Of what a rotation gives it gives random weights about
0.6: what training adds is the rest.

What could fool it: an orthogonal map has many free parameters (grey: fitted on games that are paired at random, move by
move), and some board can be turned into any other (grey dashes: one draw of random weights, turned likewise: what the bag of
moves alone gives), luck (the summary has every seed there is).
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import Activations, collect
from mothello_interp.alignment import align_on
from mothello_interp.maps import fit_maps
from mothello_interp.plots import COLOURS, add_curve, layer_axis, panel_grid
from mothello_interp.probes import fit_probes_on, language_identity

_FIT, _SCORE = 600, 200
_STYLES = {
    "as it is": ("solid", ""),
    "less the means": ("dash", ""),
    "without the language subspace": ("dot", ""),
    "turned": ("solid", "ceiling"),
    "turned, re-paired": ("solid", "zero"),
    "turned, random weights": ("dash", "random weights"),
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """The language probe ("identity") and alignment ("alignment") of the first two input languages, by layer and change."""
    fit, score = _rows(checkpoint)
    tables = [language_identity(fit, score).assign(part="identity", change="as it is")]
    changes: dict[str, Any] = {"as it is": lambda rows: rows, "less the means": fit_maps(fit, kind="mean_shift")}
    changes["without the language subspace"] = fit_maps(fit, kind="projection")
    for name, change in changes.items():
        tables.append(_aligned(change(fit), change(score), name))
    tables += [_turned(fit, score, "turned"), _turned(fit, score, "turned, re-paired", mismatched=True)]
    tables.append(_turned(*_rows(checkpoint.untrained()), "turned, random weights"))
    return pd.concat(tables, ignore_index=True)


def _rows(checkpoint: Checkpoint) -> tuple[Activations, Activations]:
    """Of games to fit on and of games to score on, in two languages."""
    fit, score = (random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((_FIT, 91), (_SCORE, 92)))
    languages = checkpoint.mothello.inputs[:2]
    return collect(checkpoint, fit, languages=languages), collect(checkpoint, score, languages=languages)


def _turned(fit: Activations, score: Activations, name: str, *, mismatched: bool = False) -> pd.DataFrame:
    """Each language turned into the other, and read by the other's probe."""
    tables = []
    for reference in fit.languages:
        change = fit_maps(fit, reference, mismatched=mismatched)
        table = _aligned(change(fit), change(score), name)
        tables.append(table[table["source"] == reference])
    return pd.concat(tables, ignore_index=True)


def _aligned(fit: Activations, score: Activations, name: str) -> pd.DataFrame:
    """Alignment of the two through the identity, by layer."""
    table = align_on(fit_probes_on(fit, seed=0), score, resamples=200)
    across = table[(table["source"] != table["target"]) & (table["symmetry"] == "identity")]
    columns = [
        "layer",
        "source",
        "target",
        "accuracy",
        "floor",
        "ceiling",
        "normalised",
        "normalised_low",
        "normalised_high",
    ]
    return across[columns].assign(part="alignment", change=name)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models."""
    return over_models("structure", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: the language probe above, alignment below."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[LABELS[regime] for regime in regimes], [""] * len(regimes)]
    drawing = panel_grid(titles, x="layer", y=["language read", "alignment, floor to ceiling"])
    for column, regime in enumerate(regimes, 1):
        every = table[table["regime"] == regime]
        here = every[every["seed"] == table["seed"].min()]
        shared: dict[str, Any] = {"x": "layer", "column": column, "legend": column == 1}
        identity = here[here["part"] == "identity"]
        add_curve(
            drawing,
            identity,
            y="accuracy",
            name="language probe",
            colour=COLOURS[regime],
            band=("low", "high"),
            **shared,
        )
        add_curve(drawing, identity, y="chance", name="chance", colour=COLOURS["zero"], dash="dot", width=1.5, **shared)
        means = here[here["part"] == "alignment"].groupby(["change", "layer"], as_index=False)["normalised"].mean()
        for change, (dash, colour) in _STYLES.items():
            curve = means[means["change"] == change]
            width = 2.5 if colour != "zero" else 1.5
            add_curve(drawing, curve, y="normalised", name=change, colour=COLOURS[colour or regime], dash=dash, width=width,
                      row=2, **shared)  # fmt: skip
        others = every[(every["part"] == "alignment") & (every["seed"] != table["seed"].min())]
        others = others.groupby(["seed", "change", "layer"], as_index=False)["normalised"].mean()
        for place, ((_, change), curve) in enumerate(others.groupby(["seed", "change"])):
            dash, colour = _STYLES[str(change)]
            add_curve(drawing, curve, y="normalised", name="other seeds", colour=COLOURS[colour or regime], dash=dash,
                      width=0.8, row=2, **{**shared, "legend": column == 1 and place == 0})  # fmt: skip
    layers = sorted(table["layer"].unique())
    layer_axis(drawing, layers)
    drawing.update_yaxes(range=[0.4, 1.02], row=1)
    return drawing.update_yaxes(range=[-0.1, 1.05], row=2)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the layers after the embeddings and both directions, each seed."""
    inner = table[table["layer"] >= 0]
    rows = []
    for (regime, seed), group in inner.groupby(["regime", "seed"], sort=False):
        row: dict[str, Any] = {"regime": LABELS[str(regime)], "seed": seed}
        identity = group[group["part"] == "identity"]
        row |= {"language probe": identity["accuracy"].mean(), "chance": identity["chance"].mean()}
        aligned = group[group["part"] == "alignment"]
        row |= {change: aligned[aligned["change"] == change]["normalised"].mean() for change in _STYLES}
        rows.append(row)
    return pd.DataFrame(rows)
