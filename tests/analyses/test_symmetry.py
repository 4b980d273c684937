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
from tests.analyses.drawn import heatmap
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
    """With the parts that the figure and the headline need beside the pairs; of eight, a quarter turn may relate 0 and 2."""
    moves = pd.DataFrame([{"symmetry": name, "move": move} for name in SYMMETRIES for move in range(3)])
    model: dict[str, Any] = {"floor": 0.4, "regime": "5 naive languages", "seed": 0}
    differing = {
        "differing": [0.2, 0.5, np.nan],
        "differing_as_board": [0.3, 0.1, np.nan],
        "differing_ceiling": [1.0, 0.9, np.nan],
    }
    moves = moves.assign(**model, part="moves", accuracy=0.6, predicted=0.7)
    moves.loc[moves["symmetry"] == "identity", list(differing)] = pd.DataFrame(differing).to_numpy()
    way = pd.DataFrame({"move": range(3), "accuracy": [0.5, 0.7, 0.7]})
    moves = pd.concat([moves, way.assign(**model, part="aligned", ceiling=0.8, pairs=10)])
    eight = pairs.assign(candidates=8)
    if turned:
        eight.loc[(eight["source"] == 0) & (eight["target"] == 2), "symmetry"] = "quarter_turn"
        eight.loc[(eight["source"] == 2) & (eight["target"] == 0), "symmetry"] = "three_quarter_turn"
        way = pd.DataFrame({"move": range(3), "accuracy": [0.4, 0.6, 0.6], **differing})
        moves = pd.concat([moves, way.assign(**model, part="turned", ceiling=0.8, pairs=2)])
    effect: dict[str, Any] = {"part": "patching", "layer": 0, "target": 0, "regime": "5 naive languages", "seed": 0}
    values = [(0, True, 0.8, 0.7), (1, True, 0.6, 0.1), (1, False, 0.2, 0.1), (1, False, 0.4, 0.3)]
    values += [(2, True, 0.2, 0.1), (2, False, 0.3, 0.2), (3, True, 0.5, 0.4), (3, False, 0.0, 0.0)]
    effects = [
        {**effect, "source": source, "best": best, "recovery": value, "low": low, "floor": 0.1}
        for source, best, value, low in values
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
    images = [trace for trace in figure.data if trace.name == "read as the image"]
    assert [trace.showlegend for trace in images] == [True, False]
    for trace in images:
        np.testing.assert_allclose(trace.y, [0.2, 0.5, np.nan])


def test_the_headline_of_symmetry() -> None:
    row = module_of("symmetry").headline(symmetric(maps_of(OWN))).iloc[0]
    assert row["aligned pairs"] == "6 of 6"
    assert row["maps"] == "1 identity, 2 diagonal, 2 antidiagonal, 1 half turn"
    assert row["triples that compose"] == "4 of 4"
    assert row["chance that all do"] == 4.0**-3
    assert row["p, random maps"] == pytest.approx(1 / 64, abs=0.006)
    assert row[["flip or quarter turn", "aligned, of eight", "triples, of eight"]].tolist() == [
        "0 of 12",
        "6 of 6",
        "4 of 4",
    ]
    assert row["p of eight, random maps"] == pytest.approx(1 / 512, abs=0.003)
    assert row[["turned, after move 1", "turned, from move 2"]].isna().all()
    assert row[["aligned, after move 1", "aligned, from move 2"]].tolist() == pytest.approx([0.25, 0.75])
    found = row[["as the image", "as the board", "own language there"]]
    assert found.tolist() == pytest.approx([0.35, 0.2, 0.95])
    assert row["moves, image first"] == "1 of 2"
    row = module_of("symmetry").headline(symmetric(maps_of(OWN), turned=True)).iloc[0]
    assert row[["flip or quarter turn", "aligned, of eight", "triples, of eight"]].tolist() == [
        "2 of 12",
        "6 of 6",
        "2 of 4",
    ]
    assert row[["turned, after move 1", "turned, from move 2"]].tolist() == pytest.approx([0.0, 0.5])
    broken = maps_of(OWN)
    swapped = (broken["source"] == 0) & (broken["target"] == 2)
    broken.loc[swapped, "symmetry"] = "identity"
    row = module_of("symmetry").headline(symmetric(broken)).iloc[0]
    assert (row["aligned pairs"], row["triples that compose"]) == ("5 of 6", "2 of 4")


def test_recovery_is_counted_in_donors_that_have_a_map() -> None:
    """Beyond the interval: its low end does more than each of the other maps."""
    pairs = maps_of(OWN)
    table = symmetric(pairs)
    row = module_of("symmetry").headline(table).iloc[0]
    columns = ["recovery, best map", "other maps", "highest of the others", "another game", "own language"]
    assert row[columns].tolist() == pytest.approx([1.3 / 3, 0.9 / 4, 0.7 / 3, 0.1, 0.8])
    assert row[["best map first", "beyond the interval"]].tolist() == ["2 of 3", "1 of 3"]
    lost = (pairs["source"] == 2) & (pairs["target"] == 0)
    row = module_of("symmetry").headline(symmetric(pairs.assign(normalised=np.where(lost, 0.1, 0.5)))).iloc[0]
    assert row[columns[:2]].tolist() == pytest.approx([1.1 / 2, 0.6 / 3])
    assert row[["best map first", "beyond the interval"]].tolist() == ["2 of 2", "1 of 2"]


def test_random_weights_are_of_the_models_own_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights of the models that maps are sought in: the trained ones, and random ones of their seed."""
    symmetry = module_of("symmetry")
    seen = []

    def best_maps(checkpoint: Checkpoint, probes: None, **asked: Any) -> pd.DataFrame:
        seen.append((checkpoint.provenance["seed"], checkpoint.name, len(asked.get("candidates", SYMMETRIES))))
        return maps_of(OWN[:2])[["source", "target", "symmetry", "normalised", "margin_low"]]

    for name in ("_curves_of_pairs", "_by_move", "_patching"):
        monkeypatch.setattr(symmetry, name, lambda *given: pd.DataFrame())
    monkeypatch.setattr(symmetry, "probes_at", lambda *given, **sizes: None)
    monkeypatch.setattr(symmetry, "best_maps", best_maps)
    model = replace(tiny_checkpoint(), provenance={"seed": 7}, name="tiny")
    found = symmetry.measure(model)
    assert {(seed, name) for seed, name, _ in seen} == {(7, "tiny"), (7, "tiny (random weights)")}
    assert set(zip(found["weights"], found["candidates"], strict=True)) == {
        (weights, n) for weights in ("trained", "random") for n in (4, 8)
    }


def test_what_is_read_at_home_goes_with_the_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board is as far from its quarter turn as that from the board, whose own quarter turn back it is."""
    symmetry = module_of("symmetry")
    keys = [(a, b, name) for a in (0, 1) for b in (0, 1) for name in ALL]
    table = pd.DataFrame(keys, columns=["source", "target", "symmetry"]).assign(move=0, differing=0.5)
    table["differing_as_board"] = np.arange(len(table)) / 100
    monkeypatch.setattr(alignment, "align_by_move", lambda *given, **asked: table)
    found = symmetry._curves_of_pairs(tiny_checkpoint(), None, 20).set_index(["source", "target", "symmetry"])
    assert (
        found.loc[(0, 1, "quarter_turn"), "differing_ceiling"]
        == found.loc[(0, 0, "three_quarter_turn"), "differing_as_board"]
    )
    assert found.loc[(1, 0, "diagonal"), "differing_ceiling"] == found.loc[(1, 1, "diagonal"), "differing_as_board"]
    maps = {(0, 1): ALL["quarter_turn"], (1, 0): ALL["three_quarter_turn"]}
    columns = dict.fromkeys(("accuracy", "floor", "ceiling"), 0.5)
    (row,) = symmetry._through_own(found.reset_index().assign(**columns), maps).to_dict("records")
    own = found.loc[[(0, 1, "quarter_turn"), (1, 0, "three_quarter_turn")]]
    assert (row["pairs"], row["differing_as_board"]) == (2, pytest.approx(own["differing_as_board"].mean()))
