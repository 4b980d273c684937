"""Boards edited through probes of either language."""

import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import RESULTS, module_of, table_of
from tests.analyses.drawn import curve, equal


def test_interventions_draws_its_table() -> None:
    """A row a kind of probe and number of discs; both languages averaged; other seeds of the other language's probe."""
    table, figure = table_of("interventions"), module_of("interventions").figure(table_of("interventions"))
    places = ["regime", "seed", "kind", "squares", "edit", "layer"]
    means = table.groupby(places)[RESULTS["interventions"]].mean()
    for row, (kind, discs) in enumerate((("linear", 1), ("linear", 3), ("mlp", 1))):
        for column, regime in enumerate(REGIMES, 1):
            panel = 3 * row + column
            own, other, random = (means.xs((regime, 0, kind, discs, edit)) for edit in ("own", "other", "random"))
            drawn = curve(figure, "own probe", panel=panel)
            equal(drawn.x, [-1, 0, 1])
            equal(drawn.y, own["errors"])
            equal(curve(figure, "no edit", panel=panel).y, own["floor"])
            equal(curve(figure, "no edit, true board", panel=panel).y, own["unedited"])
            equal(curve(figure, "random direction", panel=panel).y, random["errors"])
            thick = curve(figure, "other language's probe", panel=panel)
            equal(thick.y, other["errors"])
            assert (thick.line.color, thick.line.width) == (COLOURS[regime], 4)
            equal(curve(figure, "other seeds", panel=panel).y, means.xs((regime, 3, kind, discs, "other"))["errors"])
            axis = "x" if panel == 1 else f"x{panel}"
            (band,) = [trace for trace in figure.data if trace.fill == "toself" and trace.xaxis == axis]
            equal(band.y, [*other["high"], *other["low"][::-1]])


def test_the_headline_of_interventions() -> None:
    """At the layer at which the own probe leaves the fewest errors."""
    table = table_of("interventions")
    headline = module_of("interventions").headline(table)
    assert len(headline) == 9
    picked = headline["regime"].eq(LABELS["anchors"]) & headline["probe"].eq("linear") & headline["discs turned"].eq(3)
    (row,) = headline[picked].to_dict("records")
    here = table.query("regime == 'anchors' and kind == 'linear' and squares == 3")
    own = here[here["edit"] == "own"].groupby("layer")["errors"].mean()
    assert row["layer"] == own.idxmin()
    assert row["own probe"] == pytest.approx(own.min())
    at = here[here["layer"] == row["layer"]]
    other = at[at["edit"] == "other"]
    assert row["other language's probe"] == pytest.approx(other["errors"].mean())
    assert (row["low"], row["high"]) == (other["low"].min(), other["high"].max())
    shares = []
    for seed in (0, 3):
        by_edit = at[at["seed"] == seed].groupby("edit")[["errors", "floor"]].mean()
        gain = by_edit["floor"] - by_edit["errors"]
        shares.append(gain["other"] / gain["own"])
    assert row["share of own, each seed"] == ", ".join(f"{value:.2f}" for value in shares)
