"""What every measure does first: rows in pairs, float64, checked; centred; of unit length."""

import numpy as np
import torch

Rows = np.ndarray | torch.Tensor
MIN_ROWS = 4
_LEAST = 1e-120  # variance whose square float64 still holds


def paired(x: Rows, y: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float64 `[n d]`: enough rows, finite, not all equal.

    Raises:
        ValueError: for unpaired rows, fewer than 4, values that are not finite, rows that are all equal, or that vary by so
            much or so little that float64 cannot hold products of four values.
    """
    x, y = finite(*pairs(x, y))
    check_count(len(x))
    for name, rows in (("x", x), ("y", y)):
        check_varied(name, constant=bool((rows == rows[0]).all()), variance=float(centred(rows).square().mean()))
    return x, y


def pairs(x: Rows, y: Rows) -> tuple[Rows, Rows]:
    """Both as they came, checked to be `[n d]` with as many rows."""
    x, y = (rows if isinstance(rows, torch.Tensor) else np.asarray(rows) for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"rows of shapes {tuple(x.shape)} and {tuple(y.shape)}: expected [n d] and [n d'], paired row by row"
        )
    return x, y


def finite(x: Rows, y: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in float64, on the CPU."""
    x, y = tensor(x).cpu().double(), tensor(y).cpu().double()
    for name, rows in (("x", x), ("y", y)):
        if not torch.isfinite(rows).all():
            raise ValueError(f"{name} holds values that are not finite")
    return x, y


def tensor(rows: Rows) -> torch.Tensor:
    """Without its history; an array is copied, since tensors can neither be read-only nor run backwards."""
    return rows.detach() if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))


def check_count(n: int) -> None:
    if n < MIN_ROWS:
        raise ValueError(f"{n} rows: at least {MIN_ROWS} are needed")


def check_varied(name: str, *, constant: bool, variance: float) -> None:
    if constant:
        raise ValueError(f"all rows of {name} are equal: there is no variance to compare")
    if not _LEAST < variance < 1 / _LEAST:
        raise ValueError(
            f"{name} has variance {variance:.0e}, between {_LEAST:.0e} and {1 / _LEAST:.0e} expected: scale it, so that "
            f"float64 holds its products"
        )


def same_width(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"rows of widths {x.shape[-1]} and {y.shape[-1]}: this measure needs the same coordinates")
    return x, y


def centred(rows: torch.Tensor) -> torch.Tensor:
    """Rows `[... n d]` less their mean."""
    return rows - rows.mean(dim=-2, keepdim=True)


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Rows `[... n d]`, centred, then each of length 1 (0 if it is the mean)."""
    return torch.nn.functional.normalize(centred(rows), dim=-1, eps=1e-100)
