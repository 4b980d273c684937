"""Panels hold exactly the numbers of their table, in the colours of the theme, and leave the table as it is."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from mothello_interp.plots import (
    COLOURS,
    LANGUAGES,
    Line,
    add_heatmap,
    add_lines,
    bounds,
    facet,
    layer_axis,
    layer_name,
    panel_grid,
    themed,
)

LINE = Line("value", "curve", COLOURS["naive"])
DECKED = replace(LINE, band=("low", "high"), hover=("floor",))
HEATMAP: dict[str, Any] = {"x": "offset", "y": "layer", "z": "recovery", "limits": (-1, 1)}


def curve_table() -> pd.DataFrame:
    """A curve whose rows are not in order, with an odd index, and columns that no figure shows."""
    rng = np.random.default_rng(0)
    layers = [2, -1, 10, 0, 1]
    values = rng.random(5)
    columns = {"layer": layers, "value": values, "low": values - 0.1, "high": values + 0.2, "games": [5, 4, 3, 2, 1]}
    return pd.DataFrame({**columns, "floor": rng.random(5), "hook": "abcde"}, index=[7, 7, 3, 1, 0])


def cells() -> pd.DataFrame:
    """Every layer and offset once, in a random order."""
    grid = [(layer, offset) for layer in (-1, 0, 1, 2) for offset in (-1, 0, 1, 2)]
    table = pd.DataFrame(grid, columns=["layer", "offset"])
    return table.assign(recovery=np.linspace(-0.4, 1.1, 16)).sample(frac=1, random_state=0)


def titles_of(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 2)])
def test_a_grid_of_panels(shape: tuple[int, int]) -> None:
    """The x axes are named once, below the last row, the y axes beside the first column."""
    rows, columns = shape
    figure = panel_grid([[f"{row}{column}" for column in range(columns)] for row in range(rows)], x="layer", y="share")
    *titles, below = [*titles_of(figure), None] if columns == 1 else titles_of(figure)
    assert titles == [f"{row}{column}" for row in range(rows) for column in range(columns)]
    assert below == ("layer" if columns > 1 else None)
    assert len(figure.data) == 0
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            panel = figure.get_subplot(row, column)
            assert panel.xaxis.title.text == ("layer" if row == rows and columns == 1 else None)
            assert panel.yaxis.title.text == ("share" if column == 1 else None)
    assert len(list(figure.select_xaxes())) == rows * columns


def test_panels_without_a_title() -> None:
    """No annotation, and the titles of the others stay above their own panel."""
    figure = panel_grid([["left", ""], ["", "right"]], x="x", y="y")
    assert titles_of(figure) == ["left", "right", "x"]
    left, right, _ = figure.layout.annotations
    for note, (row, column) in ((left, (1, 1)), (right, (2, 2))):
        panel = figure.get_subplot(row, column)
        assert note.x == pytest.approx(np.mean(panel.xaxis.domain))
        assert note.y == pytest.approx(panel.yaxis.domain[1])
    assert len(panel_grid([["", "", ""]], x="", y="y").layout.annotations) == 0


def test_a_long_title_is_broken_into_lines_that_fit_its_panel() -> None:
    title = "the share of illegal next moves in five languages<br>seed 0"
    (one,) = titles_of(panel_grid([[title]], x="x", y="y"))
    assert one == title
    first = titles_of(panel_grid([[title, "b", "c", "d"]], x="x", y="y"))[0].split("<br>")
    assert " ".join(first) == title.replace("<br>", " ")
    assert first[-1] == "seed 0"
    assert max(map(len, first)) <= 24


def test_panels_share_their_axes() -> None:
    figure = panel_grid([["a", "b"], ["c", "d"]], x="x", y="y")
    assert figure.get_subplot(1, 2).yaxis.matches == "y"
    assert figure.get_subplot(1, 1).xaxis.matches in ("x3", "x")
    heights = [panel_grid([["a"]] * rows, x="x", y="y").layout.height for rows in (1, 2, 3)]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 200


def test_a_line_holds_the_numbers_of_its_table() -> None:
    """In the order of x, exactly, with what hovering shows."""
    figure, table = panel_grid([["a", "b"]], x="layer", y="value"), curve_table()
    add_lines(figure, table, [replace(LINE, hover=("floor", "games"))], x="layer", column=2)
    (trace,) = figure.data
    ordered = table.sort_values("layer")
    assert list(trace.x) == [-1, 0, 1, 2, 10]
    assert np.array_equal(trace.y, ordered["value"])
    np.testing.assert_array_equal(trace.customdata, ordered[["floor", "games"]].round(3))
    assert (trace.xaxis, trace.yaxis) == ("x2", "y2")
    assert (trace.name, trace.line.color, trace.mode, trace.showlegend) == ("curve", COLOURS["naive"], "lines", True)
    shown = trace.hovertemplate
    assert shown.startswith("<b>curve</b>")
    for part in ("layer: %{x}", "value: %{y:.3f}", "floor: %{customdata[0]}", "games: %{customdata[1]}"):
        assert part in shown


@pytest.mark.parametrize(
    ("look", "mode"), [({"symbol": "x"}, "lines+markers"), ({"symbol": "x", "width": 0}, "markers"), ({}, "lines")]
)
def test_a_line_looks_as_it_says(look: dict[str, Any], mode: str) -> None:
    figure = panel_grid([["a"]], x="layer", y="value")
    line = replace(LINE, **{"dash": "dot", "width": 1.5, "opacity": 0.4, **look})
    add_lines(figure, curve_table(), [line], x="layer")
    (trace,) = figure.data
    drawn = trace.line.dash, trace.line.width, trace.opacity, trace.mode
    assert drawn == ("dot", line.width, 0.4, mode)
    assert trace.marker.symbol == (line.symbol or "circle")


def test_a_line_is_drawn_of_its_rows_and_once_for_each_value() -> None:
    """One without rows is left out; a name stands in the legend once, wherever it is drawn first."""
    one = curve_table()
    table = pd.concat([one.assign(seed=seed, kind=kind, value=one["value"] + seed) for seed in (0, 1) for kind in "ab"])
    figure = panel_grid([["a", "b"]], x="layer", y="value")
    lines = [replace(LINE, rows={"kind": "c"}), replace(LINE, rows={"kind": "b", "seed": 1})]
    for column in (1, 2):
        add_lines(
            figure,
            table,
            [*lines, replace(LINE, name="each", rows={"kind": "a"}, each="seed")],
            x="layer",
            column=column,
        )
    assert [(trace.name, trace.showlegend) for trace in figure.data[:3]] == [
        ("curve", True),
        ("each", True),
        ("each", False),
    ]
    assert not any(trace.showlegend for trace in figure.data[3:])
    ordered = one.sort_values("layer")["value"]
    for trace, seed in zip(figure.data, (1, 0, 1, 1, 0, 1), strict=True):
        np.testing.assert_array_equal(trace.y, ordered + seed)


def test_a_facet_has_a_panel_for_each_value_and_list_of_lines() -> None:
    """Columns in the order of the table; a line without a colour has that of its panel."""
    table = pd.concat(
        [curve_table().assign(regime=name, value=place) for place, name in enumerate(("unified", "naive"))]
    )
    rows = {"upper": [replace(LINE, colour="")], "empty": [], "lower": [LINE, replace(LINE, y="floor", name="floor")]}
    figure = facet(table, rows, x="layer", label="depth", titles={"naive": "no anchors"})
    assert titles_of(figure) == ["unified", "no anchors", "depth"]
    assert [figure.get_subplot(row, 1).yaxis.title.text for row in (1, 2, 3)] == list(rows)
    first = [(trace.xaxis, trace.line.color, set(trace.y)) for trace in figure.data if trace.yaxis in ("y", "y2")]
    assert first == [("x", COLOURS["unified"], {0}), ("x2", COLOURS["naive"], {1})]
    assert [trace.yaxis for trace in figure.data] == ["y", "y5", "y5", "y2", "y6", "y6"]


def test_bounds_are_thin_and_grey_and_the_ceiling_dark() -> None:
    lines = bounds("ceiling", "floor", "majority", names=["own", "floor", "majority baseline"], rows={"a": 1})
    found = [(line.y, line.name, line.colour, line.dash, line.width, line.rows) for line in lines]
    grey = COLOURS["floor"]
    assert found == [
        ("ceiling", "own", COLOURS["ceiling"], "solid", 1.5, {"a": 1}),
        ("floor", "floor", grey, "dot", 1.5, {"a": 1}),
        ("majority", "majority baseline", grey, "dash", 1.5, {"a": 1}),
    ]
    assert bounds("guess", dash="dot", width=2)[0] == Line("guess", "guess", grey, dash="dot", width=2)


def test_a_band_goes_out_along_its_top_and_back_along_its_bottom() -> None:
    """Below its curve, in the same colour but fainter, and without an entry in the legend."""
    figure, table = panel_grid([["a"], ["b"]], x="layer", y="value"), curve_table()
    add_lines(figure, table, [replace(LINE, band=("low", "high"))], x="layer", row=2)
    band, curve = figure.data
    ordered = table.sort_values("layer")
    assert list(band.x) == [-1, 0, 1, 2, 10, 10, 2, 1, 0, -1]
    np.testing.assert_array_equal(band.y, [*ordered["high"], *ordered["low"][::-1]])
    assert (band.fill, band.fillcolor, band.line.width) == ("toself", "rgba(213,94,0,0.18)", 0)
    assert band.showlegend is False
    assert band.legendgroup == curve.legendgroup == "curve"
    assert (band.yaxis, curve.yaxis) == ("y2", "y2")
    with pytest.raises(ValueError, match="colour='red'"):
        add_lines(figure, table, [replace(LINE, colour="red", band=("low", "high"))], x="layer")


def test_a_heat_map_holds_the_numbers_of_its_table() -> None:
    """Rows are y ascending as numbers from below, columns x ascending from the left, whatever the order of the table."""
    figure, table = panel_grid([["a"]], x="offset", y="layer"), cells()
    add_heatmap(figure, table.assign(layer=table["layer"].replace({0: 10, 1: 9})), **HEATMAP)
    (trace,) = figure.data
    assert list(trace.y) == [-1, 2, 9, 10]
    assert list(trace.x) == [-1, 0, 1, 2]
    np.testing.assert_array_equal(trace.z, np.linspace(-0.4, 1.1, 16).reshape(4, 4)[[0, 3, 2, 1]])
    assert figure.layout.yaxis.autorange is None


def test_a_cell_that_is_missing_is_blank() -> None:
    figure = panel_grid([["a"]], x="offset", y="layer")
    table = cells()
    add_heatmap(figure, table.loc[(table["layer"] != 1) | (table["offset"] != 2)], **HEATMAP)
    assert np.isnan(figure.data[0].z[2, 3])
    assert np.isnan(figure.data[0].z).sum() == 1


def test_few_cells_are_all_named_and_no_place_between_them() -> None:
    figure = panel_grid([["a", "b"]], x="offset", y="layer", shared=False)
    add_heatmap(figure, cells(), **HEATMAP, column=2)
    assert list(figure.layout.yaxis2.tickvals) == list(figure.layout.xaxis2.tickvals) == [-1, 0, 1, 2]
    assert figure.layout.yaxis.tickvals is None
    many = pd.DataFrame({"layer": range(40), "offset": range(40), "recovery": 0.0})
    add_heatmap(figure, many, **HEATMAP, column=1)
    assert figure.layout.yaxis.tickvals is None


def test_a_cell_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="duplicate cells: the table has several rows of one offset and layer"):
        add_heatmap(panel_grid([["a"]], x="x", y="y"), pd.concat([cells(), cells()]), **HEATMAP)


def test_limits_of_a_heat_map_are_those_asked_for() -> None:
    """White is 0 and panels can be compared, so no panel chooses its own scale; the first shows it."""
    figure = panel_grid([["a", "b"], ["c", "d"]], x="offset", y="layer")
    for row in (1, 2):
        for column in (1, 2):
            add_heatmap(figure, cells(), **{**HEATMAP, "limits": (-0.5, 0.75)}, row=row, column=column)
    assert {(trace.zmin, trace.zmax, trace.zmid) for trace in figure.data} == {(-0.5, 0.75, 0)}
    assert len({json.dumps(trace.colorscale) for trace in figure.data}) == 1
    assert figure.data[0].colorscale[0][1] != figure.data[0].colorscale[-1][1]
    assert [trace.showscale for trace in figure.data] == [True, False, False, False]
    assert {(trace.xaxis, trace.yaxis) for trace in figure.data} == {
        ("x", "y"),
        ("x2", "y2"),
        ("x3", "y3"),
        ("x4", "y4"),
    }


def test_cells_are_labelled_if_asked_for() -> None:
    figure = panel_grid([["a", "b"]], x="offset", y="layer")
    add_heatmap(figure, cells(), **HEATMAP, title="here")
    add_heatmap(figure, cells(), **HEATMAP, column=2, text=False)
    assert figure.data[0].texttemplate == "%{z:.2f}"
    assert figure.data[1].texttemplate is None
    assert figure.data[0].hovertemplate.startswith("here<br>layer: %{y}<br>offset: %{x}<br>recovery: %{z:.3f}")


def test_drawing_changes_no_table_and_no_other_figure() -> None:
    table, grid = curve_table(), cells()
    before = table.copy(deep=True), grid.copy(deep=True)
    figure, other = (panel_grid([["a", "b"]], x="x", y="y") for _ in range(2))
    add_lines(figure, table, [DECKED], x="layer")
    add_heatmap(figure, grid, **HEATMAP, column=2)
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(grid, before[1])
    assert len(figure.data) == 3
    assert len(other.data) == 0


def test_colours_can_be_told_apart() -> None:
    """Those of the theme are Okabe and Ito's, greys aside; what stands in one panel differs."""
    palette = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    for colour in {*COLOURS.values(), *LANGUAGES}:
        red, green, blue = (colour[place : place + 2] for place in (1, 3, 5))
        assert re.fullmatch("#[0-9A-F]{6}", colour)
        assert colour in palette or red == green == blue
    panels = (
        ("naive", "anchors", "unified", "floor", "ceiling"),
        ("identity", "diagonal", "antidiagonal", "half_turn", "floor", "ceiling"),
        ("cka", "retrieval", "cosine", "floor", "ceiling"),
    )
    for names in panels:
        assert len({COLOURS[name] for name in names}) == len(names)
    assert len(set(LANGUAGES)) == len(LANGUAGES)


def test_the_theme_is_in_the_figure() -> None:
    """So that a figure looks the same wherever it is opened."""
    figure = themed(go.Figure(), rows=2)
    assert figure.layout.template.layout.paper_bgcolor == "#FFFFFF"
    assert list(figure.layout.template.layout.colorway) == list(LANGUAGES)
    assert figure.layout.height > themed(go.Figure()).layout.height


def test_layers_by_name() -> None:
    assert [layer_name(layer) for layer in (-1, 0, 7)] == ["emb", "0", "7"]


def test_an_axis_of_layers() -> None:
    """Named once each and in order, in all panels or in one."""
    figure = layer_axis(panel_grid([["a", "b"]], x="layer", y="share"), [2, -1, 0, 2])
    for column in (1, 2):
        axis = figure.get_subplot(1, column).xaxis
        assert (axis.tickvals, axis.ticktext) == ((-1, 0, 2), ("emb", "0", "2"))
        assert axis.range[0] < -1 < 2 < axis.range[1]
    one = layer_axis(panel_grid([["a", "b"]], x="layer", y="share"), [0, 1], row=1, col=2)
    assert one.get_subplot(1, 1).xaxis.tickvals is None
    assert one.get_subplot(1, 2).xaxis.tickvals == (0, 1)
