"""Boards as they are drawn: every disc on its square, row 1 on top."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from mothello_interp.othello import random_games, replay, square_name
from mothello_interp.plots import add_board, draw_boards, panel_grid

BOARD = replay(random_games(1, board=6, seed=0)).state[0, 9]


def drawn(trace: Any, side: int = 6) -> list[str]:
    """The names of the squares on which a trace has markers, by the axes that the figure labels."""
    return sorted(square_name(int(y) * side + int(x), side) for x, y in zip(trace.x, trace.y, strict=True))


def names(mask: np.ndarray) -> list[str]:
    return sorted(square_name(int(square), 6) for square in np.flatnonzero(mask))


def test_discs_lie_on_their_squares() -> None:
    """White and black apart, with the names that hovering shows; a1 is in the top left corner."""
    figure = draw_boards(["one"], BOARD[None])
    _, white, black = figure.data
    assert drawn(white) == names(BOARD == -1)
    assert drawn(black) == names(BOARD == 1)
    assert sorted(text.split(":")[0] for text in black.text) == names(BOARD == 1)
    panel = figure.get_subplot(1, 1)
    assert panel.xaxis.ticktext == tuple("abcdef")
    assert panel.yaxis.ticktext == tuple("123456")
    assert panel.yaxis.range[0] > panel.yaxis.range[1]
    assert panel.yaxis.scaleanchor == "x"


def test_certainty_shade_and_rings() -> None:
    """Discs fade, squares light up and say so, and rings point."""
    certainty = np.linspace(0, 1, 36)
    shade = np.where(BOARD == 0, 0.25, 0.0)
    ringed = np.arange(36) % 5 == 0
    figure = panel_grid([["left", "right"]], x="", y="", shared=False)
    add_board(figure, BOARD, certainty=certainty, shade=shade, ringed=ringed, column=2)
    squares, white, _, rings = figure.data
    np.testing.assert_allclose(white.marker.opacity, certainty[BOARD == -1])
    np.testing.assert_allclose(squares.z, shade.reshape(6, 6))
    assert set(squares.text[shade.reshape(6, 6) == 0]) == {""}
    assert set(squares.text[shade.reshape(6, 6) > 0]) == {"25"}
    assert drawn(rings) == names(ringed)
    assert {trace.xaxis for trace in figure.data} == {"x2"}
    assert figure.get_subplot(1, 2).yaxis.scaleanchor == "x2"


def test_boards_side_by_side() -> None:
    """Each panel has its own board and its own values."""
    boards = np.stack([BOARD, -BOARD])
    figure = draw_boards(["board", "colours changed"], boards, ringed=boards != boards[0])
    by_panel = {axis: [trace for trace in figure.data if trace.xaxis == axis] for axis in ("x", "x2")}
    assert drawn(by_panel["x"][1]) == drawn(by_panel["x2"][2]) == names(BOARD == -1)
    assert drawn(by_panel["x"][3]) == []
    assert drawn(by_panel["x2"][3]) == names(BOARD != 0)
    assert [note.text for note in figure.layout.annotations] == ["board", "colours changed"]


def test_what_is_no_board_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shade has shape \(6, 6\): expected one value a square, \[36\]"):
        add_board(go.Figure(), BOARD, shade=np.zeros((6, 6)))
    with pytest.raises(ValueError, match="discs has shape"):
        add_board(go.Figure(), BOARD[:30])
    with pytest.raises(ValueError, match="ringed has 1 boards, for 2 titles"):
        draw_boards(["a", "b"], np.stack([BOARD, BOARD]), ringed=np.zeros((1, 36), bool))
