"""What has to be removed before two languages align: means, a subspace, or a rotation."""

from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, OTHER_FILES, Activations, Checkpoint, Probes, other_model
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, facet, layer_axis

INPUTS = OTHER_FILES
_STYLES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "less the means": {"dash": "dash"},
    "without the language subspace": {"dash": "dot"},
    "rotated": {"colour": COLOURS["ceiling"]},
    "rotated, mismatched": {"colour": COLOURS["floor"], "width": 1.5},
    "another model, rotated": {"colour": COLOURS["another model"], "dash": "dot"},
    "rotated, random weights": {"colour": COLOURS["random weights"], "dash": "dash"},
}
_COLUMNS = ["layer", "source", "target", "accuracy", "floor", "ceiling", "normalised", "normalised_low",
            "normalised_high"]  # fmt: skip


def measure(checkpoint: Checkpoint, *, fit: int = 600, score: int = 200) -> pd.DataFrame:
    """The language probe ("identity") and alignment ("alignment") of the first two input languages, by layer and change."""
    from mothello_interp.identity import language_identity
    from mothello_interp.maps import fit_maps
    from mothello_interp.probes import fit_probes_on

    fitted, scored = rows = _rows(checkpoint, fit, score)
    random = _rows(checkpoint.untrained(), fit, score)
    probes, removed = fit_probes_on(fitted, seed=0), fit_maps(fitted, kind="projection")
    tables = [
        language_identity(fitted, scored).assign(part="identity", change="as it is"),
        _aligned(probes, scored).assign(change="as it is"),
        _mapped(probes, *rows, kind="mean_shift").assign(change="less the means"),
        _aligned(fit_probes_on(removed(fitted), seed=0), removed(scored)).assign(
            change="without the language subspace"
        ),
        _mapped(probes, *rows).assign(change="rotated"),
        _mapped(probes, *rows, mismatched=True).assign(change="rotated, mismatched"),
        _mapped(fit_probes_on(random[0], seed=0), *random).assign(change="rotated, random weights"),
    ]
    if other := other_model(checkpoint, same_recipe=True):
        tables.append(_another(probes, *rows, *_rows(other, fit, score)).assign(change="another model, rotated"))
    return pd.concat(tables, ignore_index=True)


def _rows(checkpoint: Checkpoint, fit: int, score: int) -> tuple[Activations, Activations]:
    """Of games to fit on and of games to score on, in two languages."""
    from mothello_interp.activations import collect

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:2]
    fitted, scored = random_games(fit, board=board, seed=91), random_games(score, board=board, seed=92)
    return collect(checkpoint, fitted, languages=languages), collect(checkpoint, scored, languages=languages)


def _mapped(probes: Probes, fit: Activations, score: Activations, **kind: Any) -> pd.DataFrame:
    """Each language mapped into the other and decoded by the other's probe; ceilings are of the states as they are."""
    from mothello_interp.maps import fit_maps

    tables = []
    for reference in fit.languages:
        table = _aligned(probes, fit_maps(fit, reference, **kind)(score), own=score)
        tables.append(where(table, source=reference))
    return pd.concat(tables, ignore_index=True)


def _another(
    probes: Probes, fit: Activations, score: Activations, their_fit: Activations, theirs: Activations
) -> pd.DataFrame:
    """Languages of another model mapped into each of this model's, and decoded by its probe."""
    from mothello_interp.alignment import align_on
    from mothello_interp.maps import fit_maps

    tables = []
    for place, reference in enumerate(fit.languages):
        onto = fit_maps(their_fit, replace(fit, values=fit.values[[place]], languages=(reference,)))
        options: dict[str, Any] = {"own": score, "targets": theirs.languages, "symmetries": ["identity"]}
        tables.append(where(align_on(probes, onto(theirs), resamples=200, **options), source=reference))
    return pd.concat(tables, ignore_index=True)[_COLUMNS].assign(part="alignment")


def _aligned(probes: Probes, score: Activations, **options: Any) -> pd.DataFrame:
    """Alignment of the two through the identity, by layer."""
    from mothello_interp.alignment import align_on

    table = align_on(probes, score, symmetries=["identity"], resamples=200, **options)
    return cross(table)[_COLUMNS].assign(part="alignment")


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime: alignment by layer, after each change of the states."""
    by, columns = ["regime", "seed", "part", "change", "layer"], ["normalised"]
    means = where(table, part="alignment").groupby(by, as_index=False, sort=False)[columns].mean()
    means["first"] = means.index.isin(lowest_seed(means).index)
    styles = {change: look for change, look in _STYLES.items() if change in set(means["change"])}
    lines = [
        Line("normalised", f"{change}, other seeds", rows=_of(change, False), each="seed", shown=False,
             **{"colour": "", **look, "width": 0.8})
        for change, look in styles.items()
    ]  # fmt: skip
    lines += [
        Line("normalised", change, rows=_of(change, True), **{"colour": "", **look}) for change, look in styles.items()
    ]
    drawing = layer_axis(facet(means, {"normalised alignment": lines}, x="layer", titles=LABELS), table["layer"])
    return drawing.update_yaxes(range=[-0.1, 1.05]).update_layout(height=430)


def _of(change: str, first: bool) -> dict[str, Any]:
    """Alignment after a change, of the lowest seed or of the others."""
    return {"part": "alignment", "change": change, "first": first}


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime and seed, mean over the layers after the embeddings and both directions: accuracy of the language probe, and
    normalised alignment after each change, with its highest at any layer."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        aligned = where(group, part="alignment").groupby(["change", "layer"])["normalised"].mean()
        means, highest = aligned.groupby("change").mean(), aligned.groupby("change").max()
        found = dict(means.reindex(list(_STYLES))) | {
            "language probe": where(group, part="identity")["accuracy"].mean()
        }
        return (
            found
            | {f"{name}, highest": highest.get(name) for name in _STYLES}
            | {"rotated, lowest": aligned.loc["rotated"].min() if "rotated" in highest else None}
        )

    found = summary(table[table["layer"] >= 0], ["regime", "seed"], row)
    return found.sort_values(
        "regime", key=lambda column: column.map(list(LABELS.values()).index), kind="stable"
    ).reset_index(drop=True)
