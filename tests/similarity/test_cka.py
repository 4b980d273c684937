"""Centred kernel alignment against slow references, on planted truth, and over batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.similarity import linear_cka, minibatch_cka, rbf_cka
from tests.similarity.planted import both_estimators, noise, rotation


def hsic_with_centring(x: np.ndarray, y: np.ndarray) -> float:
    """trace(K H L H) from Gram matrices (Gretton et al. 2005)."""
    h = np.eye(len(x)) - 1 / len(x)
    return float(np.trace(x @ x.T @ h @ y @ y.T @ h))


def hsic_by_sums(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al.'s unbiased HSIC, by its definition: sums over different rows i, j, q, r, in extended precision."""
    n, (k, m) = len(x), (rows.astype(np.longdouble) @ rows.astype(np.longdouble).T for rows in (x, y))
    pairs = triples = quadruples = np.longdouble(0)
    for i in range(n):
        for j in set(range(n)) - {i}:
            pairs += k[i, j] * m[i, j]
            for q in set(range(n)) - {i, j}:
                triples += k[i, j] * m[i, q]
                quadruples += sum(k[i, j] * m[q, r] for r in set(range(n)) - {i, j, q})
    falling = n * (n - 1)
    return float(pairs / falling + quadruples / (falling * (n - 2) * (n - 3)) - 2 * triples / (falling * (n - 2)))


@st.composite
def paired_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of rows that share something, of any widths, scales and places."""
    n, d, other = draw(st.integers(4, 9)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    seed, share = draw(st.integers(0, 10**6)), draw(st.floats(0, 1))
    x = noise(n, d, seed=seed)
    y = share * x @ noise(d, other, seed=seed + 1) + (1.01 - share) * noise(n, other, seed=seed + 2)
    return draw(st.floats(0.1, 10)) * x + draw(st.floats(-3, 3)), y


@both_estimators
@given(rows=paired_rows())
@settings(deadline=None)
def test_cka_is_that_of_gram_matrices(debiased: bool, rows: tuple[np.ndarray, np.ndarray]) -> None:
    hsic, (x, y) = hsic_by_sums if debiased else hsic_with_centring, rows
    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-6)


@both_estimators
@given(rows=paired_rows())
@settings(deadline=None)
def test_cka_is_symmetric_and_at_most_one(debiased: bool, rows: tuple[np.ndarray, np.ndarray]) -> None:
    value = linear_cka(*rows, debiased=debiased)
    assert value == pytest.approx(linear_cka(*rows[::-1], debiased=debiased), abs=1e-6)
    assert value <= 1 + 1e-6
    assert value >= (-1 - 1e-6 if debiased else 0)


@both_estimators
@given(seed=st.integers(0, 10**6), n=st.integers(8, 30), scale=st.floats(0.01, 100))
@settings(deadline=None)
def test_a_rotated_scaled_shifted_copy_is_the_same(debiased: bool, seed: int, n: int, scale: float) -> None:
    x = noise(n, 5, seed=seed)
    copy = scale * x @ rotation(5, seed=seed + 1) + 3 * noise(1, 5, seed=seed + 2)
    assert linear_cka(x, copy, debiased=debiased) == pytest.approx(1, abs=1e-10)
    assert linear_cka(x, -x, debiased=debiased) == pytest.approx(1, abs=1e-10)


@both_estimators
def test_a_stretched_copy_is_not_the_same(debiased: bool) -> None:
    """An invertible linear map keeps every piece of information and changes the geometry."""
    x = noise(500, 4, seed=0)
    assert linear_cka(x, x * [1, 1, 1, 5], debiased=debiased) < 0.9


def test_only_the_debiased_estimator_is_near_zero_for_unrelated_rows() -> None:
    """32 rows of width 32, on average over draws."""
    draws = [(noise(32, 32, seed=seed), noise(32, 32, seed=1000 + seed)) for seed in range(60)]
    assert np.mean([linear_cka(x, y) for x, y in draws]) > 0.4
    debiased = np.array([linear_cka(x, y, debiased=True) for x, y in draws])
    assert abs(debiased.mean()) < 3 * debiased.std() / np.sqrt(len(draws))
    assert debiased.std() < 0.1
    assert (debiased < 0).any()


@both_estimators
def test_a_known_share_is_measured(debiased: bool) -> None:
    """y = x + noise of equal size: the population value is 1/2."""
    x = noise(20_000, 4, seed=1)
    assert linear_cka(x, x + noise(20_000, 4, seed=2), debiased=debiased) == pytest.approx(0.5, abs=0.02)


def test_rows_far_from_the_origin() -> None:
    """Single precision in, double precision inside."""
    x, y = noise(50, 3, seed=0), noise(50, 3, seed=1)
    assert linear_cka(x + 1e6, y - 1e6, debiased=True) == pytest.approx(linear_cka(x, y, debiased=True), abs=1e-6)


def test_four_rows_are_too_few_for_the_debiased_estimator_of_some() -> None:
    """Four equidistant points: every way to pair them gives the same distances, so there is nothing to correlate."""
    with pytest.raises(ValueError, match="too few for the debiased estimator"):
        linear_cka(4 * np.eye(4), noise(4, 2, seed=0), debiased=True)


@pytest.mark.parametrize("n", [6, 9, 20, 33])
def test_equidistant_rows_have_nothing_to_correlate(n: int) -> None:
    """What is left is rounding, and a ratio of roundings is any number."""
    for scale in (0.1, 1, 10):
        with pytest.raises(ValueError, match="too few for the debiased estimator"):
            linear_cka(scale * np.eye(n), scale * np.eye(n), debiased=True)


def test_a_gaussian_kernel_by_hand() -> None:
    """Pairs of rows one by one, and Song et al.'s sums."""
    x, y = noise(9, 2, seed=0), noise(9, 3, seed=1)

    def kernel(rows: np.ndarray) -> np.ndarray:
        squared = np.array([[((a - b) ** 2).sum() for b in rows] for a in rows])
        return np.exp(-squared / (2 * (0.5 * np.sqrt(np.median(squared))) ** 2))

    def features(rows: np.ndarray) -> np.ndarray:
        """Rows whose linear kernel is the Gaussian one."""
        values, vectors = np.linalg.eigh(kernel(rows))
        return vectors * np.sqrt(values)

    for debiased, hsic in ((False, hsic_with_centring), (True, hsic_by_sums)):
        a, b = features(x), features(y)
        expected = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
        assert rbf_cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-9)


def test_a_wide_gaussian_is_linear() -> None:
    """The kernel of a bandwidth without end is 1 - squared distance / width, whose CKA is linear."""
    x = noise(100, 3, seed=0)
    y = x + noise(100, 3, seed=1)
    assert rbf_cka(x, y, bandwidth=1000) == pytest.approx(linear_cka(x, y), abs=1e-4)
    assert abs(rbf_cka(x, y) - linear_cka(x, y)) > 0.01


def test_bandwidths_and_rows_without_a_gaussian() -> None:
    x = noise(20, 3, seed=0)
    for bandwidth in (0, -1, np.nan):
        with pytest.raises(ValueError, match=f"bandwidth={bandwidth}: expected a positive share"):
            rbf_cka(x, x, bandwidth=bandwidth)
    with pytest.raises(ValueError, match="the median distance is 0: more than half of all pairs of rows are equal"):
        rbf_cka(np.repeat([[0.0], [1]], [18, 2], axis=0), x)
    with pytest.raises(ValueError, match="too few for the debiased estimator"):
        rbf_cka(np.eye(20), x, debiased=True)


def test_minibatches_of_unrelated_rows_have_no_bias() -> None:
    x, y = (noise(64 * 20, 16, seed=seed).reshape(64, 20, 16) for seed in (0, 1))
    assert abs(minibatch_cka(zip(x, y, strict=True))) < 0.02
    assert np.mean([linear_cka(a, b) for a, b in zip(x, y, strict=True)]) > 0.3


def test_minibatches_are_never_compared_with_each_other() -> None:
    """What differs between batches alone does not count; one batch is the debiased estimator."""
    x, y = (noise(10 * 30, 4, seed=seed).reshape(10, 30, 4) for seed in (0, 1))
    place = 50 * noise(10, 4, seed=2)[:, None]
    apart = minibatch_cka(zip(x + place, y + place, strict=True))
    assert apart == pytest.approx(minibatch_cka(zip(x, y, strict=True)), abs=1e-9)
    assert minibatch_cka([(x[0], y[0])]) == pytest.approx(linear_cka(x[0], y[0], debiased=True), abs=1e-14)
    some_constant = [(x[0], y[0]), (np.ones((5, 4)), y[1, :5])]
    assert -1 <= minibatch_cka(some_constant) <= 1


def test_minibatches_that_cannot_be_compared() -> None:
    x = noise(6, 2, seed=0)
    with pytest.raises(ValueError, match="or there was no batch"):
        minibatch_cka([])
    with pytest.raises(ValueError, match="no variance to compare"):
        minibatch_cka([(x, np.ones((6, 2)))] * 3)
    with pytest.raises(ValueError, match="3 rows: at least 4 are needed"):
        minibatch_cka([(x, x), (x[:3], x[:3])])
    with pytest.raises(ValueError, match=r"rows of shapes \(6, 2\) and \(5, 2\)"):
        minibatch_cka([(x, x[:5])])
    with pytest.raises(ValueError, match="y holds values that are not finite"):
        minibatch_cka([(x, x * np.nan)])
