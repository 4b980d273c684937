"""A figure for a narrow screen: its panels below each other."""

from typing import Any

import plotly.graph_objects as go

_GAP, _MARGIN = 120, 60  # pixels between two panels, for ticks and title; and above or below all in this theme
_LEGEND, _SMALL = 22, 13  # pixels of a line of the legend, and of names of axes
_TICKS, _UPRIGHT = 6, 150  # more named ticks than these stand upright; pixels that they then need


def for_phone(figure: go.Figure) -> go.Figure:
    """A copy with one panel a row, in reading order, each under the title of its column, and names below."""
    copy = go.Figure(figure)
    panels = [(x, y) for x in copy.select_xaxes() for y in copy.select_yaxes() if _number(x) == _number(y)]
    shown = [panel for panel in panels if panel[0].visible is not False]
    if len(shown) < 2:
        return _legend_below(copy, (copy.layout.height or 450) - 2 * _MARGIN, left=copy.layout.margin.l)
    shown.sort(key=_place)
    titles = [_title(copy, x, y, shown) for x, y in shown]
    labels = [_row_label(y, shown) for _, y in shown]
    below = next((note.text for note in copy.layout.annotations if note.yref == "paper" and note.y == 0), None)
    copy.layout.annotations = [note for note in copy.layout.annotations if note.yref != "paper"]
    inside = (copy.layout.height or 450) - 2 * _MARGIN
    heights = [max(120.0, inside * (y.domain[1] - y.domain[0])) for _, y in shown]
    total, top = sum(heights) + _GAP * (len(shown) - 1), 1.0
    for (x, y), height, title, label in zip(shown, heights, titles, labels, strict=True):
        bottom = max(0.0, top - height / total)
        last = bottom < _GAP / 2 / total
        _put(x, y, (bottom, top), label, x.title.text or (below if last else None))
        copy.add_annotation(
            text=title, x=0.5, y=top, xref="paper", yref="paper", yanchor="bottom", showarrow=False, font_size=15
        )
        top = bottom - _GAP / total
    return _legend_below(copy, total, upright=shown[-1][0].tickangle == -90)


def _legend_below(figure: go.Figure, inside: float, *, left: float | None = 62, upright: bool = False) -> go.Figure:
    """Names one below the other, under panels that are so high together."""
    names = {trace.name for trace in figure.data if trace.showlegend is not False and trace.name}
    rows, below = len(names) if len(names) > 1 else 0, 66 + _UPRIGHT * upright
    legend = {"orientation": "v", "x": 0, "xanchor": "left", "y": -below / inside, "yanchor": "top"}
    bottom = below + 14 + rows * _LEGEND
    margin = {"l": left, "r": 10, "t": _MARGIN, "b": bottom}
    return figure.update_layout(height=inside + _MARGIN + bottom, margin=margin, legend=legend)


def _number(axis: Any) -> str:
    """The number in an axis' name, by which plotly pairs them."""
    return str(axis.plotly_name)[5:]


def _place(panel: tuple[Any, Any]) -> tuple[float, float]:
    """Reading order."""
    x, y = panel
    return -round(y.domain[1], 6), x.domain[0]


def _title(figure: go.Figure, x: Any, y: Any, panels: list[tuple[Any, Any]]) -> str:
    """What stands over a panel, or over the first one of its column."""
    above = [other.domain[1] for column, other in panels if abs(column.domain[0] - x.domain[0]) < 1e-6]
    for height in sorted({y.domain[1], max(above)}):
        for note in figure.layout.annotations:
            if note.yref == "paper" and abs(note.y - height) < 1e-6 and x.domain[0] < note.x < x.domain[1]:
                return str(note.text)
    return ""


def _row_label(y: Any, panels: list[tuple[Any, Any]]) -> str | None:
    """The name of the y axis, or of the first one in its row; none for one that has names of its own."""
    if y.title.text or y.ticktext:
        return y.title.text
    return next((other.title.text for _, other in panels if other.domain == y.domain and other.title.text), None)


def _put(x: Any, y: Any, domain: tuple[float, float], label: str | None, below: str | None) -> None:
    """A panel in its new place, with the names of its axes."""
    for axis, text in ((x, below), (y, label)):
        axis.update(showticklabels=True, automargin=True, title={"text": text, "font": {"size": _SMALL}})
    x.domain, y.domain, y.side = (0, 1), domain, "left"
    if x.ticktext and len(x.ticktext) > _TICKS:
        x.update(tickangle=-90, ticktext=[str(text).replace("<br>", " ") for text in x.ticktext])
