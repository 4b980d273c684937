"""Pairs between two maps, square by square."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.analyses.conftest import module_of
from tests.analyses.drawn import equal, heatmap


def test_mixtures_are_shown_from_the_middle_outwards() -> None:
    """Boards, rows from the top: the pairs between two maps above, the clearest below; none that has no map."""
    rows = []
    for target, margin, way in ((1, 0.4, 0.5), (2, 0.0, 0.5), (3, 0.2, 0.5), (4, 0.0, 0.1)):
        for place in range(16):
            low, high = (-0.1, 0.1) if place == 1 else (0.1, 0.3) if place < 9 else (-0.3, -0.1)
            row = {"fixed": place == 0, "cells": 9, "first": 0.5 + place / 40, "second": 0.5, "low": low, "high": high}
            row |= {"first_floor": 0.3, "agreed": 0.8, "agreed_floor": 0.5, "margin": margin, "normalised": way}
            rows.append({**row, "source": 0, "target": target, "best": "identity", "runner_up": "diagonal"})
    table = pd.DataFrame(rows).assign(regime="5 naive languages", seed=0)
    figure = module_of("mixtures").figure(table)
    titles = [note.text for note in figure.layout.annotations]
    assert [title.split(":")[1] for title in titles] == [
        " 0 to 2<br>identity, diagonal",
        " 0 to 1<br>identity, diagonal",
    ]
    equal(heatmap(figure, 1).z, np.arange(16).reshape(4, 4) / 40)
    assert [list(row) for row in heatmap(figure, 1).text] == [["x", "·", "", ""], *[[""] * 4] * 3]
    found = module_of("mixtures").headline(table)
    assert found["margin"].tolist() == [0.0, 0.2, 0.4]
    assert found["orbits"].tolist() == [6] * 3
    assert found[["surely best", "surely runner-up"]].to_numpy().tolist() == [[1, 1]] * 3  # a3 and c1; d3 and c4


FILE, RANK = np.arange(36) % 6, np.arange(36) // 6
ROUND = (FILE - 2.5) ** 2 + (RANK - 2.5) ** 2  # alike under all symmetries
NOISE = np.random.default_rng(2).normal(size=36)


def board(more: np.ndarray, seed: int, margin: float) -> pd.DataFrame:
    """A pair of which the identity is the best map and the diagonal the runner-up."""
    pair = pd.DataFrame({"first": 0.5 + more / 2, "second": 0.5 - more / 2, "low": more - 0.1, "high": more + 0.1})
    return pair.assign(regime="5 naive languages", seed=seed, source=0, target=1, best="identity", runner_up="diagonal",
                       margin=margin, normalised=0.5, first_floor=0.4, agreed=0.8, agreed_floor=0.6)  # fmt: skip


def headline(more: np.ndarray) -> Any:
    """Of such a pair, next to one of another model that follows one map, better in the middle."""
    found = module_of("mixtures").headline(pd.concat([board(more, 0, 0.0), board(1 - ROUND / 20, 1, 0.5)]))
    assert found["seed"].tolist() == [0, 1]
    return found.iloc[0]


@pytest.mark.parametrize("pattern", ["halves", "chessboard"])
def test_neighbouring_orbits_of_one_kind(pattern: str) -> None:
    """Two halves hang together, a chessboard falls apart; a square and its mirror image count once."""
    best = FILE + RANK < 5 if pattern == "halves" else (FILE + RANK) % 2 == 1
    found = headline(np.where(best, 0.3, -0.3))
    orbits = FILE > RANK
    assert found["kind"] == "in pieces"
    assert found["copies"] == pytest.approx(1)
    assert (found["surely best"], found["orbits"]) == (best[orbits].sum(), 15)
    assert found["surely runner-up"] == 15 - found["surely best"]
    for measure, p in (("neighbours", "p"), ("less readability", "its p")):
        assert (found[measure] > 0.5 and found[p] < 0.01) == (pattern == "halves")
        assert (found[measure] < -0.5 and found[p] > 0.9) == (pattern == "chessboard")


def test_squares_that_are_read_well_are_no_piece() -> None:
    """One map throughout, better in the middle of the board: alike as it is, not less what another model's pair has."""
    found = headline(0.5 * (1 - ROUND / 20) + 0.02 * NOISE)
    assert found["kind"] == "one map"
    assert found["p"] < 0.01
    assert found["its p"] > 0.1


def test_without_a_clear_pair_of_another_model_there_is_no_control() -> None:
    table = pd.concat(
        [board(np.where(FILE + RANK < 5, 0.3, -0.3), 0, 0.0), board(1 - ROUND / 20, 0, 0.5).assign(target=2)]
    )
    found = module_of("mixtures").headline(table)
    assert found["its p"].isna().all()
    assert found["p"].notna().all()
