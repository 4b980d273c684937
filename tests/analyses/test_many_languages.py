"""The paper's matrix, languages in clusters."""

import numpy as np
import pandas as pd
import pytest

from tests.analyses.conftest import module_of, pairs_of
from tests.analyses.drawn import equal, heatmap


def many() -> pd.DataFrame:
    """Five languages in two clusters, related by the half turn: 0, 2 and 4 against 1 and 3."""
    table = pairs_of(5, 1).assign(regime="20 naive languages")
    best = np.where((table["source"] + table["target"]) % 2 == 0, "identity", "half_turn")
    return table.assign(accuracy=np.where(table["symmetry"] == best, 0.95, table["accuracy"]))


def test_many_languages_are_shown_in_clusters() -> None:
    table = many()
    figure = module_of("many_languages").figure(table)
    order = [0, 2, 4, 1, 3]
    assert list(figure.layout.xaxis.ticktext) == [str(language) for language in order]
    plain = table[table["symmetry"] == "identity"].pivot(index="source", columns="target", values="accuracy")
    equal(heatmap(figure, 1).z, plain.loc[order, order])
    equal(heatmap(figure, 2).z, np.full((5, 5), 0.95))
    drawn = [(line.x0, line.x1, line.y0, line.y1) for line in figure.layout.shapes]
    assert drawn == [(2.5, 2.5, 0, 1), (0, 1, 2.5, 2.5)] * 2  # behind the third language, in each panel


def test_the_headline_of_many_languages() -> None:
    """By the map that relates a pair: seen against the board, and what the map predicts at home."""
    table = many()
    rows = module_of("many_languages").headline(table).set_index("related by")
    assert set(rows.index) == {"identity", "half turn"}
    assert set(rows["clusters"]) == {"3, 2"}
    across = table[(table["source"] + table["target"]) % 2 == 1]
    turned = rows.loc["half turn"]
    assert turned["pairs"] == 12
    assert turned["against the board"] == pytest.approx(across.query("symmetry == 'identity'")["accuracy"].mean())
    assert turned["expected"] == pytest.approx(across.query("symmetry == 'half_turn'")["predicted"].mean())
    assert (turned["through the map"], turned["paper"]) == (pytest.approx(0.95), 0.53)
