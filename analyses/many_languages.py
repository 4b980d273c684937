"""Many naive languages: four clusters, or one code seen through four maps?

The paper's matrix, languages ordered by cluster, with lines between clusters. Left: the probe of the row's language reads the
board in the column's language; the paper (8x8, 20 languages) finds four clusters of 8, 3, 7 and 2 languages, 0.96 to 0.97
within and exactly two values between them, 0.53 and 0.61. Right: the same predictions against the image of the board under
the symmetry that suits each pair best. If clusters are one code seen through different maps, the blocks on the left vanish on
the right, and the two values between them are what a board agrees with its own image (summary, `expected`: what P_src scores
at home, read through that map).

What is seen, in one seed: the blocks are there and vanish, but at a low level, for this model is aligned in part: 0.62 to
0.63 through the best map, within a cluster and between, where a probe has 0.78 at home and a guess 0.61. So the best maps do
not all fit together, and there are five clusters instead of four, of 8, 4, 4, 2 and 2 languages: of the last two one goes
mostly with the largest cluster, the other with the third, and yet the identity relates them best. Pairs related by a
reflection score 0.57 against the board, near what the image predicts (0.55 and 0.57). Pairs related by the half turn score
0.53, which looks like the paper's value and is the floor (0.53), not what the image predicts (0.50): it is no parallel.

What could fool it: clusters are named by the best of four maps, on the same games that are shown, which any matrix yields
(`symmetry` chooses on other games, and has the test); values below the guess from square and move number (summary) say
nothing by their size.
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._matrix import clustered, draw_matrix, measure_matrix
from analyses._models import BUNDLED, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint
from mothello_interp.plots import panel_grid

_MODELS = {"mini/twenty-atomic": "20 naive languages", "mini/hundred-atomic": "100 naive languages"}
_PAPER = {"identity": 0.965, "diagonal": 0.61, "antidiagonal": 0.61, "half_turn": 0.53}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Accuracy of all pairs under the four symmetries."""
    return measure_matrix(checkpoint)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: models of so many languages are not bundled."""
    return over_models("many_languages", measure, _MODELS, zoo=zoo)


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """The best symmetry of each pair, and its accuracy."""
    best = table.loc[table.groupby(["source", "target"])["accuracy"].idxmax()]
    return best[["source", "target", "symmetry", "accuracy"]].reset_index(drop=True)


def _clusters(table: pd.DataFrame) -> list[list[int]]:
    """Languages that the identity relates best."""
    return clustered(_best(table).pivot(index="source", columns="target", values="symmetry"))


def figure(table: pd.DataFrame) -> go.Figure:
    """A row a model: against the board, and against its best image; lines between clusters."""
    models = [group for _, group in table.groupby(["regime", "seed"], sort=False)]
    titles = [["against the board, as in the paper", "against its best image"]] + [["", ""]] * (len(models) - 1)
    labels = [f"{model['regime'].iloc[0]}, seed {model['seed'].iloc[0]}" for model in models]
    drawing = panel_grid(titles, x="language it reads", y=labels)
    for row, model in enumerate(models, 1):
        clusters = _clusters(model)
        order = [language for cluster in clusters for language in cluster]
        for column, values in enumerate((model[model["symmetry"] == "identity"], _best(model)), 1):
            draw_matrix(drawing, values, order, row=row, column=column, text=False)
            for end in np.cumsum([len(cluster) for cluster in clusters])[:-1].tolist():
                line: dict[str, Any] = {"line": {"color": "black", "width": 2}, "row": row, "col": column}
                drawing.add_vline(x=end - 0.5, **line)
                drawing.add_hline(y=end - 0.5, **line)
    return drawing.update_layout(height=90 + 480 * len(models))


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against the board by the map that relates a pair, beside what that map predicts and the paper's value."""
    rows = []
    for (regime, seed), model in table.groupby(["regime", "seed"], sort=False):
        sizes = ", ".join(str(len(cluster)) for cluster in _clusters(model))
        best = _best(model).rename(columns={"symmetry": "map", "accuracy": "through it"})
        across = model.merge(best, on=["source", "target"])
        across = across[across["source"] != across["target"]]
        for name in SYMMETRIES:
            here = across[across["map"] == name]
            if len(here):
                plain = here[here["symmetry"] == "identity"]["accuracy"]
                row = {"regime": regime, "seed": seed, "clusters": sizes, "related by": name.replace("_", " ")}
                row |= {"pairs": len(plain), "against the board": plain.mean(), "sd": plain.std()}
                row["expected"] = here[here["symmetry"] == name]["predicted"].mean()
                row |= {"paper": _PAPER[name], "through the map": here[here["symmetry"] == name]["accuracy"].mean()}
                rows.append({**row, **here[["majority", "floor", "ceiling"]].mean()})
    return pd.DataFrame(rows)
