"""Linear CKA of two languages from batches: its peak memory, and its speed against Gram matrices."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.timing import side_by_side
from mothello_interp.similarity import minibatch_cka

_ROWS, _WIDTH, _BATCH = 100_000, 512, 1000
_GRAM_ROWS = 16_000  # two Gram matrices of this many rows take 4 GB


def run() -> list[str]:
    """Lines to print."""
    command = [sys.executable, "-m", "benchmarks.similarity"]
    root = Path(__file__).parents[2]
    child = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout
    lines = [f"debiased CKA of {_ROWS:,} positions of width {_WIDTH}, in batches: {child.strip()}"]
    x, y = (torch.cat(part) for part in zip(*_batches(_GRAM_ROWS), strict=True))
    mine, theirs, ratio = side_by_side(partial(_streamed, x, y), partial(_by_gram, x, y), repeats=1)
    size = 2 * 8 * _GRAM_ROWS**2 / 1e9
    lines.append(
        f"{_GRAM_ROWS:,} positions: from batches {mine:.1f} s, by Gram matrices ({size:.1f} GB) {theirs:.1f} s: {ratio:.1f} x"
    )
    return lines


def _batches(n: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Random rows of two languages that share something, float32."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(n // _BATCH):
        x, error = (torch.randn(_BATCH, _WIDTH, generator=generator) for _ in range(2))
        yield x, x + error


def _streamed(x: torch.Tensor, y: torch.Tensor) -> float:
    return minibatch_cka(zip(x.split(_BATCH), y.split(_BATCH), strict=True))


def _by_gram(x: torch.Tensor, y: torch.Tensor) -> float:
    """U-centred Gram matrices in float64, as in place as can be."""
    first, second = (_centred_gram(rows.double()).flatten() for rows in (x, y))
    return float(first @ second / ((first @ first) * (second @ second)).sqrt())


def _centred_gram(rows: torch.Tensor) -> torch.Tensor:
    n = len(rows)
    gram = (rows @ rows.T).fill_diagonal_(0)
    means = gram.sum(dim=0) / (n - 2)
    means -= means.sum() / (2 * (n - 1))
    return gram.sub_(means).sub_(means[:, None]).fill_diagonal_(0)


def _held(field: str) -> float:
    """VmRSS, held now, or VmHWM, held at most so far, in MB.

    Where there is no /proc both are ru_maxrss; on Linux that would begin at the parent's peak, which exec hands down.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field)) / 1000
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    before = _held("VmRSS")
    value = minibatch_cka(_batches(_ROWS))
    print(f"{value:.4f}, {_held('VmHWM') - before:.0f} MB at most above the {before:.0f} MB of the imports")
