"""Does it also help three other languages at once? Fine-tuning one of four

Models that saw games of one opening in four languages (two atomic, a split and a compositional one) go on with all games in
the first atomic language alone. As in `transfer`: upper panels, top-1 legal accuracy in the source (black) and in a target
(blue), and the alignment of source to target (grey); lower panels, whether the target's greedy move is legal in its own words
(blue) or in those of any language (orange), and where the probability goes. The paper finds the story of two languages again:
only unified output lifts the others with the source.

What is seen, in one seed of each model: of four naive languages the two atomic ones are aligned by the opening alone, four
fifths of the way and without any anchor. The second forgets its own words within an epoch, to the last, and plays on in the
source's words, better than before: it keeps the game whole and no tongue. The split and the compositional language, which are
not aligned with the source, keep more of their words and lose moves. With anchors the second atomic language is aligned
nearly whole: what the source learns of the game is learned in it too (legal in any words), and its words are lost all the
same; the split one, aligned half of the way, keeps its game, the compositional one, aligned a third, loses some. Under a
unified output the atomic target rises with the source, the split one a little; the compositional one falls, and so does its
alignment (in the paper it rises and falls back).

What could fool it: a schedule (a usual warm-up and decay; the paper's, whose learning rate only rises, was not run here), a
symmetry (the opening breaks all four), a greedy word (mass beside it), words of several tokens (a move counts if all of its
tokens spell a legal one), luck (one seed each).
"""

from typing import Any

import pandas as pd

from analyses._tables import summary
from analyses.transfer import NAMED, ends, figure, fine_tuned, measure

__all__ = ["MODELS", "STORED", "figure", "headline", "measure"]  # two of them as in `transfer`

MODELS = fine_tuned("four")
STORED = True  # analyses do not train
# with unified output: the target's accuracy at the start, at its peak and at the end; read off the paper's figure
_PAPER = {"atomic": "to 0.995", "split": "0.895, 0.944, 0.917", "compositional": "0.85, 0.958, 0.88"}


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning, by regime, target, schedule and seed; the paper's where it can be read off."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        kind, regime = group[["target", "regime"]].iloc[0]
        return ends(group) | {"paper: target, start, peak, end": _PAPER[kind] if regime == "unified" else ""}

    return summary(table, ["regime", "target", "schedule", "seed"], row, NAMED)
