"""Fine-tuning in one of four languages: what happens to the three others."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses import transfer
from analyses._tables import summary
from analyses.transfer import NAMED, ends, fine_tuned, measure, tidy

__all__ = ["MODELS", "STORED", "figure", "headline", "measure"]  # two of them as in `transfer`

MODELS = fine_tuned("four")
STORED = True  # analyses do not train
# with unified output: the target's accuracy at the start, at its peak and at the end; read off the paper's figure
_PAPER = {"atomic": "to 0.995", "split": "0.895, 0.944, 0.917", "compositional": "0.85, 0.958, 0.88"}


def figure(table: pd.DataFrame) -> go.Figure:
    """As in `transfer`."""
    return transfer.figure(table, paper=False)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Start, peak and end of fine-tuning, by target language, regime and seed; with the paper's where it can be read off."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        kind, regime = group[["target", "regime"]].iloc[0]
        return ends(group) | {"paper, target start, peak, end": _PAPER[kind] if regime == "unified" else ""}

    return tidy(summary(table, ["target", "regime", "schedule", "seed"], row, NAMED))
