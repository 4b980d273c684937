"""What a patched run is scored by. Probabilities are `[... game outcome]`, of moves or of first tokens (see `Runs`).

All are means over games or ratios of such, of one number a game; zeros and ceilings are given by each experiment.
"""

import numpy as np
import torch


def mass(probabilities: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The probability of some outcomes together, `[... game]`: 0 to 1.

    Args:
        mask: bool `[game outcome]`.
    """
    return (probabilities * mask).sum(-1)


def mass_difference(probabilities: torch.Tensor, clean: torch.Tensor, corrupted: torch.Tensor) -> torch.Tensor:
    """The probability of what is in one mask alone, less that of what is in the other alone, `[... game]`: -1 to 1.

    Args:
        clean, corrupted: bool `[game outcome]`.
    """
    return (probabilities * ((clean & ~corrupted).float() - (corrupted & ~clean).float())).sum(-1)


def kl(probabilities: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Divergence of probabilities from a reference, in nats, `[... game]`: 0 (equal) upwards; all else is one outcome.

    Args:
        reference: `[game outcome]`; what it holds impossible plays no part.
    """
    p, q = (
        torch.cat([part, (1 - part.sum(-1, keepdim=True)).clamp(min=0)], -1).double()
        for part in (reference, probabilities)
    )
    tiny = torch.finfo(torch.float32).tiny
    return torch.special.xlogy(p, p.clamp(min=tiny) / q.clamp(min=tiny)).sum(-1)


def recovered(patched: np.ndarray, corrupted: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """The share of the way from corrupted to clean, `[...]`: 0 for nothing, 1 for all; below and above are possible.

    A ratio of sums over games: a mean of ratios would be ruled by games that ask nothing.

    Args:
        patched: `[... game]`.
        corrupted, clean: `[game]`.

    Raises:
        ValueError: where clean and corrupted are the same, summed over games.
    """
    way = (clean - corrupted).sum()
    if not abs(way) > 0:
        raise ValueError("clean and corrupted runs are scored alike: there is nothing to recover")
    share: np.ndarray = (patched - corrupted).sum(axis=-1) / way
    return share


def interval(values: np.ndarray, weights: np.ndarray, over: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """95% bootstrap interval over games of a mean, or of a ratio of sums, `[...]` each.

    Args:
        values: `[... game]`.
        weights: how often each game stands in each resample, int `[resample game]`.
        over: what is divided by, `[game]`; 1 for a mean.
    """
    below = weights @ (np.ones(values.shape[-1]) if over is None else over)
    low, high = np.quantile(values @ weights.T / below, [0.025, 0.975], axis=-1)
    return low, high


def resampled(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of n games stands in each resample, int `[resample game]`."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)
