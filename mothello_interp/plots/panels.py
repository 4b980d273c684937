"""Panels side by side: lines with bands, and heat maps. Tables in, plotly figures out; nothing is computed here."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mothello_interp.plots.theme import COLOURS, DIVERGING, SEQUENTIAL, faded, layer_name, themed

_LETTERS = 96  # of titles beside one another in a figure as wide as a page
_TITLE, _LABEL = 15, 13  # pixels
_TICKS = 12  # so few cells along an axis of a heat map are all named


@dataclass(frozen=True)
class Line:
    """One curve of a panel: what it shows, and how it looks.

    Attributes:
        y: the column shown.
        name: in the legend, which has each name once.
        colour: such as `#0072B2`, see COLOURS and LANGUAGES; "" in `facet` for the colour of the panel.
        rows: which rows it is drawn of, by the values of some columns; all by default.
        each: a column: a curve for each of its values.
        width: 0 for markers alone.
        band: the columns of its lower and upper edge, such as ("low", "high").
        symbol: of its markers; none by default.
        hover: columns that are shown on hovering.
        shown: whether the legend has it; not if `add_label` names it.
    """

    y: str
    name: str
    colour: str
    rows: Mapping[str, Any] = field(default_factory=dict)
    each: str = ""
    dash: str = "solid"
    width: float = 2.5
    opacity: float = 1.0
    band: tuple[str, str] | None = None
    symbol: str = ""
    hover: Sequence[str] = ()
    shown: bool = True


def bounds(*columns: str, names: Sequence[str] = (), **look: Any) -> list[Line]:
    """Thin grey lines to compare with: "ceiling" dark, "floor" dotted, others dashed; named as their columns by default.

    Args:
        look: of `Line`.
    """
    lines = []
    for y, name in zip(columns, names or columns, strict=True):
        dash = {"ceiling": "solid", "floor": "dot"}.get(y, "dash")
        colour = COLOURS["ceiling" if y == "ceiling" else "floor"]
        lines.append(Line(y, name, colour, **{"dash": dash, "width": 1.5, **look}))
    return lines


def facet(
    table: pd.DataFrame, rows: Mapping[str, Sequence[Line]], *, x: str, label: str | None = None, by: str = "regime",
    titles: Mapping[Any, str] | None = None, shared: bool = True,
) -> go.Figure:  # fmt: skip
    """Panels of lines: a column for each value of the table's column `by`, in its order, and a row for each entry of `rows`.

    Args:
        table: one row a point.
        rows: label of the y axis -> lines; without lines a panel stays empty.
        x: column of the x axes.
        label: of the x axes; the column's name by default.
        titles: of the values of `by`; they themselves by default.
        shared: as in `panel_grid`.

    Raises:
        KeyError: for a column that the table does not have.
    """
    values = list(dict.fromkeys(table[by]))
    head = [(titles or {}).get(value, str(value)) for value in values]
    names = [head, *[[""] * len(head)] * (len(rows) - 1)]
    figure = panel_grid(names, x=x if label is None else label, y=list(rows), shared=shared)
    for column, value in enumerate(values, 1):
        here = table[table[by] == value]
        for row, lines in enumerate(rows.values(), 1):
            own = [line if line.colour else replace(line, colour=COLOURS.get(value, COLOURS["own"])) for line in lines]
            add_lines(figure, here, own, x=x, row=row, column=column)
    return figure


def add_lines(
    figure: go.Figure, table: pd.DataFrame, lines: Iterable[Line], *, x: str, row: int = 1, column: int = 1
) -> None:
    """Draw lines into a panel; one without rows is left out.

    Args:
        table: one row a point; columns x and what the lines name.
        row, column: the panel, from 1.

    Raises:
        KeyError: for a column that the table does not have.
        ValueError: for a band in another colour than a hex one.
    """
    for line in lines:
        rows = table[(table[list(line.rows)] == pd.Series(line.rows, dtype=object)).all(axis=1)] if line.rows else table
        for _, points in rows.groupby(line.each) if line.each else [("", rows)] if len(rows) else []:
            _draw(figure, points.sort_values(x), line, x, {"row": row, "col": column})


def _draw(figure: go.Figure, points: pd.DataFrame, line: Line, x: str, place: dict[str, int]) -> None:
    """One curve, its band before it: along the upper edge, and back along the lower one."""
    named = line.name in {trace.name for trace in figure.data if trace.showlegend}
    if line.band is not None:
        low, high = (points[edge] for edge in line.band)
        figure.add_scatter(
            x=[*points[x], *points[x][::-1]], y=[*high, *low[::-1]], mode="lines", fill="toself", hoverinfo="skip",
            fillcolor=faded(line.colour, 0.18), line={"width": 0}, showlegend=False, legendgroup=line.name, **place,
        )  # fmt: skip
    lines = "<br>".join(f"{key}: %{{customdata[{index}]}}" for index, key in enumerate(line.hover))
    figure.add_scatter(
        x=points[x], y=points[line.y], name=line.name, legendgroup=line.name, showlegend=line.shown and not named, opacity=line.opacity,
        mode="+".join(["lines"] * (line.width > 0) + ["markers"] * (line.symbol != "")),
        marker={"color": line.colour, "symbol": line.symbol or "circle", "size": 8 if line.width else 10},
        line={"color": line.colour, "dash": line.dash, "width": line.width},
        customdata=points[list(line.hover)].round(3).to_numpy(),
        hovertemplate=f"<b>{line.name}</b><br>{x}: %{{x}}<br>{line.y}: %{{y:.3f}}<br>{lines}<extra></extra>", **place,
    )  # fmt: skip


def add_label(
    figure: go.Figure, text: str, x: float, y: float, colour: str, *, row: int = 1, column: int = 1, above: bool = True,
    anchor: str = "center",
) -> None:  # fmt: skip
    """Write the name of a curve next to one of its points.

    Args:
        x, y: the point, in the units of the panel's axes; on a logarithmic axis its logarithm to base 10.
        above: else it stands below the point.
        anchor: whether the text is "left"-aligned at the point, "center" or "right".
    """
    figure.add_annotation(
        x=x, y=y, text=text, showarrow=False, font={"color": colour, "size": _LABEL}, xanchor=anchor,
        yanchor="bottom" if above else "top", yshift=2 if above else -2, bgcolor="rgba(255,255,255,0.7)", row=row, col=column,
    )  # fmt: skip


def panel_grid(titles: Sequence[Sequence[str]], *, x: str, y: str | Sequence[str], shared: bool = True) -> go.Figure:
    """Empty panels.

    Args:
        titles: one list a row; an empty string leaves a panel untitled, a long one is broken into lines.
        x: label of the x axes, shown below the last row: once if columns share their axes, else below each.
        y: label of the y axes, one for all rows or one a row.
        shared: whether columns share their x axes, and rows their y axes.
    """
    rows, columns = len(titles), len(titles[0])
    spacing = 0.4 if not shared else 0.25 if any(map(any, titles[1:])) else 0.09
    figure = make_subplots(
        rows=rows, cols=columns, shared_xaxes=shared, shared_yaxes=shared,
        subplot_titles=[_broken(title, _LETTERS // columns) for row in titles for title in row],
        x_title=x if shared and columns > 1 else None,
        horizontal_spacing=0.03 if shared else 0.06, vertical_spacing=spacing / rows if rows > 1 else 0,
    )  # fmt: skip
    figure.update_annotations(font_size=_TITLE)
    for column in range(1, columns + 1) if not shared or columns == 1 else ():
        figure.update_xaxes(title_text=x, row=rows, col=column)
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=y if isinstance(y, str) else y[row - 1], row=row, col=1)
    return themed(figure, rows=rows)


def _broken(title: str, letters: int) -> str:
    """In lines of at most so many letters, where there are spaces."""
    return "<br>".join(part for line in title.split("<br>") for part in textwrap.wrap(line, letters) or [""])


def layer_axis(figure: go.Figure, layers: Iterable[int], **place: int) -> go.Figure:
    """Name the layers on the x axes (of one panel: `row`, `col`), with some room before the first and after the last."""
    known = sorted(set(layers))
    ticks = [layer_name(layer) for layer in known]
    return figure.update_xaxes(tickvals=known, ticktext=ticks, range=[known[0] - 0.3, known[-1] + 0.3], **place)


def add_heatmap(
    figure: go.Figure, table: pd.DataFrame, *, x: str, y: str, z: str, limits: tuple[float, float], row: int = 1,
    column: int = 1, title: str = "", text: bool = True, label: str | None = None, diverging: bool = True,
    reverse: bool = False,
) -> None:  # fmt: skip
    """Draw a heat map on a scale that all panels share, by default one that diverges from 0.

    Cells are labelled by their value if `text`, or by what a column `label` holds; `reverse` turns the scale round.

    Args:
        table: one row a cell.
        x, y: columns of numbers: on axes of names plotly sorts cells and labels apart.
        z: the column shown, which also names the scale.
        limits: the ends of the scale.
        row, column: the panel, from 1; the first one shows the scale.
        title: said first on hovering.

    Raises:
        KeyError: for a column that the table does not have.
        ValueError: for a cell that the table has twice.
    """
    if table.duplicated([x, y]).any():
        raise ValueError(f"duplicate cells: the table has several rows of one {x} and {y}; choose among them first")
    grid = table.pivot(index=y, columns=x, values=z)
    for values, update in ((grid.columns, figure.update_xaxes), (grid.index, figure.update_yaxes)):
        if values.dtype.kind in "iu" and len(values) <= _TICKS:  # plotly would put some between the cells
            update(tickvals=values.tolist(), overwrite=False, row=row, col=column)
    figure.add_heatmap(
        x=grid.columns, y=grid.index, z=grid.to_numpy(), zmin=limits[0], zmax=limits[1], zmid=0 if diverging else None,
        colorscale=DIVERGING if diverging else SEQUENTIAL, reversescale=reverse, showscale=row == 1 and column == 1,
        colorbar={"title": {"text": z}, "thickness": 14}, textfont={"size": 13},
        text=table.pivot(index=y, columns=x, values=label).to_numpy() if label else None,
        texttemplate=("%{text}" if label else "%{z:.2f}") if text else None,
        hovertemplate=f"{title}<br>{y}: %{{y}}<br>{x}: %{{x}}<br>{z}: %{{z:.3f}}<extra></extra>", row=row, col=column,
    )  # fmt: skip


def add_categories(
    figure: go.Figure, table: pd.DataFrame, *, x: str, y: str, category: str, text: str, order: Sequence[int],
    colours: Mapping[str, str], row: int = 1, column: int = 1, legend: bool = False,
) -> None:  # fmt: skip
    """Draw a square matrix whose cells are coloured by category.

    Args:
        order: the values of `x` and `y`, in the order in which they are shown (from the top left corner).
        colours: of each category, in the order of the legend.
        legend: whether this panel's categories stand in the legend.
    """
    names, place = [str(value) for value in order], {name: index for index, name in enumerate(colours)}
    cells, labels = (
        table.pivot(index=y, columns=x, values=shown).reindex(index=list(order), columns=list(order))
        for shown in (category, text)
    )
    steps = [(index + end) / len(colours) for index in range(len(colours)) for end in (0, 1)]
    figure.add_heatmap(
        x=names, y=names, z=cells.replace(place).astype(float).to_numpy(), zmin=-0.5, zmax=len(colours) - 0.5,
        colorscale=list(zip(steps, [colour for colour in colours.values() for _ in (0, 1)], strict=True)),
        showscale=False, text=labels.to_numpy(), customdata=cells.to_numpy(), texttemplate="%{text}", xgap=1, ygap=1,
        hovertemplate=f"{y} %{{y}}<br>{x} %{{x}}<br>%{{customdata}} %{{text}}<extra></extra>", row=row, col=column,
    )  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False, row=row, col=column)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, row=row, col=column)
    for name, colour in colours.items() if legend else ():
        marker = {"symbol": "square", "size": 12, "color": colour}
        shown = {"mode": "markers", "marker": marker, "name": name.replace("_", " "), "showlegend": True}
        figure.add_scatter(x=[None], y=[None], **shown, row=row, col=column)
