"""Does what is learned in one language help the other? Fine-tuning in a source language alone

Models that saw games of one opening only, in two languages, go on with all games in the first language alone (the source).
Upper panels: top-1 legal accuracy in the source (black) and in the target, which is never shown again (colour), and the
alignment of source to target (grey; a probe refitted on the source at each point; grey dots: its floor).
Lower panels tell losing the tongue from losing the game: the target's greedy move is legal in its own words (colour), or
in the words of any language (orange); and the probability that goes to the target's own words (dashes) and to the source's
(dots). Where the two solid curves part, the model still plays, but answers in the source's language.

What could fool it: a schedule (the paper's learning rate only ever rises while it fine-tunes; faint curves show that
schedule, full ones a usual warm-up and decay), a symmetry (the opening breaks all four, and the table has each of them), a
greedy word (mass beside it), a single seed (the table says which there are).
"""

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, over_models
from mothello_interp import Checkpoint
from mothello_interp.plots import COLOURS, add_curve, panel_grid

_TARGETS = ("atomic", "split", "compositional")
_SCHEDULES = ("mini", "mini-rising")
_MODELS = {
    f"mini/transfer-{target}-{name}-{schedule}-language{source}": regime
    for target in _TARGETS
    for name, regime, source in (("naive", "naive", 0), ("anchors8", "anchors", 0), ("unified", "unified", 1))
    for schedule in _SCHEDULES
}
_NAMED = LABELS | {"anchors": "8 anchor tokens"}
# at the start and the end of fine-tuning: target accuracy, alignment; read off the paper's figure
_PAPER = {
    ("atomic", "naive"): (0.91, 0.895, 0.45, 0.48),
    ("atomic", "anchors"): (0.90, 0.71, 0.98, 0.94),
    ("atomic", "unified"): (0.91, 0.991, 0.90, 0.92),
    ("split", "naive"): (0.89, 0.35, 0.44, 0.49),
    ("split", "anchors"): (0.85, 0.61, 0.78, 0.72),
    ("split", "unified"): (0.92, 0.89, 0.80, 0.73),
    ("compositional", "naive"): (0.82, 0.45, 0.46, 0.53),
    ("compositional", "anchors"): (0.80, 0.64, 0.87, 0.71),
    ("compositional", "unified"): (0.83, 0.87, 0.88, 0.87),
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """What `python -m train finetune` has recorded along the way, beside the checkpoint it ended with.

    Raises:
        ValueError: for a checkpoint that is not in the folder of such a run.
    """
    recorded = Path(checkpoint.name).parent / "transfer.csv"
    if not recorded.is_file() or "recipe" not in checkpoint.provenance:
        raise ValueError(f"{checkpoint.name}: no {recorded}; give the folder of a run of `python -m train finetune`")
    table = pd.read_csv(recorded)
    source = checkpoint.provenance["language"]
    target = next(language for language in checkpoint.mothello.inputs if language != source)
    role = table["language"].map({source: "source", target: "target"})
    kind = type(checkpoint.mothello.languages[target]).__name__.lower()
    return table.assign(role=role, schedule=checkpoint.provenance["recipe"], target=kind)


def compute() -> pd.DataFrame:
    """The stored rows: analyses do not train."""
    return over_models("transfer", measure, _MODELS, compute=False)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; two rows a target language: accuracy and alignment, and where the target's answers go."""
    regimes = list(dict.fromkeys(table["regime"]))
    targets = [target for target in _TARGETS if target in set(table["target"])]
    titles = [[f"{_NAMED[regime]}" if row == 0 else "" for regime in regimes] for row in range(2 * len(targets))]
    labels = [f"{target}: {what}" for target in targets for what in ("accuracy", "its answers")]
    drawing = panel_grid(titles, x="epoch of fine-tuning", y=labels)
    for place, target in enumerate(targets):
        for column, regime in enumerate(regimes, 1):
            here = table[(table["regime"] == regime) & (table["target"] == target)]
            for faint, (_, rows) in enumerate(here[here["seed"] == here["seed"].min()].groupby("schedule", sort=True)):
                style: dict[str, Any] = {"column": column, "opacity": 0.35 if faint else 1.0}
                first = place == 0 and column == 1 and not faint
                _draw(drawing, rows, COLOURS[regime], row=2 * place + 1, legend=first, **style)
    return drawing.update_yaxes(range=[0, 1.02])


def _draw(drawing: go.Figure, rows: pd.DataFrame, colour: str, *, row: int, **style: Any) -> None:
    """Both panels of one model and schedule."""
    source, target = (rows[rows["role"] == role] for role in ("source", "target"))
    upper: dict[str, Any] = {"x": "epoch", "row": row, **style}
    lower = {**upper, "row": row + 1}
    band = ("low", "high") if style["opacity"] == 1 else None
    add_curve(drawing, source, y="top1", name="source, legal", colour=COLOURS["ceiling"], **upper)
    add_curve(drawing, target, y="top1", name="target, legal", colour=colour, **upper)
    add_curve(drawing, target, y="alignment", name="alignment", colour=COLOURS["zero"], band=band, **upper)
    add_curve(drawing, target, y="floor", name="floor of alignment", colour=COLOURS["zero"], dash="dot", **upper)
    add_curve(drawing, target, y="top1_any", name="target, legal in any words", colour=COLOURS["diagonal"], **lower)
    add_curve(drawing, target, y="top1", name="target, legal", colour=colour, **{**lower, "legend": False})
    for name, dash in (("own", "dash"), ("source", "dot")):
        words = f"mass on {'its own' if name == 'own' else 'the source' + chr(39) + 's'} words"
        add_curve(drawing, target, y=f"mass_{name}", name=words, colour=colour, dash=dash, width=1.5, **lower)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning beside the paper's, by target language, regime, schedule and seed."""
    rows = []
    for (kind, regime, schedule, seed), group in table.groupby(["target", "regime", "schedule", "seed"], sort=False):
        source, target = (group[group["role"] == role].sort_values("games") for role in ("source", "target"))
        row = {"regime": _NAMED[str(regime)], "target": kind, "schedule": schedule, "seed": seed}
        for name, part, column in (
            ("source", source, "top1"),
            ("target", target, "top1"),
            ("any words", target, "top1_any"),
            ("alignment", target, "alignment"),
        ):
            row |= {f"{name}, start": part[column].iloc[0], f"{name}, end": part[column].iloc[-1]}
        row["target, peak"] = target["top1"].max()
        row |= {"floor, end": target["floor"].iloc[-1], "ceiling, end": target["ceiling"].iloc[-1]}
        paper = ("paper: target, start", "target, end", "alignment, start", "alignment, end")
        row |= dict(
            zip([paper[0], *(f"paper: {name}" for name in paper[1:])], _PAPER[str(kind), str(regime)], strict=True)
        )
        rows.append(row)
    return pd.DataFrame(rows)
