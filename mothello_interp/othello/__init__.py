"""The world: rules, games, boards and symmetries of Othello. It knows no token and no model."""

from mothello_interp.othello.games import Games, IllegalGame
from mothello_interp.othello.play import Boards, games_at, legal_prefixes, legal_squares, random_games, replay
from mothello_interp.othello.records import read_names, read_transcripts, read_wthor, wthor_records
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
    "legal_squares",
    "perft",
    "random_games",
    "read_names",
    "read_transcripts",
    "read_wthor",
    "replay",
    "square_index",
    "square_name",
    "start_squares",
    "wthor_records",
]
