"""What has to be taken away for two languages to align, and whether a state still names its language."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, traces


def test_structure_draws_its_table() -> None:
    """Both directions averaged, a curve a change; the language probe above."""
    table, figure = table_of("structure"), module_of("structure").figure(table_of("structure"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        identity = here[here["part"] == "identity"].sort_values("layer")
        equal(curve(figure, "language probe", panel=column).y, identity["accuracy"])
        equal(curve(figure, "chance", panel=column).y, identity["chance"])
        aligned = here[here["part"] == "alignment"]
        assert aligned["change"].nunique() == 6
        other = table[(table["regime"] == regime) & (table["seed"] == 3) & (table["part"] == "alignment")]
        thin = [list(trace.y) for trace in traces(figure, "other seeds", panel=column + 3)]
        changes = module_of("structure")._STYLES
        assert thin == [
            other[other["change"] == change].groupby("layer")["normalised"].mean().tolist() for change in changes
        ]
        for change, rows in aligned.groupby("change"):
            equal(curve(figure, str(change), panel=column + 3).y, rows.groupby("layer")["normalised"].mean())
    rows = module_of("structure").headline(table).set_index(["regime", "seed"])
    for seed in (0, 3):
        inner = table[(table["regime"] == "naive") & (table["seed"] == seed) & (table["layer"] >= 0)]
        turned = inner[inner["change"] == "rotated"]["normalised"].mean()
        assert rows.loc[(LABELS["naive"], seed), "rotated"] == pytest.approx(turned)
