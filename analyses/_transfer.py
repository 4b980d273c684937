"""What `transfer` and `four_languages` share: rows of fine-tuning runs, and how one target is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS
from mothello_interp import Checkpoint
from mothello_interp.plots import COLOURS, add_curve, panel_grid

NAMED = LABELS | {"anchors": "8 anchor tokens"}
TARGETS = ("atomic", "split", "compositional")
_SCHEDULES = {"mini": ("mini", "mini-rising"), "paper": ("paper",)}
_PRETRAINED = {"naive": ("naive", 0), "anchors8": ("anchors", 0), "unified": ("unified", 1)}  # regime, source language


def fine_tuned(starts: Sequence[str], scale: str) -> dict[str, str]:
    """Names of the models that fine-tuning makes of `mini/START-{naive,anchors8,unified}`, and their regimes; none at a scale
    without a schedule."""
    return {
        f"mini/{start}-{name}-{schedule}-language{source}": regime
        for start in starts
        for name, (regime, source) in _PRETRAINED.items()
        for schedule in _SCHEDULES.get(scale, ())
    }


def recorded(checkpoint: Checkpoint) -> pd.DataFrame:
    """What `python -m train finetune` has recorded along the way, beside the checkpoint it ended with.

    Returns:
        The rows of the source (role "source") and of one other language (role "target"), for each type of the others
        (column target).

    Raises:
        ValueError: for a checkpoint that is not in the folder of such a run.
    """
    file = Path(checkpoint.name).parent / "transfer.csv"
    if not file.is_file() or "recipe" not in checkpoint.provenance:
        raise ValueError(f"{checkpoint.name}: no {file}; give the folder of a run of `python -m train finetune`")
    table = pd.read_csv(file).assign(schedule=checkpoint.provenance["recipe"])
    source = checkpoint.provenance["language"]
    tables = []
    for target in checkpoint.mothello.inputs:
        if target != source:
            role = table["language"].map({source: "source", target: "target"})
            kind = type(checkpoint.mothello.languages[target]).__name__.lower()
            tables.append(table[role.notna()].assign(role=role, target=kind))
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> go.Figure:
    """A column a regime; two rows a target language: accuracy and alignment, and where the target's answers go."""
    regimes = list(dict.fromkeys(table["regime"]))
    targets = [target for target in TARGETS if target in set(table["target"])]
    titles = [[NAMED[regime] if row == 0 else "" for regime in regimes] for row in range(2 * len(targets))]
    labels = [f"{target}: {what}" for target in targets for what in ("accuracy", "its answers")]
    drawing = panel_grid(titles, x="epoch of fine-tuning", y=labels)
    for place, target in enumerate(targets):
        for column, regime in enumerate(regimes, 1):
            here = table[(table["regime"] == regime) & (table["target"] == target)]
            if len(here):
                legend = place == 0 and column == 1
                _draw_target(drawing, here, row=2 * place + 1, column=column, legend=legend)
    return drawing.update_yaxes(range=[0, 1.02])


def _draw_target(drawing: go.Figure, table: pd.DataFrame, *, row: int, column: int, legend: bool) -> None:
    """Both panels of one regime and target, lowest seed: the first schedule full, others faint; one colour for the target in all
    regimes, as the legend has it."""
    for faint, (_, rows) in enumerate(table[table["seed"] == table["seed"].min()].groupby("schedule", sort=True)):
        opacity = 0.35 if faint else 1.0
        _draw(drawing, rows, COLOURS["anchors"], row=row, column=column, opacity=opacity, legend=legend and not faint)


def _draw(drawing: go.Figure, rows: pd.DataFrame, colour: str, *, row: int, **style: Any) -> None:
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


def ends(group: pd.DataFrame) -> dict[str, float]:
    """Start, peak and end of one model's fine-tuning."""
    source, target = (group[group["role"] == role].sort_values("games") for role in ("source", "target"))
    row: dict[str, float] = {}
    for name, part, column in (
        ("source", source, "top1"),
        ("target", target, "top1"),
        ("any words", target, "top1_any"),
        ("alignment", target, "alignment"),
    ):
        row |= {f"{name}, start": part[column].iloc[0], f"{name}, end": part[column].iloc[-1]}
    row["target, peak"] = target["top1"].max()
    return row | {"floor, end": target["floor"].iloc[-1], "ceiling, end": target["ceiling"].iloc[-1]}
