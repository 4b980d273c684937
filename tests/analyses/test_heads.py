"""Single heads and MLPs patched between languages."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, heatmap


def test_heads_draws_its_table() -> None:
    """Heads at the last shared move, the estimate against every cell, the overlap, and one head's pattern twice."""
    table, figure = table_of("heads"), module_of("heads").figure(table_of("heads"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        pairs = here[here["part"] == "pairs"]
        across = pairs["target"] != pairs["source"]
        ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == 2)]
        own = ends["target"] == ends["source"]
        for row, (rows, value) in enumerate(((ends[own], "recovery"), (ends[~own], "recovery"), (ends[~own], "floor"))):
            expected = rows.groupby(["layer", "head"])[value].mean().unstack()
            equal(heatmap(figure, 3 * row + column).z, expected)
        drawn = curve(figure, "MLP", panel=9 + column)
        rows = pairs[across & (pairs["place"] == "mlp_out")].sort_values("recovery")
        equal(drawn.x, rows["recovery"])
        equal(drawn.y, rows["estimate"])
        overlap = here[here["part"] == "overlap"]
        equal(curve(figure, "same game", panel=12 + column).y, overlap["overlap"])
        equal(curve(figure, "another game", panel=12 + column).y, overlap["floor"])
        pattern = here[here["part"] == "pattern"]
        for row, language in enumerate(pattern["language"].unique(), 5):
            cells = pattern[pattern["language"] == language].pivot(index="move", columns="other_move", values="weight")
            equal(heatmap(figure, 3 * row + column).z, cells)


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
    assert (row["head"], row["own language"]) == (own.idxmax(), pytest.approx(own.max()))
    assert row["other language"] == pytest.approx(cross[str(own.idxmax())])
    mlps = pairs[(pairs["place"] == "mlp_out") & (pairs["target"] != pairs["source"])]
    assert row["r, MLP"] == pytest.approx(mlps["recovery"].corr(mlps["estimate"]))
    assert row["attention shared"] == pytest.approx(here["overlap"][here["part"] == "overlap"].mean())
