"""Metrics, as they come, to TensorBoard or Weights & Biases."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from mothello_interp.hints import did_you_mean
from train.options import TrainingStopped
from train.state import WANDB

LOGS = ("tensorboard", "wandb")
TakeLine = Callable[[Mapping[str, Any]], None]


def check_log(kind: str | None) -> None:
    """Raise TrainingStopped for an unknown kind of log, or one whose package is not installed."""
    if kind is not None and kind not in LOGS:
        hint = did_you_mean(kind, LOGS)
        raise TrainingStopped(f"--log {kind}: choose one of {', '.join(LOGS)}{'; ' + hint if hint else ''}")
    if kind is not None and find_spec(kind) is None:
        raise TrainingStopped(f"--log {kind} needs a package that is not here: pip install {kind}")


@contextmanager
def log_metrics(
    kind: str | None, folder: Path, name: str, settings: Mapping[str, Any], *, games: int
) -> Iterator[TakeLine]:
    """A function that takes one line of metrics, for where they go besides the CSV; whatever happens, the log is closed.

    Args:
        kind: "tensorboard", "wandb" (online or offline as WANDB_MODE says), or None for nowhere.
        folder: of the run; both write into it.
        name: of the run.
        settings: of the run, shown with it.
        games: already seen; what an interrupted run logged beyond is hidden in TensorBoard.
    """
    if kind is None:
        yield lambda line: None
    elif kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder / "tensorboard"), purge_step=games + 1) as writer:

            def take(line: Mapping[str, Any]) -> None:
                for key in line.keys() - {"games"}:
                    writer.add_scalar(key, line[key], line["games"])

            yield take
    else:
        run = _wandb_run(folder, name, settings)
        try:
            yield lambda line: run.log(dict(line))
        except BaseException:
            run.finish(exit_code=1)
            raise
        run.finish()


def _wandb_run(folder: Path, name: str, settings: Mapping[str, Any]) -> Any:
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
    return run
