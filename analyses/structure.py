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

from analyses._models import LABELS, Activations, Checkpoint
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, bounds, facet, layer_axis

_STYLES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "less the means": {"dash": "dash"},
    "without the language subspace": {"dash": "dot"},
    "rotated": {"colour": COLOURS["ceiling"]},
    "rotated, mismatched": {"colour": COLOURS["floor"], "width": 1.5},
    "rotated, random weights": {"colour": COLOURS["random weights"], "dash": "dash"},
}
_COLUMNS = ["layer", "source", "target", "accuracy", "floor", "ceiling", "normalised", "normalised_low",
            "normalised_high"]  # fmt: skip


def measure(checkpoint: Checkpoint, *, fit: int = 600, score: int = 200) -> pd.DataFrame:
    """The language probe ("identity") and alignment ("alignment") of the first two input languages, by layer and change."""
    from mothello_interp.maps import fit_maps
    from mothello_interp.probes import language_identity

    fitted, scored = _rows(checkpoint, fit, score)
    tables = [language_identity(fitted, scored).assign(part="identity", change="as it is")]
    tables.append(_aligned(fitted, scored, "as it is"))
    changes: dict[str, Any] = {"less the means": fit_maps(fitted, kind="mean_shift")}
    changes["without the language subspace"] = fit_maps(fitted, kind="projection")
    tables += [_aligned(change(fitted), change(scored), name) for name, change in changes.items()]
    tables += [_rotated(fitted, scored, "rotated"), _rotated(fitted, scored, "rotated, mismatched", mismatched=True)]
    tables.append(_rotated(*_rows(checkpoint.untrained(), fit, score), "rotated, random weights"))
    return pd.concat(tables, ignore_index=True)


def _rows(checkpoint: Checkpoint, fit: int, score: int) -> tuple[Activations, Activations]:
    """Of games to fit on and of games to score on, in two languages."""
    from mothello_interp.activations import collect

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:2]
    fitted, scored = random_games(fit, board=board, seed=91), random_games(score, board=board, seed=92)
    return collect(checkpoint, fitted, languages=languages), collect(checkpoint, scored, languages=languages)


def _rotated(fit: Activations, score: Activations, name: str, *, mismatched: bool = False) -> pd.DataFrame:
    """Each language rotated into the other, and decoded by the other's probe."""
    from mothello_interp.maps import fit_maps

    tables = []
    for reference in fit.languages:
        change = fit_maps(fit, reference, mismatched=mismatched)
        tables.append(where(_aligned(change(fit), change(score), name), source=reference))
    return pd.concat(tables, ignore_index=True)


def _aligned(fit: Activations, score: Activations, name: str) -> pd.DataFrame:
    """Alignment of the two through the identity, by layer."""
    from mothello_interp.alignment import align_on
    from mothello_interp.probes import fit_probes_on

    table = where(cross(align_on(fit_probes_on(fit, seed=0), score, resamples=200)), symmetry="identity")
    return table[_COLUMNS].assign(part="alignment", change=name)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: the language probe above, alignment below."""
    by, columns = ["regime", "seed", "part", "change", "layer"], ["accuracy", "low", "high", "chance", "normalised"]
    means = table.groupby(by, as_index=False, sort=False)[columns].mean()
    means["first"] = means.index.isin(lowest_seed(means).index)
    identity = {"part": "identity", "first": True}
    rows = {"language read": [Line("accuracy", "language probe", "", identity, band=("low", "high"))]}
    rows["language read"] += bounds("chance", dash="dot", rows=identity)
    rows["alignment, floor to ceiling"] = [
        Line("normalised", change, rows=_of(change, True), **{"colour": "", **look}) for change, look in _STYLES.items()
    ] + [
        Line("normalised", "other seeds", rows=_of(change, False), each="seed", **{"colour": "", **look, "width": 0.8})
        for change, look in _STYLES.items()
    ]
    drawing = layer_axis(facet(means, rows, x="layer", titles=LABELS), table["layer"])
    return drawing.update_yaxes(range=[0.4, 1.02], row=1).update_yaxes(range=[-0.1, 1.05], row=2)


def _of(change: str, first: bool) -> dict[str, Any]:
    """Alignment after a change, of the lowest seed or of the others."""
    return {"part": "alignment", "change": change, "first": first}


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the layers after the embeddings and both directions, each seed."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        means = where(group, part="identity")[["accuracy", "chance"]].mean().set_axis(["language probe", "chance"])
        way = where(group, part="alignment").groupby("change")["normalised"].mean()
        return dict(means) | dict(way.reindex(list(_STYLES)))

    return summary(table[table["layer"] >= 0], ["regime", "seed"], row)
