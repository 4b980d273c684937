"""The paper's matrix, a panel a seed."""

import pandas as pd

from tests.analyses.conftest import module_of, pairs_of
from tests.analyses.drawn import equal, heatmap


def test_seeds_draws_its_table() -> None:
    """Against the board, and against the best of its four images."""
    seeds = (0, 4, 5, 7)
    table = pd.concat([pairs_of(3, seed).assign(regime="5 naive languages") for seed in seeds], ignore_index=True)
    figure = module_of("seeds").figure(table)
    for panel, seed in zip((1, 2, 3, 7), seeds, strict=True):  # three side by side, then the next
        here = table[table["seed"] == seed]
        plain = here[here["symmetry"] == "identity"].pivot(index="source", columns="target", values="accuracy")
        equal(heatmap(figure, panel).z, plain)
        equal(heatmap(figure, panel + 3).z, here.groupby(["source", "target"])["accuracy"].max().unstack())
    row = module_of("seeds").headline(table).iloc[1]
    across = table[(table["seed"] == 4) & (table["symmetry"] == "identity") & (table["source"] != table["target"])]
    assert row["other language"] == f"{across['accuracy'].min():.2f} to {across['accuracy'].max():.2f}"
