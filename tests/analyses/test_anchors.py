"""Alignment with and without anchors, and the paper's Table 1."""

import pandas as pd
import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.othello import SYMMETRIES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_anchors_draws_its_table() -> None:
    """Both directions averaged; the first seed thick with its band, the other thin, symmetries dashed."""
    table, figure = table_of("anchors"), module_of("anchors").figure(table_of("anchors"))
    cross = table[(table["source"] != table["target"]) & (table["weights"] == "trained")]
    means = cross.groupby(["regime", "seed", "symmetry", "layer"]).mean(numeric_only=True)
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    for panel, (regime, band) in enumerate(zip(REGIMES, bands, strict=True), 1):
        main = means.xs((regime, 0, "identity"))
        drawn = curve(figure, "cross-lingual", panel=panel)
        equal(drawn.x, [-1, 0, 1])
        equal(drawn.y, main["accuracy"])
        equal(band.y, [*main["high"], *main["low"][::-1]])
        assert (drawn.line.color, drawn.line.width) == (COLOURS[regime], 4)
        for line in ("ceiling", "floor", "majority"):
            equal(curve(figure, line, panel=panel).y, main[line])
        other = curve(figure, "cross-lingual, other seeds", panel=panel)
        equal(other.y, means.xs((regime, 3, "identity"))["accuracy"])
        for symmetry in set(SYMMETRIES) - {"identity"}:
            drawn = curve(figure, f"through the {symmetry.replace('_', ' ')}", panel=panel)
            equal(drawn.y, means.xs((regime, 0, symmetry))["accuracy"])
            assert (drawn.line.color, drawn.line.dash) == (COLOURS[symmetry], "dash")


def test_the_headline_of_anchors() -> None:
    """By layer: mean over directions and seeds, the seeds' range, the best other symmetry, random weights."""
    table = table_of("anchors")
    row = module_of("anchors").headline(table).set_index(["regime", "layer"]).loc[(LABELS["naive"], "0")]
    rows = table.query("regime == 'naive' and layer == 0 and source != target")
    trained = rows[rows["weights"] == "trained"].groupby(["symmetry", "seed"])["normalised"].mean()
    own = trained["identity"]
    assert row[["normalised", "lowest seed", "highest seed"]].tolist() == pytest.approx(
        [own.mean(), own.min(), own.max()]
    )
    assert row["best other symmetry"] == pytest.approx(trained.drop("identity").groupby("symmetry").mean().max())
    random = rows[(rows["weights"] == "random") & (rows["symmetry"] == "identity")]
    assert row["random weights"] == pytest.approx(random["normalised"].mean())
    assert row["seeds"] == 2


def test_table_1_is_drawn_next_to_the_papers() -> None:
    """Every direction and seed a dot, their mean a line; the paper's values where they belong; the table has them too."""
    one = table_of("table1").assign(regime="split, 2 anchors")
    table = pd.concat([table_of("table1"), one], ignore_index=True)
    figure, headline = module_of("table1").figure(table), module_of("table1").headline(table)
    mlp = table[table["source"] != table["target"]]
    expected = {1: {"naive": 0, "anchors": 4}, 2: {"split, 2 anchors": 2}}
    paper = {1: [0.53, 0.82, 0.97, 0.97], 2: [0.47, 0.47, 0.73, 0.97]}
    for panel, anchors in expected.items():
        here = mlp[mlp["regime"].isin(anchors)]
        here = here.assign(anchors=here["regime"].map(anchors))
        means = here.groupby("anchors")[["accuracy", "floor", "majority", "ceiling"]].mean()
        for name in means.drop(columns="accuracy"):
            equal(curve(figure, str(name), panel=panel).y, means[name])
        equal(curve(figure, "this report (6x6)", panel=panel).x, list(anchors.values()))
        equal(curve(figure, "this report (6x6)", panel=panel).y, means["accuracy"])
        equal(sorted(curve(figure, "each direction and seed", panel=panel).y), sorted(here["accuracy"]))
        drawn = curve(figure, "the paper (8x8)", panel=panel)
        equal(drawn.x, [0, 1, 2, 4])
        equal(drawn.y, paper[panel])
    assert headline[["type", "anchors", "paper"]].to_numpy().tolist() == [
        ["atomic", 0, 0.53],
        ["atomic", 4, 0.97],
        ["split", 2, 0.73],
    ]
