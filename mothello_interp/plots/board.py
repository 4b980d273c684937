"""Boards as pictures: discs, how sure a probe is of each, and a value a square."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mothello_interp.othello import square_name
from mothello_interp.plots.panels import panel_grid
from mothello_interp.plots.theme import FELT, LIT, RING

_DISCS = {-1: ("white", "white"), 1: ("black", "#111111")}
_SHOWN = 0.005  # values below half a per cent have no number


def draw_boards(titles: Sequence[str], discs: np.ndarray, **each: np.ndarray | None) -> go.Figure:
    """Boards side by side.

    Args:
        titles: one a board.
        discs: int `[board square]`, as `add_board` takes them.
        each: arguments of `add_board`, `[board square]`.

    Raises:
        ValueError: as `add_board`, and for another number of boards than titles.
    """
    figure = panel_grid([list(titles)], x="", y="", shared=False)
    for name, values in {"discs": discs, **each}.items():
        if values is not None and len(values) != len(titles):
            raise ValueError(f"{name} has {len(values)} boards, for {len(titles)} titles: expected one each")
    for place, board in enumerate(discs):
        given = {name: values[place] for name, values in each.items() if values is not None}
        add_board(figure, board, column=place + 1, **given)
    return figure.update_layout(height=130 + round(290 * min(1.0, 3 / max(1, len(titles)))))  # narrow boards are low


def add_board(
    figure: go.Figure, discs: np.ndarray, *, certainty: np.ndarray | None = None, shade: np.ndarray | None = None,
    ringed: np.ndarray | None = None, row: int = 1, column: int = 1,
) -> None:  # fmt: skip
    """Draw a board into a panel, row 1 on top.

    Args:
        discs: int `[square]`: -1 white, 0 empty, 1 black.
        certainty: float `[square]`, 0 to 1: discs fade with it.
        shade: float `[square]`, 0 to 1: squares light up with it, and carry it in per cent; a move's probability, say.
        ringed: bool `[square]`: squares to point at.

    Raises:
        ValueError: for arrays that are not one value a square of one board.
    """
    discs = np.asarray(discs)
    side = round(discs.size**0.5)
    for name, values in {"discs": discs, "certainty": certainty, "shade": shade, "ringed": ringed}.items():
        if values is not None and np.shape(values) != (side * side,):
            raise ValueError(f"{name} has shape {np.shape(values)}: expected one value a square, [{side * side}]")
    sure = np.ones(discs.size) if certainty is None else np.asarray(certainty, float)
    lit = np.zeros(discs.size) if shade is None else np.asarray(shade, float)
    names = [square_name(square, side) for square in range(discs.size)]
    place = {"row": row, "col": column}
    percent = np.where(lit >= _SHOWN, [f"{100 * value:.0f}" for value in lit], "")
    figure.add_heatmap(
        z=lit.reshape(side, side), zmin=0, zmax=max(1e-9, float(lit.max())), colorscale=[[0, FELT], [1, LIT]],
        showscale=False, xgap=1, ygap=1, text=percent.reshape(side, side), texttemplate="%{text}",
        customdata=np.array(names).reshape(side, side), hovertemplate="%{customdata}: %{z:.3f}<extra></extra>", **place,
    )  # fmt: skip
    y, x = np.divmod(np.arange(discs.size), side)
    for disc, (name, colour) in _DISCS.items():
        here = discs == disc
        marker = {"size": 150 / side, "color": colour, "opacity": sure[here], "line": {"color": "#333333", "width": 1}}
        about = [f"{names[square]}: {name}, {sure[square]:.2f}" for square in np.flatnonzero(here)]
        _add_markers(figure, x[here], y[here], marker, about, place)
    if ringed is not None:
        here = np.asarray(ringed, bool)
        marker = {"size": 190 / side, "symbol": "circle-open", "line": {"color": RING, "width": 3}, "color": RING}
        _add_markers(figure, x[here], y[here], marker, [names[square] for square in np.flatnonzero(here)], place)
    ticks = list(range(side))
    axis = {"tickvals": ticks, "showgrid": False, "ticks": "", "constrain": "domain", "range": [-0.5, side - 0.5]}
    figure.update_xaxes(**axis, ticktext=[name[0] for name in names[:side]], **place)
    figure.update_yaxes(**{**axis, "range": [side - 0.5, -0.5]}, ticktext=[str(tick + 1) for tick in ticks], **place)
    x_axis = next(figure.select_xaxes(**place)).plotly_name.replace("axis", "")
    figure.update_yaxes(scaleanchor=x_axis, constraintoward="top", **place)


def _add_markers(
    figure: go.Figure, x: np.ndarray, y: np.ndarray, marker: dict, about: Sequence[str], place: dict[str, int]
) -> None:
    hover = "%{text}<extra></extra>"
    style = {"mode": "markers", "marker": marker, "text": list(about), "hovertemplate": hover, "showlegend": False}
    figure.add_trace(go.Scatter(x=x, y=y, **style), **place)
