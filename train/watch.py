"""Metrics, as they come, to TensorBoard or Weights & Biases."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from mothello_interp.hints import did_you_mean
from train.state import WANDB, TrainingStopped

WATCHERS = ("tensorboard", "wandb")
Watch = Callable[[Mapping[str, Any]], None]


def check_watcher(kind: str | None) -> None:
    """Before any work: can metrics go there?

    Raises:
        TrainingStopped: for an unknown kind, or one whose package is not installed.
    """
    if kind is None:
        return
    if kind not in WATCHERS:
        hint = did_you_mean(kind, WATCHERS)
        raise TrainingStopped(f"--log {kind}: choose one of {', '.join(WATCHERS)}{'; ' + hint if hint else ''}")
    if find_spec(kind) is None:
        raise TrainingStopped(f"--log {kind} needs a package that is not here: pip install {kind}")


@contextmanager
def watch(kind: str | None, folder: Path, name: str, settings: Mapping[str, Any], *, games: int) -> Iterator[Watch]:
    """Where lines of metrics go besides the CSV; whatever happens inside, the log is closed.

    Args:
        kind: "tensorboard", "wandb" (online or offline as WANDB_MODE says), or None for nowhere.
        folder: of the run; both write into it.
        name: of the run.
        settings: of the run, shown beside it.
        games: already seen; what an interrupted run logged beyond is hidden in TensorBoard.

    Yields:
        A function that takes one line of metrics.

    Raises:
        TrainingStopped: as `check_watcher`, or if Weights & Biases refuses.
    """
    check_watcher(kind)
    if kind == "tensorboard":
        with _tensorboard(folder, games) as take:
            yield take
    elif kind == "wandb":
        with _wandb(folder, name, settings) as take:
            yield take
    else:
        yield lambda line: None


@contextmanager
def _tensorboard(folder: Path, games: int) -> Iterator[Watch]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard"), purge_step=games + 1) as writer:

        def take(line: Mapping[str, Any]) -> None:
            for key, value in line.items():
                if key != "games":
                    writer.add_scalar(key, value, line["games"])

        yield take


@contextmanager
def _wandb(folder: Path, name: str, settings: Mapping[str, Any]) -> Iterator[Watch]:
    import wandb

    known = folder / WANDB  # a run that goes on is the same run there
    identity = known.read_text(encoding="utf-8") if known.exists() else uuid4().hex[:8]
    known.write_text(identity, encoding="utf-8")
    try:
        run = wandb.init(
            project="mothello-interp", name=name, id=identity, resume="allow", dir=str(folder), config=dict(settings)
        )
    except wandb.Error as error:
        raise TrainingStopped(f"--log wandb: {error}") from error
    run.define_metric("*", step_metric="games")
    try:
        yield lambda line: run.log(dict(line))
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
