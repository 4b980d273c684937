"""Distances between moves of two languages."""

import numpy as np
import pytest

from analyses._models import REGIMES
from mothello_interp.activations import collect
from mothello_interp.othello import random_games
from tests.analyses.conftest import measured, module_of, table_of
from tests.analyses.drawn import equal, heatmap
from tests.conftest import tiny_checkpoint


def test_cosine_draws_its_table() -> None:
    table = table_of("cosine")
    figure = module_of("cosine").figure(table)
    here = table[(table["part"] == "game") & (table["seed"] == 0) & (table["layer"] == 1)]
    for panel, regime in enumerate(REGIMES, 1):
        cells = here[(here["kind"] == "less the mean") & (here["regime"] == regime)]
        drawn = heatmap(figure, panel)
        equal(drawn.z, cells.pivot(index="move", columns="other_move", values="distance"))
        assert (drawn.zmin, drawn.zmax) == (0, 1.2)


def test_cosine_distances_by_hand() -> None:
    """The first full game of the seed, row against row."""
    checkpoint, table = tiny_checkpoint(), measured("cosine")
    games = random_games(80, board=4, seed=81)
    games = games[games.lengths == 12][:40]
    rows = collect(checkpoint, games, layers=[1])
    one, other = (rows.at(language, 1).numpy().reshape(40, 11, -1) for language in (0, 1))
    expected = 1 - one[0, 3] @ other[0, 7] / np.linalg.norm(one[0, 3]) / np.linalg.norm(other[0, 7])
    place = "part == 'game' and layer == 1 and move == 3 and other_move == 7"
    (row,) = table.query(f"{place} and kind == 'as it is'").to_dict("records")
    assert row["distance"] == pytest.approx(expected, abs=1e-5)
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    expected = 1 - one[0, 3] @ other[0, 7] / np.linalg.norm(one[0, 3]) / np.linalg.norm(other[0, 7])
    (row,) = table.query(f"{place} and kind == 'less the mean'").to_dict("records")
    assert row["distance"] == pytest.approx(expected, abs=1e-5)
    means = table.query("part == 'games' and layer == 1 and kind == 'as it is'").iloc[0]
    assert means["low"] <= means["distance"] <= means["high"]


def test_of_other_seeds_the_means_are_kept() -> None:
    """The rows of the one game, forty times as many, are not."""
    kept, table = module_of("cosine")._kept(tiny_checkpoint()), table_of("cosine")
    assert set(kept["part"]) == {"games"}
    assert len(kept) == 3 * 2
    assert kept.notna().all(axis=None)
    other = table[(table["part"] == "games") | (table["seed"] == 0)]
    assert module_of("cosine").figure(other) == module_of("cosine").figure(table)


def test_the_headline_of_cosine() -> None:
    """All seeds, with the lowest and the highest."""
    table = table_of("cosine")
    row = module_of("cosine").headline(table).iloc[0]
    means = table[(table["part"] == "games") & (table["regime"] == "naive") & (table["kind"] == row["states"])]
    distances = means[means["layer"] == -1]["distance"]
    assert row["seeds"] == 2
    assert row[["same game", "lowest seed", "highest seed"]].tolist() == [
        distances.mean(),
        distances.min(),
        distances.max(),
    ]
