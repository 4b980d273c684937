"""What is to be trained, and how: plain values that a run is begun with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from mothello_interp.corpus import Corpus
from mothello_interp.models import Checkpoint
from train.settings import Training
from train.state import TrainingStopped

Measure = Callable[[Checkpoint, torch.dtype], list[dict[str, Any]]]


@dataclass(frozen=True)
class Record:
    """A table that grows along a run.

    Attributes:
        file: its name, in the run's folder.
        every: games between two measurements; the end is always measured.
        measure: the rows to add; columns games and epoch are put in front.
        start: whether the untouched model is measured too.
    """

    file: str
    every: int
    measure: Measure
    start: bool = False


@dataclass(frozen=True)
class Job:
    """What is to be trained, and what makes it the same job when it is started again.

    Attributes:
        name: how the checkpoint will be called.
        seed: of the stream of games.
        corpus: the stream.
        training: how to train.
        identity: settings that a run found in the folder must share.
        evaluate: quick measures for the metrics, one number a column.
        records: further tables.
    """

    name: str
    seed: int
    corpus: Corpus
    training: Training
    identity: dict[str, Any]
    evaluate: Callable[[Checkpoint, torch.dtype], dict[str, float]]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class How:
    """How a run is carried out: nothing of it changes what is learned.

    Attributes:
        threads: processor cores to use, in each process.
        device: "cpu" or "cuda".
        quiet: no progress bar.
        keep: how many checkpoints on the way, at log-spaced steps, are kept in the folder's `steps/`.
        log: "tensorboard" or "wandb", to have the metrics there too.
        compile: let `torch.compile` fuse the step; it takes a minute at the start.
    """

    threads: int = 1
    device: str = "cpu"
    quiet: bool = False
    keep: int = 0
    log: str | None = None
    compile: bool = False


def precision(training: Training, device: str, begun: str | None = None) -> torch.dtype:
    """In which the matrix products run: that in which the run was begun, or the one that the settings mean here.

    Raises:
        TrainingStopped: if the device has no such products.
    """
    wanted = begun or training.precision
    if wanted == "auto":
        on_cpu = torch.device(device).type == "cpu"
        fast = torch.cpu._is_avx512_bf16_supported() if on_cpu else torch.cuda.is_bf16_supported()
        wanted = "bfloat16" if fast else "float32"
    dtype = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    try:
        one = torch.ones(1, 1, dtype=dtype, device=device)
        (one @ one).item()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingStopped(
            f"device {device!r} has no products in {wanted} ({reason}), in which this run computes"
        ) from error
    return dtype
