"""All measures of similarity side by side, against what fine-tuning does."""

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analyses._models import LABELS, REGIMES
from mothello_interp.activations import collect
from mothello_interp.alignment import align_on
from mothello_interp.models import load
from mothello_interp.othello import random_games
from mothello_interp.probes import fit_probes_on
from mothello_interp.similarity import MEASURES, SAME_COORDINATES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_similarity_knows_what_fine_tuning_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's change next to the model that fine-tuning started from, seed by seed; nothing next to the others."""
    stored = table_of("similarity").drop(columns=["transfer_own", "transfer_any"])
    keys = ["regime", "seed", "role", "epoch", "top1", "top1_any"]
    name = "mini/transfer-atomic-naive-mini-language0"
    rows: list[tuple[Any, ...]] = [(name, 0, "target", 4.0, 0.3, 0.6), (name, 0, "target", 0.0, 0.5, 0.5)]
    rows += [(name, 0, "source", 4.0, 0.9, 0.9), (name, 3, "target", 0.0, 0.5, 0.5), (name, 3, "target", 4.0, 0.8, 0.4)]
    curves = pd.DataFrame(rows, columns=keys)
    monkeypatch.setattr(
        module_of("similarity"),
        "over_models",
        lambda analysis, *rest, **settings: curves if analysis == "transfer" else stored.copy(),
    )
    table = module_of("similarity").compute()
    known = table["regime"] == "atomic, naive (no anchors)"
    for seed, own, anyhow in ((0, -0.2, 0.1), (3, 0.3, -0.1)):
        here = table[known & (table["seed"] == seed)]
        assert len(here)
        np.testing.assert_allclose(here[["transfer_own", "transfer_any"]], np.tile([own, anyhow], (len(here), 1)))
    assert table[~known]["transfer_own"].isna().all()


def test_similarity_draws_its_table() -> None:
    """A row a measure, alignment first, then those that need the same coordinates; random weights of the first regime."""
    table = table_of("similarity")
    figure = module_of("similarity").figure(table)
    order = ["alignment", *SAME_COORDINATES, *(name for name in MEASURES if name not in SAME_COORDINATES)]
    (layer,) = table[table["weights"] == "random"]["layer"].unique()
    at = table[(table["seed"] == 0) & (table["layer"] == layer)].set_index("measure")
    for regime in REGIMES:
        drawn = curve(figure, LABELS[regime], panel=1)
        here = at[(at["regime"] == regime) & (at["weights"] == "trained")]
        assert dict(zip(drawn.y, drawn.x, strict=True)) == {
            order.index(str(name)): value for name, value in here["value"].items()
        }
    drawn = curve(figure, "random weights", panel=1)
    here = at[(at["regime"] == "naive") & (at["weights"] == "random")]
    assert dict(zip(drawn.y, drawn.x, strict=True)) == {
        order.index(str(name)): value for name, value in here["value"].items()
    }
    row = module_of("similarity").headline(table).set_index("measure").loc["CKA"]
    rows = table[(table["measure"] == "cka") & (table["layer"] == row["layer"]) & (table["weights"] == "trained")]
    assert row["models"] == len(rows)
    assert row["correlation, any tokens"] == pytest.approx(rows["value"].corr(rows["transfer_any"], method="spearman"))
    assert row["naive (no anchors)"] == pytest.approx(rows[rows["regime"] == "naive"]["value"].mean())
    random = table[(table["measure"] == "cka") & (table["weights"] == "random") & (table["regime"] == "naive")]
    assert row["naive (no anchors), random weights"] == pytest.approx(random["value"].mean())


def test_the_floor_of_alignment_is_that_of_mismatched_games() -> None:
    """About 0 for boards of other games; of games paired with themselves, what `align_on` finds."""
    similarity, checkpoint = module_of("similarity"), load(REGIMES["anchors"])
    rows = collect(checkpoint, random_games(60, board=6, seed=5), layers=[0, 1])
    probes = fit_probes_on(collect(checkpoint, random_games(60, board=6, seed=6), layers=[0, 1]), seed=0)
    aligned = align_on(probes, rows, resamples=2)
    aligned = aligned[(aligned["source"] != aligned["target"]) & (aligned["symmetry"] == "identity")]
    floors = similarity._floors(probes, rows, aligned, 99)
    assert floors.shape == (2, 99)
    assert floors.std() > 0
    assert abs(floors.mean()) < 0.05 < aligned["normalised"].min()

    class Itself:
        def permutation(self, n: int) -> np.ndarray:
            return np.arange(n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: Itself())
        found = similarity._floors(probes, rows, aligned, 99)
    equal(found[:, 0], aligned.groupby("layer")["normalised"].mean())


@pytest.mark.parametrize("change", [[1.0, 2, 3, 4, 5, 6], [6.0, 4, 5, 2, 1, 3], [1.0, 1, 2, 5, 0, 3]])
def test_how_closely_measures_go_with_transfer(change: list[float]) -> None:
    """The correlation is scipy's; the chance is the share of all 720 orders."""
    before = pd.Series([0.1, 0.2, 0.4, 0.5, 0.7, 0.9])
    found, p = module_of("similarity")._together(before, pd.Series(change))
    assert found == pytest.approx(spearmanr(before, change).statistic)
    orders = [abs(spearmanr(before, order).statistic) for order in permutations(change)]
    assert p == pytest.approx(np.mean(np.array(orders) >= abs(found) - 1e-12), abs=0.015)
    assert np.isnan(module_of("similarity")._together(before, before * 0)).all()
