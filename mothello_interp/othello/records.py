"""Real games: WTHOR files of the French Othello Federation, and transcripts, one game a line.

In a WTHOR file a move is the byte 10 * row + column, both from 1, and passes are not written. Players and tournaments
are numbers into the tables of names `WTHOR.JOU` and `WTHOR.TRN`.

Every game is replayed as it is read. The first that breaks the rules is an `IllegalGame` that names file, game, move
and reason; a list passed as `skipped` takes these errors instead, and the games are left out.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mothello_interp.hints import atomic_write
from mothello_interp.othello.games import Games, IllegalGame, replay
from mothello_interp.othello.wthor import RECORD, SIDE, fill, read_header, read_names, write_file

if TYPE_CHECKING:
    import pandas as pd

Skipped = list[IllegalGame]

_CHUNK = 4096  # games on boards at a time


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
        moves = np.where(written == 0, -1, (row - 1) * SIDE + column - 1)
        off = (written != 0) & ((np.minimum(row, column) < 1) | (np.maximum(row, column) > SIDE))
        if off.any():
            game, move = (int(index) for index in np.argwhere(off)[0])
            raise IllegalGame(f"byte {written[game, move]} is no square: expected 10 * row + column", game, move)
        return Games(moves, SIDE)

    return _replayed(make, len(records), SIDE, lambda game: str(path), skipped)


def wthor_records(path: str | Path, *, skipped: Skipped | None = None) -> "pd.DataFrame":
    """Who played the games of a `.wtb` file, where, and how they ended: one row a record, in the order of `read_wthor`.

    Names come from `WTHOR.JOU` and `WTHOR.TRN` in the same folder, in any case, and are missing where those are.

    Args:
        path: of the file.
        skipped: takes the error of a file whose size is not what its header says; without it that is raised.
            To match what `read_wthor` kept, drop the rows of what it skipped: `table.drop([e.game for e in skipped])`.

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
        for game in np.flatnonzero(records[name] > SIDE**2)[:1]:
            raise IllegalGame(
                f"{name} score {records[name][game]}: expected 0 to {SIDE**2}", int(game), None, str(path)
            )
    table = pd.DataFrame({"game": np.arange(len(records)), "year": int(header["year"])})
    table["tournament"] = _names_of(records["tournament"], path, ".trn")
    for side in ("black", "white"):
        table[side] = _names_of(records[side], path, ".jou")
    table["black_score"] = records["score"].astype(np.int64)
    table["white_score"] = SIDE**2 - table["black_score"]
    table["theoretical_score"] = records["theoretical"].astype(np.int64)
    table["theoretical_empties"] = int(header["depth"])
    for side in ("tournament", "black", "white"):
        table[f"{side}_number"] = records[side].astype(np.int64)
    return table


def write_wthor(
    path: str | Path,
    games: Games,
    *,
    year: int = 0,
    players: np.ndarray | None = None,
    tournaments: np.ndarray | None = None,
    theoretical: np.ndarray | None = None,
    depth: int = 0,
    created: date = date(2000, 1, 1),
) -> Path:
    """Write games as a `.wtb` file, with their scores; what stood there is replaced.

    Args:
        games: on a board of side 8.
        year: of the games.
        players: numbers of black and white in the table of players, int `[game 2]`, 0 by default.
        tournaments: numbers in the table of tournaments, int `[game]`, 0 by default.
        theoretical: black's score under perfect play from `depth` empty squares on, int `[game]`; the real one by default.
        created: the day for the header.

    Raises:
        IllegalGame: for a game that breaks the rules.
        ValueError: for another board, or a number that does not fit its field.
    """
    if games.board != SIDE:
        raise ValueError(f"games on a board of side {games.board}: WTHOR files hold games of side {SIDE}")
    n, score, records = len(games), black_score(games), np.zeros(len(games), RECORD)
    both = np.zeros((n, 2), np.int64) if players is None else np.asarray(players)
    if both.shape != (n, 2):
        raise ValueError(f"players of shape {both.shape}: expected black and white of every game, {(n, 2)}")
    fill(records, "black", both[:, 0])
    fill(records, "white", both[:, 1])
    fill(records, "tournament", 0 if tournaments is None else tournaments)
    fill(records, "score", score)
    fill(records, "theoretical", score if theoretical is None else theoretical)
    row, column = np.divmod(games.moves.astype(np.int64), SIDE)
    records["moves"] = np.where(games.moves < 0, 0, 10 * (row + 1) + column + 1)
    return write_file(Path(path), records.tobytes(), created=created, games=n, year=year, board=SIDE, depth=depth)


def black_score(games: Games) -> np.ndarray:
    """Black's discs after the last move, empty squares given to the winner (halved in a draw), int64 `[game]`.

    Raises:
        IllegalGame: for a game that breaks the rules.
    """
    scores = np.empty(len(games), np.int64)
    for first in range(0, len(games), _CHUNK):
        part = games[first : first + _CHUNK]
        lead = np.zeros(len(part), np.int64)  # of a game without moves, two discs each
        begun = part.lengths > 0
        states = replay(part).state
        lead[begun] = states[begun, part.lengths[begun] - 1].sum(axis=1, dtype=np.int64)
        empty = games.board**2 - 4 - part.lengths
        scores[first : first + _CHUNK] = (games.board**2 + lead + empty * np.sign(lead)) // 2
    return scores


def read_transcripts(path: str | Path, *, board: int = 8, skipped: Skipped | None = None) -> Games:
    """The games of a text file, one a line like `f5d6c3...`, replayed; lines are read as by `Games.from_transcripts`.

    Lines without text are passed over; one with a pass mark alone is a game without moves.

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


def write_transcripts(path: str | Path, games: Games) -> Path:
    """Write games as text, one a line, which `read_transcripts` reads; what stood there is replaced."""
    with atomic_write(path) as partial:
        partial.write_text("".join(f"{line or '--'}\n" for line in games.to_transcripts()), encoding="utf-8")
    return Path(path)


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
            found = IllegalGame(error.reason, part.start, error.move, source(part.start))
            if skipped is None:
                raise found from None
            skipped.append(found)
            return []

    kept = [Games.from_lists([], board).moves]
    for first in range(0, n, _CHUNK):
        kept += legal(slice(first, min(first + _CHUNK, n)))
    return Games(np.concatenate(kept), board)


def _records(path: Path, skipped: Skipped | None) -> tuple[np.void, np.ndarray]:
    """The header, and the records that are whole and that it counts."""
    header, body = read_header(path)
    if header["names"]:
        raise ValueError(f"{path} counts {header['names']} names: it is a table of names, not a .wtb file of games")
    if header["board"] not in (0, SIDE):
        raise ValueError(f"{path} holds games on a board of side {header['board']}: only side {SIDE} is read")
    n, whole_ones = int(header["games"]), len(body) // RECORD.itemsize
    if len(body) != n * RECORD.itemsize:
        there = f"{len(body)} bytes follow it, {len(body) / RECORD.itemsize:.1f} records of {RECORD.itemsize}"
        found = IllegalGame(f"the header counts {n} games, but {there}", min(n, whole_ones), None, str(path))
        if skipped is None:
            raise found
        skipped.append(found)
    return header, np.frombuffer(body, RECORD, min(n, whole_ones))


def _names_of(numbers: np.ndarray, path: Path, kind: str) -> "pd.Series":
    import pandas as pd

    tables = [file for file in sorted(path.parent.iterdir()) if file.name.lower() == f"wthor{kind}"]
    if not tables:
        return pd.Series([None] * len(numbers), dtype="str")
    names = read_names(tables[0])
    if len(numbers) and numbers.max() >= len(names):
        game = int(np.argmax(numbers))
        raise ValueError(f"{path}: game {game} has number {numbers[game]}, {tables[0]} has {len(names)} names")
    return pd.Series([names[number] for number in numbers], dtype="str")
