"""Boards edited through probes of either language."""

import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_interventions_draws_its_table() -> None:
    """Linear probes, one disc; both languages averaged; other seeds of the other language's probe."""
    table, figure = table_of("interventions"), module_of("interventions").figure(table_of("interventions"))
    here = table[(table["kind"] == "linear") & (table["squares"] == 1)]
    means = here.groupby(["regime", "seed", "edit", "layer"]).mean(numeric_only=True)
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    for panel, (regime, band) in enumerate(zip(REGIMES, bands, strict=True), 1):
        own, other, random = (means.xs((regime, 0, edit)) for edit in ("own", "other", "random"))
        equal(curve(figure, "probe of its own language", panel=panel).y, own["errors"])
        equal(curve(figure, "no edit", panel=panel).y, own["floor"])
        equal(curve(figure, "no edit, true board", panel=panel).y, own["unedited"])
        equal(curve(figure, "random direction", panel=panel).y, random["errors"])
        thick = curve(figure, "<b>probe of the other language</b>", panel=panel)
        equal(thick.y, other["errors"])
        assert (thick.line.color, thick.line.width) == (COLOURS[regime], 4)
        equal(curve(figure, "other seeds", panel=panel).y, means.xs((regime, 3, "other"))["errors"])
        equal(band.y, [*other["high"], *other["low"][::-1]])


def test_the_headline_of_interventions() -> None:
    """At the layer at which the own probe leaves the fewest errors."""
    table = table_of("interventions")
    headline = module_of("interventions").headline(table)
    assert len(headline) == 9
    row = headline.set_index(["regime", "probe", "discs"]).loc[(LABELS["anchors"], "linear", 3)]
    here = table.query("regime == 'anchors' and kind == 'linear' and squares == 3")
    own = here[here["edit"] == "own"].groupby("layer")["errors"].mean()
    assert row[["layer", "own probe"]].tolist() == pytest.approx([own.idxmin(), own.min()])
    at = here[here["layer"] == row["layer"]].groupby(["seed", "edit"])[["errors", "floor"]].mean()
    gain = (at["floor"] - at["errors"]).unstack()
    shares = gain["other"] / gain["own"]
    found = row[["share of own", "lowest seed", "highest seed"]].tolist()
    assert found == pytest.approx([shares.mean(), shares.min(), shares.max()])
