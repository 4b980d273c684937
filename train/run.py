"""A run: a model in training, in a folder of its own, that goes on exactly where it was interrupted."""

import math
import platform
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mothello_interp.corpus import Batch
from mothello_interp.models import Checkpoint, save_checkpoint
from train.gradient import add_gradients
from train.job import How, Job, precision
from train.optim import Optimizer, learning_rate
from train.parallel import Processes
from train.state import (
    METRICS,
    STEPS,
    WANDB,
    Table,
    TrainingStopped,
    check_empty,
    check_same,
    load_state,
    save_state,
)
from train.watch import Watch


def _no_sums() -> dict[str, float]:
    return {"loss": 0.0, "positions": 0.0, "floor": 0.0}


@dataclass
class Run:
    """A job on its way."""

    job: Job
    folder: Path
    checkpoint: Checkpoint
    optimizer: Optimizer
    tables: dict[str, Table]
    processes: Processes
    how: How
    dtype: torch.dtype
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=_no_sums)  # since the last line of metrics

    @classmethod
    def begin(cls, job: Job, folder: Path, checkpoint: Checkpoint, processes: Processes, how: How) -> "Run":
        """From the state in the folder; a run that finds none writes one at once, which says whose the folder is."""
        if not processes.first:
            processes.wait()
        saved = load_state(folder)
        files = [METRICS, *(record.file for record in job.records)] if processes.first else []
        optimizer = Optimizer(checkpoint.model, job.training)
        if saved is None:
            check_empty(folder, [*files, STEPS, WANDB])
        else:
            check_same(folder, saved["identity"], job.identity)
            checkpoint.model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        dtype = precision(job.training, how.device, saved["precision"] if saved else None)
        tables = {file: Table(folder / file, saved["tables"].get(file, 0) if saved else 0) for file in files}
        run = cls(job, folder, checkpoint, optimizer, tables, processes, how, dtype)
        if saved is None:
            run.save()
        else:
            run.step, run.seconds, run.sums = saved["step"], saved["seconds"], saved["sums"]
        if processes.first:
            processes.wait()  # the others begin with its state
        return run

    @property
    def games(self) -> int:
        """How many were seen."""
        return self.step * self.job.training.batch

    def train(self, log: Watch) -> None:
        """Every step that is left; lines of metrics go to `log` too."""
        training = self.job.training
        kept = log_spaced(self.how.keep, training.steps)
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
                if self.step in kept:
                    self._keep()
                if self._due(training.save_every):
                    self.save()

    def provenance(self) -> dict[str, Any]:
        """How the model was made."""
        return {
            "preset": self.job.name,
            "seed": self.job.seed,
            "training": self.job.training.model_dump(mode="json"),
            "games": self.games,
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "threads": torch.get_num_threads(),
            "processes": self.processes.size,
            "precision": str(self.dtype).removeprefix("torch."),
            "versions": {name: version(name) for name in ("mothello-interp", "torch", "transformer-lens", "numpy")},
            "machine": platform.machine(),
            "commit": commit(),
        }

    def save(self) -> None:
        """Write the state from which the run goes on exactly."""
        if not self.processes.first:
            return
        state = {
            "identity": self.job.identity,
            "precision": str(self.dtype).removeprefix("torch."),
            "model": self.checkpoint.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "sums": self.sums,
            "tables": {file: table.count for file, table in self.tables.items()},
        }
        save_state(self.folder, state)

    def write_checkpoint(self, name: str, more: Mapping[str, Any]) -> None:
        """The model as it is, in the run's folder, with `more` provenance."""
        here = Checkpoint(self.checkpoint.model, self.checkpoint.spec, {**self.provenance(), **more}, self.job.name)
        try:
            save_checkpoint(self.folder / name, here, overwrite=True)
        except OSError as error:
            raise TrainingStopped(
                f"{self.folder / name} cannot be written ({error.strerror}): mend that and start again"
            ) from error

    def _update(self, batch: Batch) -> None:
        model, dropout = self.checkpoint.model, self.job.training.dropout
        seed = (self.job.seed, self.step)
        sums = add_gradients(
            model,
            batch,
            self.job.corpus,
            self.processes,
            seed=seed,
            dtype=self.dtype,
            dropout=dropout,
            compiled=self.how.compile,
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

    def _evaluate(self, log: Watch) -> dict[str, Any]:
        means = {name: self.sums[name] / self.sums["positions"] for name in ("loss", "floor")}
        line: dict[str, Any] = {"games": self.games, **means}
        line["seconds"] = round(self.seconds, 1)
        self.sums = _no_sums()
        if self.processes.first:
            line |= self.job.evaluate(self.checkpoint, self.dtype)
            self.tables[METRICS].append([line])
            log(line)
        return line

    def _record(self, *, start: bool = False) -> None:
        epoch = self.games / (self.job.training.corpus_games or np.inf)
        for record in self.job.records if self.processes.first else ():
            if record.start if start else self._due(record.every):
                rows = record.measure(self.checkpoint, self.dtype)
                self.tables[record.file].append([{"games": self.games, "epoch": epoch, **row} for row in rows])

    def _keep(self) -> None:
        if self.processes.first:
            self.write_checkpoint(f"{STEPS}/{self.games}", {})

    def _prefetch(self, ahead: ThreadPoolExecutor, step: int) -> Future[Batch]:
        size = self.job.training.batch
        return ahead.submit(self.job.corpus.batch, *self.processes.part(step * size, size), threads=self.how.threads)

    def _due(self, every: int) -> bool:
        passed = self.games // every > (self.games - self.job.training.batch) // every
        return passed or self.step == self.job.training.steps

    def _bar(self) -> Progress:
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        return Progress(*columns, disable=self.how.quiet or not self.processes.first, speed_estimate_period=120)


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
