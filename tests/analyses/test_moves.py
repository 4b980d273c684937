"""Alignment by move number."""

import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.othello import SYMMETRIES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_moves_draws_its_table() -> None:
    table, figure = table_of("moves"), module_of("moves").figure(table_of("moves"))
    for panel, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for symmetry in SYMMETRIES:
            rows = here[here["symmetry"] == symmetry].sort_values("move")
            drawn = curve(figure, symmetry.replace("_", " "), panel=panel)
            equal(drawn.x, rows["move"])
            equal(drawn.y, rows["accuracy"])
            assert drawn.line.color == COLOURS[symmetry]
        identity = here[here["symmetry"] == "identity"].sort_values("move")
        for line in ("ceiling", "floor"):
            equal(curve(figure, line, panel=panel).y, identity[line])
        assert figure.layout.annotations[panel - 1].text == f"{LABELS[regime]}, layer {here['layer'].iloc[0]}"


def test_the_headline_of_moves() -> None:
    """The later half of the moves."""
    table = table_of("moves")
    late = table[(table["move"] > table["move"].max() / 2) & (table["regime"] == "anchors")]
    row = module_of("moves").headline(table).set_index("regime").loc[LABELS["anchors"]]
    for symmetry in SYMMETRIES:
        assert row[symmetry.replace("_", " ")] == pytest.approx(
            late.loc[late["symmetry"] == symmetry, "accuracy"].mean()
        )
