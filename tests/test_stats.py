"""Statistics over games: closed forms, their ranges, floors and ceilings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from mothello_interp.stats import Bootstrap, kl, mismatched

P = torch.tensor([[0.5, 0.2, 0.1], [0.0, 0.3, 0.7]])  # [game outcome]; the first game leaves 0.2 for all else


def test_kl_by_hand() -> None:
    """Outcomes that are not listed count as one more; in nats, from the reference; large, and finite, for what is ruled out."""
    reference = torch.tensor([[0.25, 0.25, 0.25], [0.0, 1.0, 0.0]])
    expected = 0.25 * np.log(0.25**4 / (0.5 * 0.2 * 0.1 * 0.2)), np.log(1 / 0.3)
    np.testing.assert_allclose(kl(P, reference), expected, rtol=1e-5)
    assert 80 < float(kl(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]))) < 100


@given(some.lists(some.floats(0, 1), min_size=4, max_size=4), some.lists(some.floats(0, 1), min_size=4, max_size=4))
def test_kl_is_0_of_equals_and_above_otherwise(one: list[float], other: list[float]) -> None:
    p, q = (torch.tensor([values]) / max(sum(values), 1.0) for values in (one, other))
    assert kl(p, p) == pytest.approx(0, abs=1e-6)
    assert kl(q, p) >= -1e-6


def test_bootstrap_of_means_and_of_ratios() -> None:
    """Games that agree are certain, and so is a ratio that is the same in all; else it is as the central limit says."""
    boot = Bootstrap(400, 2000, seed=0)
    assert boot.weights.shape == (2000, 400)
    assert (boot.weights.sum(axis=1) == 400).all()
    values = np.random.default_rng(1).standard_normal((2, 400))
    over = values[1] ** 2 + 0.1
    assert np.ptp(boot.interval(np.full((1, 400), 0.3))) == pytest.approx(0)
    assert boot.interval(0.7 * over, over) == pytest.approx((0.7, 0.7))
    low, high = boot.interval(values)
    assert (low < values.mean(axis=1)).all()
    np.testing.assert_allclose(high - low, 2 * 1.96 * values.std(axis=1) / 20, rtol=0.1)
    assert np.array_equal(boot.weights, Bootstrap(400, 2000, seed=0).weights)
    assert not np.array_equal(boot.weights, Bootstrap(400, 2000, seed=4).weights)


def test_mismatched_games_are_others_at_least_as_long() -> None:
    lengths = np.array([3, 5, 5, 7, 4, 6, 7, 3, 4, 5] * 6)
    for seed in range(5):
        other = mismatched(lengths, seed)
        assert (other != np.arange(60)).all()
        assert (lengths[other] >= lengths).all()
        assert len(set(other[lengths < 7].tolist())) > 10
    lone = mismatched(np.array([3, 9]), 0)
    assert lone.tolist() == [1, 0]
