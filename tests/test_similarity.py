"""Measures of similarity against independent implementations, slow references, closed forms and planted truth."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from cca_zoo.linear import CCA
from ckatorch import cka_base, cka_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm
from rsatoolbox.rdm import compare as compare_rdms
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.spatial import procrustes

from mothello_interp.similarity import (
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
from tests.planted_rows import noise, rotation

both_estimators = pytest.mark.parametrize("debiased", [False, True])


N, D = 300, 6
Measure = Callable[..., float]
FUNCTIONS: dict[str, Measure] = {
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
ROTATION = FUNCTIONS.keys() - SAME_COORDINATES - {"rsa"}
SHIFT = FUNCTIONS.keys() - {"rsa", "rsa cosine", "mutual_knn"}
LINEAR_MAP = {"svcca of all", "pwcca"}
SCALES = [9, 7, 5, 2, 0.6, 0.3]
COPIES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], set[str]]] = {
    "rotated": (lambda rows: rows @ rotation(D, seed=8), ROTATION),
    "scaled": (lambda rows: 7 * rows, set(FUNCTIONS)),
    "shifted": (lambda rows: rows + 9 * noise(1, D, seed=9), SHIFT),
    "mapped": (lambda rows: rows @ (rotation(D, seed=8) * SCALES[::-1] @ rotation(D, seed=9)), LINEAR_MAP),
}
every_measure = pytest.mark.parametrize("name", FUNCTIONS)
every_copy = pytest.mark.parametrize("copy", COPIES)


def rows(*, seed: int = 0) -> np.ndarray:
    """Rows that vary more in some directions than in others, none of them a coordinate."""
    return noise(N, D, seed=seed) * SCALES @ rotation(D, seed=50 + seed)


@every_measure
@every_copy
def test_a_copy_is_the_same_to_those_measures_that_do_not_see_how_it_was_made(copy: str, name: str) -> None:
    """1 where it is promised, and well below where the copy is another representation."""
    make, same = COPIES[copy]
    value = FUNCTIONS[name](rows(), make(rows()))
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
    value = FUNCTIONS[name](rows(), y)
    assert 0.02 < value < 0.9 or name == "principal_angles"
    if name in same:
        assert FUNCTIONS[name](rows(), make(y)) == pytest.approx(value, abs=1e-9)
    else:
        assert abs(FUNCTIONS[name](rows(), make(y)) - value) > 1e-3


@every_measure
def test_arrays_and_tensors_of_any_precision(name: str) -> None:
    measure = FUNCTIONS[name]
    x, y = noise(40, 3, seed=0), noise(40, 3, seed=0) + noise(40, 3, seed=1)
    value = measure(x, y)
    assert isinstance(value, float)
    single = [torch.from_numpy(rows.astype(np.float32)).requires_grad_() for rows in (x, y)]
    assert measure(*single) == pytest.approx(value, abs=1e-4 if "rsa" in name else 1e-5)
    assert measure(x, torch.from_numpy(y)) == value
    whole = np.round(10 * x).astype(np.int64)
    assert measure(whole, y) == measure(whole.astype(float), y)


@every_measure
@pytest.mark.parametrize("scale", [1e-200, 1e-25, 1e25, 1e200])
def test_rows_of_any_size(name: str, scale: float) -> None:
    """Never NaN: the same as ever, or an error where float64 ends."""
    x, y = rows(), rows() + rows(seed=1)
    if 1e-60 < scale < 1e60:
        assert FUNCTIONS[name](scale * x, scale * y) == pytest.approx(FUNCTIONS[name](x, y), abs=1e-9)
    else:
        with pytest.raises(ValueError, match="variance"):
            FUNCTIONS[name](scale * x, y)


every_draw = pytest.mark.parametrize(("n", "d", "other", "seed"), [(41, 3, 5, 0), (121, 7, 6, 1), (301, 20, 20, 2)])


def related(n: int, d: int, other: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two widths that share something, away from the origin."""
    x = 4 + noise(n, d, seed=seed) @ noise(d, d, seed=seed + 10)
    return x, x @ noise(d, other, seed=seed + 20) / 2 + 2 * noise(n, other, seed=seed + 30)


def tensors(*rows: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(part) for part in rows]


@every_draw
@both_estimators
def test_linear_cka(n: int, d: int, other: int, seed: int, debiased: bool) -> None:
    x, y = related(n, d, other, seed)
    expected = cka_base(*tensors(x, y), kernel="linear", unbiased=debiased)
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(float(expected), abs=1e-12)


@every_draw
@both_estimators
@pytest.mark.parametrize("bandwidth", [0.3, 0.5, 1.5])
def test_rbf_cka(n: int, d: int, other: int, seed: int, debiased: bool, bandwidth: float) -> None:
    x, y = related(n, d, other, seed)
    expected = cka_base(*tensors(x, y), kernel="rbf", unbiased=debiased, threshold=bandwidth)
    assert rbf_cka(x, y, bandwidth, debiased=debiased) == pytest.approx(float(expected), abs=1e-10)
    if bandwidth == 0.5:
        assert rbf_cka(x, y, debiased=debiased) == rbf_cka(x, y, bandwidth, debiased=debiased)


def test_minibatch_cka() -> None:
    x, y = (rows.reshape(6, 20, -1) for rows in tensors(*related(120, 5, 8, 0)))
    expected = float(cka_batch(x, y))
    assert minibatch_cka(zip(x, y, strict=True)) == pytest.approx(expected, abs=1e-12)
    assert abs(expected - linear_cka(x.flatten(0, 1), y.flatten(0, 1), debiased=True)) > 1e-4


def canonical(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical correlations and the variates of x, centred and of length 1, by cca-zoo."""
    k = min(x.shape[1], y.shape[1])
    u, v = (part - part.mean(axis=0) for part in CCA(n_components=k).fit([x, y]).transform([x, y]))
    u, v = u / np.linalg.norm(u, axis=0), v / np.linalg.norm(v, axis=0)
    return (u * v).sum(axis=0), u


@every_draw
def test_svcca(n: int, d: int, other: int, seed: int) -> None:
    """The leading directions by numpy, their correlations by cca-zoo."""
    x, y = related(n, d, other, seed)
    assert svcca(x, y, variance=1) == pytest.approx(canonical(x, y)[0].mean(), abs=1e-8)
    for share in (0.5, 0.9, 0.99):
        kept = []
        for rows in (x - x.mean(axis=0), y - y.mean(axis=0)):
            _, singular, right = np.linalg.svd(rows)
            k = next(k for k in range(1, 30) if (singular[:k] ** 2).sum() >= share * (singular**2).sum())
            kept.append(rows @ right[:k].T)
        assert svcca(x, y, variance=share) == pytest.approx(canonical(*kept)[0].mean(), abs=1e-8)
    assert svcca(x, y) == svcca(x, y, variance=0.99)


@every_draw
def test_pwcca(n: int, d: int, other: int, seed: int) -> None:
    """The weights by their definition: how much each variate of x overlaps its columns."""
    x, y = related(n, d, other, seed)
    correlations, variates = canonical(x, y)
    weights = np.abs(variates.T @ (x - x.mean(axis=0))).sum(axis=1)
    assert pwcca(x, y) == pytest.approx(weights @ correlations / weights.sum(), abs=1e-8)


@every_draw
@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean"])
def test_rsa(n: int, d: int, other: int, seed: int, dissimilarity: str) -> None:
    x, y = related(n, d, other, seed)
    first, second = (calc_rdm(Dataset(rows), method=dissimilarity) for rows in (x, y))
    expected = float(compare_rdms(first, second, method="spearman")[0, 0])  # type: ignore[arg-type]
    assert rsa(x, y, dissimilarity) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]


def test_procrustes() -> None:
    x, y = related(60, 6, 6, 0)
    disparity = procrustes(x, y)[2]  # 1 - |x' y|_*^2
    assert procrustes_distance(x, y) ** 2 == pytest.approx(2 - 2 * np.sqrt(1 - disparity), abs=1e-12)
    rotation, _ = orthogonal_procrustes(x - x.mean(axis=0), y - y.mean(axis=0))
    found = fit_procrustes(x, y)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-10)
    assert found.scale == 1
    assert found.score(x, y) == pytest.approx(np.sqrt(1 - disparity), abs=1e-12)


@both_estimators
def test_rbf_cka_takes_the_median_of_an_even_number(debiased: bool) -> None:
    """As numpy has it, the mean of the middle two; on rows whose linear kernel is the Gaussian one."""

    def features(rows: np.ndarray) -> torch.Tensor:
        squared = np.array([[((a - b) ** 2).sum() for b in rows] for a in rows])
        values, vectors = np.linalg.eigh(np.exp(-2 * squared / np.median(squared)))
        return torch.from_numpy(vectors * np.sqrt(values))

    x, y = noise(10, 2, seed=0), noise(10, 3, seed=1)
    expected = cka_base(features(x), features(y), kernel="linear", unbiased=debiased)
    assert rbf_cka(x, y, debiased=debiased) == pytest.approx(float(expected), abs=1e-9)


def test_minibatches_are_never_compared_with_each_other() -> None:
    """What differs between batches alone does not count; one batch is the debiased estimator."""
    x, y = (noise(10 * 30, 4, seed=seed).reshape(10, 30, 4) for seed in (0, 1))
    place = 50 * noise(10, 4, seed=2)[:, None]
    apart = minibatch_cka(zip(x + place, y + place, strict=True))
    assert apart == pytest.approx(minibatch_cka(zip(x, y, strict=True)), abs=1e-9)
    assert minibatch_cka([(x[0], y[0])]) == pytest.approx(linear_cka(x[0], y[0], debiased=True), abs=1e-14)
    some_constant = [(x[0], y[0]), (np.ones((5, 4)), y[1, :5])]
    assert -1 <= minibatch_cka(some_constant) <= 1


def test_svcca_keeps_the_fewest_directions_that_reach_the_share() -> None:
    """Variances 4, 3, 2, 1 along four axes, of which the first two are shared."""
    x = rotation(400, seed=0)[:, :4]
    x = np.linalg.qr(x - x.mean(axis=0))[0]
    y = np.linalg.qr(np.hstack([np.ones((400, 1)), x, noise(400, 2, seed=1)]))[0][:, [1, 2, 5, 6]]
    scales = np.sqrt([4, 3, 2, 1])
    for share, expected in ((0.3, 1), (0.4, 1), (0.7, 1), (0.71, 2 / 3), (0.9, 2 / 3), (0.91, 0.5), (1, 0.5)):
        assert svcca(x * scales, y * scales, variance=share) == pytest.approx(expected, abs=1e-6), share


def test_directions_that_are_rounding_do_not_count() -> None:
    """Residual streams in float32 have directions in which they never vary."""
    x = noise(100, 4, seed=0) @ noise(4, 9, seed=1)
    y = noise(100, 3, seed=2) @ noise(3, 7, seed=3)
    single = [torch.from_numpy(rows).float() for rows in (x, y)]
    for measure in (pwcca, lambda a, b: svcca(a, b, variance=1)):
        assert measure(x, y) < 0.5
        assert measure(*single) == pytest.approx(measure(x, y), abs=1e-4)
        assert measure(np.hstack([x, 0 * x]), y) == pytest.approx(measure(x, y), abs=1e-9)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt(a @ a * (b @ b)))


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


def in_groups(group: np.ndarray, seed: int) -> np.ndarray:
    """Rows `[n d]` whose pairs are alike within a group and alike between groups, but for rounding: no coordinate says so."""
    own, shared = np.eye(len(group)), np.eye(group.max() + 1)[group]
    axes = np.hstack([np.ones((20, 1)), noise(20, own.shape[1] + shared.shape[1], seed=seed)])
    return np.hstack([own, shared]) @ np.linalg.qr(axes)[0][:, 1:].T  # columns sum to 0: correlations are cosines


@pytest.mark.parametrize("kind", ["correlation", "cosine", "euclidean"])
def test_dissimilarities_that_are_equal_but_for_rounding_tie(kind: Any) -> None:
    """Of 66 pairs 18 are in one group of x, 12 in one of y, none in both: the correlation of two such indicators."""
    row = np.arange(12)
    x, y = in_groups(row // 4, seed=0), in_groups(row % 4, seed=1)
    assert rsa(x, y, kind) == pytest.approx(-18 * 12 / np.sqrt(18 * 48 * 12 * 54), abs=1e-9)


@given(seed=st.integers(0, 10**6), n=st.integers(6, 20), k=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_neighbours_are_those_of_a_slow_search(seed: int, n: int, k: int) -> None:
    x = noise(n, 3, seed=seed)
    y = x + noise(n, 3, seed=seed + 1)
    assert mutual_knn(x, y, k=k) == pytest.approx(slow_knn(x, y, k), abs=1e-12)


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


def test_retrieval_and_cosine_by_hand() -> None:
    """A row of x may be nearest to its pair although the pair is nearer to another row of x."""
    x = noise(60, 3, seed=0)
    y = x + 0.5 * noise(60, 3, seed=1)

    def cosines(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        a, b = rows - rows.mean(axis=0), among - among.mean(axis=0)
        return np.array([[cosine(p, q) for q in b] for p in a])

    found = [(cosines(*pair).argmax(axis=1) == np.arange(60)).mean() for pair in ((x, y), (y, x))]
    assert [retrieval(x, y), retrieval(y, x)] == found
    assert found[0] != found[1]
    assert centred_cosine(x, y) == pytest.approx(cosines(x, y).diagonal().mean(), abs=1e-12)


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


def turned(x: np.ndarray, *, scale: float = 1.0, error: float = 0.0, seed: int = 1) -> np.ndarray:
    """Rows turned by `rotation(D, seed)`, scaled, shifted, with noise."""
    return scale * x @ rotation(D, seed=seed) + 3 * noise(1, D, seed=7) + error * noise(len(x), D, seed=8)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(deadline=None)
def test_a_planted_map_is_found(seed: int, scale: float) -> None:
    """And serves rows that it has not seen."""
    x, more = noise(40, D, seed=seed), 100 + noise(5, D, seed=seed + 1)
    found = fit_procrustes(x, turned(x, scale=scale, seed=seed), scaled=True)
    np.testing.assert_allclose(found.rotation, rotation(D, seed=seed), atol=1e-10)
    assert found.scale == pytest.approx(scale)
    expected = turned(more, scale=scale, seed=seed)
    np.testing.assert_allclose(found.apply(more), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.inverse.apply(expected), more, rtol=1e-9, atol=1e-9)


def test_the_score_sees_a_shift_that_the_map_does_not_make() -> None:
    """Means are those of the rows it was fitted on."""
    x = noise(60, D, seed=0)
    found = fit_procrustes(x, turned(x))
    assert found.score(x[:30], turned(x)[:30]) == pytest.approx(1, abs=1e-12)
    assert found.score(x[:30], turned(x)[:30] + 5) < 0.5
    assert found.score(x[:30] + 5, turned(x)[:30]) < 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_keep_their_shape_and_precision(dtype: torch.dtype) -> None:
    x = noise(60, D, seed=0)
    found = fit_procrustes(x, turned(x))
    rows = torch.from_numpy(x).to(dtype).reshape(3, 4, 5, D)
    before = rows.clone()
    out = found.apply(rows)
    assert out.shape == rows.shape
    assert out.dtype == dtype
    assert torch.equal(rows, before)
    loss = 0.2 if dtype == torch.bfloat16 else 1e-5
    np.testing.assert_allclose(out.double().reshape(60, D), turned(x), atol=loss)
    whole = torch.arange(D)
    np.testing.assert_allclose(found.apply(whole), found.apply(whole.double()))


def test_pwcca_does_not_depend_on_the_basis_where_correlations_tie() -> None:
    """Three columns are shared exactly, so that their correlations tie at 1 and any basis of them is canonical.

    The weight of the three is the mean over random bases, drawn here one by one.
    """
    x = noise(400, 5, seed=0) * [5, 2, 1, 3, 1]
    y = np.hstack([x[:, :3], noise(400, 2, seed=1)])
    value = pwcca(x, y)
    for seed in range(6):
        assert pwcca(x, y @ noise(5, 5, seed=seed)) == pytest.approx(value, abs=1e-9)
        order = np.random.default_rng(seed).permutation(400)
        assert pwcca(x[order], y[order]) == pytest.approx(value, abs=1e-9)
    x = x - x.mean(axis=0)
    correlations, variates = canonical(x, y)
    tied, free = np.linalg.qr(x[:, :3])[0], variates[:, 3:]
    draws = [np.abs((tied @ rotation(3, seed=seed)).T @ x).sum() for seed in range(4000)]
    weights = np.abs(free.T @ x).sum(axis=1)
    expected = (np.mean(draws) + weights @ correlations[3:]) / (np.mean(draws) + weights.sum())
    assert value == pytest.approx(expected, abs=1e-3)


def test_retrieval_finds_rows_that_tie() -> None:
    """Rows that occur several times: a language finds itself, whichever of the copies comes first."""
    x = np.repeat(noise(7, 5, seed=0), 6, axis=0)
    assert retrieval(x, x) == 1
    assert retrieval(x, x[::-1]) == pytest.approx(1 / 7)  # the middle one of the seven
    assert retrieval(x, x.reshape(7, 6, 5)[:, ::-1].reshape(42, 5)) == 1


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"rbf_cka debiased", "svcca of all"}))
def test_no_measure_exceeds_one_by_rounding(name: str) -> None:
    for seed in range(40):
        x = noise(30, 4, seed=seed)
        assert FUNCTIONS[name](x, x) <= 1


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"retrieval", "pwcca", "procrustes held out"}))
def test_measures_are_symmetric_and_widths_may_differ_unless_coordinates_are_compared(name: str) -> None:
    x, y = rows(), rows() + rows(seed=1)
    assert FUNCTIONS[name](x, y) == pytest.approx(FUNCTIONS[name](y, x), abs=1e-10)
    if name not in ONE_WIDTH:
        assert -0.5 < FUNCTIONS[name](noise(60, 4, seed=0), noise(60, 5, seed=0)) < 0.9


X = noise(20, 3, seed=0)
GUARDS: list[tuple[Callable[..., Any], str]] = [
    (lambda: linear_cka(X, X[1:]), "shapes"),
    (lambda: linear_cka(X[:, 0], X), "shapes"),
    (lambda: linear_cka(X[:3], X[:3]), "3 rows"),
    (lambda: linear_cka(0 * X, X), "all rows of x"),
    (lambda: linear_cka(X, X * np.nan), "y holds"),
    (lambda: linear_cka(3 * np.eye(20), X, debiased=True), "too few"),
    (lambda: rbf_cka(np.eye(20), X, debiased=True), "too few"),
    (lambda: rbf_cka(X, X, bandwidth=0), "bandwidth=0"),
    (lambda: rbf_cka(X, X, bandwidth=np.nan), "bandwidth=nan"),
    (lambda: rbf_cka(np.repeat([[0.0], [1]], [18, 2], axis=0), X), "median"),
    (lambda: svcca(X, X, variance=0), "variance=0"),
    (lambda: svcca(X, X, variance=1.01), "variance=1.01"),
    (lambda: principal_angles(X, X, variance=np.nan), "variance=nan"),
    (lambda: pwcca(noise(20, 30, seed=0), noise(20, 30, seed=1)), "20 rows fill 19"),
    (lambda: rsa(X, X, "manhattan"), "manhattan"),  # type: ignore[arg-type]
    (lambda: rsa(X, np.vstack([X[1:], np.ones(3)])), "same in every column"),
    (lambda: rsa(X, np.eye(20)), "equally dissimilar"),
    (lambda: rsa(3 * np.eye(20) + 1, X, "euclidean"), "equally dissimilar"),
    (lambda: mutual_knn(X, X, k=0), "k=0"),
    (lambda: mutual_knn(X, X, k=19), "1 to 18"),
    (lambda: mutual_knn(X, np.vstack([X[1:], np.zeros(3)])), "zero"),
    (lambda: retrieval(X, X[:, :2]), "widths 3 and 2"),
    (lambda: centred_cosine(X, X[:, :2]), "widths 3 and 2"),
    (lambda: principal_angles(X, X[:, :2]), "widths 3 and 2"),
    (lambda: fit_procrustes(X, X[:, :2]), "widths 3 and 2"),
    (lambda: fit_procrustes(noise(6, 6, seed=0), noise(6, 6, seed=1)), "at least 7"),
    (lambda: fit_procrustes(X, X).apply(X[:, :2]), r"\[\.\.\. 3\]"),
    (lambda: minibatch_cka([]), "no rows"),
    (lambda: minibatch_cka([(X, np.ones((20, 2)))] * 3), "no variance"),
    (lambda: minibatch_cka([(X, X), (X[:3], X[:3])]), "3 rows"),
    (lambda: minibatch_cka([(X, X * np.inf)]), "x holds|y holds"),
]


@pytest.mark.parametrize(("call", "message"), GUARDS)
def test_what_cannot_be_measured_is_an_error(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(FrozenInstanceError):
        fit_procrustes(X, X).scale = 2.0  # type: ignore[misc]
