"""Minimal pairs, by their definition, on every board."""

import numpy as np
import pytest

from mothello_interp.othello import random_games, replay
from mothello_interp.patching import SHARED_AFTER, minimal_pairs
from tests.patching.cases import RANGES, games_of, pairs_of

every_side = pytest.mark.parametrize("side", RANGES)


@every_side
def test_pairs_differ_in_one_move(side: int) -> None:
    """In the move that is named, with SHARED_AFTER equal moves after it, where both games end."""
    pairs = pairs_of(side)
    differ = pairs.clean.moves != pairs.corrupted.moves
    assert len(pairs) == len(pairs.clean) == len(pairs.corrupted) == 60
    assert (differ.sum(axis=1) == 1).all()
    assert np.array_equal(differ.argmax(axis=1), pairs.changed)
    for games in (pairs.clean, pairs.corrupted):
        assert games.board == side
        assert np.array_equal(games.lengths, pairs.changed + 1 + SHARED_AFTER)


@every_side
def test_pairs_are_legal_games_with_the_same_movers(side: int) -> None:
    clean, corrupted = replay(pairs_of(side).clean), replay(pairs_of(side).corrupted)
    assert np.array_equal(clean.mover, corrupted.mover)
    at_end = clean.mover[np.arange(60), pairs_of(side).changed + SHARED_AFTER + 1]
    assert (at_end != 0).all()


@every_side
def test_pairs_tell_what_is_legal_at_their_ends(side: int) -> None:
    """And each game allows a move there that the other forbids."""
    pairs = pairs_of(side)
    end = pairs.changed + SHARED_AFTER + 1
    for games, legal in ((pairs.clean, pairs.legal_clean), (pairs.corrupted, pairs.legal_corrupted)):
        assert legal.shape == (60, side**2)
        assert np.array_equal(legal, replay(games).legal[np.arange(60), end])
    assert (pairs.legal_clean & ~pairs.legal_corrupted).any(axis=1).all()
    assert (pairs.legal_corrupted & ~pairs.legal_clean).any(axis=1).all()


@every_side
def test_changed_moves_fill_their_range(side: int) -> None:
    earliest, latest = RANGES[side]
    changed = minimal_pairs(games_of(side), 100, seed=3, earliest=earliest, latest=latest).changed
    assert earliest <= changed.min() < earliest + 2
    assert latest - 2 < changed.max() <= latest
    assert len(set(changed.tolist())) > 0.7 * (latest + 1 - earliest)


def test_the_range_unless_told_otherwise() -> None:
    changed = minimal_pairs(games_of(6), 100, seed=0).changed
    assert (changed.min(), changed.max()) == (4, 20)


@every_side
def test_clean_games_are_those_given(side: int) -> None:
    """Each the beginning of a different one, that goes on behind the pair's end."""
    pairs, given = pairs_of(side), games_of(side)
    used = set()
    for moves, changed in zip(pairs.clean.moves, pairs.changed, strict=True):
        end = changed + 1 + SHARED_AFTER
        (begins,) = np.nonzero((given.moves[:, :end] == moves[:end]).all(axis=1) & (given.lengths > end))
        used |= {next(index for index in begins.tolist() if index not in used)}
    assert len(used) == 60


def test_replacements_are_any_legal_move() -> None:
    """Not always the first: over many pairs each legal alternative has its turn."""
    pairs = minimal_pairs(random_games(4000, board=6, seed=8), 400, seed=0, earliest=4, latest=4)
    options = replay(pairs.clean).legal[np.arange(400), 4]
    options[np.arange(400), pairs.clean.moves[:, 4]] = False
    played = pairs.corrupted.moves[:, 4]
    rank = (options & (np.arange(36) < played[:, None])).sum(axis=1)
    assert options[np.arange(400), played].all()
    assert min(np.bincount(rank, minlength=3)[:3]) > 40


def test_pairs_follow_their_seed() -> None:
    """Fewer pairs are the first of more; another seed gives others."""
    again = minimal_pairs(games_of(6), 60, seed=0)
    fewer = minimal_pairs(games_of(6), 10, seed=0)
    other = minimal_pairs(games_of(6), 60, seed=1)
    assert again.clean == pairs_of(6).clean
    assert again.corrupted == pairs_of(6).corrupted
    assert fewer.corrupted == again.corrupted[:10]
    assert np.array_equal(fewer.legal_clean, again.legal_clean[:10])
    assert other.corrupted != again.corrupted


def test_too_few_games_for_pairs() -> None:
    with pytest.raises(ValueError, match=r"games gave \d+ minimal pairs, 300 asked for: pass more games"):
        minimal_pairs(games_of(6)[:50], 300, seed=0)
    with pytest.raises(ValueError, match="0 games gave 0 minimal pairs, 1 asked for"):
        minimal_pairs(games_of(6)[:0], 1, seed=0)


@pytest.mark.parametrize(("earliest", "latest"), [(0, 3), (-3, 3), (9, 8)])
def test_a_range_that_is_none(earliest: int, latest: int) -> None:
    """The move before the changed one is patched too, so there must be one."""
    with pytest.raises(ValueError, match=f"earliest={earliest}"):
        minimal_pairs(games_of(6), 1, seed=0, earliest=earliest, latest=latest)
