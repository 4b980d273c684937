"""Naive languages and board symmetries: through which map a probe of one decodes another, and whether the maps compose."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyses import _maps
from analyses._maps import LAYER, aligned, best_maps, between_models, clustered, probes_at, strip_places, threshold
from analyses._models import OTHER_FILES, Checkpoint, Probes
from analyses._tables import cross, leading, where
from mothello_interp.othello import CONTROLS, SYMMETRIES, Symmetry, random_games
from mothello_interp.othello.symmetry import ALL
from mothello_interp.plots import COLOURS, add_categories, add_heatmap, add_label, themed

MODELS = _maps.MODELS | {"mini/atomic-atomic-anchors4": "2, four anchors"}
INPUTS = OTHER_FILES
_SHOWN = "4 naive languages"  # whose matrices are drawn, of the lowest seed
_P = "p, shuffled"
_PAPER = ["layer", "source", "target", "symmetry", "accuracy", "low", "high", "majority", "predicted", "floor", "ceiling",
          "normalised", "games"]  # fmt: skip
_MOVED = ["differing", "differing_as_board", "differing_ceiling"]

Maps = dict[
    tuple[int, int], Symmetry
]  # by source and target: the map through which the source's probe reads the target


def measure(checkpoint: Checkpoint, *, fit: int = _maps.FIT, score: int = _maps.SCORE) -> pd.DataFrame:
    """Symmetries of all pairs by layer ("pairs"), of pairs with another model's languages ("two models") and whether they compose
    ("composition"), the pairs through their symmetries by move ("moves"), and accuracies in the paper's measure ("paper")."""
    from mothello_interp.activations import all_layers

    layers = all_layers(checkpoint) if len(checkpoint.mothello.inputs) <= 5 else (LAYER,)
    random = checkpoint.untrained(seed=checkpoint.provenance["seed"])
    probes = {layer: probes_at(checkpoint, layer, fit=fit) for layer in layers}
    asked: list[tuple[str, int, Mapping[str, Symmetry]]] = [("trained", layer, SYMMETRIES) for layer in layers]
    asked += [("trained", LAYER, ALL), ("random", LAYER, SYMMETRIES), ("random", LAYER, ALL)]
    untrained, tables = probes_at(random, LAYER, fit=fit), []
    for weights, layer, candidates in asked:
        model, found = (checkpoint, probes[layer]) if weights == "trained" else (random, untrained)
        table = best_maps(model, found, layer=layer, candidates=candidates, score=score)
        tables.append(table.assign(weights=weights, candidates=len(candidates), part="pairs"))
    tables.append(between_models(checkpoint, probes[LAYER], fit=fit, score=score).assign(part="two models"))
    four, eight = tables[layers.index(LAYER)], tables[len(layers)]
    tables += [_tested(four, SYMMETRIES), _tested(eight, ALL)]
    maps = _by_pair(four)
    tables.append(_by_move(checkpoint, probes[LAYER], maps, score).assign(layer=LAYER, part="moves"))
    tables.append(_as_in_the_paper(checkpoint, fit, score // 4).assign(part="paper"))
    return pd.concat(tables, ignore_index=True)


def _as_in_the_paper(checkpoint: Checkpoint, fit: int, score: int) -> pd.DataFrame:
    """`align_on` of all pairs under the four symmetries: MLP probes on white / empty / black, three quarters up."""
    from mothello_interp.activations import collect, paper_layer
    from mothello_interp.alignment import align_on
    from mothello_interp.probes import fit_probes_on

    layer, board = paper_layer(checkpoint.spec.model.n_layers), checkpoint.spec.board
    fitted = collect(checkpoint, random_games(fit, board=board, seed=71), layers=[layer])
    probes = fit_probes_on(fitted, kind="mlp", frame="absolute", seed=0)
    rows = collect(checkpoint, random_games(score, board=board, seed=72), layers=[layer])
    return align_on(probes, rows, resamples=200)[_PAPER]


def _by_pair(pairs: pd.DataFrame) -> Maps:
    """The map of each pair of different languages."""
    rows = cross(pairs)[["source", "target", "symmetry"]].itertuples(index=False, name=None)
    return {(source, target): ALL[name] for source, target, name in rows}


def _tested(pairs: pd.DataFrame, candidates: Mapping[str, Symmetry]) -> pd.DataFrame:
    """`cycle_consistency_test` of a model's pairs ("composition"); no row for fewer than three languages."""
    from mothello_interp.symmetries import cycle_consistency_test

    if pairs["source"].nunique() < 3:
        return pd.DataFrame()
    test = cycle_consistency_test(_by_pair(pairs), symmetries=tuple(candidates.values()))
    found = {
        "consistent": test.consistent,
        "triples": test.triangles,
        "p_random": test.p_random,
        "p_shuffled": test.p_shuffled,
    }
    return pd.DataFrame([{**found, "layer": LAYER, "candidates": len(candidates), "part": "composition"}])


def _by_move(checkpoint: Checkpoint, probes: Probes, maps: Maps, games: int) -> pd.DataFrame:
    """`align_by_move`, mean over pairs, each through its symmetry; differing_ceiling: what a language decodes of its own board where
    that differs from this image."""
    from mothello_interp.alignment import align_by_move

    table = align_by_move(probes, checkpoint, random_games(games, board=checkpoint.spec.board, seed=63), layer=LAYER)
    home = table[table["source"] == table["target"]].set_index(["source", "symmetry", "move"])["differing_as_board"]
    table["differing_ceiling"] = home.loc[pd.MultiIndex.from_frame(table[home.index.names])].to_numpy()
    own = {(*pair, found.name) for pair, found in maps.items()}
    chosen = [key in own for key in table[["source", "target", "symmetry"]].itertuples(index=False, name=None)]
    columns = ["accuracy", "floor", "ceiling", *_MOVED]
    return table[chosen].groupby("move", as_index=False)[columns].mean()


def _models_of(table: pd.DataFrame) -> list[tuple[str, int]]:
    """Regimes and seeds in the order in which they are shown."""
    pairs = table[["regime", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    order = list(MODELS.values())
    return sorted(pairs, key=lambda model: (order.index(model[0]), model[1]))


def _named(table: pd.DataFrame, candidates: Mapping[str, Symmetry] = SYMMETRIES, **model: Any) -> pd.DataFrame:
    """The pairs at the named layer, by the four symmetries or all eight, of one model."""
    return where(table, part="pairs", layer=LAYER, candidates=len(candidates), **model)


def _controls(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Pairs that share nothing: of two models, and of random weights."""
    return {"two models": where(table, part="two models"), "random weights": cross(_named(table, weights="random"))}


def _above(table: pd.DataFrame) -> float:
    """The threshold of an aligned pair: no control is above it."""
    return threshold(pd.concat(_controls(table).values()))


def figure(table: pd.DataFrame) -> go.Figure:
    """Matrices of one model, in the paper's measure and by symmetry; below, every pair of every model."""
    drawing = make_subplots(
        rows=2, cols=3, specs=[[{}, {}, {}], [{"colspan": 3}, None, None]], horizontal_spacing=0.07, vertical_spacing=0.2,
        row_heights=[0.52, 0.48], subplot_titles=["the paper's measure:<br>accuracy on the board", "the same, through the<br>best symmetry",
                                                 "which symmetry, and the<br>normalised alignment", "every pair of every model"],
    )  # fmt: skip
    themed(drawing).update_layout(height=760, margin={"t": 80}).update_annotations(font_size=15)
    models = _models_of(table)
    shown = next((model for model in models if model[0] == _SHOWN), models[0])
    above = _above(table)
    _matrices(drawing, where(table, regime=shown[0], seed=shown[1]), above)
    place, middle = strip_places(models)
    for (regime, seed), x in place.items():
        for weights in ("random", "trained"):
            _strip(
                drawing, _named(table, regime=regime, seed=seed, weights=weights), x, above, random=weights == "random"
            )
    drawing.update_xaxes(
        tickvals=list(middle), ticktext=list(middle.values()), tickangle=0, showgrid=False, row=2, tickfont_size=12
    )
    drawing.update_yaxes(title="normalised alignment", range=[-0.15, 1.1], row=2)
    drawing.add_hline(y=above, line={"color": COLOURS["another model"], "width": 1.5}, row=2, col=1)
    add_label(
        drawing,
        "crosses: random weights",
        max(place.values()) + 0.6,
        -0.02,
        COLOURS["floor"],
        row=2,
        anchor="right",
        above=False,
    )
    return drawing


def _matrices(drawing: go.Figure, model: pd.DataFrame, above: float) -> None:
    """One model's pairs: the row is the language of the probe, the column the one it is applied to."""
    pairs = where(_named(model), weights="trained")
    both = aligned(pairs, above).set_index(["source", "target"])["aligned"]
    category = [
        symmetry if source == target or both[source, target] else "none"
        for source, target, symmetry in pairs[["source", "target", "symmetry"]].itertuples(index=False, name=None)
    ]
    cells = pairs.assign(category=category, text=pairs["normalised"].map("{:.2f}".format))
    order = [
        language
        for cluster in clustered(cells.pivot(index="source", columns="target", values="category"))
        for language in cluster
    ]
    paper = where(model, part="paper")
    best = paper.groupby(["source", "target"])["accuracy"].max().reset_index()
    names = [str(language) for language in order]
    for column, values in enumerate((where(paper, symmetry="identity"), best), 1):
        places = values.assign(**{name: values[name].map(order.index) for name in ("source", "target")})
        add_heatmap(
            drawing, places, x="target", y="source", z="accuracy", limits=(0.4, 1), column=column, diverging=False
        )
        axis: dict[str, Any] = {
            "tickvals": list(range(len(order))),
            "ticktext": names,
            "showgrid": False,
            "row": 1,
            "col": column,
        }
        drawing.update_xaxes(**axis).update_yaxes(autorange="reversed", **axis)
    drawing.update_traces(showscale=False, selector={"type": "heatmap"})
    colours = {**{name: COLOURS[name] for name in SYMMETRIES}, "none": COLOURS["none"]}
    add_categories(
        drawing, cells, x="target", y="source", category="category", text="text", order=order, colours=colours, column=3
    )
    drawing.update_xaxes(title="applied to language", row=1)
    drawing.update_yaxes(title="probe of language", row=1, col=1)


def _strip(drawing: go.Figure, pairs: pd.DataFrame, place: float, above: float, *, random: bool) -> None:
    """A dot a pair of different languages, in the colour of its symmetry if it is aligned."""
    rows = aligned(pairs, above)
    group = rows["symmetry"].where(rows["aligned"], "none")
    for name in (*SYMMETRIES, "none"):
        here = rows[group == name]
        jitter = np.linspace(-0.3, 0.3, len(here)) if len(here) > 1 else np.zeros(len(here))
        marker = {"size": 6, "color": COLOURS["floor" if random or name == "none" else name], "opacity": 0.35 if random else 0.8,
                  "symbol": "x" if random else "circle"}  # fmt: skip
        label = "no symmetry in both directions" if name == "none" else name.replace("_", " ")
        known = label in {trace.name for trace in drawing.data if trace.showlegend}
        drawing.add_scatter(x=place + jitter, y=here["normalised"], mode="markers", marker=marker, name=label, legendgroup=label,
                            showlegend=not random and not known and len(here) > 0, customdata=here[["source", "target"]],
                            hovertemplate="%{customdata[0]} to %{customdata[1]}: %{y:.2f}<extra></extra>", row=2, col=1)  # fmt: skip


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model: how many pairs are aligned through a symmetry, whether the symmetries compose, and the controls."""
    found = pd.DataFrame([_model_row(table, regime, seed) for regime, seed in _models_of(table)])
    if _P in found:
        strict = found[_P].mask(found[_P].notna() & (found["of these flips or turns"] > 0), 1.0)  # Othello has neither
        found[f"{_P}, pooled over seeds"] = strict.groupby(found["regime"]).transform(_pooled)
    test = [name for name in ("triples that compose", "p, shuffled") if name in found]
    return leading(found, "regime", "seed", "aligned pairs", "symmetries", "normalised", "random weights", *test)


def _pooled(p: pd.Series) -> float:
    """The p-values of all seeds as one, by Fisher's method; NaN without any."""
    from scipy.stats import combine_pvalues

    return float(combine_pvalues(p.dropna(), method="fisher").pvalue) if p.notna().any() else np.nan


def _model_row(table: pd.DataFrame, regime: str, seed: int) -> dict[str, Any]:
    """Of one model, its trained weights next to random ones."""
    here = where(table, regime=regime, seed=seed)
    trained, random = (where(_named(here), weights=weights) for weights in ("trained", "random"))
    eight, above = where(_named(here, ALL), weights="trained"), _above(table)
    row: dict[str, Any] = {"regime": regime, "seed": seed, **_aligned_pairs(trained, above)}
    row["random weights"] = cross(random)["normalised"].mean()
    row |= _composition(here) | _differing(here) | _in_the_paper(here) | _of_eight(eight, above)
    row["languages"] = trained["source"].nunique()
    row |= {f"highest of {name}": pairs["normalised"].max() for name, pairs in _controls(table).items()}
    return row | {
        "pairs of two models": len(_controls(table)["two models"]),
        "mean of two models": _controls(table)["two models"]["normalised"].mean(),
    }


def _aligned_pairs(pairs: pd.DataFrame, above: float) -> dict[str, Any]:
    """How many pairs are aligned through a symmetry, through which, and the normalised alignment of all."""
    both = aligned(pairs, above)
    once = both[both["source"] < both["target"]]
    counts = once[once["aligned"]]["symmetry"].value_counts()
    found: dict[str, Any] = {"aligned pairs": f"{once['aligned'].sum()} of {len(once)}"}
    found["symmetries"] = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in SYMMETRIES if name in counts)
    found["normalised"] = both["normalised"].mean()
    found["margin / own"] = (both["margin"] / both["margin_ceiling"]).mean()
    return found | {"share aligned": once["aligned"].mean()}


def _in_the_paper(here: pd.DataFrame) -> dict[str, float]:
    """Between languages, in the paper's measure: accuracy on the board, and through the best symmetry."""
    paper = cross(where(here, part="paper"))
    if paper.empty:
        return {}
    plain = where(paper, symmetry="identity")
    best = paper.groupby(["source", "target"])["accuracy"].max()
    return {
        "paper's measure": plain["accuracy"].mean(),
        "through the best": best.mean(),
        "in-language": plain["ceiling"].mean(),
    }


def _composition(here: pd.DataFrame) -> dict[str, Any]:
    """Whether the symmetries compose, of three languages or more: of the four, and of all eight."""
    found: dict[str, Any] = {}
    for test in where(here, part="composition").to_dict("records"):
        of = "" if test["candidates"] == len(SYMMETRIES) else ", of eight"
        found[f"triples that compose{of}"] = f"{test['consistent']:.0f} of {test['triples']:.0f}"
        found |= {f"p, shuffled{of}": test["p_shuffled"], f"p, random maps{of}": test["p_random"]}
    return found


def _of_eight(pairs: pd.DataFrame, above: float) -> dict[str, Any]:
    """With flips and quarter turns among the candidates: how often one is chosen."""
    both = aligned(pairs, above)
    turned, once = both["symmetry"].isin(list(CONTROLS)), both["source"] < both["target"]
    return {
        "flip or quarter turn": f"{turned.sum()} of {len(both)}",
        "aligned, of eight": f"{both[once]['aligned'].sum()} of {once.sum()}",
        "of these flips or turns": int((both["aligned"] & turned & once).sum()),
    }


def _differing(here: pd.DataFrame) -> dict[str, Any]:
    """Of the pairs whose map is not the identity, on the squares where the board differs from its image: mean over moves."""
    rows = where(here, part="moves").dropna(subset="differing")
    found = dict(rows[_MOVED].mean().set_axis(["as the image", "as the board", "own language there"]))
    return found | {"moves, image first": f"{(rows['differing'] > rows['differing_as_board']).sum()} of {len(rows)}"}
