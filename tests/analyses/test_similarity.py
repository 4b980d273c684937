"""All measures of similarity side by side, against what fine-tuning does."""

import pandas as pd
import pytest

from analyses._models import REGIMES
from mothello_interp.similarity import MEASURES, SAME_COORDINATES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import equal, heatmap


def test_similarity_knows_what_fine_tuning_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's end beside the model that fine-tuning started from; nothing beside the others."""
    stored = table_of("similarity").drop(columns=["transfer_own", "transfer_any"])
    keys = ["regime", "role", "epoch", "top1", "top1_any"]
    name = "mini/transfer-atomic-naive-mini-language0"
    rows = [(name, "target", 0.0, 0.1, 0.2), (name, "target", 4.0, 0.3, 0.4), (name, "source", 4.0, 0.5, 0.6)]
    ends = pd.DataFrame(rows, columns=keys)
    monkeypatch.setattr(
        module_of("similarity"),
        "over_models",
        lambda analysis, *rest, **settings: ends if analysis == "transfer" else stored.copy(),
    )
    table = module_of("similarity").compute()
    known = table["regime"] == "atomic, naive (no anchors)"
    assert known.any()
    assert set(table[known]["transfer_own"]) == {0.3}
    assert set(table[known]["transfer_any"]) == {0.4}
    assert table[~known]["transfer_own"].isna().all()


def test_similarity_draws_its_table() -> None:
    """A row a measure, alignment first; in brackets what does not reach above its null."""
    table = table_of("similarity")
    figure = module_of("similarity").figure(table)
    order = ["alignment", *SAME_COORDINATES, *(name for name in MEASURES if name not in SAME_COORDINATES)]
    for panel, (regime, weights) in enumerate([*((name, "trained") for name in REGIMES), ("naive", "random")], 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["weights"] == weights)]
        wide = here.pivot(index="measure", columns="layer", values="value")
        drawn = heatmap(figure, panel)
        equal(drawn.z, wide.loc[order])
        one = here[(here["measure"] == "cka") & (here["layer"] == 0)].iloc[0]
        label = f"{one['value']:.2f}" if one["value"] > one["null_high"] else f"({one['value']:.2f})"
        assert drawn.text[order.index("cka")][list(drawn.x).index(0)] == label
    row = module_of("similarity").headline(table).set_index("measure").loc["cka"]
    rows = table[(table["measure"] == "cka") & (table["layer"] == 0) & (table["weights"] == "trained")]
    assert row["models"] == len(rows)
    assert row["in any words"] == pytest.approx(rows["value"].corr(rows["transfer_any"], method="spearman"))
