"""What a training step makes of the machine: tokens a second, and the share of the rate at which it multiplies matrices.

On a GPU if there is one, else on the processor; eager beside compiled, and beside products of large square matrices in the same run.
"""

from collections.abc import Callable
from pathlib import Path
from shutil import which

import torch

from benchmarks.timing import seconds
from mothello_interp.models import build_model
from train.gradient import add_gradients
from train.parallel import Processes
from train.settings import PRESETS, Preset

_SIZES = {"mini": 256, "paper": 1024}  # games a step, as their presets have it
_ON_A_PROCESSOR = {"mini": 256, "paper": 16}


def run() -> list[str]:
    """Lines to print."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    matrices = _matrix_rate(device)
    lines = [f"{name}, bfloat16; large matrices: {matrices / 1e12:.3g} TFLOP/s"]
    for scale, games in (_SIZES if device == "cuda" else _ON_A_PROCESSOR).items():
        preset = Preset.load(PRESETS / Path(f"{scale}/atomic-atomic-anchors4.toml"))
        for compiled in (False, True) if which("c++") else (False,):
            rate = _rate(preset, games, device, compiled=compiled)
            share = rate * _products(preset) / matrices
            how = "compiled" if compiled else "eager"
            lines.append(f"{scale}, {games} games a step, {how}: {rate:,.0f} tokens/s, {share:.0%} of the matrix rate")
    return lines


def _rate(preset: Preset, games: int, device: str, *, compiled: bool) -> float:
    """Tokens a second of forward, backward and an update by fused AdamW, on one batch in memory."""
    model = build_model(preset.spec, seed=0, device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    corpus, processes = preset.corpus(0), Processes(device)
    batch = corpus.batch(0, games)

    def step() -> None:
        add_gradients(model, batch, corpus, processes, seed=(0,), dtype=torch.bfloat16, compiled=compiled)
        optimizer.step()
        optimizer.zero_grad()

    return games * preset.spec.mothello.n_ctx / seconds(_waited(step, device), repeats=5)


def _products(preset: Preset) -> float:
    """Multiplications and additions of a step, a token: three passes over every matrix, and attention by causal halves."""
    size, mothello = preset.spec.model, preset.spec.mothello
    block = 4 * size.d_model**2 + 2 * size.d_model * size.d_mlp
    attention = mothello.n_ctx * size.d_model  # queries on keys and weights on values, over half of the positions each
    return 6.0 * (size.n_layers * (block + attention) + size.d_model * mothello.d_vocab)


def _matrix_rate(device: str) -> float:
    side = 8192 if device == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    return 2 * side**3 / seconds(_waited(lambda: left @ right, device), repeats=20)


def _waited(work: Callable[[], object], device: str) -> Callable[[], object]:
    """The work, until the device has done it."""

    def done() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    return done
