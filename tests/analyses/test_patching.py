"""States patched between languages."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, heatmap


def test_patching_draws_its_table() -> None:
    """Three grids on one scale, then curves by the donor's state; both directions averaged."""
    table, figure = table_of("patching"), module_of("patching").figure(table_of("patching"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        pairs = here[here["part"] == "pairs"]
        own, cross = pairs[pairs["target"] == pairs["source"]], pairs[pairs["target"] != pairs["source"]]
        for row, (rows, value) in enumerate(((own, "recovery"), (cross, "recovery"), (cross, "floor"))):
            drawn = heatmap(figure, 3 * row + column)
            expected = rows.groupby(["offset", "layer"])[value].mean()
            assert (list(drawn.x), list(drawn.y)) == ([-1, 0, 1, 2], [-1, 0, 1, 2])
            for offset in range(4):
                equal(drawn.z[offset], expected.loc[offset - 1])
            assert (drawn.zmin, drawn.zmax, drawn.zmid) == (-1, 1, 0)
        for row, (part, mass) in enumerate((("interchange", "legal_mass"), ("transplant", "mass")), 3):
            asked, panel = here[here["part"] == part], 3 * row + column
            for state in ("as it is", "mean-shifted", "rotated", "rotated, mismatched"):
                means = asked[asked["state"] == state].groupby("layer")[mass].mean()
                equal(curve(figure, f"other language, {state}", panel=panel).y, means)
            plain = asked[asked["state"] == "as it is"].groupby("layer")
            equal(curve(figure, "another game's state", panel=panel).y, plain["floor"].mean())
            ceiling = (
                plain["ceiling"] if part == "interchange" else asked[asked["state"] == "own"].groupby("layer")["mass"]
            )
            equal(curve(figure, "own state", panel=panel).y, ceiling.mean())
        equal(curve(figure, "as it is, in the source's tokens", panel=12 + column).y, plain["source_tokens"].mean())
    assert list(figure.layout.xaxis13.ticktext) == ["emb", "0", "1", "2", "3"]


def test_the_headline_of_patching() -> None:
    """Pairs at the last shared move: the share of the way from the zero to the ceiling; and the masses of all layers."""
    table = table_of("patching")
    headline = module_of("patching").headline(table)
    assert set(headline["layer"]) == {0, 1, 2, 3}
    row = headline.query("layer == 1 and seed == 3").set_index("regime").loc[LABELS["unified"]]
    at = table[(table["regime"] == "unified") & (table["seed"] == 3) & (table["layer"] == 1)]
    here = at[(at["part"] == "pairs") & (at["offset"] == 2)]
    own, cross = here[here["target"] == here["source"]], here[here["target"] != here["source"]]
    assert (len(own), len(cross)) == (2, 2)
    zero = cross["floor"].mean()
    assert row["recovery"] == pytest.approx(cross["recovery"].mean())
    assert row["another game"] == pytest.approx(zero)
    assert row["share"] == pytest.approx((cross["recovery"].mean() - zero) / (own["recovery"].mean() - zero))
    assert (row["low"], row["high"]) == (cross["low"].min(), cross["high"].max())
    same, other = (at[(at["part"] == part) & (at["state"] == "rotated")] for part in ("interchange", "transplant"))
    assert row["interchange: rotated"] == pytest.approx(same["legal_mass"].mean())
    assert row["transplant: rotated"] == pytest.approx(other["mass"].mean())
    assert row["transplant: own"] == pytest.approx(at[at["state"] == "own"]["mass"].mean())
