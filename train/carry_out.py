"""From a job to a checkpoint in a folder: the checks before a run, the run, and what is written after it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from mothello_interp.models import Checkpoint, load_checkpoint
from mothello_interp.models.checkpoint import check_kind
from train.job import How, Job
from train.parallel import Processes, check_device
from train.run import Run, log_spaced
from train.state import CHECKPOINT, STEPS, TrainingStopped, check_same
from train.watch import check_watcher, watch


def carry_out(
    job: Job,
    folder: Path,
    how: How,
    *,
    start: Callable[[torch.device], Checkpoint],
    finish: Callable[[Checkpoint], dict[str, Any]],
) -> Checkpoint:
    """Train in `folder`, going on from what is found there, and write `folder/checkpoint`.

    Under `accelerate launch` or `torchrun` every process calls this, and the first one writes. All see one folder.

    Args:
        job: what to train.
        folder: of the run.
        how: to carry it out.
        start: gives the model to begin with.
        finish: measures the trained model, for its provenance.

    Raises:
        TrainingStopped: for a loss or gradient that is not finite, a folder that cannot be written, a run of something
            else found there, a model with hooks, or a device or a package for the log that is not there.
        CheckpointError: for a model of another kind than specs describe.
    """
    check(how)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    processes = Processes(how.device)
    done = _finished(job, folder, processes.device)
    processes.wait()  # so that none takes for an earlier run's what another has just written
    if done is not None:
        if processes.first:
            _say_what_is_behind(job, folder, how.keep, job.training.steps)
        return done
    torch.set_num_threads(how.threads)
    with threadpool_limits(how.threads):
        model = start(processes.device)
        check_kind(model)
        _refuse_hooks(model)
        run = Run.begin(job, folder, model, processes, how)
        if processes.first:
            _say_what_is_behind(job, folder, how.keep, run.step)
        with watch(how.log if processes.first else None, folder, job.name, job.identity, games=run.games) as log:
            run.train(log)
        run.checkpoint.model.eval()
        if processes.first:
            run.write_checkpoint(CHECKPOINT, finish(run.checkpoint))
    processes.wait()
    return load_checkpoint(folder / CHECKPOINT, device=processes.device, name=job.name)


def _finished(job: Job, folder: Path, device: torch.device) -> Checkpoint | None:
    if not (folder / CHECKPOINT).exists():
        return None
    done = load_checkpoint(folder / CHECKPOINT, device=device, name=job.name)
    check_same(folder, {**done.provenance, "spec": done.spec.to_toml()}, job.identity)
    return done


def _say_what_is_behind(job: Job, folder: Path, keep: int, step: int) -> None:
    """A run that goes on, or is done, cannot give the checkpoints of steps that it has taken."""
    wanted = log_spaced(keep, job.training.steps)
    missing = [at for at in wanted if at <= step and not (folder / STEPS / str(at * job.training.batch)).exists()]
    if missing:
        print(
            f"{folder}: {len(missing)} of the {len(wanted)} steps to keep are behind, without a checkpoint; "
            f"delete the run to have them",
            file=sys.stderr,
        )


def _refuse_hooks(checkpoint: Checkpoint) -> None:
    """The training step runs without hooks, so it may not stand in for a model that has some."""
    hooked = [name for name, point in checkpoint.model.hook_dict.items() if point.fwd_hooks or point.bwd_hooks]
    if hooked:
        raise TrainingStopped(
            f"hooks are attached to the model, at {', '.join(hooked)}: training would not run them; "
            f"call model.reset_hooks(including_permanent=True) first"
        )


def check(how: How) -> None:
    """Before there is a folder: can a run be carried out so?

    Raises:
        TrainingStopped: for a device or a package for the log that is not there, or a number that makes no sense.
    """
    check_watcher(how.log)
    if how.keep < 0:
        raise TrainingStopped(f"--keep {how.keep}: give the number of checkpoints to keep on the way, 0 or more")
    check_device(how.device)
