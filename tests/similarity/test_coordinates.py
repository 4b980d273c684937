"""What a rotation destroys: retrieval, cosine and principal angles on planted truth."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from mothello_interp.similarity import centred_cosine, linear_cka, principal_angles, retrieval
from tests.similarity.planted import noise, rotation


def test_retrieval_and_cosine_of_a_copy() -> None:
    x = noise(100, 8, seed=0)
    assert retrieval(x, x) == 1
    assert centred_cosine(x, x) == pytest.approx(1, abs=1e-12)
    assert retrieval(x, 7 * x + 3) == 1
    assert centred_cosine(x, 7 * x + 3) == pytest.approx(1, abs=1e-12)
    assert centred_cosine(x, -x) == pytest.approx(-1, abs=1e-12)
    assert retrieval(x, -x) == 0


def test_retrieval_is_the_share_of_rows_that_find_their_pair() -> None:
    """Twenty of 100 rows have changed places; the cosine is that of the rows by hand."""
    x = noise(100, 16, seed=0)
    y = x.copy()
    y[:20] = np.roll(y[:20], 1, axis=0)
    assert retrieval(x, y) == 0.8
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    by_hand = [p @ q / np.sqrt(p @ p * (q @ q)) for p, q in zip(a, b, strict=True)]
    assert centred_cosine(x, y) == pytest.approx(np.mean(by_hand), abs=1e-12)


def test_retrieval_looks_from_x_into_y() -> None:
    """A row of x may be nearest to its pair although the pair is nearer to another row of x."""
    x = noise(60, 3, seed=0)
    y = x + 0.5 * noise(60, 3, seed=1)

    def found(rows: np.ndarray, among: np.ndarray) -> float:
        a, b = rows - rows.mean(axis=0), among - among.mean(axis=0)
        cosines = [[p @ q / np.sqrt(p @ p * (q @ q)) for q in b] for p in a]
        return float(np.mean([np.argmax(row) == index for index, row in enumerate(cosines)]))

    assert retrieval(x, y) == found(x, y)
    assert retrieval(y, x) == found(y, x)
    assert found(x, y) != found(y, x)


def test_unrelated_rows_are_at_chance() -> None:
    x, y = noise(1000, 8, seed=0), noise(1000, 8, seed=1)
    assert retrieval(x, y) < 0.006
    assert abs(centred_cosine(x, y)) < 0.05


def test_cka_does_not_see_that_the_coordinates_differ() -> None:
    """The trap: the same cloud in other coordinates has CKA 1, and nothing shared that a model could use."""
    x = noise(1000, 32, seed=0)
    nothing = np.zeros_like(x)
    for mine, other in (
        (np.hstack([x, nothing]), np.hstack([nothing, x])),
        (np.hstack([x, nothing]), np.hstack([x, nothing]) @ rotation(64, seed=1)),
    ):
        assert linear_cka(mine, other, debiased=True) == pytest.approx(1, abs=1e-10)
        assert retrieval(mine, other) < 0.02
        assert abs(centred_cosine(mine, other)) < 0.2


def test_principal_angles_are_scipys() -> None:
    """Of the subspaces that numpy finds to hold 90% of the variance, by default."""
    x, y = (noise(200, 8, seed=seed) * 0.7 ** np.arange(8) @ rotation(8, seed=seed + 2) for seed in (0, 1))
    for share in (0.5, 0.9, 1.0):
        kept = []
        for rows in (x, y):
            _, singular, right = np.linalg.svd(rows - rows.mean(axis=0))
            k = 1 + int((np.cumsum(singular**2) < share * (singular**2).sum() * (1 - 1e-12)).sum())
            kept.append(right[:k].T)
        expected = (np.cos(subspace_angles(*kept)) ** 2).mean()
        assert principal_angles(x, y, variance=share) == pytest.approx(expected, abs=1e-10)
    assert principal_angles(x, y) == principal_angles(x, y, variance=0.9)
    assert principal_angles(x, y, variance=1.0) == pytest.approx(1, abs=1e-12)


def test_principal_angles_on_planted_subspaces() -> None:
    axes = rotation(12, seed=0)
    inside, elsewhere = axes[:, :4].T, axes[:, 4:8].T
    x = noise(100, 4, seed=1) @ inside
    assert principal_angles(x, noise(100, 4, seed=2) @ inside) == pytest.approx(1, abs=1e-10)
    assert principal_angles(x, x @ inside.T @ elsewhere) == pytest.approx(0, abs=1e-10)
    half = np.vstack([inside[:2], elsewhere[:2]])
    assert principal_angles(x, noise(100, 4, seed=3) @ half, variance=1) == pytest.approx(0.5, abs=1e-10)
    assert principal_angles(x, noise(100, 2, seed=3) @ inside[:2], variance=1) == pytest.approx(1, abs=1e-10)
    at_random = [principal_angles(x, x @ rotation(12, seed=seed), variance=1) for seed in range(40)]
    assert np.mean(at_random) == pytest.approx(4 / 12, abs=0.03)


def test_principal_angles_do_not_ask_which_row_is_which() -> None:
    x = noise(100, 6, seed=0) * [5, 4, 3, 2, 1, 1]
    assert principal_angles(x, x[::-1]) == pytest.approx(1, abs=1e-10)
    assert retrieval(x, x[::-1]) < 0.1
