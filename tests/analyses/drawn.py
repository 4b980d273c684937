"""What a figure shows: its curves and heat maps by name and panel."""

from typing import Any

import numpy as np
import plotly.graph_objects as go


def traces(figure: go.Figure, name: str, *, panel: int) -> list[Any]:
    """The traces of a name in the panel of a column, bands left out."""
    axis = "x" if panel == 1 else f"x{panel}"
    return [trace for trace in figure.data if trace.name == name and trace.xaxis == axis]


def curve(figure: go.Figure, name: str, *, panel: int) -> Any:
    (found,) = traces(figure, name, panel=panel)
    return found


def heatmap(figure: go.Figure, panel: int) -> Any:
    """The one heat map of a panel, in reading order."""
    axis = "x" if panel == 1 else f"x{panel}"
    (found,) = [trace for trace in figure.data if trace.type == "heatmap" and trace.xaxis == axis]
    return found


def equal(drawn: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(drawn, float), np.asarray(expected, float), rtol=1e-12)
