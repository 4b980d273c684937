"""Fine-tuning in one of two languages: what happens to the other."""

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint, read_rows
from analyses._tables import leading, summary, where
from mothello_interp.plots import COLOURS, Line, add_lines, panel_grid

NAMED = LABELS | {"anchors": "8 anchor tokens"}
TARGETS = ("atomic", "split", "compositional")
_SCHEDULES = ("mini", "mini-rising", "paper")
_PRETRAINED = {"naive": ("naive", 0), "anchors8": ("anchors", 0), "unified": ("unified", 1)}  # regime, source language
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
_READ = ("paper, target start", "paper, target end", "paper, alignment start", "paper, alignment end")


def fine_tuned(*starts: str) -> dict[str, str]:
    """Names of the models that fine-tuning makes of `mini/START-{naive,anchors8,unified}`, and their regimes."""
    return {
        f"mini/{start}-{name}-{schedule}-language{source}": regime
        for start in starts
        for name, (regime, source) in _PRETRAINED.items()
        for schedule in _SCHEDULES
    }


MODELS = fine_tuned(*(f"transfer-{target}" for target in TARGETS))
STORED = True  # analyses do not train


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """What `python -m train finetune` has recorded along the way, next to the checkpoint it ended with.

    Returns:
        The rows of the source (role "source") and of one other language (role "target"), for each type of the others
        (column target).

    Raises:
        ValueError: for a checkpoint that is not in the folder of such a run.
    """
    file = Path(checkpoint.name).parent / "transfer.csv"
    if not file.is_file() or "recipe" not in checkpoint.provenance:
        raise ValueError(f"{checkpoint.name}: no {file}; give the folder of a run of `python -m train finetune`")
    table = read_rows(file, "language").assign(schedule=checkpoint.provenance["recipe"])
    source = checkpoint.provenance["language"]
    tables = []
    for target in checkpoint.mothello.inputs:
        if target != source:
            role = table["language"].map({source: "source", target: "target"})
            kind = type(checkpoint.mothello.languages[target]).__name__.lower()
            tables.append(table[role.notna()].assign(role=role, target=kind))
    return pd.concat(tables, ignore_index=True)


def figure(table: pd.DataFrame, *, paper: bool = True) -> go.Figure:
    """A column a regime, a row a target language: accuracies by epoch, of the lowest seed; the first schedule full, others faint. The
    paper's values are of two languages."""
    regimes = list(dict.fromkeys(table["regime"]))
    targets = [target for target in TARGETS if target in set(table["target"])]
    titles = [[NAMED[regime] for regime in regimes], *[[""] * len(regimes)] * (len(targets) - 1)]
    drawing = panel_grid(
        titles, x="epoch of fine-tuning in the source language", y=[f"target: {target}" for target in targets]
    )
    for row, target in enumerate(targets, 1):
        for column, regime in enumerate(regimes, 1):
            here = where(table, regime=regime, target=target)
            for faint, (_, rows) in enumerate(where(here, seed=here["seed"].min()).groupby("schedule")):
                add_lines(drawing, rows, _lines(bool(faint), COLOURS[regime]), x="epoch", row=row, column=column)
            if paper and len(here):
                _add_paper(drawing, here, target, regime, row, column)
    drawing.update_yaxes(range=[-0.08, 1.04])
    return drawing.update_layout(height=110 + 215 * len(targets))


def _lines(faint: bool, colour: str) -> list[Line]:
    """Of one panel."""
    look: dict[str, Any] = {"opacity": 0.3 if faint else 1.0}
    target = {"role": "target"}
    return [
        Line("top1", "source, legal", COLOURS["ceiling"], {"role": "source"}, width=1.5, **look),
        Line("normalised", "normalised alignment", COLOURS["floor"], target, dash="dot", width=2, **look),
        Line(
            "top1_any",
            "target, legal in any language's tokens",
            COLOURS["diagonal"],
            target,
            dash="dash",
            width=3,
            **look,
        ),
        Line(
            "top1",
            "target, legal in its own tokens",
            colour,
            target,
            width=4,
            shown=colour == COLOURS["anchors"],
            **look,
        ),
    ]


def _add_paper(drawing: go.Figure, here: pd.DataFrame, target: str, regime: str, row: int, column: int) -> None:
    """The paper's target accuracy at both ends."""
    start, end, *_ = _PAPER[target, regime]
    ends = pd.DataFrame({"epoch": [here["epoch"].min(), here["epoch"].max()], "top1": [start, end]})
    diamonds = Line("top1", "the paper: target, start and end", COLOURS["paper"], symbol="diamond", width=0)
    add_lines(drawing, ends, [diamonds], x="epoch", row=row, column=column)


def ends(group: pd.DataFrame) -> dict[str, Any]:
    """Start, peak and end of one model's fine-tuning."""
    source, target = (where(group, role=role).sort_values("games") for role in ("source", "target"))
    shown = (
        ("target", target, "top1"),
        ("any tokens", target, "top1_any"),
        ("alignment", target, "normalised"),
        ("source", source, "top1"),
    )
    row = {
        f"{name} {place}": part[column].iloc[index]
        for name, part, column in shown
        for place, index in (("start", 0), ("end", -1))
    }
    found = {**row, "target peak": target["top1"].max()}
    return found | {
        "change": row["target end"] - row["target start"],
        "change, any": row["any tokens end"] - row["any tokens start"],
    }


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning, by schedule, target language, regime and seed; alignment is normalised."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        return ends(group) | dict(zip(_READ, _PAPER[tuple(group[["target", "regime"]].iloc[0])], strict=True))

    return tidy(summary(table, ["target", "regime", "schedule", "seed"], row, NAMED))


def tidy(found: pd.DataFrame) -> pd.DataFrame:
    """Sorted by schedule, target and regime; what is most telling first."""
    order = {name: place for place, name in enumerate((*_SCHEDULES, *TARGETS, *NAMED.values()))}
    found = found.sort_values(["schedule", "target", "regime"], key=lambda column: column.map(order), kind="stable")
    names = ("target start", "target end", "any tokens end", "alignment start", "alignment end")
    return leading(found, "target", "regime", "schedule", *names).reset_index(drop=True)
