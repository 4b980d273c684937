"""The vocabulary: interventions on activations that need no board.

A vector argument is one `[d_model]` for all rows, one a game `[game d_model]`, or one a move `[game move d_model]`
(`[... d_head]`, `[... head d_head]`, `[... d_mlp]` at other hooks). `reference` is what `collect` gives for other games, at
the layers in question.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from mothello_interp.activations import Activations
from mothello_interp.interventions.intervention import Context, Intervention
from mothello_interp.maps import Maps


@dataclass(frozen=True, eq=False)
class Steer(Intervention):
    """Add `scale` times a direction.

    Examples:
        >>> import torch
        >>> print(Steer(torch.ones(128), scale=0.5, layer=range(2, 4), moves="last"))
        Steer(layer=range(2, 4), hook='resid_post', moves=last)
    """

    direction: torch.Tensor
    scale: float = 1.0

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        return rows + self.scale * _of_rows(self, self.direction, rows, context)


@dataclass(frozen=True, eq=False)
class Replace(Intervention):
    """Put given activations in place of the model's own."""

    values: torch.Tensor

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        return _of_rows(self, self.values, rows, context).expand_as(rows)


@dataclass(frozen=True, eq=False)
class Ablate(Intervention):
    """Take an activation's content away.

    kind "zero" puts 0; "mean" the mean of the reference's rows of the same language, layer and move number; "resample"
    the row of a random game of the reference, again of the same language, layer and move number.
    """

    kind: Literal["zero", "mean", "resample"] = "zero"
    reference: Activations | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("zero", "mean", "resample"):
            raise ValueError(f'kind={self.kind!r}: choose "zero", "mean" or "resample"')
        if (self.kind == "zero") != (self.reference is None):
            raise ValueError(f'kind={self.kind!r}: a reference goes with "mean" and "resample", and only with them')
        if self.reference is not None:
            _check_place(self)

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        if self.reference is None:
            return torch.zeros_like(rows)
        if self.kind == "mean":
            return _means(self, self.reference, context.language, context)
        values = self.reference.at(context.language, context.layer)
        fraction = np.random.default_rng(self.seed).random(context.reading.games.moves.shape)[
            context.game, context.move
        ]
        by_move = np.argsort(self.reference.move, kind="stable")
        first, last = (np.searchsorted(self.reference.move[by_move], context.move, side) for side in ("left", "right"))
        _check_moves(self, last > first, context)
        return values[by_move[first + (fraction * (last - first)).astype(np.int64)]]


@dataclass(frozen=True, eq=False)
class ProjectOut(Intervention):
    """Remove what lies in the span of `basis` `[direction d_model]`, measured from `centre` `[d_model]` (0 by default)."""

    basis: torch.Tensor
    centre: torch.Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not torch.isfinite(self.basis).all():
            raise ValueError("basis holds values that are not finite")
        if self.basis.ndim != 2 or torch.linalg.matrix_rank(self.basis.double()) < len(self.basis):
            raise ValueError(f"basis of shape {tuple(self.basis.shape)}: expected independent rows [direction d_model]")

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        if self.basis.shape[1] != rows.shape[1]:
            raise ValueError(f"{self}: basis of shape {tuple(self.basis.shape)}: expected [direction {rows.shape[1]}]")
        basis = torch.linalg.qr(self.basis.double().T)[0].to(rows)
        offset = rows if self.centre is None else rows - self.centre.to(rows)
        return rows - (offset @ basis) @ basis.T


@dataclass(frozen=True, eq=False)
class MeanShift(Intervention):
    """Exchange the mean of the reading's language for that of language `to`, both of the same layer and move number."""

    reference: Activations
    to: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_place(self)

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        source, target = (_means(self, self.reference, language, context) for language in (context.language, self.to))
        return rows + (target - source).to(rows)


@dataclass(frozen=True, eq=False)
class Transport(Intervention):
    """Pass rows through a map: any function `[row d_model] -> [row d_model]`, or maps of `fit_maps`, at each layer its own."""

    map: Callable[[torch.Tensor], torch.Tensor] | Maps

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        return self.map.apply(rows, context.layer) if isinstance(self.map, Maps) else self.map(rows)


def _of_rows(item: Intervention, values: torch.Tensor, rows: torch.Tensor, context: Context) -> torch.Tensor:
    """A vector for each row, from one of the three forms."""
    values = torch.as_tensor(values)
    games, one = context.reading.games, tuple(rows.shape[1:])
    forms: dict[tuple[int, ...], Any] = {one: None, (len(games), *one): context.game}
    forms[(*games.moves.shape, *one)] = (context.game, context.move)
    if tuple(values.shape) not in forms:
        raise ValueError(
            f"{item}: values of shape {tuple(values.shape)}; expected {list(one)}, or one a game {[len(games), *one]}, or one "
            f"a move {[*games.moves.shape, *one]}"
        )
    index = forms[tuple(values.shape)]
    return (values.expand(rows.shape) if index is None else values[index]).to(rows)


def _means(item: Intervention, reference: Activations, language: int, context: Context) -> torch.Tensor:
    """The mean of the reference at each row's move number, `[row d_model]`."""
    values = reference.at(language, context.layer).double()
    counts = np.bincount(reference.move, minlength=int(context.move.max()) + 1)
    _check_moves(item, counts[context.move] > 0, context)
    sums = torch.zeros(len(counts), values.shape[1], dtype=values.dtype)
    sums.index_add_(0, torch.from_numpy(reference.move), values)
    return (sums[context.move] / torch.from_numpy(counts[context.move])[:, None]).float()


def _check_moves(item: Intervention, known: np.ndarray, context: Context) -> None:
    if not known.all():
        raise ValueError(
            f"{item}: the reference has no row of move {context.move[~known][0]}: collect it on longer games"
        )


def _check_place(item: Intervention) -> None:
    if item.hook != "resid_post" or item.tokens != "last":
        raise ValueError(
            f'{item}: a reference holds the residual stream at each move\'s last token; keep hook="resid_post", '
            f'tokens="last", or give rows of your own with Replace'
        )
