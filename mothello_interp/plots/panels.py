"""Panels side by side: curves with bands, and heat maps. Tables in, plotly figures out; nothing is computed here."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mothello_interp.plots.theme import DIVERGING, SEQUENTIAL, faded, layer_name, themed

_LETTERS = 96  # of titles beside one another in a figure as wide as a page
_TITLE = 15  # pixels
_TICKS = 12  # so few cells along an axis of a heat map are all named


def panel_grid(
    titles: Sequence[Sequence[str]],
    *,
    x: str,
    y: str | Sequence[str],
    shared: bool = True,
    widths: Sequence[float] | None = None,
) -> go.Figure:
    """Empty panels.

    Args:
        titles: one list a row; an empty string leaves a panel untitled, a long one is broken into lines.
        x: label of the x axes, shown below the last row: once if columns share their axes, else below each.
        y: label of the y axes, one for all rows or one a row.
        shared: whether columns share their x axes, and rows their y axes.
        widths: of the columns, relative to one another; equal by default.
    """
    rows, columns = len(titles), len(titles[0])
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes=shared,
        shared_yaxes=shared,
        column_widths=widths,
        subplot_titles=[_broken(title, _LETTERS // columns) for row in titles for title in row],
        x_title=x if shared and columns > 1 else None,
        horizontal_spacing=0.03 if shared else 0.06,
        vertical_spacing=(0.4 if not shared else 0.25 if any(map(any, titles[1:])) else 0.09) / rows if rows > 1 else 0,
    )
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
    """Name the layers on the x axes (of one panel: `row`, `col`), with some room beside the first and the last."""
    known = sorted(set(layers))
    ticks = [layer_name(layer) for layer in known]
    return figure.update_xaxes(tickvals=known, ticktext=ticks, range=[known[0] - 0.3, known[-1] + 0.3], **place)


def add_curve(
    figure: go.Figure,
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    name: str,
    colour: str,
    row: int = 1,
    column: int = 1,
    dash: str = "solid",
    width: float = 2.5,
    opacity: float = 1.0,
    band: tuple[str, str] | None = None,
    markers: bool = False,
    symbol: str = "circle",
    legend: bool = True,
    hover: Sequence[str] = (),
) -> None:
    """Draw one curve, with a band between two columns if asked for; markers alone if its width is 0.

    Args:
        table: one row a point; a table of several curves is to be cut to one.
        x, y: names of its columns; the axes are named by `panel_grid`.
        name: of the curve in the legend; panels that show it again pass `legend=False`.
        colour: as `#0072B2`; see COLOURS and LANGUAGES.
        row, column: the panel, from 1.
        band: the columns of its lower and upper edge, such as ("low", "high").
        hover: columns that are shown on hovering.

    Raises:
        KeyError: for a column that the table does not have.
        ValueError: for a band in another colour than a hex one.
    """
    table = table.sort_values(x)
    place = {"row": row, "col": column}
    if band is not None:
        low, high = table[band[0]], table[band[1]]
        around = [*table[x], *table[x][::-1]], [*high, *low[::-1]]
        style = {
            "mode": "lines",
            "fill": "toself",
            "fillcolor": faded(colour, 0.18),
            "line": {"width": 0},
            "hoverinfo": "skip",
        }
        figure.add_trace(go.Scatter(x=around[0], y=around[1], showlegend=False, legendgroup=name, **style), **place)
    lines = "<br>".join(f"{key}: %{{customdata[{index}]}}" for index, key in enumerate(hover))
    figure.add_trace(
        go.Scatter(
            x=table[x],
            y=table[y],
            name=name,
            legendgroup=name,
            showlegend=legend,
            mode=("lines+markers" if width else "markers") if markers else "lines",
            marker={"color": colour, "symbol": symbol, "size": 8 if width else 10},
            line={"color": colour, "dash": dash, "width": width},
            opacity=opacity,
            customdata=table[list(hover)].round(3).to_numpy(),
            hovertemplate=f"<b>{name}</b><br>{x}: %{{x}}<br>{y}: %{{y:.3f}}<br>{lines}<extra></extra>",
        ),
        **place,
    )


def add_heatmap(
    figure: go.Figure,
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    z: str,
    limits: tuple[float, float],
    row: int = 1,
    column: int = 1,
    title: str = "",
    text: bool = True,
    label: str | None = None,
    diverging: bool = True,
    reverse: bool = False,
) -> None:
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
    figure.add_trace(
        go.Heatmap(
            x=grid.columns,
            y=grid.index,
            z=grid.to_numpy(),
            zmin=limits[0],
            zmax=limits[1],
            zmid=0 if diverging else None,
            colorscale=DIVERGING if diverging else SEQUENTIAL,
            reversescale=reverse,
            colorbar={"title": {"text": z}, "thickness": 14},
            showscale=row == 1 and column == 1,
            text=table.pivot(index=y, columns=x, values=label).to_numpy() if label else None,
            texttemplate=("%{text}" if label else "%{z:.2f}") if text else None,
            textfont={"size": 13},
            hovertemplate=f"{title}<br>{y}: %{{y}}<br>{x}: %{{x}}<br>{z}: %{{z:.3f}}<extra></extra>",
        ),
        row=row,
        col=column,
    )


def add_categories(
    figure: go.Figure,
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    category: str,
    text: str,
    order: Sequence[int],
    colours: Mapping[str, str],
    row: int = 1,
    column: int = 1,
    legend: bool = False,
) -> None:
    """Draw a square matrix whose cells are coloured by category.

    Args:
        order: the values of `x` and `y`, in the order in which they are shown (from the top left corner).
        colours: of each category, in the order of the legend.
        legend: whether this panel's categories stand in the legend.
    """
    names = [str(value) for value in order]
    place = {name: index for index, name in enumerate(colours)}
    cells = table.pivot(index=y, columns=x, values=category).reindex(index=list(order), columns=list(order))
    labels = table.pivot(index=y, columns=x, values=text).reindex(index=list(order), columns=list(order))
    steps = [(index + end) / len(colours) for index in range(len(colours)) for end in (0, 1)]
    figure.add_trace(
        go.Heatmap(
            x=names,
            y=names,
            z=cells.replace(place).astype(float).to_numpy(),
            zmin=-0.5,
            zmax=len(colours) - 0.5,
            colorscale=list(zip(steps, [colour for colour in colours.values() for _ in (0, 1)], strict=True)),
            showscale=False,
            text=labels.to_numpy(),
            customdata=cells.to_numpy(),
            texttemplate="%{text}",
            xgap=1,
            ygap=1,
            hovertemplate=f"{y} %{{y}}<br>{x} %{{x}}<br>%{{customdata}} %{{text}}<extra></extra>",
        ),
        row=row,
        col=column,
    )
    figure.update_xaxes(type="category", showgrid=False, row=row, col=column)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, row=row, col=column)
    for name, colour in colours.items() if legend else ():
        marker = {"symbol": "square", "size": 12, "color": colour}
        label = name.replace("_", " ")
        entry = go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=label, showlegend=True)
        figure.add_trace(entry, row=row, col=column)
