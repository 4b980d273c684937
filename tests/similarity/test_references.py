"""Against independent implementations from PyPI: ckatorch, cca-zoo, rsatoolbox, and scipy's Procrustes."""

import numpy as np
import pytest
import torch
from cca_zoo.linear import CCA
from ckatorch import cka_base, cka_batch
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm
from rsatoolbox.rdm import compare as compare_rdms
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

from mothello_interp.similarity import (
    fit_procrustes,
    linear_cka,
    minibatch_cka,
    procrustes_distance,
    pwcca,
    rbf_cka,
    rsa,
    svcca,
)
from tests.similarity.planted import both_estimators, noise

every_draw = pytest.mark.parametrize(("n", "d", "other", "seed"), [(40, 3, 5, 0), (121, 7, 6, 1), (300, 20, 20, 2)])


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
    np.testing.assert_allclose(fit_procrustes(x, y).rotation, rotation, atol=1e-10)


def test_float32_references_agree_to_single_precision() -> None:
    x, y = related(300, 20, 20, 2)
    with torch.no_grad():
        a, b = (rows.float() - rows.float().mean(dim=0) for rows in tensors(x, y))
        single = (a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert linear_cka(x, y) == pytest.approx(float(single), abs=1e-5)
