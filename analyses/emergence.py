"""When in training do languages meet? Legality, alignment and similarity, step by step

Checkpoints of one training run, by the games seen (logarithmic). Black: top-1 legal accuracy. Thick: alignment at layer 1,
from floor (0) to ceiling (1), mean over pairs of languages, through the identity (colour) and through the symmetry that
suits each pair best (orange; chosen on other games). Purple: debiased CKA of two languages within move number; dashes: the
share of games whose nearest neighbour in the other language is itself. What rises with legality is learned as part of the
game; what comes later, or not at all, is sharing.

What could fool it: a probe that improves as the model does (alignment is on the way from its floor to its ceiling at that
step; blank while these are closer than 0.1), CKA of states that know the last move alone (it is high before anything is
shared, and at random weights; retrieval is not), the best of four maps (chosen on half of the games).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from analyses._steps import LAYER, alignment, legality, over_steps
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.plots import COLOURS, add_curve, panel_grid
from mothello_interp.similarity import compare

_SIMILAR, _PERMUTATIONS = 650, 10
_MODELS = {
    "mini/atomic-atomic-anchors0": "naive",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/twenty-atomic": "20 naive languages",
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """One row a checkpoint that `python -m train pretrain --keep` left in the folder `steps` of the run.

    Raises:
        ValueError: for a checkpoint without such a folder beside it.
    """
    return over_steps(checkpoint, lambda step: {"legal": legality(step), **alignment(step), **_similarity(step)})


def _similarity(checkpoint: Checkpoint) -> dict[str, Any]:
    """CKA and retrieval between the first two languages, each with the 95% quantile of its null."""
    first, second = checkpoint.mothello.inputs[:2]
    games = random_games(_SIMILAR, board=checkpoint.spec.board, seed=103)
    rows = collect(checkpoint, games, layers=[LAYER], languages=(first, second))
    found = compare(rows, first, rows, second, permutations=_PERMUTATIONS).set_index("measure")
    row: dict[str, Any] = {}
    for name in ("cka", "retrieval"):
        row |= {name: found.loc[name, "value"], f"{name}_null": found.loc[name, "null_high"]}
    return row


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: steps are not bundled."""
    return over_models("emergence", measure, _MODELS, zoo=zoo, compute=False)


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a model, by the games seen."""
    regimes = list(dict.fromkeys(table["regime"]))
    drawing = panel_grid([[LABELS.get(regime, regime) for regime in regimes]], x="games seen", y="share")
    for column, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        shared: dict[str, Any] = {"x": "games", "column": column, "legend": column == 1}
        add_curve(drawing, here, y="legal", name="legal, top-1", colour=COLOURS["ceiling"], **shared)
        add_curve(drawing, here, y="normalised", name="alignment", colour=COLOURS["anchors"], width=4,
                  band=("normalised_low", "normalised_high"), hover=("accuracy", "floor", "ceiling"), **shared)  # fmt: skip
        add_curve(drawing, here, y="best", name="alignment, best symmetry", colour=COLOURS["diagonal"], dash="dash",
                  hover=("not_identity",), **shared)  # fmt: skip
        add_curve(drawing, here, y="cka", name="CKA", colour=COLOURS["antidiagonal"], hover=("cka_null",), **shared)
        add_curve(drawing, here, y="retrieval", name="retrieval", colour=COLOURS["antidiagonal"], dash="dash",
                  hover=("retrieval_null",), **shared)  # fmt: skip
    return drawing.update_xaxes(type="log").update_yaxes(range=[-0.05, 1.03])


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Games until half of the way: of legality (0.5), alignment and CKA; and where all end."""
    rows = []
    for (regime, seed), group in table.groupby(["regime", "seed"], sort=False):
        group = group.sort_values("games")
        row: dict[str, Any] = {"regime": LABELS.get(str(regime), regime), "seed": seed}
        for name in ("legal", "normalised", "best", "cka", "retrieval"):
            above = group[group[name] >= 0.5]["games"]
            row |= {
                f"{name} passes 0.5 at": above.iloc[0] if len(above) else np.nan,
                f"{name}, end": group[name].iloc[-1],
            }
        rows.append(row)
    return pd.DataFrame(rows)
