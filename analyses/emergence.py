"""When in training do languages meet? Legality, alignment and similarity, step by step

Checkpoints of one training run a model, one seed, by the games seen (logarithmic). Black: top-1 legal accuracy. Thick:
alignment at layer 1, from floor (0) to ceiling (1), mean over pairs of languages, through the identity (colour) and through
the symmetry that suits each pair best (orange; chosen on other games). Purple: debiased CKA of two languages within move
number; dashes: the share of games whose nearest neighbour in the other language is itself.

What is seen: CKA does not tell which languages share. It is 0.56 to 0.59 at random weights (summary), 0.65 to 0.81 at the
first step, where at most 0.41 of the moves are legal, dips to 0.73 and 0.75 in the two pairs while legality climbs to 0.7,
and ends above 0.9 in all three models. Alignment and retrieval tell them apart. Without anchors both stay below a tenth to
the end; with anchors both come after the game: legality passes 0.9 at 74,496 games, where alignment is a third of the way,
and half of the way is first seen at 120,576. Twenty languages are on the way when training ends: 0.18 through the identity,
0.34 through the best symmetry.

What could fool it: a probe that improves as the model does (alignment is on the way from its floor to its ceiling at that
step; blank while these are closer than 0.1), CKA of states that know the last move alone (hence random weights in the
summary), the best of four maps (chosen on half of the games), luck (one seed each), a null of few games (on hovering: 95%
quantile of 99 re-pairings).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from analyses._steps import LAYER, alignment, legality, over_steps
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.comparison import compare
from mothello_interp.plots import COLOURS, add_curve, panel_grid

_SIMILAR, _PERMUTATIONS = 650, 99
_MODELS = {
    "mini/atomic-atomic-anchors0": "naive",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/twenty-atomic": "20 naive languages",
}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """One row a checkpoint that `python -m train pretrain --keep` left in the folder `steps` of the run, and one of random
    weights (games 0).

    Raises:
        ValueError: for a checkpoint without such a folder beside it.
    """
    steps = over_steps(checkpoint, _at)
    return pd.concat([pd.DataFrame([{"games": 0, **_at(checkpoint.untrained())}]), steps], ignore_index=True)


def _at(checkpoint: Checkpoint) -> dict[str, Any]:
    """All that is measured at one step."""
    return {"legal": legality(checkpoint), **alignment(checkpoint), **_similarity(checkpoint)}


def _similarity(checkpoint: Checkpoint) -> dict[str, Any]:
    """CKA and retrieval between the first two languages, each with the 95% quantile of its null."""
    first, second = checkpoint.mothello.inputs[:2]
    games = random_games(_SIMILAR, board=checkpoint.spec.board, seed=103)
    rows = collect(checkpoint, games, layers=[LAYER], languages=(first, second))
    found = compare(rows, first, rows, second, permutations=_PERMUTATIONS).set_index("measure")
    row: dict[str, Any] = {}
    for name in ("cka", "retrieval"):
        row |= {name: found.loc[name, "value"], f"{name}_null": found.loc[name, "floor_high"]}
    return row


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: steps are not bundled."""
    return over_models("emergence", measure, _MODELS, zoo=zoo, compute=False)


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a model, by the games seen."""
    table = table[table["games"] > 0]  # random weights have no place on a logarithmic axis
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
    """Games until legality, alignment and retrieval pass half of the way, and where all end; of CKA, which begins high, random
    weights, the first step and the least as well."""
    rows = []
    for (regime, seed), group in table.groupby(["regime", "seed"], sort=False):
        steps = group[group["games"] > 0].sort_values("games")
        row: dict[str, Any] = {"regime": LABELS.get(str(regime), regime), "seed": seed}
        for name in ("legal", "normalised", "best", "retrieval"):
            above = steps[steps[name] >= 0.5]["games"]
            row[f"{name} passes 0.5 at"] = above.iloc[0] if len(above) else np.nan
            row[f"{name}, end"] = steps[name].iloc[-1]
        row["cka, random weights"] = group[group["games"] == 0]["cka"].mean()
        row |= {"cka, first": steps["cka"].iloc[0], "cka, least": steps["cka"].min(), "cka, end": steps["cka"].iloc[-1]}
        rows.append(row)
    return pd.DataFrame(rows)
