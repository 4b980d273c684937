"""Random games on one core, replay on all; the other side is a slow, obvious Othello."""

from functools import partial

import numpy as np

from benchmarks.timing import seconds, side_by_side
from mothello_interp.othello import random_games, replay
from tests.othello import reference


def run() -> list[str]:
    """Lines to print."""
    lines = []
    for board in (6, 8):
        n = 100_000
        took = seconds(partial(random_games, n, board=board, seed=0, threads=1))
        lines.append(f"random {board}x{board} games, one core: {n / took:,.0f} games/s")
        games = random_games(20_000, board=board, seed=0)
        took = seconds(partial(replay, games))
        lines.append(
            f"replay {board}x{board} games to boards and legal masks, all cores: {len(games) / took:,.0f} games/s"
        )
    rng = np.random.default_rng(0)
    mine, theirs, _ = side_by_side(
        partial(random_games, 10_000, board=8, seed=0, threads=1), partial(_slow_games, 3, rng), repeats=3
    )
    lines.append(f"one core against the tests' reference: {(theirs / 3) / (mine / 10_000):,.0f} x")
    return lines


def _slow_games(n: int, rng: np.random.Generator) -> None:
    for _ in range(n):
        now = reference.position(reference.start(8), 8, reference.BLACK)
        while now.mover:
            place = now.legal[rng.integers(len(now.legal))]
            now = reference.position(reference.play(now.discs, 8, place, now.mover), 8, -now.mover)
