"""Edits of the board that a model represents, through its probes.

Linear probes: the row moves along the probe's directions until the wanted class of each edited square beats the true
one by `scale` times what divided them before (scale 1 mirrors the row at the boundary, as Nanda et al. 2023 do), by the
shortest step that does so for all edited squares at once. MLP probes: gradient steps on the row, so that the probe
decodes the edited board (Li et al. 2023).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from mothello_interp.arguments import checked, whole
from mothello_interp.forward import gradients
from mothello_interp.interventions.intervention import Apply, Bound, Context, Intervention
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.othello import square_index
from mothello_interp.probes import Probes
from mothello_interp.reading import Reading

_HOLD = 0.2  # weight of the squares that should stay, as in the code of Li et al.


@dataclass(frozen=True, eq=False)
class BoardEdit(Intervention):
    """Base of the edits through probes. At several layers, one that changes something is enough.

    Attributes:
        probes: fitted on other games, at the layers in question.
        source: the language whose probe is used, that of the reading by default.
        scale: of the step along linear directions; 1 mirrors.
        steps, rate: how many gradient steps through an MLP probe (Adam), and their size in units of the row's own rms.
    """

    probes: Probes
    source: int | None = None
    scale: float = 1.0
    steps: int = 20
    rate: float = 0.01
    every_layer: ClassVar[bool] = False  # where the edit of an earlier layer is still read, there is nothing to do

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hook != "resid_post" or self.tokens != "last":
            raise ValueError(
                f'{self}: probes decode the residual stream at the last token of a move: keep hook="resid_post"'
            )
        if not self.scale > 0 or self.steps < 1 or not self.rate > 0:
            raise ValueError(f"scale={self.scale}, steps={self.steps}, rate={self.rate}: expected numbers above 0")

    def bind(self, reading: Reading) -> Bound:
        """As of every intervention; ValueError also for probes of another model (see `Probes.on`)."""
        self.probes.check(fingerprint(reading.checkpoint))
        return super().bind(reading)

    @abstractmethod
    def wanted(self, truth: np.ndarray, context: Context) -> np.ndarray:
        """The classes that the probe should decode, int8 `[row square]`, given the true ones."""

    def apply(self, rows: torch.Tensor, context: Context) -> torch.Tensor:
        return rows + self.step(rows, context).to(rows)

    def step(self, rows: torch.Tensor, context: Context, *, always: bool = False) -> torch.Tensor:
        """What the edit adds to the rows, `[row d_model]`.

        Args:
            always: take a step also where the (linear) probe decodes the wanted class already; its length means nothing.
        """
        truth = self._truth(context)
        wanted = self.wanted(truth, context)
        source = context.language if self.source is None else self.source
        rows = rows.detach().cpu().float()
        if self.probes.kind == "mlp":
            return self._gradient_steps(rows, truth, wanted, source, context.layer)
        return self._linear_step(rows, truth, wanted, source, context.layer, always)

    def _truth(self, context: Context) -> np.ndarray:
        if self.probes.board != context.reading.games.board:
            raise ValueError(
                f"{self}: probes of board {self.probes.board}, games of board {context.reading.games.board}"
            )
        if self.probes.frame == "absolute":
            return context.state + np.int8(1)
        return context.state * context.mover[:, None] + np.int8(1)

    def _linear_step(
        self, rows: torch.Tensor, truth: np.ndarray, wanted: np.ndarray, source: int, layer: int, always: bool
    ) -> torch.Tensor:
        edited = wanted != truth
        squares = np.argsort(~edited, axis=1, kind="stable")[
            :, : max(1, edited.sum(axis=1).max())
        ]  # few of the board's
        here = np.arange(len(rows))[:, None]
        on = torch.from_numpy(edited[here, squares])
        before, after = truth[here, squares], wanted[here, squares]
        directions = self.probes.directions(source, layer)
        normals = (directions[squares, after] - directions[squares, before]).double() * on[..., None]
        logits = self.probes.logits(rows, source, layer)[here, squares].double()
        ahead = (_pick(logits, after) - _pick(logits, before)) * on
        needed = on.double() if always else (self.scale * ahead.abs() - ahead).clamp(min=0)
        gram = normals @ normals.transpose(1, 2)
        return (needed[:, None] @ torch.linalg.pinv(gram, hermitian=True) @ normals)[:, 0].float()

    def _gradient_steps(
        self, rows: torch.Tensor, truth: np.ndarray, wanted: np.ndarray, source: int, layer: int
    ) -> torch.Tensor:
        with gradients():
            edited = torch.from_numpy(wanted != truth)
            n_edited = edited.sum(1, keepdim=True)
            held = _HOLD / (~edited).sum(1, keepdim=True).clamp(min=1)
            weight = torch.where(edited, 1 / n_edited.clamp(min=1), held) * (n_edited > 0)
            target = torch.from_numpy(wanted).long()
            start, unit = rows.clone(), rows.square().mean(1, keepdim=True).sqrt().clone()
            moved = torch.zeros_like(start, requires_grad=True)
            optimizer = torch.optim.Adam([moved], lr=self.rate)
            for _ in range(self.steps):
                logits = self.probes.logits(start + unit * moved, source, layer)
                loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
                optimizer.zero_grad()
                (loss * weight).sum().backward()
                optimizer.step()
            return (unit * moved).detach()


@dataclass(frozen=True, eq=False)
class FlipSquares(BoardEdit):
    """Flip the discs on some squares; rows in which a square is empty keep it so.

    In the relative frame, so do rows after the last move of a finished game, where no disc is "mine".

    Attributes:
        squares: a name, an index, several, or bool `[game square]`.
    """

    squares: str | int | Sequence[str | int] | np.ndarray = ()

    def wanted(self, truth: np.ndarray, context: Context) -> np.ndarray:
        return np.where(self._mask(truth.shape[1], context), np.int8(2) - truth, truth)

    def _mask(self, n_squares: int, context: Context) -> np.ndarray:
        games = context.reading.games
        if isinstance(self.squares, np.ndarray):
            if self.squares.shape != (len(games), n_squares) or self.squares.dtype != bool:
                raise ValueError(
                    f"squares is {self.squares.dtype} of shape {self.squares.shape}: expected a bool array [game square], "
                    f"{(len(games), n_squares)} here (for the same squares in all games pass names or a list)"
                )
            return self.squares[context.game]
        squares: Any = self.squares
        several = [squares] if np.ndim(squares) == 0 else squares
        index = [
            square_index(square, games.board) if isinstance(square, str) else whole("squares", square)
            for square in several
        ]
        if not index or not all(0 <= square < n_squares for square in index):
            raise ValueError(f"squares={self.squares!r}: expected one or more of 0 to {n_squares - 1}, or names")
        return np.isin(np.arange(n_squares), index)[None]


@dataclass(frozen=True, eq=False)
class SetBoard(BoardEdit):
    """Put another board in place of the true one; squares on which the two agree are left alone.

    Attributes:
        boards: int8 `[square]` or `[game square]`: -1 white, 0 empty, 1 black. Who moves stays as it is.
    """

    boards: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.boards, np.ndarray) or not np.isin(self.boards, (-1, 0, 1)).all():
            raise ValueError("boards: expected an array of -1 white, 0 empty, 1 black, [square] or [game square]")

    def wanted(self, truth: np.ndarray, context: Context) -> np.ndarray:
        assert self.boards is not None
        expected = ((truth.shape[1],), (len(context.reading.games), truth.shape[1]))
        if self.boards.shape not in expected:
            raise ValueError(f"boards of shape {self.boards.shape}: expected one of {expected}")
        boards = self.boards if self.boards.ndim == 1 else self.boards[context.game]
        sign = np.int8(1) if self.probes.frame == "absolute" else context.mover[:, None]
        return (boards * sign + 1).astype(np.int8) + np.zeros_like(truth)


def along(edit: BoardEdit, like: BoardEdit) -> Apply:
    """A step in the direction of `edit`, as long as that of `like`, in the scope of `like`.

    So a probe of one language can be used in another without its idea of how far to go.
    """

    def function(rows: torch.Tensor, context: Context) -> torch.Tensor:
        return rows + _as_long_as(edit.step(rows, context, always=True), like.step(rows, context)).to(rows)

    function.__name__ = f"along {type(edit).__name__}"
    return _scoped(function, like)


@checked
def random_like(edit: Intervention, *, seed: int) -> Apply:
    """A step in a random direction, one a game and layer, as long as that of `edit` and in its scope: the control."""

    def function(rows: torch.Tensor, context: Context) -> torch.Tensor:
        step = edit.apply(rows.clone(), context) - rows
        generator = torch.Generator().manual_seed(seed * 1000 + context.layer + 1)
        directions = torch.randn(len(context.reading.games), rows.shape[1], generator=generator, dtype=torch.float32)
        return rows + _as_long_as(directions[context.game].to(rows), step)

    function.__name__ = f"random direction like {type(edit).__name__}"
    return _scoped(function, edit)


class _Derived(Apply):
    every_layer = False


def _as_long_as(direction: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    length = direction.norm(dim=1, keepdim=True)
    return direction / length.clamp(min=1e-12) * step.norm(dim=1, keepdim=True)


def _scoped(function: object, scope: Intervention) -> Apply:
    where = {"moves": scope.moves, "tokens": scope.tokens, "hook": scope.hook, "head": scope.head}
    return _Derived(function, layer=scope.layer, **where)  # type: ignore[arg-type]


def _pick(logits: torch.Tensor, classes: np.ndarray) -> torch.Tensor:
    return logits.gather(-1, torch.from_numpy(classes).long()[..., None])[..., 0]
