"""Two symmetries raised together: two images at once, or a board in pieces?

Some pairs of naive languages are read through two maps about equally well (`symmetry`). A panel is such a pair (summary: all
pairs whose best map is a fifth of the way up or more); a square's colour is how much more often it is read as the one image
shows it (blue: the pair's best map) than as the other does (red: the runner-up), where the two differ; the maps are named
above. Two images superposed would leave all squares pale; a code that holds only what both maps leave alone would leave them
at the null and read the squares that both put in one place (crosses), which are not different and so not coloured. Squares
of both colours mean a mixture over squares: one part of the board is written through one map, another part through the
other, and training has not settled it.

What could fool it: colours by chance (a square is marked by a dot if its interval over games holds 0; the summary counts
squares that are surely of either kind, and asks whether neighbouring squares are of one kind more often than the same squares
dealt anew: `neighbours`, Moran's I, beside the 95% quantile by chance), squares that differ in how easily they are guessed
(both images are read off the same predictions, and the null re-pairs games).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._maps import RAISED
from analyses._models import BUNDLED, Zoo, over_models
from mothello_interp import SYMMETRIES, Checkpoint, random_games
from mothello_interp.activations import collect
from mothello_interp.alignment import align_up_to_symmetry, contest
from mothello_interp.plots import add_heatmap, panel_grid
from mothello_interp.probes import fit_probes_on

_MODELS = {"mini/four-atomic": "4 naive languages", "mini/five-atomic": "5 naive languages"}
_LAYER = 0  # as in `symmetry`
_FIT, _CHOOSE, _SCORE, _RESAMPLES = 1000, 400, 800, 200
_SHOWN = 8
_DEALS = 999


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """`alignment.contest` of the best two maps of every pair, chosen on other games."""
    fit, choose, score = (
        random_games(n, board=checkpoint.spec.board, seed=seed)
        for n, seed in ((_FIT, 121), (_CHOOSE, 122), (_SCORE, 123))
    )
    probes = fit_probes_on(collect(checkpoint, fit, layers=[_LAYER]), seed=0)
    maps = align_up_to_symmetry(probes, checkpoint, choose, layer=_LAYER, resamples=2)
    tables = []
    for row in maps[maps["source"] < maps["target"]].to_dict("records"):
        names = row["symmetry"], row["runner_up"]
        place: dict[str, Any] = {"layer": _LAYER, "source": row["source"], "target": row["target"]}
        first, second = (SYMMETRIES[name] for name in names)
        table = contest(probes, checkpoint, score, **place, first=first, second=second, resamples=_RESAMPLES)
        tables.append(
            table.assign(best=names[0], runner_up=names[1], margin=row["margin"], normalised=row["normalised"])
        )
    return pd.concat(tables, ignore_index=True)


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The stored rows: models of more than two naive languages are not bundled."""
    return over_models("mixtures", measure, _MODELS, zoo=zoo)


def _pairs(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The squares of each pair that has a map (of all where none has), the pairs between two first."""
    keys = ["regime", "seed", "source", "target"]
    up = table["normalised"] >= RAISED
    pairs = [group for _, group in (table[up] if up.any() else table).groupby(keys, sort=False)]
    return sorted(pairs, key=lambda pair: float(pair["margin"].iloc[0]))


def figure(table: pd.DataFrame) -> go.Figure:
    """Boards of the pairs that are closest to the middle between two maps, then of those that are farthest."""
    pairs = _pairs(table)
    half = min(_SHOWN, len(pairs)) // 2 or 1
    shown = [pairs[:half], pairs[-half:]] if len(pairs) > half else [pairs]
    drawing = panel_grid([[_title(pair) for pair in row] for row in shown], x="", y="", shared=False)
    for row, boards in enumerate(shown, 1):
        for column, pair in enumerate(boards, 1):
            _board(drawing, pair, row, column)
    return drawing.update_layout(height=90 + 330 * len(shown))


def _title(pair: pd.DataFrame) -> str:
    """The model, the pair and its maps."""
    one = pair.iloc[0]
    maps = f"{one['best']}, {one['runner_up']}".replace("_", " ")
    return f"{one['regime']}<br>seed {one['seed']}: {one['source']} to {one['target']}<br>{maps}"


def _board(drawing: go.Figure, pair: pd.DataFrame, row: int, column: int) -> None:
    """One pair's squares, as on a board."""
    side = round(len(pair) ** 0.5)
    letters, numbers = [chr(97 + place) for place in range(side)], list(range(1, side + 1))
    more = pair["first"] - pair["second"]
    unsure = (pair["low"] <= 0) & (pair["high"] >= 0)
    signs = np.where(pair["fixed"].astype(bool), "x", np.where(unsure, "·", ""))
    cells = pair.assign(file=np.arange(len(pair)) % side, rank=np.arange(len(pair)) // side, share=more, sign=signs)
    add_heatmap(drawing, cells, x="file", y="rank", z="share", limits=(-0.7, 0.7), row=row, column=column, label="sign",
                reverse=True)  # fmt: skip
    where = {"row": row, "col": column}
    drawing.update_xaxes(tickvals=list(range(side)), ticktext=letters, showgrid=False, **where)
    drawing.update_yaxes(
        tickvals=list(range(side)), ticktext=[str(n) for n in numbers], autorange="reversed", showgrid=False, **where
    )


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: how many squares are surely of either map, and the shares beside their nulls."""
    rows = []
    for pair in _pairs(table):
        one = pair.iloc[0]
        row = {"regime": one["regime"], "seed": one["seed"], "pair": f"{one['source']} to {one['target']}"}
        row |= {"best map": one["best"].replace("_", " "), "runner-up": one["runner_up"].replace("_", " ")}
        row |= {"margin": one["margin"], "best squares": int((pair["low"] > 0).sum())}
        row |= {"runner-up squares": int((pair["high"] < 0).sum()), "of": int((pair["cells"] > 0).sum())}
        row |= {"best": pair["first"].mean(), "runner-up's": pair["second"].mean(), "null": pair["first_null"].mean()}
        row |= {"where both agree": pair["agreed"].mean(), "its null": pair["agreed_null"].mean()}
        row["neighbours"], row["neighbours, by chance"] = _neighbours(pair)
        rows.append(row)
    return pd.DataFrame(rows)


def _neighbours(pair: pd.DataFrame) -> tuple[float, float]:
    """Moran's I of how much more a square is read as the one image than as the other, over squares that share an edge and
    where the images differ; and the 95% quantile of the same squares dealt anew."""
    more = (pair["first"] - pair["second"]).to_numpy()
    side, places = round(len(pair) ** 0.5), np.flatnonzero(pair["cells"] > 0)
    file, rank = places % side, places // side
    edges = np.abs(file - file[:, None]) + np.abs(rank - rank[:, None]) == 1
    values = more[places] - more[places].mean()
    if not edges.any() or not values.any():
        return np.nan, np.nan
    dealt = np.random.default_rng(0).permuted(np.tile(values, (_DEALS, 1)), axis=1)
    alike = np.einsum("ni,ij,nj->n", np.vstack([values, dealt]), edges, np.vstack([values, dealt]))
    alike /= edges.sum() * values.var()
    return float(alike[0]), float(np.quantile(alike[1:], 0.95))
