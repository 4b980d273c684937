"""One look for every figure: colour-blind safe colours (Okabe and Ito), one colour for a thing wherever it appears."""

import re

import plotly.graph_objects as go
import plotly.io as pio

COLOURS = {
    "naive": "#D55E00",
    "anchors": "#0072B2",
    "unified": "#009E73",
    "identity": "#0072B2",
    "diagonal": "#E69F00",
    "antidiagonal": "#CC79A7",
    "half_turn": "#56B4E9",
    "rotated": "#009E73",
    "none": "#DDDDDD",
    "cka": "#0072B2",
    "retrieval": "#D55E00",
    "cosine": "#009E73",
    "another model": "#E69F00",
    "random weights": "#8A8A8A",
    "floor": "#6E6E6E",
    "ceiling": "#333333",
    "paper": "#CC79A7",
    "own": "#CC79A7",
}
LANGUAGES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#555555")
DIVERGING = "RdBu_r"  # with zmid=0
SEQUENTIAL = "Viridis"
FELT, LIT, RING = "#5B9A6F", "#F7F0B0", "#D55E00"  # an empty square, one with a high value, one pointed at
PANEL_HEIGHT = 330

_TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 14, "color": "#222222"},
        "paper_bgcolor": "#FFFFFF",
        "plot_bgcolor": "#FFFFFF",
        "colorway": list(LANGUAGES),
        "margin": {"l": 70, "r": 20, "t": 60, "b": 60},
        "xaxis": {"gridcolor": "#E6E6E6", "zeroline": False, "linecolor": "#666666", "ticks": "outside"},
        "yaxis": {"gridcolor": "#E6E6E6", "zeroline": False, "linecolor": "#666666", "ticks": "outside"},
        "legend": {"bgcolor": "rgba(255,255,255,0.7)"},
        "hoverlabel": {"font": {"size": 13}},
    }
)


def themed(figure: go.Figure, *, rows: int = 1) -> go.Figure:
    """The figure in this look, tall enough for its rows of panels."""
    pio.templates["mothello"] = _TEMPLATE
    return figure.update_layout(template="mothello", height=PANEL_HEIGHT * rows + 90)


def layer_name(layer: int) -> str:
    """How an axis calls a layer: `emb` for -1."""
    return "emb" if layer == -1 else str(layer)


def faded(colour: str, opacity: float) -> str:
    """A hex colour as rgba with an opacity.

    Raises:
        ValueError: for a colour in another form.
    """
    if not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
        raise ValueError(f"colour={colour!r}: expected one such as #0072B2")
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
