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

import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, Zoo, over_models
from analyses._transfer import NAMED, TARGETS, draw, ends, fine_tuned, recorded
from mothello_interp import Checkpoint

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
    """What fine-tuning has recorded along the way."""
    return recorded(checkpoint)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: analyses do not train."""
    models = fine_tuned([f"transfer-{target}" for target in TARGETS], zoo.scale)
    return over_models("transfer", measure, models, zoo=zoo, compute=False)


def figure(table: pd.DataFrame) -> go.Figure:
    """A column a regime; two rows a target language: accuracy and alignment, and where the target's answers go."""
    return draw(table)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning beside the paper's, by target language, regime, schedule and seed."""
    rows = []
    for (kind, regime, schedule, seed), group in table.groupby(["target", "regime", "schedule", "seed"], sort=False):
        row = {"regime": NAMED[str(regime)], "target": kind, "schedule": schedule, "seed": seed} | ends(group)
        paper = ("paper: target, start", "target, end", "alignment, start", "alignment, end")
        row |= dict(
            zip([paper[0], *(f"paper: {name}" for name in paper[1:])], _PAPER[str(kind), str(regime)], strict=True)
        )
        rows.append(row)
    return pd.DataFrame(rows)
