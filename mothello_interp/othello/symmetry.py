"""The symmetries of the square, and which of them Othello keeps.

Convention: a symmetry is a permutation p of squares, and the image b' of a board b has b'[p[s]] = b[s].
`SYMMETRIES` are the four that keep the start position, hence every rule of play and the distribution of random games;
`CONTROLS` are the four that do not, for use as negative controls: they exchange the colours of the start position, so
the image of a game is one that the other side began. `languages.Relabelled` is a language seen through a symmetry.
"""

from dataclasses import dataclass

import numpy as np

from mothello_interp.othello.games import Games
from mothello_interp.othello.rules import SIDES, check_side


@dataclass(frozen=True)
class Symmetry:
    """One symmetry of the square, for boards of any side.

    Attributes:
        name: as used in tables.
        matrix: the two rows of the 2x2 integer matrix that acts on (row, column) about the centre of the board.

    Examples:
        >>> from mothello_interp import SYMMETRIES, Games
        >>> SYMMETRIES["half_turn"].games(Games.from_transcripts(["d3c3"])).to_transcripts()
        ['e6f6']
        >>> (SYMMETRIES["diagonal"] @ SYMMETRIES["antidiagonal"]).name
        'half_turn'
    """

    name: str
    matrix: tuple[tuple[int, int], tuple[int, int]]

    @classmethod
    def of(cls, symmetry: "Symmetry | str") -> "Symmetry":
        """The symmetry of this name; a symmetry is returned as it is.

        Raises:
            ValueError: for a symmetry that does not exist.
        """
        if isinstance(symmetry, cls):
            return symmetry
        if not isinstance(symmetry, str) or symmetry not in ALL:
            raise ValueError(f"symmetry {symmetry!r}: known are {', '.join(ALL)}")
        return ALL[symmetry]

    def squares(self, board: int) -> np.ndarray:
        """The permutation p, int64 `[square]`: the disc on square s goes to square p[s]."""
        square = np.arange(check_side(board) ** 2)
        centred = np.stack([square // board, square % board]) * 2 - (board - 1)
        row, column = (np.array(self.matrix) @ centred + (board - 1)) // 2
        return row * board + column

    def moves(self, moves: np.ndarray, board: int) -> np.ndarray:
        """The images of squares, int `[...]`; the -1 of a game that is over stays."""
        return np.append(self.squares(board), -1)[moves]

    def boards(self, values: np.ndarray, axis: int = -1) -> np.ndarray:
        """The image of anything laid out by square along an axis.

        Boards and masks are `[... square]`, logits of a probe `[row square 3]` and tokens `[language square piece]` (axis 1).

        Raises:
            ValueError: if that axis is not as long as a board has squares.
        """
        values = np.moveaxis(np.asarray(values), axis, -1)
        board = round(values.shape[-1] ** 0.5)
        if board not in SIDES or board**2 != values.shape[-1]:
            raise ValueError(f"axis {axis} holds {values.shape[-1]} values: expected one a square, 16 or 36 or 64")
        image = np.empty_like(values)
        image[..., self.squares(board)] = values
        return np.moveaxis(image, -1, axis)

    def games(self, games: Games) -> Games:
        """The same games seen in this symmetry. Under a control symmetry they are in general no legal games."""
        return Games(self.moves(games.moves, games.board), games.board)

    def __matmul__(self, first: "Symmetry") -> "Symmetry":
        """`g @ h` is h, then g: `(g @ h).squares(n)[s] == g.squares(n)[h.squares(n)[s]]`."""
        product = np.array(self.matrix) @ np.array(first.matrix)
        return next(symmetry for symmetry in ALL.values() if np.array_equal(symmetry.matrix, product))

    @property
    def inverse(self) -> "Symmetry":
        """The symmetry that undoes this one."""
        return next(symmetry for symmetry in ALL.values() if (symmetry @ self).name == "identity")


_MATRICES = {
    "identity": ((1, 0), (0, 1)),
    "diagonal": ((0, 1), (1, 0)),
    "antidiagonal": ((0, -1), (-1, 0)),
    "half_turn": ((-1, 0), (0, -1)),
    "quarter_turn": ((0, 1), (-1, 0)),
    "three_quarter_turn": ((0, -1), (1, 0)),
    "flip_rows": ((-1, 0), (0, 1)),
    "flip_columns": ((1, 0), (0, -1)),
}
ALL = {name: Symmetry(name, matrix) for name, matrix in _MATRICES.items()}
SYMMETRIES = dict(list(ALL.items())[:4])
"""The four that keep the start position, by name: under each of them random play looks the same."""
CONTROLS = dict(list(ALL.items())[4:])
"""The other four, which exchange the colours of the start position: negative controls."""
