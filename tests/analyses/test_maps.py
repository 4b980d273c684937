"""Analyses that ask for the best map of a pair get one answer."""

import pandas as pd
import pytest

from analyses import _models


@pytest.mark.parametrize(
    ("name", "source", "target", "named"),
    [("transplant", "target", "source", "named"), ("preferences", "source", "target", "first")],
)
def test_the_maps_are_those_of_symmetry(name: str, source: str, target: str, named: str) -> None:
    """Stored rows: the image named for a pair is the one that the analysis `symmetry` found, at the same layer."""
    there = pd.read_csv(_models.TABLES / "symmetry.csv")
    there = there.query("part == 'pairs' and layer == 0 and candidates == 4 and weights == 'trained'")
    found = {(model, seed, source, target): symmetry for model, seed, source, target, symmetry in
             there[["model", "seed", "source", "target", "symmetry"]].itertuples(index=False)}  # fmt: skip
    pairs = pd.read_csv(_models.TABLES / f"{name}.csv").drop_duplicates(["model", "seed", source, target])
    pairs = pairs[pairs[source] != pairs[target]]
    compared = 0
    for row in pairs.to_dict("records"):
        pair = (row["model"], row["seed"], row[source], row[target])
        if pair in found:  # not every model of the one is a model of the other
            assert found[pair] == row[named], pair
            compared += 1
    assert compared >= 8
