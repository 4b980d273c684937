"""Fine-tuning in one language, seen in another."""

import pytest

from analyses._models import REGIMES
from mothello_interp.models import load
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import equal, traces


def test_transfer_draws_its_table() -> None:
    """The lowest seed, the usual schedule full and the paper's faint; the paper's values at both ends, of two languages alone."""
    table = table_of("transfer")
    figure = module_of("transfer").figure(table)
    for column, regime in enumerate(REGIMES, 1):
        for schedule, opacity in (("mini", 1.0), ("mini-rising", 0.3)):
            here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["schedule"] == schedule)]
            target, source = (here[here["role"] == role].sort_values("epoch") for role in ("target", "source"))
            for name, rows, y in (
                ("source, legal", source, "top1"),
                ("target, legal in its own tokens", target, "top1"),
                ("target, legal in any language's tokens", target, "top1_any"),
                ("normalised alignment", target, "normalised"),
            ):
                (drawn,) = (trace for trace in traces(figure, name, panel=column) if trace.opacity == opacity)
                equal(drawn.x, rows["epoch"])
                equal(drawn.y, rows[y])
        (paper,) = traces(figure, "the paper: target, start and end", panel=column)
        equal(paper.y, {"naive": (0.91, 0.895), "anchors": (0.90, 0.71), "unified": (0.91, 0.991)}[regime])
    four = module_of("four_languages").figure(table_of("four_languages"))
    assert not [trace for trace in four.data if trace.name and trace.name.startswith("the paper")]


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
    assert row["target start"] == first.loc["target", "top1"]
    assert row["source end"] == last.loc["source", "top1"]
    assert row["any tokens end"] == last.loc["target", "top1_any"]
    assert row["alignment end"] == last.loc["target", "normalised"]
    assert row["target peak"] == here.loc[here["role"] == "target", "top1"].max()
    assert (row["paper, target start"], row["paper, alignment end"]) == (0.90, 0.94)
