"""The map of every pair, and whether maps compose."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mothello_interp.othello import SYMMETRIES
from tests.analyses.conftest import module_of
from tests.analyses.drawn import heatmap


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
    """With the parts that the figure and the headline need beside the pairs; of eight, a quarter turn may relate 0 and 2."""
    moves = pd.DataFrame([{"symmetry": name, "move": move} for name in SYMMETRIES for move in range(3)])
    model: dict[str, Any] = {"floor": 0.4, "regime": "5 naive languages", "seed": 0}
    moves = moves.assign(**model, part="moves", accuracy=0.6, predicted=0.7)
    eight = pairs.assign(candidates=8)
    if turned:
        eight.loc[(eight["source"] == 0) & (eight["target"] == 2), "symmetry"] = "quarter_turn"
        eight.loc[(eight["source"] == 2) & (eight["target"] == 0), "symmetry"] = "three_quarter_turn"
        way = pd.DataFrame({"move": range(3), "accuracy": [0.4, 0.6, 0.6]})
        moves = pd.concat([moves, way.assign(**model, part="turned", ceiling=0.8, pairs=2)])
    effect: dict[str, Any] = {"part": "patching", "layer": 0, "target": 0, "regime": "5 naive languages", "seed": 0}
    effects = [
        {**effect, "source": source, "best": best, "recovery": value, "zero": 0.1}
        for source, best, value in ((0, True, 0.8), (1, True, 0.6), (1, False, 0.2), (2, False, 0.3))
    ]
    return pd.concat([pairs, eight, moves, pd.DataFrame(effects)], ignore_index=True)


OWN = ("identity", "diagonal", "half_turn", "diagonal")


def test_symmetry_draws_maps_in_clusters() -> None:
    """Languages of one map side by side; a pair that is not raised in both directions is grey."""
    pairs = maps_of(OWN)
    weak = (pairs["source"] == 2) & (pairs["target"] == 0)
    figure = module_of("symmetry").figure(symmetric(pairs.assign(normalised=np.where(weak, 0.1, 0.5))))
    drawn = heatmap(figure, 1)
    assert list(drawn.x) == list(drawn.y) == ["1", "3", "0", "2"]
    assert [list(row) for row in drawn.customdata] == [
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["diagonal", "diagonal", "identity", "none"],
        ["antidiagonal", "antidiagonal", "none", "identity"],
    ]
    assert [list(row) for row in drawn.z] == [[0, 0, 1, 2], [0, 0, 1, 2], [1, 1, 0, 5], [2, 2, 5, 0]]


def test_symmetry_draws_quarter_turns_apart() -> None:
    """There and back: one is the other's inverse. A panel by move is added for the model that has them."""
    figure = module_of("symmetry").figure(symmetric(maps_of(OWN), turned=True))
    assert [list(row) for row in heatmap(figure, 1).z] == [[0, 0, 1, 2], [0, 0, 1, 2], [1, 1, 0, 4], [2, 2, 4, 0]]
    titles = [title.text.replace("<br>", " ") for title in figure.layout.annotations]
    assert "flip or quarter turn 5 naive languages seed 0" in titles
    curve = next(trace for trace in figure.data if trace.name == "through their flip or quarter turn")
    assert list(curve.y) == pytest.approx([0.4, 0.6, 0.6])


def test_the_headline_of_symmetry() -> None:
    row = module_of("symmetry").headline(symmetric(maps_of(OWN))).iloc[0]
    assert row["raised pairs"] == "6 of 6"
    assert row["maps"] == "1 identity, 2 diagonal, 2 antidiagonal, 1 half turn"
    assert row["triples that compose"] == "4 of 4"
    assert row["chance that all do"] == 4.0**-3
    assert row["p, random maps"] == pytest.approx(1 / 64, abs=0.006)
    assert row[["flip or quarter turn", "raised, of eight", "triples, of eight"]].tolist() == [
        "0 of 12",
        "6 of 6",
        "4 of 4",
    ]
    assert row["p of eight, random maps"] == pytest.approx(1 / 512, abs=0.003)
    assert row[["turned, move 0", "turned, from move 1"]].isna().all()
    effects = row[["recovery, best map", "other maps", "another game", "own language"]]
    assert effects.tolist() == [0.6, 0.25, pytest.approx(0.1), 0.8]
    row = module_of("symmetry").headline(symmetric(maps_of(OWN), turned=True)).iloc[0]
    assert row[["flip or quarter turn", "raised, of eight", "triples, of eight"]].tolist() == [
        "2 of 12",
        "6 of 6",
        "2 of 4",
    ]
    assert row[["turned, move 0", "turned, from move 1"]].tolist() == pytest.approx([0.0, 0.5])
    broken = maps_of(OWN)
    swapped = (broken["source"] == 0) & (broken["target"] == 2)
    broken.loc[swapped, "symmetry"] = "identity"
    row = module_of("symmetry").headline(symmetric(broken)).iloc[0]
    assert (row["raised pairs"], row["triples that compose"]) == ("5 of 6", "2 of 4")
