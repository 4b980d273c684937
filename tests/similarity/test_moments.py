"""Sums over batches give what all rows at once give, and stay as small."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.similarity import Moments, fit_procrustes, linear_cka, procrustes_distance, pwcca, svcca
from tests.similarity.planted import noise, rotation

BOTH: dict[str, tuple[Callable[..., float], Callable[[Moments], float]]] = {
    "cka": (linear_cka, lambda moments: moments.linear_cka()),
    "debiased": (lambda x, y: linear_cka(x, y, debiased=True), lambda moments: moments.linear_cka(debiased=True)),
    "svcca": (svcca, lambda moments: moments.svcca()),
    "svcca of less": (lambda x, y: svcca(x, y, variance=0.6), lambda moments: moments.svcca(variance=0.6)),
    "pwcca": (pwcca, lambda moments: moments.pwcca()),
    "procrustes": (procrustes_distance, lambda moments: moments.procrustes_distance()),
}
every_measure = pytest.mark.parametrize("name", BOTH)


def related(n: int, *, seed: int, d: int = 6, other: int = 5) -> tuple[np.ndarray, np.ndarray]:
    x = noise(n, d, seed=seed) @ noise(d, d, seed=seed + 1)
    return x, x[:, :other] + noise(n, other, seed=seed + 2)


def streamed(x: np.ndarray, y: np.ndarray, cuts: list[int]) -> Moments:
    moments = Moments()
    for rows in zip(np.split(x, cuts), np.split(y, cuts), strict=True):
        moments.add(*rows)
    return moments


@every_measure
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 60), max_size=8), far=st.sampled_from([0, 1e3]))
@settings(deadline=None, max_examples=30)
def test_batches_give_what_all_rows_give(name: str, seed: int, cuts: list[int], far: float) -> None:
    """However the rows are cut, empty batches and single rows included, and wherever they lie."""
    at_once, from_moments = BOTH[name]
    x, y = related(60, seed=seed)
    x, y = x + far, y - far
    assert from_moments(streamed(x, y, sorted(cuts))) == pytest.approx(at_once(x, y), abs=1e-9)


@every_measure
def test_to_ten_digits(name: str) -> None:
    at_once, from_moments = BOTH[name]
    x, y = related(5000, seed=0, d=30, other=20)
    expected = at_once(x, y)
    for cuts in ([], [1], [4, 2500], list(range(100, 5000, 100))):
        assert from_moments(streamed(x, y, cuts)) == pytest.approx(expected, abs=1e-11)


@every_measure
def test_first_rows_unlike_the_rest(name: str) -> None:
    """The sums are taken about them: games sorted by move number begin far from the mean."""
    at_once, from_moments = BOTH[name]
    x, y = related(4000, seed=0)
    x[:5] += 500
    y[:5] -= 500
    assert from_moments(streamed(x, y, [5, 300])) == pytest.approx(at_once(x, y), abs=1e-10)


def test_rows_in_single_precision_are_summed_in_double() -> None:
    x, y = (rows.astype(np.float32) for rows in related(3000, seed=0))
    moments = Moments().add(torch.from_numpy(x), torch.from_numpy(y))
    assert moments.linear_cka(debiased=True) == pytest.approx(linear_cka(x, y, debiased=True), abs=1e-12)


def test_measuring_is_not_the_end() -> None:
    """More rows may follow, and asking changes nothing."""
    x, y = related(200, seed=0)
    moments = Moments().add(x[:100], y[:100])
    first = [measure(moments) for _, measure in BOTH.values()]
    assert [measure(moments) for _, measure in BOTH.values()] == first
    moments.add(x[100:], y[100:])
    for at_once, measure in BOTH.values():
        assert measure(moments) == pytest.approx(at_once(x, y), abs=1e-10)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_map_from_moments(scaled: bool) -> None:
    x = 5 + noise(500, 6, seed=0)
    y = 3 * x @ rotation(6, seed=1) + noise(500, 6, seed=2)
    expected = fit_procrustes(x, y, scaled=scaled)
    found = streamed(x, y, [7, 100]).fit_procrustes(scaled=scaled)
    np.testing.assert_allclose(found.apply(x), expected.apply(x), atol=1e-10)
    assert found.scale == pytest.approx(expected.scale, abs=1e-12)
    assert (found.scale == 1) == (not scaled)


def size(moments: Moments) -> int:
    """Numbers held."""
    held = 0
    for value in vars(moments).values():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        held += sum(part.numel() for part in parts if isinstance(part, torch.Tensor))
    return held


def test_memory_does_not_grow_with_the_rows() -> None:
    x, y = related(100, seed=0)
    moments = Moments().add(x, y)
    first = size(moments)
    assert 6 * 6 + 6 * 5 + 5 * 5 <= first < 4 * (6 + 5) ** 2
    for _ in range(50):
        moments.add(x, y)
    assert moments.n == 5100
    assert size(moments) == first


def test_inputs_are_left_as_they_are() -> None:
    x, y = related(100, seed=0)
    before = x.copy(), y.copy()
    moments = Moments().add(x[:10], y[:10])
    x[:10] = y[:10] = 0
    moments.add(x[10:], y[10:])
    assert moments.linear_cka() == pytest.approx(linear_cka(*before), abs=1e-12)
    assert np.array_equal(x[10:], before[0][10:])


def test_rows_that_cannot_be_summed() -> None:
    x, y = related(20, seed=0)
    moments = Moments().add(x, y)
    with pytest.raises(ValueError, match=r"rows of widths 6 and 4: those before had \(6, 5\)"):
        moments.add(x, y[:, :4])
    with pytest.raises(ValueError, match=r"rows of shapes \(20, 6\) and \(19, 5\)"):
        moments.add(x, y[:19])
    with pytest.raises(ValueError, match="x holds values that are not finite"):
        moments.add(x * np.inf, y)
    assert moments.linear_cka() == pytest.approx(linear_cka(x, y), abs=1e-12)
    with pytest.raises(ValueError, match=r"rows of widths \(6, 5\): a rotation needs one width"):
        moments.fit_procrustes()


@every_measure
def test_sums_that_cannot_be_compared(name: str) -> None:
    measure = BOTH[name][1]
    x, y = related(20, seed=0)
    with pytest.raises(ValueError, match="0 rows: at least 4 are needed"):
        measure(Moments())
    with pytest.raises(ValueError, match="3 rows: at least 4 are needed"):
        measure(Moments().add(x[:3], y[:3]))
    with pytest.raises(ValueError, match="all rows of y are equal: there is no variance"):
        measure(Moments().add(x[:9], np.full((9, 5), 0.1)).add(x[9:], np.full((11, 5), 0.1)))
    few = np.repeat(x[:1], 5, axis=0), np.repeat(y[:1], 5, axis=0)
    assert measure(Moments().add(x, y).add(*few)) == pytest.approx(measure(Moments().add(*few).add(x, y)), abs=1e-10)


def test_as_few_rows_as_directions() -> None:
    x, y = related(8, seed=0, d=10, other=10)
    with pytest.raises(ValueError, match="8 rows fill 7 directions"):
        Moments().add(x, y).pwcca()
    with pytest.raises(ValueError, match="8 rows do not fix a rotation of width 10"):
        Moments().add(x, y).fit_procrustes()
    with pytest.raises(ValueError, match="too few for the debiased estimator"):
        Moments().add(np.eye(9), noise(9, 3, seed=0)).linear_cka(debiased=True)
