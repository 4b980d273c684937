"""Canonical correlations on planted truth: what survives a linear map, what noise alone gives."""

import numpy as np
import pytest
import torch

from mothello_interp.similarity import pwcca, svcca
from tests.similarity.planted import noise, rotation


def test_known_correlations() -> None:
    """Three pairs of columns with planted correlations, under maps of both sides: their mean comes out."""
    planted = np.array([0.9, 0.5, 0.1])
    x, error = noise(50_000, 3, seed=0), noise(50_000, 3, seed=1)
    y = planted * x + np.sqrt(1 - planted**2) * error
    mixed = x @ noise(3, 3, seed=2), y @ noise(3, 3, seed=3)
    assert svcca(*mixed, variance=1) == pytest.approx(planted.mean(), abs=0.01)
    assert 0.1 < pwcca(*mixed) < 0.9


def test_pwcca_weighs_by_what_accounts_for_x() -> None:
    """x varies along one shared and one private direction: the larger, the more it counts; what accounts for y, no matter."""
    shared, private = noise(20_000, 1, seed=0), noise(20_000, 1, seed=1)
    y = np.hstack([shared, noise(20_000, 1, seed=2)])
    for size in (0.1, 1, 10):
        x = np.hstack([size * shared, private])
        assert pwcca(x, y) == pytest.approx(size / (size + 1), abs=0.02)
        assert pwcca(y, x) == pytest.approx(0.5, abs=0.02)
        assert svcca(x, y, variance=1) == pytest.approx(0.5, abs=0.02)


def test_svcca_keeps_the_fewest_directions_that_reach_the_share() -> None:
    """Variances 4, 3, 2, 1 along four axes, of which the first two are shared."""
    x = rotation(400, seed=0)[:, :4]
    x = np.linalg.qr(x - x.mean(axis=0))[0]
    y = np.linalg.qr(np.hstack([np.ones((400, 1)), x, noise(400, 2, seed=1)]))[0][:, [1, 2, 5, 6]]
    scales = np.sqrt([4, 3, 2, 1])
    for share, expected in ((0.3, 1), (0.4, 1), (0.7, 1), (0.71, 2 / 3), (0.9, 2 / 3), (0.91, 0.5), (1, 0.5)):
        assert svcca(x * scales, y * scales, variance=share) == pytest.approx(expected, abs=1e-6), share


@pytest.mark.parametrize(("n", "d"), [(600, 128), (600, 32)])
def test_noise_alone_is_biased_upward(n: int, d: int) -> None:
    """By about 0.85 times the square root of d / n."""
    x, y = noise(n, d, seed=0), noise(n, d, seed=1)
    for value in (svcca(x, y, variance=1), pwcca(x, y)):
        assert value == pytest.approx(0.85 * np.sqrt(d / n), abs=0.02)


def test_directions_that_are_rounding_do_not_count() -> None:
    """Residual streams in float32 have directions in which they never vary."""
    x = noise(100, 4, seed=0) @ noise(4, 9, seed=1)
    y = noise(100, 3, seed=2) @ noise(3, 7, seed=3)
    single = [torch.from_numpy(rows).float() for rows in (x, y)]
    for measure in (pwcca, lambda a, b: svcca(a, b, variance=1)):
        assert measure(x, y) < 0.5
        assert measure(*single) == pytest.approx(measure(x, y), abs=1e-4)
        assert measure(np.hstack([x, 0 * x]), y) == pytest.approx(measure(x, y), abs=1e-9)


def test_shares_that_are_none() -> None:
    x = noise(40, 3, seed=0)
    for share in (0, -0.5, 1.01, np.nan):
        with pytest.raises(ValueError, match=f"variance={share}: expected a share above 0, at most 1"):
            svcca(x, x, variance=share)


def test_too_few_rows() -> None:
    """As many directions as rows allow: every correlation is 1, whatever they hold."""
    x, y = noise(20, 30, seed=0), noise(20, 30, seed=1)
    with pytest.raises(ValueError, match="20 rows fill 19 directions, so that every correlation would be 1"):
        pwcca(x, y)
    with pytest.raises(ValueError, match="20 rows fill 19 directions"):
        svcca(x, y, variance=1)
    assert svcca(x, y, variance=0.5) < 1
