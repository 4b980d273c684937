"""Single heads and MLPs patched between languages."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, heatmap


def test_heads_draws_its_table() -> None:
    """Heads at the last shared move, in the own language and in the other, and the overlap of attention."""
    table, figure = table_of("heads"), module_of("heads").figure(table_of("heads"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        pairs = here[here["part"] == "pairs"]
        ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == 2)]
        own = ends["target"] == ends["source"]
        for row, rows in enumerate((ends[own], ends[~own])):
            expected = rows.groupby(["layer", "head"])["recovery"].mean().unstack()
            equal(heatmap(figure, 3 * row + column).z, expected)
        overlap = here[here["part"] == "overlap"]
        equal(curve(figure, "same game", panel=6 + column).y, overlap["overlap"])
        equal(curve(figure, "mismatched games", panel=6 + column).y, overlap["floor"])


def test_the_headline_of_heads() -> None:
    """The head that carries most in its own language; the correlations between languages."""
    table = table_of("heads")
    row = module_of("heads").headline(table).query("seed == 0").set_index("regime").loc[LABELS["naive"]]
    here = table[(table["regime"] == "naive") & (table["seed"] == 0)]
    pairs = here[here["part"] == "pairs"]
    ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == 2)].assign(
        name=lambda t: t["layer"].map("L{:.0f}H".format)
    )
    ends["name"] += ends["head"].map("{:.0f}".format)
    own = ends[ends["target"] == ends["source"]].groupby("name")["recovery"].mean()
    cross = ends[ends["target"] != ends["source"]].groupby("name")["recovery"].mean()
    assert (row["strongest head"], row["own language"]) == (own.idxmax(), pytest.approx(own.max()))
    assert row["other language"] == pytest.approx(cross[str(own.idxmax())])
    mlps = pairs[(pairs["place"] == "mlp_out") & (pairs["target"] != pairs["source"])]
    assert row["r, MLP"] == pytest.approx(mlps["recovery"].corr(mlps["estimate"]))
    assert row["attention overlap"] == pytest.approx(here["overlap"][here["part"] == "overlap"].mean())
