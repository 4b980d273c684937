"""The world: rules, games, boards and symmetries of Othello. It knows no token and no model."""

from mothello_interp.othello.games import (
    Boards,
    Games,
    IllegalGame,
    games_at,
    legal_prefixes,
    random_games,
    replay,
)
from mothello_interp.othello.rules import full_length, perft, square_index, square_name, start_squares
from mothello_interp.othello.symmetry import CONTROLS, SYMMETRIES, Symmetry

__all__ = [
    "CONTROLS",
    "SYMMETRIES",
    "Boards",
    "Games",
    "IllegalGame",
    "Symmetry",
    "full_length",
    "games_at",
    "legal_prefixes",
    "perft",
    "random_games",
    "replay",
    "square_index",
    "square_name",
    "start_squares",
]
