"""Metrics, as they come, to TensorBoard or Weights & Biases."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from train.state import TrainingStopped

WATCHERS = ("tensorboard", "wandb")
Watch = Callable[[Mapping[str, Any]], None]


def watch(kind: str | None, folder: Path, name: str, settings: Mapping[str, Any]) -> tuple[Watch, Callable[[], None]]:
    """Where lines of metrics go besides the CSV.

    Args:
        kind: "tensorboard", "wandb" (online or offline as WANDB_MODE says), or None for nowhere.
        folder: of the run; both write into it.
        name: of the run.
        settings: of the run, shown beside it.

    Returns:
        A function that takes one line of metrics, and one that ends the log.

    Raises:
        TrainingStopped: if the package is not installed.
    """
    if kind is None:
        return lambda line: None, lambda: None
    if kind not in WATCHERS:
        raise TrainingStopped(f"--log {kind}: choose one of {', '.join(WATCHERS)}")
    try:
        return _tensorboard(folder) if kind == "tensorboard" else _wandb(folder, name, settings)
    except ImportError as error:
        raise TrainingStopped(f"--log {kind} needs a package that is not here: pip install {kind}") from error


def _tensorboard(folder: Path) -> tuple[Watch, Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def take(line: Mapping[str, Any]) -> None:
        for key, value in line.items():
            if key != "games":
                writer.add_scalar(key, value, line["games"])

    return take, writer.close


def _wandb(folder: Path, name: str, settings: Mapping[str, Any]) -> tuple[Watch, Callable[[], None]]:
    import wandb

    known = folder / "wandb-id"  # a run that goes on is the same run there
    identity = known.read_text(encoding="utf-8") if known.exists() else uuid4().hex[:8]
    known.write_text(identity, encoding="utf-8")
    run = wandb.init(
        project="mothello-interp", name=name, id=identity, resume="allow", dir=str(folder), config=dict(settings)
    )
    run.define_metric("*", step_metric="games")
    return lambda line: run.log(dict(line)), run.finish
