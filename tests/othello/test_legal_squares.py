"""Legal moves on any board, also on such as no game leads to, against the reference engine."""

import numpy as np
import pytest

from mothello_interp.othello import legal_squares, random_games, replay
from tests.othello import reference


@pytest.mark.parametrize("side", [4, 6, 8])
def test_boards_of_random_discs(side: int) -> None:
    rng = np.random.default_rng(side)
    state = rng.choice([-1, 0, 1], size=(60, side * side)).astype(np.int8)
    mover = rng.choice([-1, 1], size=60).astype(np.int8)
    found = legal_squares(state, mover)
    for board, colour, legal in zip(state, mover, found, strict=True):
        discs = {divmod(square, side): int(disc) for square, disc in enumerate(board) if disc}
        expected = {side * row + column for row, column in reference.legal_places(discs, side, int(colour))}
        assert set(np.flatnonzero(legal).tolist()) == expected
    assert found.any()


def test_boards_of_games() -> None:
    """As in `replay`; nobody to move, no move."""
    boards = replay(random_games(30, board=6, seed=1))
    state, mover = boards.state.reshape(-1, 36), boards.mover[:, 1:].reshape(-1)
    assert (mover == 0).any()
    assert np.array_equal(legal_squares(state, mover), boards.legal[:, 1:].reshape(-1, 36))


def test_no_pass_is_played() -> None:
    assert not legal_squares(np.full((1, 16), 1), np.array([-1])).any()
    assert legal_squares(np.zeros((0, 16)), np.zeros(0)).shape == (0, 16)


@pytest.mark.parametrize(
    ("state", "mover", "match"),
    [
        (np.zeros(16), np.ones(1), r"write state\[None\] for a single board"),
        (np.zeros((2, 16)), np.ones(3), r"state \(2, 16\), mover \(3,\)"),
        (np.zeros((1, 25)), np.ones(1), "board=5"),
        (np.zeros((1, 17)), np.ones(1), "17 squares a square number"),
        (np.full((1, 16), 2), np.ones(1), "must hold -1, 0 and 1"),
        (np.zeros((1, 16)), np.full(1, 2), "must hold -1, 0 and 1"),
    ],
)
def test_mistakes(state: np.ndarray, mover: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        legal_squares(state, mover)
