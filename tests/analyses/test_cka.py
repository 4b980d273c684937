"""Similarity by layer, next to its controls."""

import pandas as pd
import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, heatmap


def test_cka_draws_its_table() -> None:
    """The three measures in their colours: languages thick, the controls dashed and dotted; below, CKA of all pairs of layers."""
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
            if measure == "cka":
                cells = table[(table["regime"] == regime) & (table["measure"] == measure) & (table["seed"] == 0)]
                cells = cells[cells["comparison"] == "languages"].pivot(
                    index="layer", columns="target_layer", values="value"
                )
                drawn = heatmap(figure, panel + 3)
                equal(drawn.z, cells)
                equal(drawn.x, [-1, 0, 1])
            bands = [trace for trace in figure.data if trace.legendgroup == measure and trace.fill]
            rows = here[(here["comparison"] == "languages") & (here["seed"] == 0)].sort_values("layer")
            equal(bands[panel - 1].y, [*rows["high"], *rows["low"][::-1]])


def test_the_headline_of_cka() -> None:
    """Mean over the layers after the embeddings."""
    table = table_of("cka")
    headline = module_of("cka").headline(table)
    here = table[(table["regime"] == "unified") & (table["measure"] == "cosine") & (table["layer"] >= 0)]
    here = here[(here["comparison"] == "languages") & (here["layer"] == here["target_layer"])]
    picked = headline["regime"].eq(LABELS["unified"]) & headline["measure"].eq("cosine")
    row = headline[picked & headline["comparison"].eq("languages")].iloc[0]
    seeds = [here.loc[here["seed"] == seed, "value"].mean() for seed in (0, 3)]
    assert row[["value", "lowest seed", "highest seed"]].tolist() == pytest.approx([sum(seeds) / 2, *sorted(seeds)])
    assert row["floor, 95%"] == pytest.approx(here["floor_high"].mean())
