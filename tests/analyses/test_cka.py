"""Similarity by layer, beside its controls."""

import numpy as np
import pandas as pd
import pytest

from analyses._models import LABELS, MODELS, REGIMES, TABLES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, heatmap


def test_cka_draws_its_table() -> None:
    """The three measures in their colours: languages thick, the controls dashed and dotted; below, all pairs of layers."""
    table = pd.concat(
        [
            table_of("cka"),
            table_of("cka").query("comparison == 'languages' and seed == 3").assign(comparison="another seed"),
        ]
    )
    figure = module_of("cka").figure(table)
    for panel, regime in enumerate(REGIMES, 1):
        for measure in ("cka", "retrieval", "cosine"):
            here = table[(table["regime"] == regime) & (table["measure"] == measure)]
            here = here[here["layer"] == here["target_layer"]]
            styles = {"languages": (measure, 0, "solid"), "random weights": (f"{measure}: random weights", 0, "dash")}
            styles["another seed"] = (f"{measure}: another seed", 3, "dot")
            for comparison, (name, seed, dash) in styles.items():
                rows = here[(here["comparison"] == comparison) & (here["seed"] == seed)].sort_values("layer")
                drawn = curve(figure, name, panel=panel)
                equal(drawn.x, [-1, 0, 1])
                equal(drawn.y, rows["value"])
                assert (drawn.line.color, drawn.line.dash) == (COLOURS[measure], dash)
            if measure != "retrieval":
                cells = table[(table["regime"] == regime) & (table["measure"] == measure) & (table["seed"] == 0)]
                cells = cells[cells["comparison"] == "languages"].pivot(
                    index="layer", columns="target_layer", values="value"
                )
                drawn = heatmap(figure, panel + 3 * (1 if measure == "cka" else 2))
                equal(drawn.z, cells)
                equal(drawn.x, [-1, 0, 1])
            bands = [trace for trace in figure.data if trace.legendgroup == measure and trace.fill]
            rows = here[(here["comparison"] == "languages") & (here["seed"] == 0)].sort_values("layer")
            equal(bands[panel - 1].y, [*rows["high"], *rows["low"][::-1]])


def test_the_headline_of_cka() -> None:
    """Mean over the layers behind the embeddings."""
    table = table_of("cka")
    headline = module_of("cka").headline(table)
    here = table[(table["regime"] == "unified") & (table["measure"] == "cosine") & (table["layer"] >= 0)]
    here = here[(here["comparison"] == "languages") & (here["layer"] == here["target_layer"])]
    picked = headline["regime"].eq(LABELS["unified"]) & headline["measure"].eq("cosine")
    row = headline[picked & headline["comparison"].eq("languages")].iloc[0]
    seeds = [here.loc[here["seed"] == seed, "value"].mean() for seed in (0, 3)]
    assert row["value, each seed"] == ", ".join(f"{value:.3f}" for value in seeds)
    assert row["floor, 95%"] == pytest.approx(here["floor_high"].mean())


def test_layer_by_layer_is_told_as_it_is() -> None:
    """Each layer is most like the same one, both ways: by CKA whether or not the languages share, by cosine where they do."""
    stored = pd.read_csv(TABLES / "cka.csv").query("comparison == 'languages'")
    always: dict[tuple[str, str], bool] = {}
    for (model, _, measure), group in stored.groupby(["model", "seed", "measure"]):
        cells = group.pivot(index="layer", columns="target_layer", values="value").to_numpy()
        own = np.arange(len(cells))
        key = MODELS[str(model)], str(measure)
        always[key] = always.get(key, True) and all((cells.argmax(axis) == own).all() for axis in (0, 1))
    assert {key for key, found in always.items() if found and key[1] != "retrieval"} == {
        *((regime, "cka") for regime in REGIMES),
        ("anchors", "cosine"),
        ("unified", "cosine"),
    }
    naive = stored[(stored["model"] == REGIMES["naive"]) & (stored["layer"] == stored["target_layer"])]
    assert naive.loc[naive["measure"] == "cka", "value"].min() > 0.8
    assert naive.loc[naive["measure"] == "retrieval", "value"].max() < 0.2
