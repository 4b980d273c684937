"""Statistics over games: the bootstrap, the floor of mismatched games, permutation tests, normalised scores, divergence."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

BLANK_BELOW = 0.1  # a ceiling closer to its floor than this leaves nothing to normalise by


class Bootstrap:
    """95% intervals of means and ratios of sums, from resampled games.

    Attributes:
        weights: how often each game stands in each resample, int64 `[resample game]`.

    Raises:
        ValueError: for fewer than one game or resample.
    """

    def __init__(self, games: int, resamples: int = 1000, seed: int | np.random.Generator = 0):
        if games < 1 or resamples < 1:
            raise ValueError(
                f"{games} games, resamples={resamples}: expected 1 or more of each, since the interval is theirs"
            )
        self.weights = np.random.default_rng(seed).multinomial(games, np.full(games, 1 / games), resamples)

    def draws(self, sums: np.ndarray, over: np.ndarray | None = None) -> np.ndarray:
        """sum(sums) / sum(over) in every resample, float64 `[... resample]`.

        Args:
            sums: one number a game, `[... game]`.
            over: what is divided by, `[game]` or as sums; 1 for each game by default.
        """
        below = np.ones(self.weights.shape[1]) if over is None else over
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums @ self.weights.T) / (below @ self.weights.T)

    def interval(self, sums: np.ndarray, over: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The 2.5% and 97.5% quantiles of `draws`, `[...]` each."""
        low, high = np.quantile(self.draws(sums, over), [0.025, 0.975], axis=-1)
        return low, high


def per_game(values: np.ndarray, game: np.ndarray, games: int) -> np.ndarray:
    """Sums over the rows of each game, float64 `[game]`, of values `[row]` of games int64 `[row]`."""
    return np.bincount(game, weights=values, minlength=games)


def class_counts(classes: np.ndarray, move: np.ndarray) -> np.ndarray:
    """How often each class 0 to 2 stands on each square at each move number, int64 `[move square class]`.

    Args:
        classes, move: int8 `[row square]` and int64 `[row]`.
    """
    at = np.eye(move.max() + 1, dtype=np.float32)[move]
    cells = (classes[..., None] == np.arange(3)).reshape(len(move), -1)
    return (at.T @ cells.astype(np.float32)).astype(np.int64).reshape(-1, classes.shape[1], 3)


def mismatched(lengths: np.ndarray, seed: int) -> np.ndarray:
    """For each game another one, drawn at random among those at least as long if there are any, int64 `[game]`.

    What a measure gives with the other game's state or board is its floor.
    """
    rng, n = np.random.default_rng(seed), len(lengths)
    score = rng.random((n, n)) + 2 * (lengths[None, :] >= lengths[:, None])
    np.fill_diagonal(score, -1)
    return score.argmax(axis=1)


def mismatched_rows(game: np.ndarray, move: np.ndarray) -> np.ndarray:
    """For each row the next game's row at the same move number (its own if there is none): a permutation, int64 `[row]`.

    Args:
        game, move: int64 `[row]`, as in `Activations`.
    """
    order = np.lexsort((game, move))
    following = np.empty_like(order)
    following[order] = np.roll(order, -1)
    last = np.append(np.flatnonzero(np.diff(move[order])), len(order) - 1)
    first = np.append(0, last[:-1] + 1)
    following[order[last]] = order[first]
    return following


def permutation_p(value: float, null: np.ndarray) -> float:
    """(1 + how many null values are at least the value) / (1 + how many there are): above 0, up to 1 (Phipson and Smyth 2010)."""
    return float((1 + (np.asarray(null) >= value).sum()) / (1 + len(null)))


def normalised(value: npt.ArrayLike, floor: npt.ArrayLike, ceiling: npt.ArrayLike) -> np.ndarray:
    """(value - floor) / (ceiling - floor): 0 at the floor, 1 at the ceiling; NaN where ceiling - floor < 0.1."""
    value, floor, ceiling = (np.asarray(part, float) for part in (value, floor, ceiling))
    room = np.where(ceiling - floor >= BLANK_BELOW, ceiling - floor, np.nan)
    return (value - floor) / room


def kl(probabilities: "torch.Tensor", reference: "torch.Tensor") -> "torch.Tensor":
    """KL(reference || probabilities) in nats, `[...]`: 0 (equal) upwards. What is missing to 1 counts as one more outcome.

    Args:
        probabilities, reference: `[... outcome]`; outcomes that the reference holds impossible play no part.
    """
    import torch

    p, q = (
        torch.cat([part, (1 - part.sum(-1, keepdim=True)).clamp(min=0)], -1).double()
        for part in (reference, probabilities)
    )
    tiny = torch.finfo(torch.float32).tiny
    return torch.special.xlogy(p, p.clamp(min=tiny) / q.clamp(min=tiny)).sum(-1)
