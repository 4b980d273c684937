"""A figure for a narrow screen: its panels below each other."""

from typing import Any

import plotly.graph_objects as go

_GAP, _MARGIN = 92, 60  # pixels between two panels, for axis and title; and above or below all in this theme
_LEGEND = 22  # pixels of a line of the legend


def for_phone(figure: go.Figure) -> go.Figure:
    """A copy with one panel a row, each with its title and the names of its axes, in reading order."""
    copy = go.Figure(figure)
    panels = [(x, y) for x in copy.select_xaxes() for y in copy.select_yaxes() if _number(x) == _number(y)]
    shown = sorted((panel for panel in panels if panel[0].visible is not False), key=_place)
    if len(shown) < 2:
        return copy.update_layout(margin={"l": 50, "r": 10})
    inside = (copy.layout.height or 450) - 2 * _MARGIN
    heights = [max(120, inside * (y.domain[1] - y.domain[0])) for _, y in shown]
    total, top = sum(heights) + _GAP * (len(shown) - 1), 1.0
    row_label, below = {y.domain: y.title.text for _, y in reversed(shown) if y.title.text}, _shared_title(copy)
    for (x, y), height in zip(shown, heights, strict=True):
        bottom = top - height / total
        for note in copy.layout.annotations:
            if note.yref == "paper" and abs(note.y - y.domain[1]) < 1e-6 and x.domain[0] < note.x < x.domain[1]:
                note.update(x=0.5, y=top)
        y.update(title_text=y.title.text or row_label.get(y.domain), showticklabels=True)
        x.update(domain=(0, 1), showticklabels=True, title_text=x.title.text or below)
        y.update(domain=(max(0, bottom), top))
        top = bottom - _GAP / total
    names = {trace.name for trace in copy.data if trace.showlegend is not False and trace.name}
    rows = len(names) if len(names) > 1 else 0
    legend = {"orientation": "v", "x": 0, "xanchor": "left", "y": -70 / total, "yanchor": "top"}
    margin = {"l": 60, "r": 10, "t": _MARGIN, "b": _MARGIN + 20 + rows * _LEGEND}
    return copy.update_layout(height=total + _MARGIN + margin["b"], margin=margin, legend=legend)


def _number(axis: Any) -> str:
    """The number in an axis' name, by which plotly pairs them."""
    return str(axis.plotly_name)[5:]


def _place(panel: tuple[Any, Any]) -> tuple[float, float]:
    """Reading order."""
    x, y = panel
    return -round(y.domain[1], 6), x.domain[0]


def _shared_title(figure: go.Figure) -> str | None:
    """The name that the x axes have together; it is taken away."""
    shared = [note for note in figure.layout.annotations if note.yref == "paper" and note.y == 0]
    figure.layout.annotations = [note for note in figure.layout.annotations if note not in shared]
    return shared[0].text if shared else None
