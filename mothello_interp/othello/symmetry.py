"""The symmetries of the square, and which of them Othello keeps.

Convention: a symmetry is a permutation p of squares, and the image b' of a board b has b'[p[s]] = b[s].
`SYMMETRIES` are the four that keep the start position, hence every rule of play and the distribution of random games;
`CONTROLS` are the four that do not, for use as negative controls.
"""

from dataclasses import dataclass

import numpy as np

from mothello_interp.othello.games import Games
from mothello_interp.othello.rules import check_side


@dataclass(frozen=True)
class Symmetry:
    """One symmetry of the square, for boards of any side.

    Attributes:
        name: as used in tables.
        matrix: the two rows of the 2x2 integer matrix that acts on (row, column) about the centre of the board.
    """

    name: str
    matrix: tuple[tuple[int, int], tuple[int, int]]

    def squares(self, board: int) -> np.ndarray:
        """The permutation p, int64 `[square]`: the disc on square s goes to square p[s]."""
        square = np.arange(check_side(board) ** 2)
        centred = np.stack([square // board, square % board]) * 2 - (board - 1)
        row, column = (np.array(self.matrix) @ centred + (board - 1)) // 2
        return row * board + column

    def boards(self, values: np.ndarray) -> np.ndarray:
        """The image of anything laid out by square, `[... square]`: boards, legal masks, a probe's outputs."""
        values = np.asarray(values)
        board = round(values.shape[-1] ** 0.5)
        image = np.empty_like(values)
        image[..., self.squares(board)] = values
        return image

    def games(self, games: Games) -> Games:
        """The same games seen in this symmetry. Under a control symmetry they are in general no legal games."""
        image = np.append(self.squares(games.board), -1)
        return Games(image[games.moves], games.board)

    def __matmul__(self, first: "Symmetry") -> "Symmetry":
        """`g @ h` is h, then g: `(g @ h).squares(n)[s] == g.squares(n)[h.squares(n)[s]]`."""
        product = np.array(self.matrix) @ np.array(first.matrix)
        return next(symmetry for symmetry in ALL.values() if np.array_equal(symmetry.matrix, product))

    @property
    def inverse(self) -> "Symmetry":
        """The symmetry that undoes this one."""
        return next(symmetry for symmetry in ALL.values() if (symmetry @ self).name == "identity")


def _named(**matrices: tuple[tuple[int, int], tuple[int, int]]) -> dict[str, Symmetry]:
    return {name: Symmetry(name, matrix) for name, matrix in matrices.items()}


SYMMETRIES = _named(
    identity=((1, 0), (0, 1)),
    diagonal=((0, 1), (1, 0)),
    antidiagonal=((0, -1), (-1, 0)),
    half_turn=((-1, 0), (0, -1)),
)
CONTROLS = _named(
    quarter_turn=((0, 1), (-1, 0)),
    three_quarter_turn=((0, -1), (1, 0)),
    flip_rows=((-1, 0), (0, 1)),
    flip_columns=((1, 0), (0, -1)),
)
ALL = SYMMETRIES | CONTROLS
