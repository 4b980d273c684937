"""A state of one language in another: the moves of which image it brings."""

import numpy as np
import pytest

from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_transplant_draws_its_table() -> None:
    """As a share of the own state's effect; the image that the probes named is filled, if the pair is aligned."""
    table = table_of("transplant").assign(named="diagonal")
    table["normalised"] = np.where(table["regime"] == "naive", 0.1, 0.5)
    table["threshold"] = 0.2
    at = table[table["layer"] == 0]
    own = at[at["target"] == at["source"]].set_index(["regime", "seed"])["mass"].rename("own")
    across = at[at["target"] != at["source"]].join(own, on=["regime", "seed"])
    across = across.assign(effect=across["mass"] / across["own"])
    figure = module_of("transplant").figure(table)
    named = (across["symmetry"] == "diagonal") & (across["regime"] != "naive")
    filled = curve(figure, "named by the probes: diagonal", panel=1)
    equal(sorted(filled.y), sorted(across[named]["effect"]))
    assert filled.marker.color == COLOURS["diagonal"]
    equal(sorted(curve(figure, "another image", panel=1).y), sorted(across[~named]["effect"]))
    rows = module_of("transplant").headline(table).set_index(["regime", "seed"])
    row = rows.loc[("5 naive languages", 3)]
    here = across[(across["regime"] == "5 naive languages") & (across["seed"] == 3)].set_index("symmetry")["effect"]
    assert row[["effect", "highest other"]].tolist() == pytest.approx([here["diagonal"], here.drop("diagonal").max()])
    assert (row["named by the probes"], row["first"]) == ("diagonal", here.idxmax() == "diagonal")
    assert row["most legal"] == str(here.idxmax()).replace("_", " ")
    assert rows["aligned"].sum() == len(rows) - 2  # those of the regime naive, two seeds
