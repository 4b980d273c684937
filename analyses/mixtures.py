"""Pairs between two symmetries: which squares follow which."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._maps import ALIGNED, LAYER
from analyses._models import Checkpoint
from analyses._tables import leading
from mothello_interp.othello import CONTROLS, SYMMETRIES, Symmetry, random_games
from mothello_interp.plots import add_heatmap, panel_grid

MODELS = {
    "mini/four-atomic": "4 naive languages",
    "mini/four-atomic-long": "4 naive languages, longer",
    "mini/five-atomic": "5 naive languages",
}
_SHOWN = 8
_DEALS = 9999
_PIECES = 0.2  # in pieces: this share of the orbits or more leans to either map


def measure(
    checkpoint: Checkpoint, *, fit: int = 1000, choose: int = 400, score: int = 800, resamples: int = 200
) -> pd.DataFrame:
    """`compare_symmetries` of the best two maps of every pair, chosen on other games."""
    from mothello_interp.activations import collect
    from mothello_interp.probes import fit_probes_on
    from mothello_interp.symmetries import align_up_to_symmetry, compare_symmetries

    fitted, chosen, scored = (
        random_games(n, board=checkpoint.spec.board, seed=seed) for n, seed in ((fit, 121), (choose, 122), (score, 123))
    )
    probes = fit_probes_on(collect(checkpoint, fitted, layers=[LAYER]), seed=0)
    maps = align_up_to_symmetry(probes, checkpoint, chosen, layer=LAYER, resamples=2)
    tables = []
    for row in maps[maps["source"] < maps["target"]].to_dict("records"):
        asked: dict[str, Any] = {"layer": LAYER, "source": row["source"], "target": row["target"]}
        asked |= {"first": SYMMETRIES[row["symmetry"]], "second": SYMMETRIES[row["runner_up"]]}
        facts = {"best": row["symmetry"]} | {name: row[name] for name in ("runner_up", "margin", "normalised")}
        tables.append(compare_symmetries(probes, checkpoint, scored, **asked, resamples=resamples).assign(**facts))
    return pd.concat(tables, ignore_index=True)


def _pairs(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The squares of each pair that has a map (of all where none has), the pairs between two first."""
    up = table["normalised"] >= ALIGNED
    groups = (table[up] if up.any() else table).groupby(["regime", "seed", "source", "target"], sort=False)
    return sorted((pair for _, pair in groups), key=lambda pair: float(pair["margin"].iloc[0]))


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
    unsure = (pair["low"] <= 0) & (pair["high"] >= 0)
    signs = np.where(pair["fixed"].astype(bool), "x", np.where(unsure, "·", ""))
    rank, file = np.divmod(np.arange(len(pair)), side)
    cells = pair.assign(file=file, rank=rank, share=_more(pair), sign=signs)
    add_heatmap(drawing, cells, x="file", y="rank", z="share", limits=(-0.7, 0.7), row=row, column=column, label="sign",
                reverse=True)  # fmt: skip
    axis: dict[str, Any] = {"tickvals": list(range(side)), "showgrid": False, "row": row, "col": column}
    drawing.update_xaxes(ticktext=[chr(97 + place) for place in range(side)], **axis)
    drawing.update_yaxes(ticktext=[str(place + 1) for place in range(side)], autorange="reversed", **axis)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: how many orbits surely follow either map; whether neighbouring ones are alike, as they are and less what
    is readability; the shares next to their floors."""
    pairs = _pairs(table)
    clear = [pair for pair in pairs if _kind(pair) == "one map"]
    found = pd.DataFrame([_described(pair, clear) for pair in pairs])
    return leading(found, "regime", "seed", "pair", "best map", "runner-up", "kind", "less readability", "its p")


def _described(pair: pd.DataFrame, clear: list[pd.DataFrame]) -> dict[str, Any]:
    """One pair, next to those of other models that follow one map."""
    one, orbits, lean = pair.iloc[0], _orbits(pair), _lean(pair)
    model = ["regime", "seed"]
    row = {"regime": one["regime"], "seed": one["seed"], "pair": f"{one['source']} to {one['target']}"}
    row |= {"best map": one["best"].replace("_", " "), "runner-up": one["runner_up"].replace("_", " ")}
    row |= {"margin": one["margin"], "kind": _kind(pair), "orbits": len(orbits)}
    row["surely best"] = int((pair["low"].to_numpy()[orbits] > 0).all(axis=1).sum())
    row["surely runner-up"] = int((pair["high"].to_numpy()[orbits] < 0).all(axis=1).sum())
    row["copies"] = np.corrcoef(_more(pair)[orbits].T)[0, 1]
    others = [other for other in clear if not (other[model].iloc[0] == one[model]).all()]
    row["neighbours"], row["p"] = _alike(lean, pair)
    row["less readability"], row["its p"] = _alike(np.sign(lean - _expected(pair, others)), pair)
    row |= {"best": pair["first"].mean(), "runner-up's": pair["second"].mean(), "floor": pair["first_floor"].mean()}
    return row | {"where both agree": pair["agreed"].mean(), "its floor": pair["agreed_floor"].mean()}


def _more(pair: pd.DataFrame) -> np.ndarray:
    """How much more often a square is read as the best map shows it than as the runner-up does, `[square]`."""
    return (pair["first"] - pair["second"]).to_numpy()


def _orbits(pair: pd.DataFrame) -> np.ndarray:
    """Squares that change places between the two images, `[orbit 2]`."""
    one, side = pair.iloc[0], round(len(pair) ** 0.5)
    partner = Symmetry.of(one["best"]).squares(side)[Symmetry.of(one["runner_up"]).squares(side)]  # their own inverses
    return np.array([(square, other) for square, other in enumerate(partner) if square < other])


def _lean(pair: pd.DataFrame) -> np.ndarray:
    """`_more` of the orbits."""
    return _more(pair)[_orbits(pair)].mean(axis=1)


def _kind(pair: pd.DataFrame) -> str:
    """Whether all orbits lean to the best map, or at least `_PIECES` of them to either."""
    best = float((_lean(pair) > 0).mean())
    return "one map" if best == 1 else "in pieces" if _PIECES <= best <= 1 - _PIECES else "between"


def _expected(pair: pd.DataFrame, clear: list[pd.DataFrame]) -> np.ndarray:
    """What would be the lean of the orbits if they differed only in how well squares of their kind (up to all symmetries of
    a board) are read in these pairs, scaled to this one; NaN without such pairs."""
    if not clear:
        return np.full(len(_orbits(pair)), np.nan)
    eight = [symmetry.squares(round(len(pair) ** 0.5)) for symmetry in (*SYMMETRIES.values(), *CONTROLS.values())]
    known = np.ma.masked_invalid([_more(other)[squares] for other in clear for squares in eight]).mean(axis=0)
    profile = np.asarray(known)[_orbits(pair)[:, 0]]
    return profile * (profile @ _lean(pair)) / (profile @ profile)


def _alike(values: np.ndarray, pair: pd.DataFrame) -> tuple[float, float]:
    """Moran's I of the orbits' values over those with squares that share an edge, and its p, by dealing them anew."""
    orbits, side = _orbits(pair), round(len(pair) ** 0.5)
    file, rank = orbits % side, orbits // side
    apart = sum(abs(at[:, None, :, None] - at[None, :, None, :]) for at in (file, rank))
    edges = (apart == 1).any(axis=(2, 3)) & ~np.eye(len(orbits), dtype=bool)
    values = values - values.mean()
    if not edges.any() or not values.any() or np.isnan(values).any():
        return np.nan, np.nan
    dealt = np.vstack([values, np.random.default_rng(0).permuted(np.tile(values, (_DEALS, 1)), axis=1)])
    alike = (dealt @ edges * dealt).sum(axis=1) / (edges.sum() * values.var())
    return float(alike[0]), float((alike >= alike[0] - 1e-9).mean())
