"""Figures for a narrow screen."""

from itertools import pairwise

import pandas as pd
import plotly.graph_objects as go

from mothello_interp.plots import Line, add_label, facet, for_phone, panel_grid

TABLE = pd.DataFrame(
    {"regime": ["a", "a", "b", "b"], "layer": [0, 1, 0, 1], "value": [0.1, 0.2, 0.3, 0.4], "other": 0.5}
)


def drawn() -> go.Figure:
    lines = {"value": [Line("value", "one", "#000000")], "other": [Line("other", "two", "#111111")]}
    return facet(TABLE, lines, x="layer")


def test_panels_stand_below_each_other_in_reading_order() -> None:
    """Each as wide as the screen, none above another, under the title of its column, with names on its axes."""
    wide, narrow = drawn(), for_phone(drawn())
    domains = [axis.domain for axis in narrow.select_yaxes()]
    assert all(axis.domain == (0, 1) for axis in narrow.select_xaxes())
    assert all(upper[0] > lower[1] for upper, lower in pairwise(domains))
    titles = sorted(narrow.layout.annotations, key=lambda note: -note.y)
    assert [note.text for note in titles] == ["a", "b", "a", "b"]
    assert [note.y for note in titles] == [upper for _, upper in domains]
    assert [axis.title.text for axis in narrow.select_yaxes()] == ["value", "value", "other", "other"]
    assert [axis.title.text for axis in narrow.select_xaxes()] == [None, None, None, "layer"]
    assert all(axis.showticklabels for axis in (*narrow.select_xaxes(), *narrow.select_yaxes()))
    assert narrow.layout.height > wide.layout.height
    assert [list(trace.y) for trace in narrow.data] == [list(trace.y) for trace in wide.data]


def test_labels_stay_with_their_points() -> None:
    figure = drawn()
    add_label(figure, "here", 1, 0.2, "#000000", column=2)
    (label,) = (note for note in for_phone(figure).layout.annotations if note.text == "here")
    assert (label.x, label.y, label.xref, label.yref) == (1, 0.2, "x2", "y2")


def test_one_panel_keeps_its_height_and_has_names_below() -> None:
    one = panel_grid([["only"]], x="x", y="y")
    one.add_scatter(x=[0], y=[0], name="a").add_scatter(x=[0], y=[1], name="b")
    narrow = for_phone(one)
    margin = narrow.layout.margin
    assert (
        narrow.layout.height - margin.t - margin.b == one.layout.height - 120
    )  # of which a figure of one panel has its margins
    assert narrow.layout.legend.y < 0


def test_many_named_ticks_stand_upright() -> None:
    figure = drawn().update_xaxes(tickvals=list(range(8)), ticktext=[f"a<br>{place}" for place in range(8)])
    narrow = for_phone(figure)
    assert {axis.tickangle for axis in narrow.select_xaxes()} == {-90}
    assert narrow.layout.xaxis.ticktext[0] == "a 0"
