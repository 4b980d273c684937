"""A state of one language in another: the moves of which image it brings."""

import numpy as np

from mothello_interp.othello import SYMMETRIES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import labels_of, module_of, table_of
from tests.analyses.drawn import curve, equal


def test_transplant_draws_its_table() -> None:
    """The image that the probes named is thick, if it is raised."""
    table = table_of("transplant").assign(named="diagonal")
    table["normalised"] = np.where(table["regime"] == "naive", 0.1, 0.5)
    figure = module_of("transplant").figure(table)
    for panel, regime in enumerate(labels_of("transplant"), 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        across = here[here["target"] != here["source"]].sort_values("layer")
        assert panel == ["4 naive languages, longer", "5 naive languages", "anchors", "naive"].index(regime) + 1
        equal(
            curve(figure, "own language", panel=panel).y,
            here[here["target"] == here["source"]].sort_values("layer")["mass"],
        )
        for name in SYMMETRIES:
            drawn = curve(figure, name.replace("_", " "), panel=panel)
            equal(drawn.y, across[across["symmetry"] == name]["mass"])
            assert (drawn.line.width == 5) == (name == "diagonal" and regime != "naive")
            assert drawn.line.color == COLOURS[name]
        equal(curve(figure, "a third game's moves", panel=panel).y, across[across["symmetry"] == "identity"]["floor"])
    row = module_of("transplant").headline(table).query("seed == 3").set_index("regime").loc["5 naive languages"]
    at = table.query("regime == '5 naive languages' and seed == 3 and layer == 0 and target != source").set_index(
        "symmetry"
    )
    assert (row["the probes name"], row["mass"]) == ("diagonal", at.loc["diagonal", "mass"])
    assert row["highest of the others"] == at.drop("diagonal")["mass"].max()
    assert row["most legal"] == str(at["mass"].idxmax()).replace("_", " ")
