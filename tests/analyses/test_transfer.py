"""Fine-tuning in one language, seen in another."""

import pytest

from analyses._models import REGIMES
from mothello_interp.models import load
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import equal, traces


def test_transfer_draws_its_table() -> None:
    """The lowest seed, the usual schedule full and the paper's faint; upper panel accuracy, lower panel answers."""
    table = table_of("transfer")
    figure = module_of("transfer").figure(table)
    for column, regime in enumerate(REGIMES, 1):
        for schedule, opacity in (("mini", 1.0), ("mini-rising", 0.35)):
            here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["schedule"] == schedule)]
            target, source = (here[here["role"] == role].sort_values("epoch") for role in ("target", "source"))
            for axis, name, rows, y in (
                (column, "source, legal", source, "top1"),
                (column, "target, legal", target, "top1"),
                (column, "alignment", target, "alignment"),
                (column, "floor of alignment", target, "floor"),
                (column + 3, "target, legal in any words", target, "top1_any"),
                (column + 3, "target, legal", target, "top1"),
                (column + 3, "mass on its own words", target, "mass_own"),
                (column + 3, "mass on the source's words", target, "mass_source"),
            ):
                (drawn,) = (trace for trace in traces(figure, name, panel=axis) if trace.opacity == opacity)
                equal(drawn.x, rows["epoch"])
                equal(drawn.y, rows[y])


def test_transfer_of_a_model_that_was_not_fine_tuned() -> None:
    with pytest.raises(ValueError, match=r"no .*transfer\.csv; give the folder of a run of `python -m train finetune`"):
        module_of("transfer").measure(load(REGIMES["naive"]))


def test_the_headline_of_transfer() -> None:
    table = table_of("transfer")
    headline = module_of("transfer").headline(table)
    assert len(headline) == 3 * 2 * 2
    picked = headline["regime"].eq("8 anchor tokens") & headline["schedule"].eq("mini") & headline["seed"].eq(3)
    (row,) = headline[picked].to_dict("records")
    here = table[(table["regime"] == "anchors") & (table["seed"] == 3) & (table["schedule"] == "mini")]
    first, last = (here[here["games"] == games].set_index("role") for games in (0, 64))
    assert row["target, start"] == first.loc["target", "top1"]
    assert row["source, end"] == last.loc["source", "top1"]
    assert row["any words, end"] == last.loc["target", "top1_any"]
    assert row["alignment, end"] == last.loc["target", "alignment"]
    assert row["target, peak"] == here.loc[here["role"] == "target", "top1"].max()
    assert (row["paper: target, start"], row["paper: alignment, end"]) == (0.90, 0.94)
