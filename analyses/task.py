"""The task: one game in several languages, and how well the models know its rules."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analyses import legality
from analyses._models import BUNDLED, MODELS, Zoo, over_models
from analyses.legality import headline, measure
from mothello_interp.languages import Atomic, Compositional, Mothello, Split
from mothello_interp.othello import random_games, replay
from mothello_interp.plots import COLOURS, LANGUAGES, add_board, panel_grid

__all__ = ["compute", "figure", "headline", "measure"]  # the last two as in `legality`

_MOVES = 4
_PIECES = {"/1": "₁", "/2": "₂", "/3": "₃"}  # of a split move
_LANGUAGES = ("atomic A", "atomic B", "atomic B, 1 anchor", "split", "compositional")


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The rows of `legality`."""
    return over_models("legality", legality.measure, MODELS, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """The board after some moves, and these moves as tokens of each language, a colour a move."""
    game = random_games(1, board=6, seed=3)
    boards = replay(game)
    drawing = panel_grid([[f"the board after {_MOVES} moves", "the same moves, as tokens"]], x="", y="", shared=False)
    add_board(drawing, boards.state[0, _MOVES - 1], ringed=boards.legal[0, _MOVES])
    anchored = Mothello(6, (Atomic(), Atomic()), anchors=[_names(game)[1]])
    plain = Mothello(6, (Atomic(), Atomic(), Split(seed=5), Compositional()))
    worlds = [(plain, 0, "A:"), (plain, 1, "B:"), (anchored, 1, "B:"), (plain, 2, "S:"), (plain, 3, "C:")]
    for row, (world, language, prefix) in enumerate(worlds):
        _write(drawing, world, game, language, prefix, row)
    bare: dict[str, Any] = {"tickvals": [], "showgrid": False, "zeroline": False, "showline": False, "row": 1, "col": 2}
    drawing.update_xaxes(range=[0, 8.2], **bare).update_yaxes(range=[len(worlds) - 0.2, -0.4], **bare)
    drawing.update_xaxes(domain=[0, 0.36], row=1, col=1).update_xaxes(domain=[0.46, 1], row=1, col=2)
    for note, x in zip(drawing.layout.annotations, (0.18, 0.73), strict=False):
        note.x = x
    return drawing.update_layout(height=430)


def _names(game: Any) -> list[str]:
    """The squares of its moves."""
    (text,) = game.to_transcripts()
    return [text[place : place + 2] for place in range(0, len(text), 2)]


def _write(drawing: go.Figure, world: Mothello, game: Any, language: int, prefix: str, row: int) -> None:
    """A line of tokens, under the name of the language."""
    encoded = world.encode(game, language)
    ends = [int(end) + 1 for end in encoded.last[0, :_MOVES]]
    place: dict[str, Any] = {"showarrow": False, "row": 1, "col": 2, "xanchor": "left"}
    name = {"text": f"<b>{_LANGUAGES[row]}</b>", "font": {"size": 14, "color": COLOURS["ceiling"]}}
    drawing.add_annotation(x=0, y=row, **name, **place)
    step = min(8 / ends[-1], 4 / 3)
    for move, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        for position in range(start, end):
            owner, _, text = world.vocabulary[int(encoded.tokens[0, position])].partition(":")
            square, piece = text[:2], text[2:]
            shown = ("A:" if int(owner) != language else prefix) + square + _PIECES.get(piece, "")
            box = {
                "bgcolor": LANGUAGES[move],
                "font": {"color": "#FEFEFE", "size": 12, "family": "monospace"},
                "borderpad": 2,
            }
            drawing.add_annotation(x=0.1 + step * position, y=row + 0.42, text=shown, **box, **place)
