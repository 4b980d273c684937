"""States patched between languages."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal

OTHER = "<b>other language's state</b>"


def test_patching_draws_its_table() -> None:
    """Transplants by state above, minimal pairs at the last shared move below; both directions averaged."""
    table, figure = table_of("patching"), module_of("patching").figure(table_of("patching"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        put = here[here["part"] == "transplant"].groupby(["state", "layer"]).mean(numeric_only=True)
        equal(curve(figure, OTHER, panel=column).y, put.loc["as it is", "mass"])
        equal(curve(figure, "floor", panel=column).y, put.loc["as it is", "floor"])
        equal(curve(figure, "same moves, in the source's tokens", panel=column).y, put.loc["as it is", "source_tokens"])
        equal(curve(figure, "own state", panel=column).y, put.loc["own", "mass"])
        equal(curve(figure, "other language's state, rotated", panel=column).y, put.loc["rotated", "mass"])
        pairs = here[(here["part"] == "pairs") & (here["offset"] == 2)]
        own, cross = pairs[pairs["target"] == pairs["source"]], pairs[pairs["target"] != pairs["source"]]
        equal(curve(figure, OTHER, panel=3 + column).y, cross.groupby("layer")["recovery"].mean())
        equal(curve(figure, "floor", panel=3 + column).y, cross.groupby("layer")["floor"].mean())
        equal(curve(figure, "own state", panel=3 + column).y, own.groupby("layer")["recovery"].mean())


def test_the_headline_of_patching() -> None:
    table = table_of("patching")
    rows = module_of("patching").headline(table).set_index(["regime", "seed", "layer"])
    row = rows.loc[(LABELS["unified"], 3, "1")]
    at = table[(table["regime"] == "unified") & (table["seed"] == 3) & (table["layer"] == 1)]
    for name, state in (
        ("own state", "own"),
        ("other's, rotated", "rotated"),
        ("other's, mean-shifted", "mean-shifted"),
    ):
        here = at[(at["part"] == "transplant") & (at["state"] == state)]
        assert row[name] == pytest.approx(here["mass"].mean())
    same = at[(at["part"] == "interchange") & (at["state"] == "as it is")]
    assert row["interchange"] == pytest.approx(same["legal_mass"].mean())
    pairs = at[(at["part"] == "pairs") & (at["offset"] == 2) & (at["target"] != at["source"])]
    assert row[["recovery", "recovery, floor"]].tolist() == pytest.approx(
        [pairs["recovery"].mean(), pairs["floor"].mean()]
    )
