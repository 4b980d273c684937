"""What the layers say, and which components say it."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_lens_draws_its_table() -> None:
    """Masses summed over answers, languages averaged; components in their order."""
    table, figure = table_of("lens"), module_of("lens").figure(table_of("lens"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for kind, called in (("identity", "logit lens"), ("affine", "tuned lens")):
            lens = here[(here["part"] == "lens") & (here["kind"] == kind)]
            own = lens[lens["is_output"].astype(bool)].groupby("layer")
            equal(curve(figure, f"its own language, {called}", panel=column).y, own["mass"].mean())
            anchors = lens[lens["target"] == -1].groupby("layer")["mass"].mean()
            equal(curve(figure, f"anchors, {called}", panel=column).y, anchors)
            legal = lens.groupby(["source", "layer"])["legal_mass"].sum().groupby("layer").mean()
            equal(curve(figure, f"legal in any words, {called}", panel=3 + column).y, legal)
            equal(curve(figure, f"KL from the answer, {called}", panel=6 + column).y, own["kl"].mean())
            equal(curve(figure, f"entropy, {called}", panel=6 + column).y, own["entropy"].mean())
        for row, contrast in ((3, "move"), (4, "language")):
            direct = here[(here["part"] == "direct") & (here["contrast"] == contrast)]
            for part, label in (("head", "heads"), ("mlp", "MLPs")):
                means = direct[direct["part_of"] == part].groupby("place")["value"].mean()
                drawn = curve(figure, label, panel=3 * row + column)
                equal(drawn.x, means.index)
                equal(drawn.y, means)
    row = module_of("lens").headline(table).query("seed == 3 and layer == '0' and lens == 'bias'").set_index("regime")
    here = table.query("regime == 'unified' and seed == 3 and layer == 0")
    lens = here[here["kind"] == "bias"]
    assert row.loc[LABELS["unified"], "own language"] == pytest.approx(lens[lens["is_output"] == True]["mass"].mean())  # noqa: E712
    wrote = here[(here["part"] == "direct") & (here["contrast"] == "move")].groupby("component")["value"].mean().sum()
    assert row.loc[LABELS["unified"], "to moves, this block"] == pytest.approx(wrote)
