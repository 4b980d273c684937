"""Maps between coordinates: a planted rotation is found, and scored on other rows than it was fitted on."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.similarity import fit_procrustes, procrustes_distance
from tests.similarity.planted import noise, rotation

D = 6


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


def test_the_map_is_orthogonal_and_the_best() -> None:
    """Whatever the rows; no other rotation near it comes nearer."""
    x = noise(50, D, seed=0)
    y = noise(50, D, seed=1) + x
    found = fit_procrustes(x, y)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(D), atol=1e-12)
    assert found.scale == 1

    def missed(rotation: np.ndarray) -> float:
        return float(((((x - x.mean(axis=0)) @ rotation) - (y - y.mean(axis=0))) ** 2).sum())

    best = missed(found.rotation.numpy())
    assert best == pytest.approx(float((found.apply(x) - torch.from_numpy(y)).square().sum()))
    for seed in range(20):
        step = 0.05 * noise(D, D, seed=seed)
        nearby = found.rotation.numpy() @ np.linalg.qr(np.eye(D) + step - step.T)[0]
        assert missed(nearby) > best


def test_the_best_scale() -> None:
    x = noise(50, D, seed=0)
    y = turned(x, scale=3, error=2)
    found = fit_procrustes(x, y, scaled=True)
    for factor in (0.99, 1.01):
        other = type(found)(found.rotation, found.source_mean, found.target_mean, factor * found.scale)
        assert (other.apply(x) - torch.from_numpy(y)).norm() > (found.apply(x) - torch.from_numpy(y)).norm()


def test_the_score_where_it_was_fitted_and_where_not() -> None:
    """A rotation of 20 dimensions fits 60 rows of noise half, and other rows not at all."""
    x, y = noise(60, 20, seed=0), noise(60, 20, seed=1)
    found = fit_procrustes(x, y)
    assert found.score(x, y) == pytest.approx(1 - procrustes_distance(x, y) ** 2 / 2, abs=1e-12)
    assert found.score(x, y) > 0.4
    elsewhere = [found.score(noise(60, 20, seed=seed), noise(60, 20, seed=seed + 1)) for seed in range(2, 40, 2)]
    assert abs(np.mean(elsewhere)) < 0.02
    assert np.max(np.abs(elsewhere)) < 0.15


def test_the_score_sees_a_shift_that_the_map_does_not_make() -> None:
    """Means are those of the rows it was fitted on."""
    x = noise(60, D, seed=0)
    found = fit_procrustes(x, turned(x))
    assert found.score(x[:30], turned(x)[:30]) == pytest.approx(1, abs=1e-12)
    assert found.score(x[:30], turned(x)[:30] + 5) < 0.5
    assert found.score(x[:30] + 5, turned(x)[:30]) < 0.5


def test_a_noisy_copy_is_known_on_other_rows() -> None:
    """Noise of the same size: the cosine is the square root of 1/2, whatever the scale."""
    x, more = noise(4000, D, seed=0), noise(4000, D, seed=1)
    y, other = turned(x, scale=5, error=5), turned(more, scale=5, error=5)
    for scaled in (False, True):
        assert fit_procrustes(x, y, scaled=scaled).score(more, other) == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_the_distance_of_a_copy_and_of_nothing_shared() -> None:
    x = noise(5000, D, seed=0)
    assert procrustes_distance(x, turned(x, scale=9)) == pytest.approx(0, abs=1e-6)
    assert procrustes_distance(x, np.hstack([x, np.zeros_like(x)]) @ rotation(2 * D, seed=1)) < 1e-6
    assert procrustes_distance(x, noise(5000, D, seed=1)) == pytest.approx(np.sqrt(2), abs=0.05)


@given(seeds=st.tuples(*[st.integers(0, 10**6)] * 3), share=st.floats(0, 1))
@settings(deadline=None)
def test_a_metric(seeds: tuple[int, int, int], share: float) -> None:
    """Symmetric, and no detour is shorter (Williams et al. 2021)."""
    x, y, z = (noise(20, 3, seed=seed) for seed in seeds)
    y = share * x + (1.01 - share) * y
    assert procrustes_distance(x, y) == pytest.approx(procrustes_distance(y, x), abs=1e-7)
    assert procrustes_distance(x, z) <= procrustes_distance(x, y) + procrustes_distance(y, z) + 1e-7


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


def test_gradients_go_through_a_map() -> None:
    x = noise(60, D, seed=0)
    rows = torch.ones(2, D, requires_grad=True)
    fit_procrustes(x, turned(x)).apply(rows).square().sum().backward()
    assert rows.grad is not None
    assert rows.grad.abs().sum() > 0


def test_maps_that_cannot_be() -> None:
    x = noise(40, D, seed=0)
    found = fit_procrustes(x, turned(x))
    with pytest.raises(ValueError, match=r"rows of shape \(40, 5\): this map takes \[\.\.\. 6\]"):
        found.apply(x[:, :5])
    with pytest.raises(ValueError, match=r"rows of shape \(40, 5\): this map takes"):
        found.score(x[:, :5], x[:, :5])
    with pytest.raises(ValueError, match="rows of widths 6 and 5: this measure needs the same coordinates"):
        fit_procrustes(x, x[:, :5])
    with pytest.raises(ValueError, match="6 rows do not fix a rotation of width 6: at least 7 are needed"):
        fit_procrustes(x[:6], x[:6])
    with pytest.raises(FrozenInstanceError):
        found.scale = 2.0  # type: ignore[misc]
