"""The gradient of one batch, over all processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from mothello_interp.corpus import Batch, Corpus
from train.parallel import Processes
from train.step import entropy_sum, fused_logits, loss_sum

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

POSITIONS = 2048  # in one pass on a processor: an eighth of a mini batch's activations, and a tenth sooner


def add_gradients(
    model: "HookedTransformer",
    batch: Batch,
    corpus: Corpus,
    processes: Processes,
    *,
    seed: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    dropout: float = 0.0,
    compiled: bool = False,
) -> dict[str, float]:
    """Add the gradient of the mean loss to every parameter that learns.

    Languages of different lengths are read apart, so that none is padded to another's width. On a processor a batch is
    read in parts of at most 2,048 positions, so that activations are held for one part at a time; their gradients add up
    to that of the batch, but for rounding.

    Args:
        model: whose gradients.
        batch: this process' part of the games.
        corpus: where they come from.
        processes: with which the gradient is shared.
        seed: of what is dropped; torch's own generator is left as it was.
        dtype: of the matrix products.
        dropout: share of activations that are dropped.
        compiled: whether `torch.compile` runs the model.

    Returns:
        loss and floor in nats and positions, each summed over the games of all processes.
    """
    device = processes.device
    targets = torch.from_numpy(batch.targets).to(device)
    count = processes.add_up(_positions(targets))
    forward = _compiled() if compiled else fused_logits
    sums = torch.zeros(2, dtype=torch.float32, device=device)  # loss, floor
    for rows, width in _parts(batch, corpus, POSITIONS if device.type == "cpu" else None):
        tokens = torch.from_numpy(batch.tokens[rows, :width]).to(device)
        wanted = targets[torch.from_numpy(rows).to(device), :width]
        with _draws(device, (*seed, width, processes.rank, int(rows[0])), enabled=dropout > 0):
            logits = forward(model, tokens, dtype=dtype, dropout=dropout)
        loss = loss_sum(logits, wanted)[0]
        (loss / count).backward()
        sums += torch.stack([loss.detach(), entropy_sum(wanted) if wanted.ndim == 3 else loss.new_zeros(())])
    processes.add_up_gradients([weight for weight in model.parameters() if weight.requires_grad])
    loss, floor = processes.add_up(sums).tolist()
    return {"loss": loss, "floor": floor, "positions": count.item()}


@cache
def _compiled() -> Callable[..., torch.Tensor]:
    """`fused_logits`, compiled once a process."""
    return torch.compile(fused_logits)


def _parts(batch: Batch, corpus: Corpus, positions: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """Rows of a batch `[row]` and their width: for each width that its languages have, so many positions at a time."""
    mothello = corpus.mothello
    widths = np.array([min(mothello.width(language), mothello.n_ctx) for language in range(len(mothello.languages))])
    width = widths[batch.language]
    for value in np.unique(width).tolist():
        rows = np.flatnonzero(width == value)
        size = max(1, positions // value) if positions else len(rows)
        yield from ((rows[start : start + size], value) for start in range(0, len(rows), size))


def _positions(targets: torch.Tensor) -> torch.Tensor:
    """How many positions carry loss."""
    return (targets != 0).sum() if targets.ndim == 2 else targets.sum()


@contextmanager
def _draws(device: torch.device, seed: tuple[int, ...], *, enabled: bool) -> Iterator[None]:
    """Torch's generator of a device starts from `seed` inside, and is as it was outside."""
    if not enabled:
        yield
        return
    on_cuda = device.type == "cuda"
    generator = torch.cuda.default_generators[torch.cuda.current_device()] if on_cuda else torch.default_generator
    before = generator.get_state()
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    try:
        yield
    finally:
        generator.set_state(before)
