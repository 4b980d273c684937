"""What has to be removed for two languages to align."""

import pytest

from analyses._models import LABELS, REGIMES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_structure_draws_its_table() -> None:
    """Both directions averaged, a curve a change; other seeds thin."""
    table, figure = table_of("structure"), module_of("structure").figure(table_of("structure"))
    means = table[table["part"] == "alignment"].groupby(["regime", "seed", "change", "layer"])["normalised"].mean()
    for panel, regime in enumerate(REGIMES, 1):
        for change in module_of("structure")._STYLES:
            equal(curve(figure, change, panel=panel).y, means[regime, 0, change])
            equal(curve(figure, f"{change}, other seeds", panel=panel).y, means[regime, 3, change])
    rows = module_of("structure").headline(table).set_index(["regime", "seed"])
    inner = means.drop(-1, level="layer")
    for seed in (0, 3):
        row, rotated = rows.loc[(LABELS["naive"], seed)], inner["naive", seed, "rotated"]
        expected = [rotated.mean(), rotated.max(), rotated.min()]
        assert row[["rotated", "rotated, highest", "rotated, lowest"]].tolist() == pytest.approx(expected)
        probe = table.query(f"regime == 'naive' and seed == {seed} and part == 'identity' and layer >= 0")
        assert row["language probe"] == pytest.approx(probe["accuracy"].mean())
