"""What holds for every measure: which copies it takes for the same, what it refuses, what it leaves alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp import similarity
from mothello_interp.similarity import (
    Moments,
    centred_cosine,
    fit_procrustes,
    linear_cka,
    minibatch_cka,
    mutual_knn,
    principal_angles,
    procrustes_distance,
    pwcca,
    rbf_cka,
    retrieval,
    rsa,
    svcca,
)
from tests.similarity.planted import noise, rotation

N, D = 300, 6
Measure = Callable[..., float]
MEASURES: dict[str, Measure] = {
    "linear_cka": linear_cka,
    "linear_cka debiased": lambda x, y: linear_cka(x, y, debiased=True),
    "rbf_cka": rbf_cka,
    "rbf_cka debiased": lambda x, y: rbf_cka(x, y, debiased=True),
    "minibatch_cka": lambda x, y: minibatch_cka([(x, y)]),
    "svcca": svcca,
    "svcca of all": lambda x, y: svcca(x, y, variance=1),
    "pwcca": pwcca,
    "procrustes": lambda x, y: 1 - procrustes_distance(x, y) ** 2 / 2,
    "procrustes held out": lambda x, y: fit_procrustes(x[::2], y[::2]).score(x[1::2], y[1::2]),
    "rsa": rsa,
    "rsa cosine": lambda x, y: rsa(x, y, dissimilarity="cosine"),
    "rsa euclidean": lambda x, y: rsa(x, y, dissimilarity="euclidean"),
    "mutual_knn": mutual_knn,
    "retrieval": retrieval,
    "centred_cosine": centred_cosine,
    "principal_angles": principal_angles,
}
SAME_COORDINATES = {"retrieval", "centred_cosine", "principal_angles"}
ONE_WIDTH = SAME_COORDINATES | {"procrustes held out"}
ROTATION = MEASURES.keys() - SAME_COORDINATES - {"rsa"}
SHIFT = MEASURES.keys() - {"rsa", "rsa cosine", "mutual_knn"}
LINEAR_MAP = {"svcca of all", "pwcca"}
SCALES = [9, 7, 5, 2, 0.6, 0.3]
COPIES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], set[str]]] = {
    "rotated": (lambda rows: rows @ rotation(D, seed=8), ROTATION),
    "scaled": (lambda rows: 7 * rows, set(MEASURES)),
    "shifted": (lambda rows: rows + 9 * noise(1, D, seed=9), SHIFT),
    "mapped": (lambda rows: rows @ (rotation(D, seed=8) * SCALES[::-1] @ rotation(D, seed=9)), LINEAR_MAP),
}
every_measure = pytest.mark.parametrize("name", MEASURES)
every_copy = pytest.mark.parametrize("copy", COPIES)


def rows(*, seed: int = 0) -> np.ndarray:
    """Rows that vary more in some directions than in others, none of them a coordinate."""
    return noise(N, D, seed=seed) * SCALES @ rotation(D, seed=50 + seed)


@every_measure
@every_copy
def test_a_copy_is_the_same_to_those_measures_that_do_not_see_how_it_was_made(copy: str, name: str) -> None:
    """1 where it is promised, and well below where the copy is another representation."""
    make, same = COPIES[copy]
    value = MEASURES[name](rows(), make(rows()))
    assert value <= 1 + 1e-9
    if name in same:
        assert value == pytest.approx(1, abs=1e-9)
    elif name != "principal_angles" or copy == "rotated":
        assert value < 0.997


@every_measure
@every_copy
def test_a_related_representation_is_as_alike_as_its_copy(copy: str, name: str) -> None:
    """The same where y is half noise."""
    make, same = COPIES[copy]
    y = rows() + rows(seed=1)
    value = MEASURES[name](rows(), y)
    assert 0.02 < value < 0.9 or name == "principal_angles"
    if name in same:
        assert MEASURES[name](rows(), make(y)) == pytest.approx(value, abs=1e-9)
    else:
        assert abs(MEASURES[name](rows(), make(y)) - value) > 1e-3


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"principal_angles"}))
def test_independent_noise_is_where_its_pairs_at_random_are(name: str) -> None:
    """Which is near 0, but for those that are biased upward."""
    values, null = [], []
    for seed in range(12):
        x, y = noise(100, D, seed=2 * seed), noise(100, D, seed=2 * seed + 1)
        values.append(MEASURES[name](x, y))
        null.append(MEASURES[name](x, y[np.random.default_rng(seed).permutation(100)]))
    spread = np.std(values) + np.std(null)
    assert abs(np.mean(values) - np.mean(null)) < 3 * spread / np.sqrt(12)
    if name not in {"linear_cka", "svcca", "svcca of all", "pwcca", "rbf_cka", "procrustes", "mutual_knn"}:
        assert abs(np.mean(values)) < 0.06


@every_measure
def test_order_of_the_rows_does_not_matter(name: str) -> None:
    x, y = noise(60, D, seed=0), noise(60, D, seed=0) + noise(60, D, seed=1)
    order = np.random.default_rng(0).permutation(60)
    if name != "procrustes held out":
        assert MEASURES[name](x[order], y[order]) == pytest.approx(MEASURES[name](x, y), abs=1e-10)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"retrieval", "pwcca", "procrustes held out"}))
def test_symmetric(name: str) -> None:
    x, y = rows(), rows() + rows(seed=1)
    assert MEASURES[name](x, y) == pytest.approx(MEASURES[name](y, x), abs=1e-10)


@every_measure
def test_arrays_and_tensors_of_any_precision(name: str) -> None:
    measure = MEASURES[name]
    x, y = noise(40, 3, seed=0), noise(40, 3, seed=0) + noise(40, 3, seed=1)
    value = measure(x, y)
    assert isinstance(value, float)
    single = [torch.from_numpy(rows.astype(np.float32)).requires_grad_() for rows in (x, y)]
    assert measure(*single) == pytest.approx(value, abs=1e-4 if "rsa" in name else 1e-5)
    assert measure(x, torch.from_numpy(y)) == value
    whole = np.round(10 * x).astype(np.int64)
    assert measure(whole, y) == measure(whole.astype(float), y)


@every_measure
def test_inputs_are_left_as_they_are(name: str) -> None:
    x, y = noise(40, 3, seed=0), noise(40, 3, seed=1)
    before = x.copy(), y.copy()
    MEASURES[name](x, y)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize(
    "measure", [m for name, m in MEASURES.items() if name not in {"minibatch_cka", "procrustes held out"}]
)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (noise(5, 2, seed=0), noise(6, 2, seed=0), r"rows of shapes \(5, 2\) and \(6, 2\): expected \[n d\]"),
        (noise(5, 2, seed=0)[:, 0], noise(5, 2, seed=0), r"rows of shapes \(5,\) and \(5, 2\)"),
        (noise(5, 2, seed=0), noise(5, 2, seed=0)[None], r"rows of shapes \(5, 2\) and \(1, 5, 2\)"),
        (noise(3, 2, seed=0), noise(3, 2, seed=1), "3 rows: at least 4 are needed"),
        (np.full((5, 2), 0.1), noise(5, 2, seed=1), "all rows of x are equal: there is no variance"),
        (noise(5, 2, seed=1), np.full((5, 2), 7), "all rows of y are equal: there is no variance"),
        (np.full((5, 2), np.nan), noise(5, 2, seed=1), "x holds values that are not finite"),
        (noise(5, 2, seed=1), [[0, 0], [1, 1], [2, np.inf], [3, 3], [4, 4]], "y holds values that are not finite"),
    ],
)
def test_rows_that_cannot_be_compared(measure: Measure, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(x, y)


@every_measure
@pytest.mark.parametrize("scale", [1e-200, 1e-25, 1e25, 1e200])
def test_rows_of_any_size(name: str, scale: float) -> None:
    """Never NaN: the same as ever, or an error where float64 ends."""
    x, y = rows(), rows() + rows(seed=1)
    if 1e-60 < scale < 1e60:
        assert MEASURES[name](scale * x, scale * y) == pytest.approx(MEASURES[name](x, y), abs=1e-9)
    else:
        with pytest.raises(ValueError, match="variance"):
            MEASURES[name](scale * x, y)


@every_measure
def test_arrays_that_run_backwards_or_cannot_be_written(name: str) -> None:
    x, y = rows(), rows() + rows(seed=1)
    value = MEASURES[name](x, y)
    x.flags.writeable = False
    assert MEASURES[name](x, y) == value
    backwards = (np.ascontiguousarray(part[::-1])[::-1] for part in (x, y))
    assert MEASURES[name](*backwards) == value


@every_measure
def test_widths_that_differ(name: str) -> None:
    x, y = noise(60, 4, seed=0), noise(60, 5, seed=0)
    if name in ONE_WIDTH:
        with pytest.raises(ValueError, match="rows of widths 4 and 5: this measure needs the same coordinates"):
            MEASURES[name](x, y)
    else:
        assert -0.5 < MEASURES[name](x, y) < 0.9


def test_no_measure_is_left_out() -> None:
    """Whatever the library exports is among those tested here."""
    tools = {"compare", "Moments", "OrthogonalMap", "fit_procrustes", "MEASURES", "MIN_BOARDS", "SAME_COORDINATES"}
    tested = {name.split()[0] for name in MEASURES} | {"procrustes_distance"}
    assert set(similarity.__all__) - tools == tested - {"procrustes"}
    assert issubclass(Moments, object)
