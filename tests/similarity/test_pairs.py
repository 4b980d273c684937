"""Dissimilarities and neighbours, against slow references; rows that tie."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mothello_interp.similarity import mutual_knn, rsa
from tests.similarity.planted import noise, rotation


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt(a @ a * (b @ b)))


SLOW = {
    "euclidean": lambda a, b: np.sqrt(((a - b) ** 2).sum()),
    "cosine": lambda a, b: 1 - cosine(a, b),
    "correlation": lambda a, b: 1 - cosine(a - a.mean(), b - b.mean()),
}


def slow_rsa(x: np.ndarray, y: np.ndarray, kind: str) -> float:
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    return float(spearmanr(*([round(SLOW[kind](z[i], z[j]), 10) for i, j in pairs] for z in (x, y))).statistic)


def slow_knn(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """One row at a time, without ties."""
    found = []
    for i in range(len(x)):
        near = []
        for z in (x, y):
            cosines = {j: cosine(z[i], z[j]) for j in range(len(z)) if j != i}
            near.append(set(sorted(cosines, key=cosines.__getitem__)[-k:]))
        found.append(len(near[0] & near[1]) / k)
    return float(np.mean(found))


@pytest.mark.parametrize("kind", SLOW)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 15), share=st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_rsa_is_spearmans_of_all_pairs(kind: Any, seed: int, n: int, share: float) -> None:
    x = noise(n, 4, seed=seed)
    y = share * x + (1.01 - share) * noise(n, 4, seed=seed + 1)
    assert rsa(x, y, kind) == pytest.approx(slow_rsa(x, y, kind), abs=1e-9)


def test_rsa_looks_at_correlations_unless_told() -> None:
    x, y = noise(30, 4, seed=0), noise(30, 4, seed=0) + noise(30, 4, seed=1)
    assert rsa(x, y) == rsa(x, y, "correlation")
    assert len({rsa(x, y, kind) for kind in ("correlation", "cosine", "euclidean")}) == 3


@pytest.mark.parametrize("kind", SLOW)
def test_rows_that_occur_more_than_once(kind: Any) -> None:
    """Their dissimilarities tie; rounding must not rank them, in whatever order they come."""
    x = np.repeat(noise(7, 5, seed=0), 6, axis=0)
    y = np.repeat(noise(7, 5, seed=1), 6, axis=0)
    order = np.random.default_rng(0).permutation(42)
    assert rsa(x, x @ np.eye(5), kind) == pytest.approx(1, abs=1e-12)
    assert rsa(x, y, kind) == pytest.approx(slow_rsa(x, y, kind), abs=1e-9)
    assert rsa(x[order], y[order], kind) == pytest.approx(rsa(x, y, kind), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (noise(8, 3, seed=0), "manhattan", "dissimilarity='manhattan': choose one of correlation, cosine, euclidean"),
        (
            np.vstack([noise(8, 3, seed=0)[:-1], np.ones(3)]),
            "correlation",
            "a row is the same in every column, or zero",
        ),
        (np.vstack([noise(8, 3, seed=0)[:-1], np.zeros(3)]), "cosine", "a row is the same in every column, or zero"),
        (np.arange(8.0)[:, None], "correlation", "a row is the same in every column"),
        (np.eye(8), "correlation", "all pairs of rows are equally dissimilar"),
        (3 * np.eye(8) + 1, "euclidean", "all pairs of rows are equally dissimilar"),
        (np.outer(1 + np.arange(8), noise(1, 3, seed=0)[0]), "cosine", "all pairs of rows are equally dissimilar"),
    ],
)
def test_rows_without_an_order(x: np.ndarray, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa(noise(8, 4, seed=1), x, kind)


@given(seed=st.integers(0, 10**6), n=st.integers(6, 20), k=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_neighbours_are_those_of_a_slow_search(seed: int, n: int, k: int) -> None:
    x = noise(n, 3, seed=seed)
    y = x + noise(n, 3, seed=seed + 1)
    assert mutual_knn(x, y, k=k) == pytest.approx(slow_knn(x, y, k), abs=1e-12)


def test_ten_neighbours_unless_told() -> None:
    x, y = noise(50, 4, seed=0), noise(50, 4, seed=0) + noise(50, 4, seed=1)
    assert mutual_knn(x, y) == mutual_knn(x, y, k=10) == pytest.approx(slow_knn(x, y, 10))


def test_neighbours_of_unrelated_rows_are_at_chance() -> None:
    assert mutual_knn(noise(500, 8, seed=0), noise(500, 8, seed=1)) == pytest.approx(10 / 499, abs=0.004)


def test_a_row_is_not_its_own_neighbour() -> None:
    """Two clouds in which only the row itself is near in both."""
    x = rotation(40, seed=0)
    assert mutual_knn(x, x[::-1] + 0.3 * x, k=1) < 0.2


def test_neighbours_that_tie_share_the_places() -> None:
    """Which of them come first in the array must not count: pairs at random are at chance."""
    x = np.repeat(noise(5, 3, seed=0), 8, axis=0)
    assert mutual_knn(x, x, k=3) == pytest.approx(1, abs=1e-12)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        order = rng.permutation(40)
        value = mutual_knn(x, x[order], k=3)
        other = rng.permutation(40)
        assert mutual_knn(x[other], x[order][other], k=3) == pytest.approx(value, abs=1e-12)
        found.append(value)
    assert np.mean(found) == pytest.approx(7 / 39, abs=0.03)  # a neighbour is one of seven copies, 3/7 each


@pytest.mark.parametrize("k", [0, -1, 19, 20])
def test_neighbours_that_there_are_not(k: int) -> None:
    x = noise(20, 3, seed=0)
    with pytest.raises(ValueError, match=f"k={k} neighbours among 20 rows: expected 1 to 18"):
        mutual_knn(x, x, k=k)


def test_a_row_of_zeros_has_no_neighbours() -> None:
    x = noise(20, 3, seed=0)
    with pytest.raises(ValueError, match="or zero, with no cosine: leave it out"):
        mutual_knn(np.vstack([x[:-1], np.zeros(3)]), x)
