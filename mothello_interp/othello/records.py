"""Real games: WTHOR files of the French Othello Federation, and transcripts, one game a line.

WTHOR, little endian: a header of 16 bytes, then records of 68 bytes (`.wtb`), or names of 20 (`WTHOR.JOU`, players) or
26 bytes (`WTHOR.TRN`, tournaments), which the numbers in a record are indices into. A move is the byte
10 * row + column, both from 1; passes are not written. Format: https://www.ffothello.org/wthor/Format_WThor.pdf

Every game is replayed when it is read. The first that breaks the rules is an `IllegalGame` that names file, game, move
and reason; a list passed as `skipped` takes these errors instead, and the games are left out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mothello_interp.arguments import checked
from mothello_interp.othello.games import Games, IllegalGame
from mothello_interp.othello.play import replay

if TYPE_CHECKING:
    import pandas as pd

Skipped = list[IllegalGame]

SIDE = 8
HEADER = np.dtype(
    [(name, "u1") for name in ("century", "short_year", "month", "day")]
    + [("games", "<u4"), ("names", "<u2"), ("year", "<u2")]
    + [(name, "u1") for name in ("board", "kind", "depth", "reserved")]
)
RECORD = np.dtype(
    [(name, "<u2") for name in ("tournament", "black", "white")]
    + [("score", "u1"), ("theoretical", "u1"), ("moves", "u1", 60)]
)
NAME_BYTES = {".jou": 20, ".trn": 26}
_CHUNK = 4096  # games on boards at a time


@checked
def read_wthor(path: str | Path, *, skipped: Skipped | None = None) -> Games:
    """The games of a `.wtb` file, replayed.

    Args:
        path: of the file.
        skipped: takes an error for each game that is left out, and one for the rest of a file whose size is not what
            its header says. Without it the first is raised.

    Raises:
        IllegalGame: for an illegal move, a truncated file or one that holds more than its header counts.
        ValueError: for what is no WTHOR file of games on a board of side 8.
    """
    _, records = _records(Path(path), skipped)

    def make(part: slice) -> Games:
        written = records["moves"][part]
        row, column = np.divmod(written.astype(np.int64), 10)
        off = (written != 0) & ((np.minimum(row, column) < 1) | (np.maximum(row, column) > SIDE))
        for game, move in np.argwhere(off)[:1].tolist():
            raise IllegalGame(f"byte {written[game, move]} is no square: expected 10 * row + column", game, move)
        return Games(np.where(written == 0, -1, (row - 1) * SIDE + column - 1), SIDE)

    return _replayed(make, len(records), SIDE, lambda game: str(path), skipped)


@checked
def wthor_records(path: str | Path, *, skipped: Skipped | None = None) -> "pd.DataFrame":
    """Who played the games of a `.wtb` file, where, and how they ended: one row a record, in the order of `read_wthor`.

    Names come from `WTHOR.JOU` and `WTHOR.TRN` in the same folder, in any case, and are missing where those are.

    Args:
        path: of the file.
        skipped: takes the error of a file whose size is not what its header says; without it that is raised.
            To match what `read_wthor` returned, drop the rows it skipped: `table.drop([e.game for e in skipped])`.

    Returns:
        Columns game (from 0), year, tournament, black, white (names), black_score, white_score (discs at the end, empty
        squares given to the winner; together 64), theoretical_score (of black, under perfect play from
        `theoretical_empties` empty squares on), and the numbers tournament_number, black_number, white_number.

    Raises:
        IllegalGame: as `read_wthor`, for the file's size, and for a score that is not 0 to 64.
        ValueError: as `read_wthor`, and for a number that has no name in its table.
    """
    import pandas as pd

    path = Path(path)
    header, records = _records(path, skipped)
    for name in ("score", "theoretical"):
        for game in np.flatnonzero(records[name] > SIDE**2)[:1].tolist():
            raise IllegalGame(f"{name} score {records[name][game]}: expected 0 to {SIDE**2}", game, None, str(path))
    numbers = {
        name: records[name].astype(np.int64) for name in ("tournament", "black", "white", "score", "theoretical")
    }
    return pd.DataFrame(
        {
            "game": np.arange(len(records)),
            "year": int(header["year"]),
            "tournament": _names_of(numbers["tournament"], path, ".trn"),
            "black": _names_of(numbers["black"], path, ".jou"),
            "white": _names_of(numbers["white"], path, ".jou"),
            "black_score": numbers["score"],
            "white_score": SIDE**2 - numbers["score"],
            "theoretical_score": numbers["theoretical"],
            "theoretical_empties": int(header["depth"]),
            **{f"{name}_number": numbers[name] for name in ("tournament", "black", "white")},
        }
    )


def read_names(path: str | Path) -> list[str]:
    """The names of a table of players (`.JOU`) or tournaments (`.TRN`); a number in a record is an index into it.

    Raises:
        ValueError: for another kind of file, or one whose size is not what its header says.
    """
    path = Path(path)
    width = NAME_BYTES.get(path.suffix.lower())
    if width is None:
        raise ValueError(f"{path}: tables of names are .JOU (players) and .TRN (tournaments)")
    header, body = _header(path)
    n = int(header["names"])
    if len(body) != n * width:
        raise ValueError(f"{path}: the header counts {n} names of {width} bytes, but {len(body)} bytes follow it")
    fields = (body[first : first + width] for first in range(0, len(body), width))
    return [field.partition(b"\0")[0].decode("latin-1") for field in fields]


@checked
def read_transcripts(path: str | Path, *, board: int = 8, skipped: Skipped | None = None) -> Games:
    """The games of a text file, one a line like `f5d6c3...`, replayed; lines are read as by `Games.from_transcripts`.

    Empty lines are skipped; a line with a pass mark alone is a game without moves.

    Args:
        path: of the file, in UTF-8.
        board: side of the board.
        skipped: takes an error for each game that is left out; without it the first is raised.

    Raises:
        IllegalGame: for what is no move or no legal one, naming the line too.
        ValueError: for a file that is no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None
    written = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def make(part: slice) -> Games:
        return Games.from_transcripts([line for _, line in written[part]], board)

    return _replayed(make, len(written), board, lambda game: f"{path}, line {written[game][0]}", skipped)


def _replayed(
    make: Callable[[slice], Games], n: int, board: int, source: Callable[[int], str], skipped: Skipped | None
) -> Games:
    """The n games that `make` gives, replayed; `source` says where a game stands."""

    def legal(part: slice) -> list[np.ndarray]:
        try:
            games = make(part)
            replay(games)
            return [games.moves]
        except IllegalGame as error:
            if part.stop - part.start > 1:  # the rest of these games may be sound
                middle = (part.start + part.stop) // 2
                return legal(slice(part.start, middle)) + legal(slice(middle, part.stop))
            _report(IllegalGame(error.reason, part.start, error.move, source(part.start)), skipped)
            return []

    parts = [legal(slice(first, min(first + _CHUNK, n))) for first in range(0, n, _CHUNK)]
    return Games(
        np.concatenate([Games.from_lists([], board).moves, *(moves for part in parts for moves in part)]), board
    )


def _report(error: IllegalGame, skipped: Skipped | None) -> None:
    if skipped is None:
        raise error from None
    skipped.append(error)


def _header(path: Path) -> tuple[np.void, bytes]:
    """The header of a file, with the fields of HEADER, and the bytes after it."""
    data = path.read_bytes()
    if len(data) < HEADER.itemsize:
        raise ValueError(f"{path} is no WTHOR file: {len(data)} bytes, less than its header of {HEADER.itemsize}")
    return np.frombuffer(data, HEADER, 1)[0], data[HEADER.itemsize :]


def _records(path: Path, skipped: Skipped | None) -> tuple[np.void, np.ndarray]:
    """The header, and the complete records that it counts."""
    header, body = _header(path)
    if header["names"]:
        raise ValueError(f"{path} counts {header['names']} names: it is a table of names, not a .wtb file of games")
    if header["board"] not in (0, SIDE):
        raise ValueError(f"{path} holds games on a board of side {header['board']}: only side {SIDE} is read")
    counted, width = int(header["games"]), RECORD.itemsize
    n = min(counted, len(body) // width)
    if len(body) != counted * width:
        there = f"{len(body)} bytes follow it, {len(body) / width:.1f} records of {width}"
        _report(IllegalGame(f"the header counts {counted} games, but {there}", n, None, str(path)), skipped)
    return header, np.frombuffer(body, RECORD, n)


def _names_of(numbers: np.ndarray, path: Path, kind: str) -> "pd.Series":
    import pandas as pd

    tables = [file for file in sorted(path.parent.iterdir()) if file.name.lower() == f"wthor{kind}"]
    names = read_names(tables[0]) if tables else []
    for game in np.flatnonzero(numbers >= len(names))[:1].tolist() if tables else []:
        raise ValueError(f"{path}: game {game} has number {numbers[game]}, {tables[0]} has {len(names)} names")
    return pd.Series([names[number] if tables else None for number in numbers], dtype="str")
