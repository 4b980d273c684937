"""Writers of WTHOR files and transcripts, byte by byte from the federation's description: what `records.py` reads."""

import struct
from collections.abc import Sequence
from pathlib import Path

from mothello_interp.othello import Games


def header(games: int, *, names: int = 0, year: int = 1998, board: int = 8, depth: int = 22) -> bytes:
    """The 16 bytes at the beginning: created on 2 March 1999."""
    return struct.pack("<BBBBIHHBBBB", 19, 99, 3, 2, games, names, year, board, 0, depth, 0)


def record(
    moves: Sequence[str],
    *,
    tournament: int = 0,
    black: int = 0,
    white: int = 0,
    score: int = 32,
    theoretical: int | None = None,
) -> bytes:
    """The 68 bytes of one game of square names."""
    played = bytes(10 * int(name[1]) + "abcdefgh".index(name[0]) + 1 for name in moves)
    best = score if theoretical is None else theoretical
    return struct.pack("<HHHBB", tournament, black, white, score, best) + played.ljust(60, b"\0")


def names_of(games: Games) -> list[list[str]]:
    """The squares of every game."""
    return [[text[i : i + 2] for i in range(0, len(text), 2)] for text in games.to_transcripts()]


def write_wthor(path: Path, games: Games) -> Path:
    """A `.wtb` file, each game drawn."""
    path.write_bytes(header(len(games)) + b"".join(record(moves) for moves in names_of(games)))
    return path


def write_names(path: Path, names: Sequence[str]) -> Path:
    """A table of players (`.JOU`) or tournaments (`.TRN`)."""
    width = {".jou": 20, ".trn": 26}[path.suffix.lower()]
    fields = b"".join(name.encode("latin-1").ljust(width, b"\0") for name in names)
    path.write_bytes(header(0, names=len(names)) + fields)
    return path


def write_transcripts(path: Path, games: Games) -> Path:
    """One game a line, a pass mark for a game without moves."""
    path.write_text("".join(f"{line or '--'}\n" for line in games.to_transcripts()), encoding="utf-8")
    return path
