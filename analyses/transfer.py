"""Does what is learned in one language help the other? Fine-tuning in a source language alone

Models that saw games of one opening only, in two languages, go on with all games in the first language alone (the source).
Upper panels: top-1 legal accuracy in the source (black) and in the target, which is never shown again (blue), and the
alignment of source to target (grey; a probe refitted on the source at each point; grey dots: its floor). Lower panels tell
losing the tongue from losing the game: the target's greedy move is legal in its own words (blue), or in the words of any
language (orange); and the probability that goes to the target's own words (dashes) and to the source's (dots). Where the two
solid curves part, the model still plays, but answers in the source's language.

What is seen, in one seed of each model: the paper's third finding, that alignment does not suffice for transfer, needs a
finer statement. Two atomic languages with anchors are aligned, and the target's own words are lost; but its moves remain as
legal as they were, in the source's words: the game is kept, the tongue is lost. (Two of four naive languages, which the
opening aligns without any anchor, show it more plainly: `four_languages`.) A split or compositional language with anchors is
aligned half of the way and less: the split one keeps most of its game, the compositional one loses it, in any words. Naive
languages, which are not aligned here, keep more of the tongue if both are atomic; a split or compositional one loses the
game. Under a unified output, where there is one tongue, the target rises with the source. Aligned languages share what
happens to the game; a tongue is not part of it.

What could fool it: a schedule (the paper's learning rate only ever rises while it fine-tunes; faint curves show that
schedule, for the atomic target alone, full ones a usual warm-up and decay), a symmetry (the opening breaks all four, and the
table has each of them), a greedy word (mass beside it), luck (one seed each).
"""

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import summary, where
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
_READ = ("paper: target, start", "paper: target, end", "paper: alignment, start", "paper: alignment, end")


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


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; two rows a target language: accuracy and alignment, and where the target's answers go. Of the lowest
    seed, the first schedule full and the others faint."""
    regimes = list(dict.fromkeys(table["regime"]))
    targets = [target for target in TARGETS if target in set(table["target"])]
    titles = [[NAMED[regime] for regime in regimes], *[[""] * len(regimes)] * (2 * len(targets) - 1)]
    labels = [f"{target}: {what}" for target in targets for what in ("accuracy", "its answers")]
    drawing = panel_grid(titles, x="epoch of fine-tuning", y=labels)
    for place, target in enumerate(targets):
        for column, regime in enumerate(regimes, 1):
            here = where(table, regime=regime, target=target)
            runs = where(here, seed=here["seed"].min()).groupby("schedule")
            for faint, (_, rows) in enumerate(runs):
                for row, lines in enumerate(_lines(bool(faint)), 2 * place + 1):
                    add_lines(drawing, rows, lines, x="epoch", row=row, column=column)
    return drawing.update_yaxes(range=[0, 1.02])


def _lines(faint: bool) -> tuple[list[Line], list[Line]]:
    """Of the two panels of one regime and target; one colour for the target in all regimes, as the legend has it."""
    target, grey, blue = {"role": "target"}, COLOURS["floor"], COLOURS["anchors"]
    look: dict[str, Any] = {"opacity": 0.35 if faint else 1.0}
    legal = Line("top1", "target, legal", blue, target, **look)
    upper = [
        Line("top1", "source, legal", COLOURS["ceiling"], {"role": "source"}, **look),
        legal,
        Line("alignment", "alignment", grey, target, band=None if faint else ("low", "high"), **look),
        Line("floor", "floor of alignment", grey, target, dash="dot", **look),
    ]
    lower = [
        Line("top1_any", "target, legal in any words", COLOURS["diagonal"], target, **look),
        legal,
        Line("mass_own", "mass on its own words", blue, target, dash="dash", width=1.5, **look),
        Line("mass_source", "mass on the source's words", blue, target, dash="dot", width=1.5, **look),
    ]
    return upper, lower


def ends(group: pd.DataFrame) -> dict[str, Any]:
    """Start, peak and end of one model's fine-tuning."""
    source, target = (where(group, role=role).sort_values("games") for role in ("source", "target"))
    row: dict[str, Any] = {}
    for name, part, column in (
        ("source", source, "top1"),
        ("target", target, "top1"),
        ("any words", target, "top1_any"),
        ("alignment", target, "alignment"),
    ):
        row |= {f"{name}, start": part[column].iloc[0], f"{name}, end": part[column].iloc[-1]}
    row["target, peak"] = target["top1"].max()
    return row | {"floor, end": target["floor"].iloc[-1], "ceiling, end": target["ceiling"].iloc[-1]}


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning beside the paper's, by target language, regime, schedule and seed."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        kind, regime = group[["target", "regime"]].iloc[0]
        return ends(group) | dict(zip(_READ, _PAPER[kind, regime], strict=True))

    return summary(table, ["regime", "target", "schedule", "seed"], row, NAMED)
