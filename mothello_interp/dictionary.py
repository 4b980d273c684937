"""A dictionary between two languages without one translated token: which move of the target stands for each of the source?

`embedding_map` matches the token embeddings of one model. `match_unpaired` needs no common coordinates: it matches the geometry
of two sets of vectors, such as the mean states after each move, from other games in each language or from two models. What
they find is compared with the eight symmetries of the board, which neither is told of.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment, quadratic_assignment

from mothello_interp.languages import PAD
from mothello_interp.models import Checkpoint
from mothello_interp.othello import CONTROLS, SYMMETRIES
from mothello_interp.othello.rules import square_name
from mothello_interp.reading import Reading

_ALL = SYMMETRIES | CONTROLS


def embedding_map(checkpoint: Checkpoint, source: int, target: int) -> pd.DataFrame:
    """Which square of the target each square of the source is matched with, by the cosine of their token embeddings.

    The matching is the assignment of squares to squares with the greatest sum of cosines (Hungarian method), after centring
    both. Anchors, whose tokens are the same in both languages, are left out; a move of several tokens is their mean.

    Returns:
        As `describe_matching`, with cosine (-1 to 1) of each matched pair.

    Raises:
        ValueError: for languages that share all their tokens.
    """
    tokens = checkpoint.mothello.move_tokens[[source, target]]
    squares = np.flatnonzero((tokens != PAD).any(axis=(0, 2)) & (tokens[0] != tokens[1]).any(axis=1))
    if not len(squares):
        raise ValueError(
            f"languages {source} and {target} write every move in the same tokens: there is nothing to match"
        )
    embedding = checkpoint.model.W_E.detach().float().cpu().numpy()
    x, y = (
        _unit((embedding[moves] * (moves != PAD)[..., None]).sum(axis=1) / (moves != PAD).sum(axis=1)[:, None])
        for moves in tokens[:, squares]
    )
    cosines = x @ y.T
    _, match = linear_sum_assignment(cosines, maximize=True)
    table = describe_matching(squares, squares[match], checkpoint.mothello.board)
    return table.assign(cosine=cosines[np.arange(len(squares)), match])


def match_unpaired(
    x: np.ndarray | torch.Tensor, y: np.ndarray | torch.Tensor, *, restarts: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The orders of the rows of y in which both sets of rows have the most similar geometry, best first.

    Each set's geometry is its matrix of cosines between rows, after centring. Orders are searched that maximise the sum of
    products of the two matrices (quadratic assignment: the FAQ algorithm of Vogelstein et al. 2015 from random starts; then
    exchanges of two rows as long as they help). The order of the rows that is given plays no part.

    Args:
        x, y: float `[row d]` and `[row d']`; which rows belong together is not used.
        restarts, seed: of the search.

    Returns:
        (order, fit): int64 `[restart row]`, row i of x is matched with row order[i] of y; float64 `[restart]`, the
        correlation of the two matrices off the diagonal, -1 to 1.

    Raises:
        ValueError: for other numbers of rows, fewer than four, or values that are not finite.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(12, 4))
        >>> order, fit = match_unpaired(x, x[::-1] @ np.linalg.qr(x[:4])[0])  # rotated, and in reverse
        >>> order[0].tolist(), round(float(fit[0]), 6)
        ([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 1.0)
    """
    x, y = (np.asarray(torch.as_tensor(rows).detach().cpu(), np.float64) for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 4:
        raise ValueError(f"rows of shapes {x.shape} and {y.shape}: expected as many of each, four or more")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y holds values that are not finite")
    if restarts < 1:
        raise ValueError(f"restarts={restarts}: expected 1 or more")
    rng, off = np.random.default_rng(seed), ~np.eye(len(x), dtype=bool)
    a, b = (_off_diagonal(_unit(rows)) for rows in (x, y))

    def fit(order: np.ndarray) -> float:
        return float(np.corrcoef(a[off], b[np.ix_(order, order)][off])[0, 1])

    options = {"maximize": True, "P0": "randomized", "rng": rng}
    starts = [quadratic_assignment(a, b, method="faq", options=options).col_ind for _ in range(restarts)]
    orders = sorted((_improved(a, b, start) for start in starts), key=fit, reverse=True)
    return np.array(orders, np.int64), np.array([fit(order) for order in orders])


def _improved(a: np.ndarray, b: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The order after the exchange of two rows that gains most, until none gains; a and b are symmetric, 0 on the diagonal."""
    while True:
        placed = b[np.ix_(order, order)]
        products = a @ placed
        own = np.diagonal(products)
        gain = products + products.T - own - own[:, None] + 2 * a * placed
        one, other = np.unravel_index(gain.argmax(), gain.shape)
        if gain[one, other] < 1e-9:
            return order
        order[[one, other]] = order[[other, one]]


def move_states(reading: Reading, layer: int) -> tuple[np.ndarray, torch.Tensor]:
    """The squares that are played and the mean state after a move to each, int64 `[move]` and float32 `[move d_model]`.

    States are taken less their mean at the same move number, so that what distinguishes squares is not when they are played.
    """
    game, number = reading.rows
    played = torch.from_numpy(reading.games.moves[game, number].astype(np.int64))
    states = reading.states(layer)
    centred = states - _mean_by(torch.from_numpy(number), states)[torch.from_numpy(number)]
    squares = played.unique()
    return squares.numpy(), _mean_by(played, centred)[squares]


def describe_matching(
    squares: Sequence[int] | np.ndarray, match: Sequence[int] | np.ndarray, board: int
) -> pd.DataFrame:
    """A matching of squares, one row a square: square and match (names), and for each of the eight symmetries of the board
    whether the match is the image of the square under it (bool)."""
    squares, match = np.asarray(squares), np.asarray(match)
    names = {"square": squares, "match": match}
    table = pd.DataFrame({name: [square_name(square, board) for square in of] for name, of in names.items()})
    return table.assign(**{name: symmetry.squares(board)[squares] == match for name, symmetry in _ALL.items()})


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows less their mean, each of length 1."""
    rows = rows - rows.mean(axis=0)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _off_diagonal(rows: np.ndarray) -> np.ndarray:
    """Cosines between rows, 0 on the diagonal, so that no row's match with itself counts."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, 0)
    return cosines


def _mean_by(key: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Mean of the rows of each key, `[key d]`."""
    sums = torch.zeros(int(key.max()) + 1, rows.shape[1]).index_add_(0, key, rows)
    return sums / key.bincount().clamp(min=1)[:, None]
