"""Pairs between two maps, square by square."""

import numpy as np
import pandas as pd
import pytest

from tests.analyses.conftest import module_of
from tests.analyses.drawn import equal, heatmap


def test_mixtures_are_shown_from_the_middle_outwards() -> None:
    """Boards, rows from the top: the pairs between two maps above, the clearest below; none that has no map."""
    squares = [f"{letter}{number}" for number in (1, 2) for letter in "ab"]
    rows = []
    for target, margin, way in ((1, 0.4, 0.5), (2, 0.0, 0.5), (3, 0.2, 0.5), (4, 0.0, 0.1)):
        for place, square in enumerate(squares):
            low, high = (-0.1, 0.1) if place == 1 else (0.1, 0.3) if place < 3 else (-0.3, -0.1)
            row = {"square": square, "fixed": place == 0, "cells": 9, "first": 0.5 + place / 10, "second": 0.4}
            row |= {
                "low": low,
                "high": high,
                "first_null": 0.3,
                "agreed": 0.8,
                "agreed_null": 0.5,
                "margin": margin,
                "normalised": way,
            }
            rows.append({**row, "source": 0, "target": target, "best": "identity", "runner_up": "half_turn"})
    table = pd.DataFrame(rows).assign(regime="5 naive languages", seed=0)
    figure = module_of("mixtures").figure(table)
    titles = [note.text for note in figure.layout.annotations]
    assert [title.split(":")[1] for title in titles] == [
        " 0 to 2<br>identity, half turn",
        " 0 to 1<br>identity, half turn",
    ]
    equal(heatmap(figure, 1).z, [[0.1, 0.2], [0.3, 0.4]])
    assert [list(row) for row in heatmap(figure, 1).text] == [["x", "·"], ["", ""]]
    headline = module_of("mixtures").headline(table)
    assert headline["margin"].tolist() == [0.0, 0.2, 0.4]
    assert headline[["best squares", "runner-up squares", "of"]].iloc[0].tolist() == [2, 1, 4]


@pytest.mark.parametrize(("pattern", "alike", "beyond"), [("halves", 0.8, True), ("chessboard", -1, False)])
def test_neighbouring_squares_of_one_kind(pattern: str, alike: float, beyond: bool) -> None:
    """Two halves hang together, a chessboard falls apart, whatever the squares that are not compared say."""
    file, rank = np.arange(36) % 6, np.arange(36) // 6
    first = np.where(file < 3 if pattern == "halves" else (file + rank) % 2, 0.8, 0.2)
    pair = pd.DataFrame({"first": first, "second": 0.5, "cells": 9})
    found, chance = module_of("mixtures")._neighbours(pair)
    assert found == pytest.approx(alike)
    assert (found > chance) == beyond
    pair.loc[[0, 35], ["first", "cells"]] = 5.0, 0
    assert module_of("mixtures")._neighbours(pair)[0] == pytest.approx(found, abs=0.1)
    assert np.isnan(module_of("mixtures")._neighbours(pair.assign(first=0.5))).all()
