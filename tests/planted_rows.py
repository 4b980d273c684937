"""Rows of which the answer is known."""

import numpy as np


def noise(n: int, d: int, *, seed: int) -> np.ndarray:
    """Independent normal rows `[n d]`."""
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(d: int, *, seed: int) -> np.ndarray:
    """A random orthogonal matrix `[d d]`."""
    found: np.ndarray = np.linalg.qr(noise(d, d, seed=seed))[0]
    return found
