"""What the layers say, and which components say it."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_lens_draws_its_table() -> None:
    """Masses summed over owners of tokens, languages averaged; in the headline, what each block adds."""
    table, figure = table_of("lens"), module_of("lens").figure(table_of("lens"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for kind, called in (("identity", "logit lens"), ("affine", "tuned lens")):
            lens = here[(here["part"] == "lens") & (here["kind"] == kind)]
            own = lens[lens["is_output"].astype(bool)].groupby("layer")
            equal(curve(figure, f"output language, {called}", panel=column).y, own["mass"].mean())
            anchors = lens[lens["target"] == -1].groupby("layer")["mass"].mean()
            equal(curve(figure, f"anchors, {called}", panel=column).y, anchors)
            legal = lens.groupby(["source", "layer"])["legal_mass"].sum().groupby("layer").mean()
            equal(curve(figure, f"legal moves, {called}", panel=3 + column).y, legal)
    row = module_of("lens").headline(table).query("layer == '0' and lens == 'tuned, bias only'").set_index("regime")
    here = table.query("regime == 'unified' and seed == 0 and layer == 0")
    lens = here[here["kind"] == "bias"]
    assert row.loc[LABELS["unified"], "output language"] == pytest.approx(
        lens[lens["is_output"].astype(bool)]["mass"].mean()
    )
    wrote = here[(here["part"] == "direct") & (here["contrast"] == "move")].groupby("component")["value"].mean().sum()
    assert row.loc[LABELS["unified"], "added to legal moves"] == pytest.approx(wrote)
