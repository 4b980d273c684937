"""Alignment with and without anchors: curves, the paper's table 1, the headline, and the symmetry that is named best."""

import numpy as np
import pandas as pd
import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.othello import SYMMETRIES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import RESULTS, measure, measured, module_of, table_of
from tests.analyses.drawn import curve, equal


def test_anchors_draws_its_table() -> None:
    """Both directions averaged, linear probes; the first seed thick, the other thin, the symmetries dashed."""
    table, figure = table_of("anchors"), module_of("anchors").figure(table_of("anchors"))
    cross = table[(table["source"] != table["target"]) & (table["kind"] == "linear")]
    by = ["regime", "seed", "weights", "symmetry", "layer"]
    means = cross.groupby(by)[RESULTS["anchors"]].mean()
    for panel, regime in enumerate(REGIMES, 1):
        main = means.xs((regime, 0, "trained", "identity"))
        drawn = curve(figure, "other language", panel=panel)
        equal(drawn.x, [-1, 0, 1])
        equal(drawn.y, main["accuracy"])
        assert (drawn.line.color, drawn.line.width) == (COLOURS[regime], 4)
        for line in ("ceiling", "floor", "majority"):
            equal(curve(figure, line, panel=panel).y, main[line])
        other = curve(figure, "other seeds", panel=panel)
        equal(other.y, means.xs((regime, 3, "trained", "identity"))["accuracy"])
        assert (other.line.color, other.line.width) == (COLOURS[regime], 1)
        equal(curve(figure, "random weights", panel=panel).y, means.xs((regime, 0, "random", "identity"))["accuracy"])
        for symmetry in set(SYMMETRIES) - {"identity"}:
            drawn = curve(figure, f"through the {symmetry.replace('_', ' ')}", panel=panel)
            equal(drawn.y, means.xs((regime, 0, "trained", symmetry))["accuracy"])
            assert (drawn.line.color, drawn.line.dash) == (COLOURS[symmetry], "dash")
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 3
    for band, regime in zip(bands, REGIMES, strict=True):
        main = means.xs((regime, 0, "trained", "identity"))
        equal(band.y, [*main["high"], *main["low"][::-1]])


def test_table_1_is_drawn_beside_the_papers() -> None:
    """Every direction and seed a dot, their mean a line; the paper's values where they belong."""
    one = table_of("anchors").assign(regime="split, 2 anchors")
    table = pd.concat([table_of("anchors"), one], ignore_index=True)
    figure = module_of("anchors").figure(table)
    mlp = table[(table["source"] != table["target"]) & (table["kind"] == "mlp") & (table["symmetry"] == "identity")]
    expected = {4: {"naive": 0, "anchors": 4}, 5: {"split, 2 anchors": 2}}
    paper = {4: [0.53, 0.82, 0.97, 0.97], 5: [0.47, 0.47, 0.73, 0.97]}
    for panel, anchors in expected.items():
        here = mlp[mlp["regime"].isin(anchors)]
        here = here.assign(anchors=here["regime"].map(anchors))
        means = here.groupby("anchors")[["accuracy", "floor", "majority", "ceiling"]].mean()
        for name, column in (
            ("ours", "accuracy"),
            ("floor", "floor"),
            ("majority", "majority"),
            ("ceiling", "ceiling"),
        ):
            equal(curve(figure, name, panel=panel).x, list(anchors.values()))
            equal(curve(figure, name, panel=panel).y, means[column])
        dots = curve(figure, "each direction and seed", panel=panel)
        equal(sorted(dots.y), sorted(here["accuracy"]))
        assert dots.mode == "markers"
        drawn = curve(figure, "the paper's", panel=panel)
        equal(drawn.x, [0, 1, 2, 4])
        equal(drawn.y, paper[panel])


def test_the_headline_of_anchors() -> None:
    """At the layer that each source chose on other games, by hand for the naive model and linear probes."""
    table = table_of("anchors")
    headline = module_of("anchors").headline(table)
    assert len(headline) == 6
    row = headline[(headline["regime"] == LABELS["naive"]) & headline["probe"].str.startswith("linear")].iloc[0]
    here = (table["regime"] == "naive") & (table["kind"] == "linear") & (table["weights"] == "trained")
    rows = table[here & table["chosen"] & (table["source"] != table["target"])]
    identity = rows[rows["symmetry"] == "identity"]
    assert len(identity) == 4
    for column in ("accuracy", "floor", "ceiling"):
        assert row[column] == pytest.approx(identity[column].mean())
    seeds = [identity.loc[identity["seed"] == seed, "normalised"].mean() for seed in (0, 3)]
    assert row["normalised, each seed"] == ", ".join(f"{value:.2f}" for value in seeds)
    assert row["normalised, lowest of any direction and seed"] == identity["normalised"].min() < min(seeds)
    best = rows[rows["best"]].sort_values(["seed", "source"])
    assert len(best) == 4
    named = [name if value >= 0.2 else "none" for name, value in zip(best["symmetry"], best["normalised"], strict=True)]
    assert {"none"} < set(named)
    assert row["best symmetry, each pair and seed"] == ", ".join(dict.fromkeys(named))
    assert row["normalised under it"] == pytest.approx(best["normalised"].mean())
    assert row["paper's accuracy"] == 0.53


def test_the_best_symmetry_is_chosen_on_other_games() -> None:
    """One a layer and pair, and it stays the same when the scores are of games on which another would win."""
    table = measured("anchors")
    keys = ["weights", "kind", "layer", "source", "target"]
    assert (table.groupby(keys)["best"].sum() == 1).all()
    other = measure("anchors", score_seed=99)
    assert (other["accuracy"] != table["accuracy"]).any()
    pd.testing.assert_series_equal(other["best"], table["best"])


def test_the_headline_of_a_model_that_knows_no_board() -> None:
    table = measured("anchors").assign(regime="naive", seed=0, origin="computed")
    assert table["normalised"].isna().any()
    headline = module_of("anchors").headline(table.assign(normalised=np.nan))
    assert set(headline["best symmetry, each pair and seed"]) == {"none"}
    assert headline["normalised under it"].isna().all()
    assert len(headline) == 2
