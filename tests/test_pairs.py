"""Minimal pairs and truncated games, by their definition, on every board."""

import numpy as np
import pytest

from mothello_interp.othello import Games, random_games, replay
from mothello_interp.pairs import SHARED_AFTER, Pairs, minimal_pairs, truncate_games
from tests.cases import RANGES, games_of, pairs_of

every_side = pytest.mark.parametrize("side", RANGES)


@every_side
def test_pairs_differ_in_one_move_of_legal_games(side: int) -> None:
    """SHARED_AFTER equal moves follow, where both end; the players are the same, and each allows a move that the other forbids."""
    pairs, given = pairs_of(side), games_of(side)
    differ = pairs.clean.moves != pairs.corrupted.moves
    assert len(pairs) == len(pairs.clean) == 60
    assert (differ.sum(axis=1) == 1).all()
    assert np.array_equal(differ.argmax(axis=1), pairs.changed)
    boards = [replay(games) for games in (pairs.clean, pairs.corrupted)]  # raises for an illegal move
    assert np.array_equal(boards[0].mover, boards[1].mover)
    ends = np.arange(60), pairs.changed + 1 + SHARED_AFTER
    assert (boards[0].mover[ends] != 0).all()
    first, second = (board.legal[ends] for board in boards)
    assert (first & ~second).any(axis=1).all()
    assert (second & ~first).any(axis=1).all()
    for games in (pairs.clean, pairs.corrupted):
        assert games.board == side
        assert np.array_equal(games.lengths, ends[1])
    used: set[int] = set()
    for moves, end in zip(
        pairs.clean.moves, ends[1], strict=True
    ):  # each begins another one of the games, that goes on
        (begins,) = np.nonzero((given.moves[:, :end] == moves[:end]).all(axis=1) & (given.lengths > end))
        used |= {next(index for index in begins.tolist() if index not in used)}
    assert len(used) == 60


@every_side
def test_changed_moves_fill_their_range(side: int) -> None:
    earliest, latest = RANGES[side]
    changed = minimal_pairs(games_of(side), 100, seed=3, earliest=earliest, latest=latest).changed
    assert earliest <= changed.min() < earliest + 2
    assert latest - 2 < changed.max() <= latest
    assert len(set(changed.tolist())) > 0.7 * (latest + 1 - earliest)
    if side == 6:
        by_default = minimal_pairs(games_of(6), 100, seed=0).changed
        assert (by_default.min(), by_default.max()) == (4, 20)


def test_replacements_are_any_legal_move() -> None:
    """Not always the first: over many pairs each legal alternative has its turn."""
    pairs = minimal_pairs(random_games(4000, board=6, seed=8), 400, seed=0, earliest=4, latest=4)
    options = replay(pairs.clean).legal[np.arange(400), 4]
    options[np.arange(400), pairs.clean.moves[:, 4]] = False
    replacement = pairs.corrupted.moves[:, 4]
    rank = (options & (np.arange(36) < replacement[:, None])).sum(axis=1)
    assert options[np.arange(400), replacement].all()
    assert min(np.bincount(rank, minlength=3)[:3]) > 40


def test_pairs_follow_their_seed() -> None:
    """Fewer pairs are the first of more; another seed gives others."""
    again, fewer, other = (minimal_pairs(games_of(6), n, seed=seed) for n, seed in ((60, 0), (10, 0), (60, 1)))
    assert (again.clean, again.corrupted) == (pairs_of(6).clean, pairs_of(6).corrupted)
    assert fewer.corrupted == again.corrupted[:10]
    assert other.corrupted != again.corrupted


def test_pairs_refuse_games_that_are_none() -> None:
    pairs = pairs_of(4)
    last = np.arange(12) == (pairs.clean.lengths - 1)[:, None]
    shorter = [Games(np.where(last, -1, games.moves), 4) for games in (pairs.clean, pairs.corrupted)]
    wrong: list[tuple[Games, Games, str]] = [
        (pairs.clean, pairs.clean, "differ in one move each"),
        (pairs.clean, pairs.corrupted[:5], "60 clean and 5 corrupted games"),
        (shorter[0], shorter[1], "share 2 moves after the one that differs"),
    ]
    for clean, corrupted, match in wrong:
        with pytest.raises(ValueError, match=match):
            Pairs(clean, corrupted)
    with pytest.raises(ValueError, match=r"games gave \d+ minimal pairs, 300 asked for: pass more games"):
        minimal_pairs(games_of(6)[:50], 300, seed=0)
    for earliest, latest in ((0, 3), (-3, 3), (9, 8)):  # the move before the changed one is patched too
        with pytest.raises(ValueError, match=f"earliest={earliest}"):
            minimal_pairs(games_of(6), 1, seed=0, earliest=earliest, latest=latest)


@every_side
def test_truncated_games_begin_the_games_and_go_on(side: int) -> None:
    earliest, latest = RANGES[side]
    found = truncate_games(games_of(side), 100, seed=0, earliest=earliest, latest=latest)
    given = games_of(side)[games_of(side).lengths > latest + 1][:100]
    assert (given.lengths > found.lengths).all()
    assert np.array_equal(
        found.moves, np.where(np.arange(found.moves.shape[1]) < found.lengths[:, None], given.moves, -1)
    )
    assert (found.lengths.min(), found.lengths.max()) == (earliest + 1, latest + 1)
    assert found == truncate_games(games_of(side), 100, seed=0, earliest=earliest, latest=latest)
    assert found != truncate_games(games_of(side), 100, seed=1, earliest=earliest, latest=latest)
    with pytest.raises(ValueError, match="asked for: pass more games"):
        truncate_games(games_of(side), 100_000, seed=0)
    with pytest.raises(ValueError, match="earliest=5, latest=4"):
        truncate_games(games_of(side), 1, seed=0, earliest=5, latest=4)
