"""The map of every pair, and whether maps compose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mothello_interp import alignment
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES
from mothello_interp.othello.symmetry import ALL
from tests.analyses.conftest import module_of
from tests.analyses.drawn import equal, heatmap
from tests.conftest import tiny_checkpoint


def maps_of(own: Sequence[str]) -> pd.DataFrame:
    """All pairs of languages each of which sees the board through a symmetry of its own."""
    g = [SYMMETRIES[name] for name in own]
    rows = [(a, b, (g[a].inverse @ g[b]).name) for a in range(len(own)) for b in range(len(own))]
    table = pd.DataFrame(rows, columns=["source", "target", "symmetry"])
    facts: dict[str, Any] = {
        "normalised": 0.5,
        "margin": 0.3,
        "margin_low": 0.2,
        "margin_ceiling": 0.6,
        "accuracy": 0.7,
    }
    facts |= {"floor": 0.5, "ceiling": 0.9, "layer": 0, "part": "pairs", "weights": "trained", "candidates": 4}
    return table.assign(**facts, regime="5 naive languages", seed=0, origin="stored")


def symmetric(pairs: pd.DataFrame, *, turned: bool = False) -> pd.DataFrame:
    """With the parts that the figure and the headline need; of eight, a quarter turn may relate 0 and 2."""
    model: dict[str, Any] = {"regime": "5 naive languages", "seed": 0}
    moves = pd.DataFrame({"move": range(3), "differing": [0.2, 0.5, np.nan], "differing_as_board": [0.3, 0.1, np.nan]})
    moves = moves.assign(**model, part="moves", differing_ceiling=[1.0, 0.9, np.nan])
    eight = pairs.assign(candidates=8)
    if turned:
        eight.loc[(eight["source"] == 0) & (eight["target"] == 2), "symmetry"] = "quarter_turn"
        eight.loc[(eight["source"] == 2) & (eight["target"] == 0), "symmetry"] = "three_quarter_turn"
    random = pairs.assign(weights="random", normalised=0.01, margin_low=-0.1)
    paper = pairs[["source", "target"]].merge(pd.DataFrame({"symmetry": list(SYMMETRIES)}), how="cross")
    paper = paper.assign(**model, part="paper", accuracy=np.arange(len(paper)) / len(paper), ceiling=0.95)
    symmetry = module_of("symmetry")
    tests = [symmetry._tested(table, of).assign(**model) for table, of in ((pairs, SYMMETRIES), (eight, ALL))]
    return pd.concat([pairs, eight, random, moves, paper, *tests], ignore_index=True)


OWN = ("identity", "diagonal", "half_turn", "diagonal")


def test_symmetry_draws_maps_in_clusters() -> None:
    """Languages of one map side by side; a pair that is not aligned in both directions is grey; the paper's measure in the same
    order, as it is and through the best symmetry; a dot a pair and direction."""
    pairs = maps_of(OWN)
    weak = (pairs["source"] == 2) & (pairs["target"] == 0)
    table = symmetric(pairs.assign(normalised=np.where(weak, 0.005, 0.5)))
    figure = module_of("symmetry").figure(table)
    drawn = heatmap(figure, 3)
    assert list(drawn.x) == list(drawn.y) == ["1", "3", "0", "2"]
    assert [list(row) for row in drawn.customdata] == [
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["diagonal", "diagonal", "identity", "none"],
        ["antidiagonal", "antidiagonal", "none", "identity"],
    ]
    paper, order = table[table["part"] == "paper"], [1, 3, 0, 2]
    plain = paper[paper["symmetry"] == "identity"].pivot(index="source", columns="target", values="accuracy")
    equal(heatmap(figure, 1).z, plain.loc[order, order])
    best = paper.groupby(["source", "target"])["accuracy"].max().unstack()
    equal(heatmap(figure, 2).z, best.loc[order, order])
    dots = [trace for trace in figure.data if trace.xaxis == "x4"]
    assert sum(len(trace.x) for trace in dots) == 2 * 12
    assert {trace.name for trace in dots if trace.showlegend} == {
        "identity",
        "diagonal",
        "antidiagonal",
        "no symmetry in both directions",
    }


def test_the_headline_of_symmetry() -> None:
    table = symmetric(maps_of(OWN))
    row = module_of("symmetry").headline(table).iloc[0]
    assert row["aligned pairs"] == "6 of 6"
    assert row["symmetries"] == "1 identity, 2 diagonal, 2 antidiagonal, 1 half turn"
    assert row["triples that compose"] == "4 of 4"
    assert row["p, random maps"] == pytest.approx(1 / 64, abs=0.006)
    assert row[["random weights", "highest of random weights"]].tolist() == pytest.approx([0.01, 0.01])
    assert row[["flip or quarter turn", "aligned, of eight", "triples that compose, of eight"]].tolist() == [
        "0 of 12",
        "6 of 6",
        "4 of 4",
    ]
    assert row["p, random maps, of eight"] == pytest.approx(1 / 512, abs=0.003)
    assert row[["as the image", "as the board", "own language there"]].tolist() == pytest.approx([0.35, 0.2, 0.95])
    assert row["moves, image first"] == "1 of 2"
    across = table[(table["part"] == "paper") & (table["source"] != table["target"])]
    assert row["paper's measure"] == pytest.approx(across[across["symmetry"] == "identity"]["accuracy"].mean())
    assert row["through the best"] == pytest.approx(across.groupby(["source", "target"])["accuracy"].max().mean())
    row = module_of("symmetry").headline(symmetric(maps_of(OWN), turned=True)).iloc[0]
    assert row[["flip or quarter turn", "aligned, of eight", "triples that compose, of eight"]].tolist() == [
        "2 of 12",
        "6 of 6",
        "2 of 4",
    ]
    assert row["p, shuffled"] < row["p, shuffled, pooled over seeds"] == 1
    broken = maps_of(OWN)
    broken.loc[(broken["source"] == 0) & (broken["target"] == 2), "symmetry"] = "identity"
    row = module_of("symmetry").headline(symmetric(broken)).iloc[0]
    assert (row["aligned pairs"], row["triples that compose"]) == ("5 of 6", "2 of 4")


def test_a_pair_is_aligned_only_above_every_control() -> None:
    """Languages of another model whose best symmetry reaches 0.6 leave no pair of 0.5 aligned."""
    table = symmetric(maps_of(OWN))
    null = pd.DataFrame({"regime": ["5 naive languages"], "seed": [0], "part": ["two models"], "normalised": [0.6]})
    row = module_of("symmetry").headline(pd.concat([table, null], ignore_index=True)).iloc[0]
    assert (row["aligned pairs"], row["highest of two models"], row["pairs of two models"]) == ("0 of 6", 0.6, 1)


def test_the_p_values_of_seeds_are_pooled_by_fishers_method() -> None:
    """-2 sum(ln p) of n p-values is chi-squared with 2n degrees of freedom: for two, P = q (1 - ln q) of their product q."""
    found = [0.2, 0.1]
    pooled = module_of("symmetry")._pooled(pd.Series([*found, np.nan]))
    product = float(np.prod(found))
    assert pooled == pytest.approx(product * (1 - np.log(product)))


def test_random_weights_are_of_the_models_own_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights of the models that maps are sought in: the trained ones, and random ones of their seed."""
    symmetry = module_of("symmetry")
    seen = []

    def best_maps(checkpoint: Checkpoint, probes: None, **asked: Any) -> pd.DataFrame:
        seen.append((checkpoint.provenance["seed"], checkpoint.name, len(asked.get("candidates", SYMMETRIES))))
        return maps_of(OWN[:3])[["source", "target", "symmetry", "normalised", "margin_low"]]

    for name in ("_by_move", "_as_in_the_paper"):
        monkeypatch.setattr(symmetry, name, lambda *given: pd.DataFrame())
    monkeypatch.setattr(symmetry, "probes_at", lambda *given, **sizes: None)
    monkeypatch.setattr(symmetry, "best_maps", best_maps)
    model = replace(tiny_checkpoint(), provenance={"seed": 7}, name="tiny")
    found = symmetry.measure(model).query("part == 'pairs'")
    assert {(seed, name) for seed, name, _ in seen} == {(7, "tiny"), (7, "tiny (random weights)")}
    assert set(zip(found["weights"], found["candidates"], strict=True)) == {
        (weights, n) for weights in ("trained", "random") for n in (4, 8)
    }


def test_pairs_by_move_are_read_through_their_own_symmetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the source's probe decodes in its own language on as many squares."""
    keys = [(a, b, name) for a in (0, 1) for b in (0, 1) for name in SYMMETRIES]
    table = pd.DataFrame(keys, columns=["source", "target", "symmetry"]).assign(move=0, differing=0.5)
    table = table.assign(**dict.fromkeys(("accuracy", "floor", "ceiling"), 0.5))
    table["differing_as_board"] = np.arange(len(table)) / 100
    monkeypatch.setattr(alignment, "align_by_move", lambda *given, **asked: table.copy())
    maps = {(0, 1): SYMMETRIES["half_turn"], (1, 0): SYMMETRIES["diagonal"]}
    (row,) = module_of("symmetry")._by_move(tiny_checkpoint(), None, maps, 20).to_dict("records")
    at = table.set_index(["source", "target", "symmetry"])["differing_as_board"]
    assert row["differing_as_board"] == pytest.approx(at[[(0, 1, "half_turn"), (1, 0, "diagonal")]].mean())
    assert row["differing_ceiling"] == pytest.approx(at[[(0, 0, "half_turn"), (1, 1, "diagonal")]].mean())
