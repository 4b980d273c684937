"""Metrics of a patched run: closed forms, their ranges, zeros and ceilings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from mothello_interp.patching import kl, mass, mass_difference, recovered
from mothello_interp.patching.metrics import interval, resampled

P = torch.tensor([[0.5, 0.2, 0.1], [0.0, 0.3, 0.7]])  # [game outcome]; the first game leaves 0.2 for all else
HERE = torch.tensor([[True, False, True], [False, False, True]])
THERE = torch.tensor([[True, True, False], [False, True, False]])


def test_mass_by_hand() -> None:
    torch.testing.assert_close(mass(P, HERE), torch.tensor([0.6, 0.7]))
    torch.testing.assert_close(mass(P, torch.ones_like(HERE)), P.sum(1))
    assert mass(P[None].expand(4, 2, 3), HERE).shape == (4, 2)


def test_mass_difference_by_hand() -> None:
    """What is in both masks plays no part; the other way round it is the opposite."""
    torch.testing.assert_close(mass_difference(P, HERE, THERE), torch.tensor([0.1 - 0.2, 0.7 - 0.3]))
    torch.testing.assert_close(mass_difference(P, THERE, HERE), -mass_difference(P, HERE, THERE))
    assert not mass_difference(P, HERE, HERE).any()


def test_kl_by_hand() -> None:
    """Outcomes that are not listed count as one more; in nats, from the reference."""
    reference = torch.tensor([[0.25, 0.25, 0.25], [0.0, 1.0, 0.0]])
    expected = 0.25 * np.log(0.25**4 / (0.5 * 0.2 * 0.1 * 0.2)), np.log(1 / 0.3)
    np.testing.assert_allclose(kl(P, reference), expected, rtol=1e-5)


def test_kl_where_the_run_rules_out_what_is_so() -> None:
    """Large, and a number."""
    found = kl(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]))
    assert 80 < float(found) < 100


@given(some.lists(some.floats(0, 1), min_size=4, max_size=4), some.lists(some.floats(0, 1), min_size=4, max_size=4))
def test_kl_is_0_of_equals_and_above_otherwise(one: list[float], other: list[float]) -> None:
    p, q = (torch.tensor([values]) / max(sum(values), 1.0) for values in (one, other))
    assert kl(p, p) == pytest.approx(0, abs=1e-6)
    assert kl(q, p) >= -1e-6


def test_recovered_is_a_ratio_of_sums() -> None:
    """0 for the corrupted run, 1 for the clean one; games that ask much count for more."""
    corrupted, clean = np.array([0.0, -0.5]), np.array([0.2, 0.5])
    patched = np.array([[0.0, -0.5], [0.2, 0.5], [0.2, -0.5], [0.0, 0.5]])
    np.testing.assert_allclose(recovered(patched, corrupted, clean), [0, 1, 0.2 / 1.2, 1 / 1.2])
    with pytest.raises(ValueError, match="clean and corrupted runs are scored alike: there is nothing to recover"):
        recovered(patched, clean, clean)


def test_intervals_of_means_and_of_ratios() -> None:
    """A mean of games that agree is certain, and so is a ratio that is the same in all; else it is as the central limit says."""
    weights = resampled(400, 2000, seed=0)
    assert weights.shape == (2000, 400)
    assert (weights.sum(axis=1) == 400).all()
    values = np.random.default_rng(1).standard_normal((2, 400))
    room = values[1] ** 2 + 0.1
    assert np.ptp(interval(np.full((1, 400), 0.3), weights)) == pytest.approx(0)
    assert interval(0.7 * room, weights, room) == pytest.approx((0.7, 0.7))
    low, high = interval(values, weights)
    assert (low < values.mean(axis=1)).all()
    np.testing.assert_allclose(high - low, 2 * 1.96 * values.std(axis=1) / 20, rtol=0.1)


def test_resamples_follow_their_seed() -> None:
    assert np.array_equal(resampled(20, 5, seed=3), resampled(20, 5, seed=3))
    assert not np.array_equal(resampled(20, 5, seed=3), resampled(20, 5, seed=4))
