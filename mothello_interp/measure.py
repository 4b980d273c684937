"""A measure of paired rows, as `similarity` defines them and `comparison` applies them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from mothello_interp.arguments import all_finite

Rows = np.ndarray | torch.Tensor
MIN_ROWS = 4
_LEAST = 1e-120  # variance whose square float64 still holds


class Side(NamedTuple):
    """One side's rows as a measure needs them: `[n k]`, a number for each pair of rows `[n n]`, or directions `[d k]`.

    `own` is what does not depend on the pairing; `game` int64 `[n]` is given by who compares games.
    """

    values: torch.Tensor
    own: torch.Tensor = torch.zeros(())
    game: torch.Tensor = torch.zeros(0)


def both(square: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return square.index_select(0, rows).index_select(1, rows)


def row_mean(parts: torch.Tensor) -> torch.Tensor:
    """What `finish` is of a measure whose parts are one value for each row `[... n]`."""
    return parts.mean(dim=-1).clamp(-1, 1)


def rotated(axes: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Directions `[d k]` in rotated coordinates: the floor of a measure that does not depend on the pairing."""
    return rotation @ axes


@dataclass(frozen=True)
class Measure:
    """A measure of paired rows: `finish(score(prepare(x), prepare(y)))`.

    Attributes:
        prepare: one side's rows, float64 `[n d]`.
        score: parts `[...]`, averaged over move numbers before `finish` makes a number in [-1, 1] of them.
        mismatch: values of a side whose rows come in another order `[n]`; or `rotated`.
        many: parts of the pairing, then of y in each of several orders, `[1 + order ...]`, if cheaper together.
        without: parts of the kept rows, bool `[n]`, of each fold, `[fold ...]`, if cheaper than to prepare them.
        one_width: whether both sides need the same width.
        quadratic: whether memory grows with the square of the rows.
        single: whether mismatched rows are scored in float32.
    """

    prepare: Callable[[torch.Tensor], Side]
    score: Callable[[Side, Side], torch.Tensor]
    finish: Callable[[torch.Tensor], torch.Tensor] = lambda parts: parts.clamp(-1, 1)
    mismatch: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda values, order: values[order]
    many: Callable[[Side, Side, Sequence[torch.Tensor]], torch.Tensor] | None = None
    without: Callable[[Side, Side, Sequence[torch.Tensor]], torch.Tensor] | None = None
    one_width: bool = False
    quadratic: bool = False
    single: bool = False

    def __call__(self, x: Rows, y: Rows) -> float:
        x, y = paired(x, y, one_width=self.one_width)
        return float(self.finish(self.score(self.prepare(x), self.prepare(y))))

    def scores(self, x: Side, y: Side, mismatches: Sequence[torch.Tensor]) -> torch.Tensor:
        """Parts of the pairing, then of y mismatched in each way, `[1 + mismatch part]`."""
        if self.many and mismatches:
            return self.many(x, y, mismatches)
        a, b = (side._replace(values=side.values.float()) if self.single else side for side in (x, y))
        floor = [self.score(a, b._replace(values=self.mismatch(b.values, order))) for order in mismatches]
        return torch.stack([self.score(x, y), *floor])


def square(measure: Measure, again: Callable[[torch.Tensor], Side]) -> Measure:
    """A measure whose sides are prepared `again` from their values for all pairs of rows, where rows are left out."""

    def without(x: Side, y: Side, kept: Sequence[torch.Tensor]) -> torch.Tensor:
        rows = (keep.nonzero().flatten() for keep in kept)
        return torch.stack([measure.score(*(again(both(side.values, rest)) for side in (x, y))) for rest in rows])

    return replace(measure, mismatch=both, without=without, quadratic=True)


def paired(x: Rows, y: Rows, *, one_width: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float64 `[n d]` on the CPU, checked: enough rows, finite, varied by what float64 holds to the fourth power."""
    x, y = finite_pairs(x, y)
    for name, rows in (("x", x), ("y", y)):
        if bool((rows == rows[0]).all()):
            raise ValueError(f"all rows of {name} are equal: there is no variance to compare")
        variance = float(centred(rows).square().mean())
        if not _LEAST < variance < 1 / _LEAST:
            raise ValueError(
                f"{name} has variance {variance:.0e}, between {_LEAST:.0e} and {1 / _LEAST:.0e} expected: scale it"
            )
    if one_width and x.shape[1] != y.shape[1]:
        raise ValueError(f"rows of widths {x.shape[1]} and {y.shape[1]}: this measure needs the same coordinates")
    return x, y


def finite_pairs(x: Rows, y: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows)) for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"rows of shapes {tuple(x.shape)} and {tuple(y.shape)}: expected [n d] and [n d'], paired by row"
        )
    if len(x) < MIN_ROWS:
        raise ValueError(f"{len(x)} rows: at least {MIN_ROWS} are needed")
    x, y = (rows.detach().cpu().double() for rows in (x, y))
    for name, rows in (("x", x), ("y", y)):
        if not all_finite(rows):
            raise ValueError(f"{name} holds values that are not finite")
    return x, y


def centred(rows: torch.Tensor) -> torch.Tensor:
    """Rows `[n d]` less their mean."""
    return rows - rows.mean(dim=0)
