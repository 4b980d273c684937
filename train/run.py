"""A run: a job in training, in a folder of its own, that resumes exactly where it was interrupted."""

import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from mothello_interp.corpus import Batch, Corpus
from mothello_interp.forward import gradients
from mothello_interp.models import Checkpoint, load_checkpoint, save_checkpoint
from mothello_interp.models.checkpoint import check_kind
from train.gradient import POSITIONS, add_gradients
from train.log import TakeLine, log_metrics
from train.optim import Optimizer, learning_rate
from train.options import RunOptions, TrainingStopped
from train.parallel import Processes, precision
from train.settings import Training
from train.state import ANEW, CHECKPOINT, METRICS, STEPS, WANDB, Table, check_empty, check_same, load_state, save_state


@dataclass(frozen=True)
class Record:
    """A table that grows along a run.

    Attributes:
        file: its name, in the run's folder.
        every: games between two measurements; the start and the end are always measured.
        measure: the rows to add; columns games and epoch are put in front.
    """

    file: str
    every: int
    measure: Callable[[Checkpoint], list[dict[str, Any]]]


@dataclass(frozen=True)
class Job:
    """What is to be trained, and what makes it the same job when it is started again.

    Attributes:
        name: how the checkpoint will be called.
        seed: of the stream of games.
        corpus: the stream.
        training: how to train.
        identity: settings that a run found in the folder must share.
        start: gives the model to begin with.
        evaluate: quick measures for the metrics, one number a column.
        finish: measures the trained model, for its provenance.
        records: further tables.
    """

    name: str
    seed: int
    corpus: Corpus
    training: Training
    identity: dict[str, Any]
    start: Callable[[torch.device], Checkpoint]
    evaluate: Callable[[Checkpoint, torch.dtype], dict[str, float]]
    finish: Callable[[Checkpoint], dict[str, Any]]
    records: tuple[Record, ...] = ()


@gradients()
def run_job(job: Job, folder: Path, options: RunOptions) -> Checkpoint:
    """The checkpoint that training in `folder` ends with, also written there; resumes from what is found there.

    Under `accelerate launch` or `torchrun` every process calls this, and the first one writes. All see one folder.

    Raises:
        TrainingStopped: for a loss or gradient that is not finite, a folder that cannot be written, a run of something
            else found there, a model with hooks, or a device or a package for the log that is not there.
        CheckpointError: for a model of another kind than specs describe.
    """
    options.check()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    processes = Processes(options.device)
    done = _finished(job, folder, processes.device)
    processes.wait()  # so that none takes for an earlier run's what another has just written
    if done is not None:
        if processes.first:
            _say_what_is_missing(job, folder, options.keep, job.training.steps)
        return done
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        model = job.start(processes.device)
        _refuse_hooks(model)
        check_kind(model)
        run = Run.begin(job, folder, model, processes, options)
        try:
            if processes.first:
                _say_what_is_missing(job, folder, options.keep, run.step)
            where = options.log if processes.first else None
            with log_metrics(where, folder, job.name, job.identity, games=run.games) as log:
                run.train(log)
            run.checkpoint.model.eval()
            if processes.first:
                run.write_checkpoint(CHECKPOINT, job.finish(run.checkpoint))
        finally:
            os.close(run.place)
    processes.wait()
    return load_checkpoint(folder / CHECKPOINT, device=processes.device, name=job.name)


def _finished(job: Job, folder: Path, device: torch.device) -> Checkpoint | None:
    if not (folder / CHECKPOINT).exists():
        return None
    done = load_checkpoint(folder / CHECKPOINT, device=device, name=job.name)
    check_same(folder, {**done.provenance, "spec": done.spec.to_toml()}, job.identity)
    return done


def _say_what_is_missing(job: Job, folder: Path, keep: int, step: int) -> None:
    """A run that resumes, or is done, cannot give the checkpoints of steps that it has taken."""
    wanted = log_spaced(keep, job.training.steps)
    behind = [at for at in wanted if at <= step and not (folder / STEPS / str(at * job.training.batch)).exists()]
    if behind:
        print(
            f"{folder}: {len(behind)} of the {len(wanted)} steps to keep are past, without a checkpoint; "
            f"delete the run to have them",
            file=sys.stderr,
        )


def _clear(folder: Path) -> None:
    """Delete what a killed run was writing: folders with names of `tempfile` next to those of checkpoints."""
    for left in (*folder.glob(f".{CHECKPOINT}.*"), *(folder / STEPS).glob(".*")):
        shutil.rmtree(left, ignore_errors=True)


def _refuse_hooks(checkpoint: Checkpoint) -> None:
    """The training step runs without hooks, so it may not stand in for a model that has some."""
    hooked = [name for name, point in checkpoint.model.hook_dict.items() if point.fwd_hooks or point.bwd_hooks]
    if hooked:
        raise TrainingStopped(
            f"hooks are attached to the model, at {', '.join(hooked)}: training would not run them; "
            f"call model.reset_hooks(including_permanent=True) first"
        )


def _no_sums() -> dict[str, float]:
    return {"loss": 0.0, "positions": 0.0, "floor": 0.0}


@dataclass
class Run:
    """A job in training."""

    job: Job
    folder: Path
    checkpoint: Checkpoint
    optimizer: Optimizer
    tables: dict[str, Table]
    processes: Processes
    options: RunOptions
    dtype: torch.dtype
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=_no_sums)  # since the last line of metrics
    place: int = -1  # the folder, held open: as long as it is, no other one has its inode
    threads: tuple[int, ...] = ()  # numbers of processor cores that it was trained on, one after the other

    @classmethod
    def begin(cls, job: Job, folder: Path, checkpoint: Checkpoint, processes: Processes, options: RunOptions) -> "Run":
        """From the state in the folder; a run that finds none writes one at once, which says whose the folder is."""
        if not processes.first:
            processes.wait()
        saved = load_state(folder)
        if processes.first:
            _clear(folder)
        files = [METRICS, *(record.file for record in job.records)] if processes.first else []
        optimizer = Optimizer(checkpoint.model, job.training)
        if saved is None:
            check_empty(folder, [*files, STEPS, WANDB])
        else:
            check_same(folder, saved["identity"], job.identity)
            if saved["parts"] != POSITIONS:
                was = f"batches in parts of {saved['parts']} positions, now {POSITIONS}"
                raise TrainingStopped(f"{folder} holds a run of another version ({was}): {ANEW}")
            checkpoint.model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        dtype = precision(saved["precision"] if saved else job.training.precision, options.device)
        tables = {file: Table(folder / file, saved["tables"].get(file, 0) if saved else 0) for file in files}
        run = cls(job, folder, checkpoint, optimizer, tables, processes, options, dtype)
        if saved is not None:
            run.step, run.seconds, run.sums = saved["step"], saved["seconds"], saved["sums"]
        run._note_threads(saved.get("threads", ()) if saved else ())
        run.place = os.open(folder, os.O_RDONLY)
        if saved is None:
            run.save()
        if processes.first:
            processes.wait()  # the others begin with its state
        return run

    @property
    def games(self) -> int:
        """How many were seen."""
        return self.step * self.job.training.batch

    def train(self, log: TakeLine) -> None:
        """Every step that is left; lines of metrics go to `log` too."""
        training = self.job.training
        kept = log_spaced(self.options.keep, training.steps)
        with ThreadPoolExecutor(1) as ahead, self._bar() as bar:
            task = bar.add_task(self.job.name, total=training.steps, completed=self.step)
            if self.step == 0:
                self._record(start=True)
            coming = self._prefetch(ahead, self.step)
            while self.step < training.steps:
                began = time.perf_counter()
                batch = coming.result()
                coming = self._prefetch(ahead, self.step + 1)
                self._update(batch)
                self.step += 1
                self.seconds += time.perf_counter() - began
                bar.advance(task)
                if self._due(training.evaluate_every):
                    bar.update(task, description=_describe(self.job.name, self._evaluate(log)))
                self._record()
                if self.step in kept and self.processes.first:
                    self.write_checkpoint(f"{STEPS}/{self.games}", {})
                if self._due(training.save_every):
                    self.save()

    def _note_threads(self, before: Sequence[int]) -> None:
        """Sums are rounded in another order on another number of cores."""
        now = self.options.threads
        if before and before[-1] != now and self.processes.first:
            print(
                f"{self.folder} was trained on {before[-1]} threads, now on {now}: its weights will not be those of an "
                f"uninterrupted run; --threads {before[-1]} resumes exactly",
                file=sys.stderr,
            )
        self.threads = (*before, *([] if list(before[-1:]) == [now] else [now]))

    def save(self) -> None:
        """Write the state from which the run resumes exactly."""
        if self.processes.first:
            self._check_place()
            state = {
                "identity": self.job.identity,
                "precision": str(self.dtype).removeprefix("torch."),
                "model": self.checkpoint.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "sums": self.sums,
                "tables": {file: table.count for file, table in self.tables.items()},
                "parts": POSITIONS,
                "threads": list(self.threads),
            }
            save_state(self.folder, state)

    def _check_place(self) -> None:
        """In a folder that was deleted and created again another run may be in training, under a lock of its own."""
        if not self.folder.exists() or not os.path.samestat(self.folder.stat(), os.fstat(self.place)):
            raise TrainingStopped(f"{self.folder} was deleted while it was in training: this run ends here")

    def write_checkpoint(self, name: str, more: Mapping[str, Any]) -> None:
        """The model as it is, in the run's folder, with `more` provenance."""
        made = {
            "preset": self.job.name,
            "seed": self.job.seed,
            "training": self.job.training.model_dump(mode="json"),
            "games": self.games,
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "threads": torch.get_num_threads(),
            **({"threads_before": list(self.threads[:-1])} if len(self.threads) > 1 else {}),
            "processes": self.processes.size,
            "precision": str(self.dtype).removeprefix("torch."),
            "versions": {name: version(name) for name in ("mothello-interp", "torch", "transformer-lens", "numpy")},
            "machine": platform.machine(),
            "commit": commit(),
        }
        here = Checkpoint(self.checkpoint.model, self.checkpoint.spec, {**made, **more}, self.job.name)
        try:
            save_checkpoint(self.folder / name, here, overwrite=True)
        except OSError as error:
            raise TrainingStopped(
                f"{self.folder / name} cannot be written ({error.strerror}): mend that and start again"
            ) from error

    def _update(self, batch: Batch) -> None:
        sums = add_gradients(
            self.checkpoint.model,
            batch,
            self.job.corpus,
            self.processes,
            seed=(self.job.seed, self.step),
            dtype=self.dtype,
            dropout=self.job.training.dropout,
            compiled=self.options.compile,
        )
        self._stop_unless_finite("loss", sums["loss"])
        for name, value in sums.items():
            self.sums[name] += value
        norm = self.optimizer.step(learning_rate(self.step, self.job.training))
        self._stop_unless_finite("norm of the gradient", norm)

    def _stop_unless_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingStopped(
                f"the {what} is {value} at step {self.step}; what was saved before is kept in {self.folder}. "
                f"Try a smaller learning rate, or precision = 'float32'"
            )

    def _evaluate(self, log: TakeLine) -> dict[str, Any]:
        means = {name: self.sums[name] / self.sums["positions"] for name in ("loss", "floor")}
        line: dict[str, Any] = {"games": self.games, **means, "seconds": round(self.seconds, 1)}
        self.sums = _no_sums()
        if self.processes.first:
            self._check_place()
            line |= self.job.evaluate(self.checkpoint, self.dtype)
            self.tables[METRICS].append([line])
            log(line)
        return line

    def _record(self, *, start: bool = False) -> None:
        epoch = self.games / (self.job.training.corpus_games or np.inf)
        for record in self.job.records if self.processes.first else ():
            if start or self._due(record.every):
                rows = record.measure(self.checkpoint)
                self.tables[record.file].append([{"games": self.games, "epoch": epoch, **row} for row in rows])

    def _prefetch(self, ahead: ThreadPoolExecutor, step: int) -> Future[Batch]:
        size, threads = self.job.training.batch, self.options.threads
        return ahead.submit(self.job.corpus.batch, *self.processes.part(step * size, size), threads=threads)

    def _due(self, every: int) -> bool:
        passed = self.games // every > (self.games - self.job.training.batch) // every
        return passed or self.step == self.job.training.steps

    def _bar(self) -> Progress:
        return progress(quiet=self.options.quiet or not self.processes.first)


def progress(*, quiet: bool) -> Progress:
    """A bar with numbers and the time that is left."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    return Progress(*columns, disable=quiet, speed_estimate_period=120)


def log_spaced(n: int, steps: int) -> frozenset[int]:
    """Up to n steps from a two-hundredth of all to the last; fewer where neighbours fall on one step."""
    return frozenset(np.geomspace(steps, max(1, steps / 200), n).round().astype(int).tolist())


def commit() -> str:
    """The checkout's commit, or "unknown" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _describe(name: str, line: dict[str, Any]) -> str:
    legal = " ".join(f"{value:.3f}" for key, value in line.items() if key.startswith("legal_"))
    above = f" ({line['loss'] - line['floor']:+.3f} above its floor)" if line["floor"] else ""
    return f"{name}  loss {line['loss']:.3f}{above}  legal {legal}"
