"""Games as arrays of moves, from text, lists and files; `play.py` plays them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from mothello_interp.arguments import whole
from mothello_interp.hints import atomic_write
from mothello_interp.othello import kernels
from mothello_interp.othello.rules import check_side, full_length, square_index, square_name, start_squares

_SOME, _DENSEST = 2**26, 64  # bytes of an array that any file may have, and more for each of its own


class IllegalGame(ValueError):
    """A game that breaks the rules, or that a file does not hold completely.

    Attributes:
        reason: what is wrong with it.
        game, move: its indices in the call or the file, from 0 (`move` may be None).
        source: the file it is in; empty if there is none.
    """

    def __init__(self, reason: str, game: int, move: int | None = None, source: str = ""):
        super().__init__(reason, game, move, source)
        self.reason, self.game, self.move, self.source = reason, game, move, source

    def __str__(self) -> str:
        place = [self.source, f"game {self.game}" + ("" if self.move is None else f", move {self.move + 1}")]
        return ": ".join([*filter(None, place), self.reason])


@dataclass(frozen=True, eq=False)
class Games:
    """Games of Othello without passes, which the rules imply.

    Attributes:
        moves: int8 `[game move]`, row-major squares, -1 after the end; as wide as a game that fills the board.
        board: side of the board, 4, 6 or 8.

    Whether the moves are legal is checked by `replay`.

    Raises:
        ValueError: for an unknown board or a wrong shape.
        IllegalGame: for a square that does not exist or is a start square, a move twice, or a move after a -1.

    Examples:
        >>> games = Games.from_transcripts(["f5d6c3", "d3c5"])
        >>> games.lengths
        array([3, 2])
        >>> games[1:].to_transcripts()
        ['d3c5']
    """

    moves: np.ndarray
    board: int

    def __post_init__(self) -> None:
        board, length = check_side(self.board), full_length(self.board)
        given = np.asarray(self.moves)
        if given.ndim != 2 or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"moves is {given.dtype} of shape {given.shape}: expected integers of shape [game move]")
        on_board = (given >= -1) & (given < board**2)
        moves = np.full((len(given), max(given.shape[1], length)), -1, np.int8)
        moves[:, : given.shape[1]] = np.where(on_board, given.astype(np.int8), np.int8(-2))
        start = np.uint64(sum(1 << square for square in start_squares(board)))
        game, move = kernels.first_impossible(moves, start)
        if game >= 0:
            raise IllegalGame(_impossible(given[game, : move + 1].tolist(), board), game, move)
        self._set(np.ascontiguousarray(moves[:, :length]), board)

    def _set(self, moves: np.ndarray, board: int) -> "Games":
        moves.setflags(write=False)
        object.__setattr__(self, "moves", moves)
        object.__setattr__(self, "board", board)
        return self

    @classmethod
    def _unchecked(cls, moves: np.ndarray, board: int) -> "Games":
        """Games that are right by construction, without the time that the checks take."""
        return object.__new__(cls)._set(moves, board)

    def __len__(self) -> int:
        return len(self.moves)

    def __getitem__(self, index: slice | np.ndarray) -> "Games":
        moves = self.moves[index, :]
        if moves.ndim != 2:
            raise ValueError(f"games[{index!r}]: pass a slice or an array of one dimension, as in games[3:4]")
        return Games._unchecked(np.ascontiguousarray(moves), self.board)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Games) and self.board == other.board and np.array_equal(self.moves, other.moves)

    @property
    def lengths(self) -> np.ndarray:
        """Number of moves of each game, int64 `[game]`."""
        return (self.moves >= 0).sum(axis=1)

    def among(self, others: "Games") -> np.ndarray:
        """Which of these games others are, move for move, bool `[game]`."""
        known = {moves.tobytes() for moves in others.moves} if others.board == self.board else set()
        return np.array([moves.tobytes() in known for moves in self.moves], bool)

    @classmethod
    def from_lists(cls, games: Iterable[Sequence[int | str]], board: int = 8) -> "Games":
        """Games from lists of squares, each an index or a name: `Games.from_lists([["d3", "c3"], [19]])`.

        Raises:
            IllegalGame: for what is no square or no possible move, naming the game and the move.
        """
        check_side(board)
        rows = [_squares(game, row, board) for game, row in enumerate(games)]
        moves = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
        for index, row in enumerate(rows):
            moves[index, : len(row)] = row
        return cls(moves, board)

    @classmethod
    def from_transcripts(cls, transcripts: Iterable[str], board: int = 8) -> "Games":
        """Games from text like `f5d6c3`: any case; spaces, commas, numbers of moves (`1.`) and pass marks (`--`, `pass`, `pa`)
        are skipped.

        Raises:
            IllegalGame: for text that is no move or no possible one, naming the game and the place.
        """
        return cls.from_lists([_squares_in(text, game) for game, text in enumerate(transcripts)], board)

    def to_transcripts(self) -> list[str]:
        """One line a game, `f5d6c3...`, lower case, without passes."""
        names = np.array([*(square_name(square, self.board) for square in range(self.board**2)), ""])
        return ["".join(row) for row in names[self.moves]]

    def save(self, path: str | Path) -> Path:
        """Write the games to one compressed `.npz` of arrays, which `load` reads; an existing file is replaced.

        Raises:
            ValueError: for a name that does not end in .npz.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"{path}: games are saved as numpy arrays; give a name that ends in .npz")
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, moves=self.moves, board=np.int64(self.board))
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Games":
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ValueError: if it is anything else, naming the file.
            IllegalGame: for a game that cannot be, naming the file, the game and the move.
        """
        data = BytesIO(Path(path).read_bytes())  # a missing file is none of the errors below
        try:
            _check_amount(data)
            data.seek(0)
            with np.load(data, allow_pickle=False) as stored:
                moves, board = stored["moves"], int(stored["board"])
        except Exception as error:  # zipfile, zlib and numpy have many ways to say that bytes are spoilt
            raise ValueError(f"{path} holds no games: expected the arrays moves and board ({error})") from None
        try:
            return cls(moves, board)
        except IllegalGame as error:
            raise IllegalGame(error.reason, error.game, error.move, str(path)) from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _check_amount(data: BytesIO) -> None:
    """ValueError for an archive of more than a file of its size has room for, which would fill the memory."""
    most = _SOME + _DENSEST * data.getbuffer().nbytes
    with ZipFile(data) as stored:
        for name in ("moves.npy", "board.npy"):
            with stored.open(name) as array:
                if (version := npy.read_magic(array)) != (1, 0):
                    raise ValueError(f"version {version} of the array {name}")
                shape, _, dtype = npy.read_array_header_1_0(array)
            there = stored.getinfo(name).file_size
            asked = prod(shape[:1]) * max(prod(shape[1:]) * dtype.itemsize, full_length(8))  # as checked games
            if max(there, asked) > most or prod(shape) * dtype.itemsize > there:
                raise ValueError(f"{name} says it has {asked} bytes, expected {most} at most")


_TEXT = re.compile(r"(?:[a-h][1-8]|pass|pa|ps|\d+\.|[\s,;.-])*+", re.IGNORECASE)


def _squares_in(text: str, game: int) -> list[str]:
    if not isinstance(text, str):  # a table has NaN where a text is missing
        raise IllegalGame(f"{text!r} is no text; expected moves like f5d6c3", game)
    known = _TEXT.match(text)
    end = known.end() if known else 0
    if end < len(text):
        raise IllegalGame(f"{text[end : end + 8]!r} at character {end} is no move; expected squares like f5", game)
    return re.findall("[a-h][1-8]", text, re.IGNORECASE)


def _squares(game: int, row: Sequence[int | str], board: int) -> list[int]:
    if not isinstance(row, Iterable):  # a table has NaN where a game is missing
        raise IllegalGame(f"{row!r} is no list of squares", game)
    return [_index(game, move, square, board) for move, square in enumerate(row)]


def _index(game: int, move: int, square: int | str, board: int) -> int:
    try:
        return square_index(square, board) if isinstance(square, str) else whole("square", square)
    except ValueError as error:
        raise IllegalGame(str(error), game, move) from None


def _impossible(moves: list[int], board: int) -> str:
    """Why the last of these squares cannot come after the others."""
    *before, square = moves
    if not -1 <= square < board**2:
        return f"{square} is no square of a board of side {board}: expected 0 to {board**2 - 1}, or -1 after the end"
    if -1 in before:
        return "the game continues after a -1, which may only follow the last move (passes are not written)"
    played = "was played before" if square in before else "is a start square, which is never played"
    return f"{square_name(square, board)} {played}"
