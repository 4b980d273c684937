"""A run: a model in training, in a folder of its own, that goes on exactly where it was interrupted."""

import math
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
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
from mothello_interp.models import Checkpoint, load_checkpoint, save_checkpoint
from train.optim import Optimizer, learning_rate
from train.parallel import Processes
from train.settings import Training
from train.state import CHECKPOINT, METRICS, STEPS, Table, TrainingStopped, load_state, save_state
from train.step import entropy_sum, fused_logits, loss_sum
from train.watch import Watch, watch

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
        threads: processor cores to use.
        device: "cpu" or "cuda".
        quiet: no progress bar.
        keep: how many checkpoints on the way, at log-spaced steps, are kept in the folder's `steps/`.
        log: "tensorboard" or "wandb", to have the metrics there too.
    """

    threads: int = 1
    device: str = "cpu"
    quiet: bool = False
    keep: int = 0
    log: str | None = None


def carry_out(
    job: Job,
    folder: Path,
    how: How,
    *,
    start: Callable[[torch.device], Checkpoint],
    finish: Callable[[Checkpoint], dict[str, Any]],
) -> Checkpoint:
    """Train in `folder`, going on from what is found there, and write `folder/checkpoint`.

    Under `accelerate launch` or `torchrun` every process calls this, and the first one writes.

    Args:
        job: what to train.
        folder: of the run.
        how: to carry it out.
        start: gives the model to begin with.
        finish: measures the trained model, for its provenance.

    Raises:
        TrainingStopped: for a loss that is not finite, a folder that cannot be written, a run of something else found
            there, or a device that is not there.
    """
    _check_device(how.device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    if (folder / CHECKPOINT).exists():
        done = load_checkpoint(folder / CHECKPOINT)
        found = {key: done.provenance[key] for key in job.identity if key != "spec"}
        _check_same(folder, found | {"spec": done.spec.to_toml()}, job.identity)
        return done
    torch.set_num_threads(how.threads)
    processes = Processes(how.device)
    with threadpool_limits(how.threads):
        run = Run.begin(job, folder, start(processes.device), processes, how)
        run.train()
        run.checkpoint.model.eval()
        if processes.first:
            made = run.provenance() | finish(run.checkpoint)
            save_checkpoint(folder / CHECKPOINT, Checkpoint(run.checkpoint.model, run.checkpoint.spec, made, job.name))
    processes.wait()
    return load_checkpoint(folder / CHECKPOINT, device=processes.device, name=job.name)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise TrainingStopped(f"device {device!r} cannot be used here ({reason}); --device cpu always can") from error


def _check_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        found = there[key]
        if key == "training":  # a setting that came later has the value it had before
            found, value = (Training.model_validate(settings).model_dump(mode="json") for settings in (found, value))
        if found != value:
            raise TrainingStopped(
                f"{folder} holds a run with another {key} ({found!r}, now {value!r}); choose another --out, or delete it"
            )


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
        """From the state in the folder if there is one, else from the beginning."""
        optimizer = Optimizer(checkpoint.model, job.training)
        saved = load_state(folder)
        if saved is not None:
            _check_same(folder, saved["identity"], job.identity)
            checkpoint.model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        files = [METRICS, *(record.file for record in job.records)] if processes.first else []
        tables = {file: Table(folder / file, saved["tables"].get(file, 0) if saved else 0) for file in files}
        run = cls(job, folder, checkpoint, optimizer, tables, processes, how, precision(job.training, how.device))
        if saved is not None:
            run.step, run.seconds, run.sums = saved["step"], saved["seconds"], saved["sums"]
        return run

    def train(self) -> None:
        """Every step that is left."""
        training, first = self.job.training, self.processes.first
        kept = _log_spaced(self.how.keep, training.steps)
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        log, end_log = watch(self.how.log if first else None, self.folder, self.job.name, self.job.identity)
        with (
            ThreadPoolExecutor(1) as ahead,
            Progress(*columns, disable=self.how.quiet or not first, speed_estimate_period=120) as bar,
        ):
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
        end_log()

    def provenance(self) -> dict[str, Any]:
        """How the model was made."""
        return {
            "preset": self.job.name,
            "seed": self.job.seed,
            "training": self.job.training.model_dump(mode="json"),
            "games": self.step * self.job.training.batch,
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "threads": torch.get_num_threads(),
            "processes": self.processes.size,
            "precision": str(self.dtype).removeprefix("torch."),
            "versions": {name: version(name) for name in ("mothello-interp", "torch", "transformer-lens", "numpy")},
            "machine": platform.machine(),
            "commit": _commit(),
        }

    def save(self) -> None:
        """Write the state from which the run goes on exactly."""
        if not self.processes.first:
            return
        state = {
            "identity": self.job.identity,
            "model": self.checkpoint.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "sums": self.sums,
            "tables": {file: table.count for file, table in self.tables.items()},
        }
        save_state(self.folder, state)

    def _update(self, batch: Batch) -> None:
        """One step. Languages of different lengths are read apart, so that none is padded to another's width."""
        device, training = self.processes.device, self.job.training
        targets = torch.from_numpy(batch.targets).to(device)
        count = self.processes.add_up(_positions(targets))
        sums = torch.zeros(2, device=device)  # loss, floor
        for rows, width in _by_width(batch, self.job.corpus):
            tokens = torch.from_numpy(batch.tokens[rows, :width]).to(device)
            wanted = targets[torch.from_numpy(rows).to(device), :width]
            with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=training.dropout > 0):
                if training.dropout:
                    torch.manual_seed(_seed_of(self.job.seed, self.step, width, self.processes.rank))
                logits = fused_logits(self.checkpoint.model, tokens, dtype=self.dtype, dropout=training.dropout)
            loss = loss_sum(logits, wanted)[0]
            (loss / count).backward()
            sums += torch.stack([loss.detach(), entropy_sum(wanted) if wanted.ndim == 3 else loss.new_zeros(())])
        self.processes.add_up_gradients(self.optimizer.parameters)
        loss, floor = self.processes.add_up(sums).tolist()
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"the loss is {loss} at step {self.step}; what was saved before is kept in {self.folder}. "
                f"Try a smaller learning rate, or precision = 'float32'"
            )
        for name, value in (("loss", loss), ("floor", floor), ("positions", count.item())):
            self.sums[name] += value
        self.optimizer.step(learning_rate(self.step, training))

    def _evaluate(self, log: Watch) -> dict[str, Any]:
        means = {name: self.sums[name] / self.sums["positions"] for name in ("loss", "floor")}
        line: dict[str, Any] = {"games": self.step * self.job.training.batch, **means}
        line["seconds"] = round(self.seconds, 1)
        self.sums = _no_sums()
        if self.processes.first:
            line |= self.job.evaluate(self.checkpoint, self.dtype)
            self.tables[METRICS].append([line])
            log(line)
        return line

    def _record(self, *, start: bool = False) -> None:
        games = self.step * self.job.training.batch
        epoch = games / (self.job.training.corpus_games or np.inf)
        for record in self.job.records if self.processes.first else ():
            if record.start if start else self._due(record.every):
                rows = record.measure(self.checkpoint, self.dtype)
                self.tables[record.file].append([{"games": games, "epoch": epoch, **row} for row in rows])

    def _keep(self) -> None:
        if self.processes.first:
            here = Checkpoint(self.checkpoint.model, self.checkpoint.spec, self.provenance(), self.job.name)
            folder = self.folder / STEPS / str(self.step * self.job.training.batch)
            save_checkpoint(folder, here, overwrite=True)

    def _prefetch(self, ahead: ThreadPoolExecutor, step: int) -> Future[Batch]:
        size = self.job.training.batch
        return ahead.submit(self.job.corpus.batch, *self.processes.part(step * size, size), threads=self.how.threads)

    def _due(self, every: int) -> bool:
        size = self.job.training.batch
        passed = self.step * size // every > (self.step - 1) * size // every
        return passed or self.step == self.job.training.steps


def precision(training: Training, device: str) -> torch.dtype:
    """In which the matrix products run."""
    if training.precision == "auto":
        on_cpu = torch.device(device).type == "cpu"
        fast = torch.cpu._is_avx512_bf16_supported() if on_cpu else torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if training.precision == "bfloat16" else torch.float32


def _log_spaced(n: int, steps: int) -> frozenset[int]:
    """n steps from a two-hundredth of all to the last."""
    return frozenset(np.geomspace(max(1, steps / 200), steps, n).round().astype(int).tolist())


def _by_width(batch: Batch, corpus: Corpus) -> Sequence[tuple[np.ndarray, int]]:
    """The rows of a batch `[row]` and their width, for each width that its languages have."""
    mothello = corpus.mothello
    widths = np.array([min(mothello.width(language), mothello.n_ctx) for language in range(len(mothello.languages))])
    width = widths[batch.language]
    return [(np.flatnonzero(width == value), int(value)) for value in np.unique(width)]


def _positions(targets: torch.Tensor) -> torch.Tensor:
    """How many positions carry loss."""
    return (targets != 0).sum() if targets.ndim == 2 else targets.sum()


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _commit() -> str:
    """The checkout's commit, or "unknown" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _describe(name: str, line: dict[str, Any]) -> str:
    legal = " ".join(f"{value:.3f}" for key, value in line.items() if key.startswith("legal_"))
    above = f" ({line['loss'] - line['floor']:+.3f} above its floor)" if line["floor"] else ""
    return f"{name}  loss {line['loss']:.3f}{above}  legal {legal}"
