"""The rotation between two sets of coordinates, and the distance that is left after it (Schoenemann 1966)."""

from dataclasses import dataclass

import numpy as np
import torch

from mothello_interp.measure import Rows, centred, paired


def procrustes_distance(x: Rows, y: Rows) -> float:
    """Distance after the best rotation, shift and scaling: sqrt(2 - 2 |x'y|_*) of centred rows of Frobenius norm 1.

    0 (a copy, up to 1e-7 by rounding) to sqrt 2; the widths may differ. Fitted on the rows it is measured on, so unrelated
    rows are below sqrt 2: see `OrthogonalMap.score`. Schoenemann 1966; Williams et al. 2021.
    """
    x, y = (centred(rows) for rows in paired(x, y))
    alike = torch.linalg.svdvals(x.T @ y).sum() / (x.norm() * y.norm())
    return float((2 - 2 * alike).clamp(min=0).sqrt())


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
        """Rows `[... d]` of the source in the target's coordinates, on their device, in their precision."""
        rows = rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))
        if rows.shape[-1:] != self.source_mean.shape:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: this map takes [... {len(self.source_mean)}]")
        rows = rows if rows.is_floating_point() else rows.double()
        return (rows - self.source_mean.to(rows)) @ (self.scale * self.rotation).to(rows) + self.target_mean.to(rows)

    @property
    def inverse(self) -> "OrthogonalMap":
        """From the target back to the source."""
        return OrthogonalMap(self.rotation.T, self.target_mean, self.source_mean, 1 / self.scale)

    def score(self, x: Rows, y: Rows) -> float:
        """Cosine between all of x, rotated, and all of y, both `[n d]` less the means it was fitted with: -1 to 1.

        On the rows it was fitted on this is the most any rotation reaches, 1 - `procrustes_distance` squared / 2. On
        other rows it is 0 in expectation where x and y are unrelated. The scale plays no part.
        """
        x, y = paired(x, y, one_width=True)
        moved, left = self.apply(x) - self.target_mean, y - self.target_mean
        return float(((moved * left).sum() / (moved.norm() * left.norm())).clamp(-1, 1))


def fit_procrustes(x: Rows, y: Rows, *, scaled: bool = False) -> OrthogonalMap:
    """The rotation, with reflections, and shift that bring x nearest to y in squared distance (Schoenemann 1966).

    Args:
        x, y: paired rows `[n d]` of one width, n > d. Where they share nothing, the rotation is arbitrary.
        scaled: also the factor of lengths that is best.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 8))
        >>> round(fit_procrustes(x, x[:, ::-1] + 1).score(x, x[:, ::-1] + 1), 6)
        1.0
    """
    x, y = paired(x, y, one_width=True)
    n, d = x.shape
    if n <= d:
        raise ValueError(f"{n} rows do not fix a rotation of width {d}: at least {d + 1} are needed")
    left, singular, right = torch.linalg.svd(centred(x).T @ centred(y))
    scale = float(singular.sum() / centred(x).square().sum()) if scaled else 1.0
    return OrthogonalMap(left @ right, x.mean(dim=0), y.mean(dim=0), scale)
