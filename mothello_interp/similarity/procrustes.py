"""The best rotation of one representation onto another: how near it comes, and the map itself."""

from dataclasses import dataclass

import numpy as np
import torch

from mothello_interp.similarity.rows import Rows, centred, paired, same_width


def procrustes_distance(x: Rows, y: Rows) -> float:
    """Distance after the best rotation, shift and scaling: sqrt(2 - 2 |x' y|_*) of rows centred, of Frobenius norm 1.

    Schoenemann 1966; as a measure of representations, Ding et al. 2021 (who report its square) and Williams et al. 2021.

    Args:
        x, y: paired rows `[n d]`; the two widths may differ.

    Returns:
        0 (a rotated, scaled or shifted copy; up to 1e-7 by rounding) to sqrt 2. Fitted on the rows it is measured on,
        and so below sqrt 2 for unrelated rows: `fit_procrustes` and `OrthogonalMap.score` keep the two apart.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, or rows that are all equal.
    """
    x, y = (centred(rows) for rows in paired(x, y))
    return distance(x.T @ y, x.square().sum(), y.square().sum())


@dataclass(frozen=True, eq=False)
class OrthogonalMap:
    """A rotation (or reflection) between two sets of coordinates of one width, with their means, fitted on some rows.

    Attributes:
        rotation: orthogonal, float64 `[d d]`; rows are multiplied from the right.
        source_mean, target_mean: float64 `[d]`, of the rows it was fitted on.
        scale: factor of lengths; 1 unless asked for.
    """

    rotation: torch.Tensor
    source_mean: torch.Tensor
    target_mean: torch.Tensor
    scale: float = 1.0

    def apply(self, rows: Rows) -> torch.Tensor:
        """Rows `[... d]` of the source in the target's coordinates, on their device, in their precision.

        Raises:
            ValueError: for another width.
        """
        rows = rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))
        if rows.shape[-1:] != self.source_mean.shape:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: this map takes [... {len(self.source_mean)}]")
        if not rows.is_floating_point():
            rows = rows.double()
        turn = (self.scale * self.rotation).to(rows)
        return (rows - self.source_mean.to(rows)) @ turn + self.target_mean.to(rows)

    @property
    def inverse(self) -> "OrthogonalMap":
        """From the target back to the source."""
        return OrthogonalMap(self.rotation.T, self.target_mean, self.source_mean, 1 / self.scale)

    def score(self, x: Rows, y: Rows) -> float:
        """Cosine between all of x, turned, and all of y, both `[n d]` less the means it was fitted with: -1 to 1.

        On the rows it was fitted on this is the most any rotation reaches, 1 - `procrustes_distance` squared / 2. On
        other rows it is 0 in expectation where x and y are unrelated. The scale plays no part.

        Raises:
            ValueError: as `procrustes_distance`, and for another width.
        """
        x, y = same_width(*paired(x, y))
        turned = self.apply(x) - self.target_mean
        left = y - self.target_mean
        return float((turned * left).sum() / (turned.norm() * left.norm()))


def fit_procrustes(x: Rows, y: Rows, *, scaled: bool = False) -> OrthogonalMap:
    """The rotation, with reflections, and shift that bring x nearest to y in squared distance (Schoenemann 1966).

    Args:
        x, y: paired rows `[n d]` of one width. Where they share nothing, the rotation is arbitrary.
        scaled: also the factor of lengths that is best.

    Raises:
        ValueError: as `procrustes_distance`; for different widths, or no more rows than dimensions.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 8))
        >>> turned = fit_procrustes(x, x[:, ::-1] + 1)
        >>> round(turned.score(x, x[:, ::-1] + 1), 6)
        1.0
    """
    x, y = same_width(*paired(x, y))
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    spread = (x - x_mean).square().sum() if scaled else None
    return best_map((x - x_mean).T @ (y - y_mean), x_mean, y_mean, len(x), spread)


def best_map(
    cross: torch.Tensor, x_mean: torch.Tensor, y_mean: torch.Tensor, n: int, spread: torch.Tensor | None
) -> OrthogonalMap:
    """The map from the centred products `[d d]` of n rows; scaled, if the squared lengths of x in all are given."""
    if n <= len(cross):
        raise ValueError(f"{n} rows do not fix a rotation of width {len(cross)}: at least {len(cross) + 1} are needed")
    left, singular, right = torch.linalg.svd(cross)
    scale = 1.0 if spread is None else float(singular.sum() / spread)
    return OrthogonalMap(left @ right, x_mean, y_mean, scale)


def distance(cross: torch.Tensor, x_spread: torch.Tensor, y_spread: torch.Tensor) -> float:
    """`procrustes_distance` from the centred products `[d d']` and the squared lengths in all."""
    alike = torch.linalg.svdvals(cross).sum() / (x_spread * y_spread).sqrt()
    return float((2 - 2 * alike).clamp(min=0).sqrt())
