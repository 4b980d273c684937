"""Sweeps: many presets and seeds, each an independent job, on this machine or on a Dask cluster."""

import re
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.table import Column, Table
from rich.text import Text

from mothello_interp.hints import atomic_write
from mothello_interp.models import CheckpointError, SpecError
from train import SEEDS
from train.job import How
from train.lock import alone
from train.parallel import check_device
from train.pretrain import pretrain
from train.settings import Preset
from train.state import CHECKPOINT, STATE, TrainingStopped
from train.watch import check_watcher

TRAINED, THERE = "trained", "already there"
_EXPECTED = (TrainingStopped, CheckpointError, OSError)  # their messages say all without the name of their type
_DEFAULTS = How()
_ONE_AT_A_TIME = threading.Lock()  # torch's seed and number of threads are the process's


class SweepError(ValueError):
    """A sweep that cannot be started; the message says what is wrong, and nothing was."""


@dataclass(frozen=True)
class Job:
    """One run: what to train, and where."""

    preset: Preset
    seed: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes:
        status: "trained", "already there", or "failed: " and why.
        steps: optimiser steps of the run in all.
        minutes: of training in all.
        top1: share of held-out prefixes whose likeliest next move is legal, by input language.
    """

    status: str
    steps: int | None = None
    minutes: float | None = None
    top1: Mapping[int, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether there is no checkpoint."""
        return self.status not in (TRAINED, THERE)

    def describe(self) -> str:
        """One line: the status and, of a model, how good it is."""
        if self.failed:
            return self.status
        return f"{self.status}, top-1 legal {min(self.top1.values()):.4f} at least, {self.minutes} minutes of training"

    @classmethod
    def failure(cls, error: BaseException) -> "Result":
        """The result of a job that ended so."""
        message = str(error) if isinstance(error, _EXPECTED) else f"{type(error).__name__}: {error}"
        return cls(f"failed: {message}")


def parse_seeds(text: str) -> list[int]:
    """The seeds of a list such as "0,1,2".

    Raises:
        SweepError: for anything else, or one given twice.
    """
    numbers = [number.strip() for number in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", number) and int(number) < SEEDS for number in numbers):
        raise SweepError(
            f"--seeds {text!r}: expected whole numbers from 0 to {SEEDS - 1} with commas between, such as 0,1,2"
        )
    seeds = [int(number) for number in numbers]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise SweepError(f"--seeds {text!r}: {twice[0]} is given twice")
    return seeds


def plan(presets: Sequence[Path], seeds: Sequence[int], out: Path) -> list[Job]:
    """Every preset with every seed, in the order given; a folder stands for its presets, and bases are left out.

    Raises:
        SweepError: naming every preset that cannot be used, or what is given twice; if none is left.
    """
    loaded: dict[str, Preset] = {}
    origin: dict[str, Path] = {}
    problems = []
    for path in (file for given in presets for file in _files(given)):
        try:
            preset = Preset.load(path)
        except (SpecError, OSError) as error:
            problems.append(str(error))
            continue
        if preset.name in loaded:
            both = f"{origin[preset.name]} and {path}"
            problems.append(f"{both} would train in one folder, {preset.name}: give each once, or rename one")
        loaded[preset.name], origin[preset.name] = preset, path
    if problems:
        raise SweepError("\n".join(problems))
    if not loaded:
        raise SweepError(f"{' '.join(map(str, presets))}: bases of presets alone (their names begin with _)")
    return [Job(preset, seed, out / f"{name}-seed{seed}") for name, preset in loaded.items() for seed in seeds]


def sweep(
    jobs: Sequence[Job], *, at_once: int | None, how: How = _DEFAULTS, dask: str | None = None
) -> Iterator[tuple[Job, Result]]:
    """Train every job that has no checkpoint yet; gives each with its result as it finishes.

    Jobs start in their order, at most `at_once` at a time (by default one here, one a worker on a cluster), each carried
    out as `how` says but without a progress bar: in processes of this machine, or on the workers of the Dask scheduler at
    the address `dask`, which must see the same folders.

    Raises:
        SweepError: if `how` cannot be, or the cluster cannot be used. An error within a job is its result, and the others
            go on.
    """
    try:
        check_watcher(how.log)
        check_device(how.device, here=dask is None)
    except TrainingStopped as error:
        raise SweepError(str(error)) from error
    named = {job.folder.absolute(): job for job in jobs}
    todo = [replace(job, folder=folder) for folder, job in named.items()]
    with ExitStack() as stack:
        if dask is None:
            done = _here(todo, at_once or 1, how)
        else:
            from train.cluster import connect

            backend = stack.enter_context(connect(dask, _lost))
            done = _dispatch(todo, {"backend": backend}, at_once or backend.slots, how)
        for folder, result in done:
            yield named[folder], result


def tabulate(results: Sequence[tuple[Job, Result]]) -> pd.DataFrame:
    """One row a job: preset, seed, status, steps, minutes, top1_min and top1_mean over input languages, folder."""
    rows = []
    for job, result in results:
        top1 = pd.Series(result.top1, dtype=float)
        row = {"preset": job.preset.name, "seed": job.seed, "status": result.status, "steps": result.steps}
        row |= {"minutes": result.minutes, "top1_min": top1.min(), "top1_mean": top1.mean()}
        rows.append(row | {"folder": str(job.folder)})
    return pd.DataFrame(rows).astype({"steps": "Int64", "minutes": float})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table of `tabulate` as CSV, whole or not at all, below the rows of other runs that are there already.

    Raises:
        SweepError: if what is there is no such table.
        OSError: if it cannot be written; what stood there before is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        table = pd.concat([_others(path, table), table], ignore_index=True)
    with atomic_write(path) as file:
        table.to_csv(file, index=False)


def _others(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a written table, as text, whose runs are not in this one."""
    try:
        kept = pd.read_csv(path, dtype=object, keep_default_na=False)
    except ValueError:
        kept = pd.DataFrame()
    if list(kept) != list(table):
        raise SweepError(f"{path} is no table of a sweep: move it away, and the same command writes a new one")
    runs = set(zip(table["preset"], table["seed"].astype(str), strict=True))
    return kept[[run not in runs for run in zip(kept["preset"], kept["seed"], strict=True)]]


def draw(table: pd.DataFrame) -> Table:
    """The table of `tabulate` for a terminal."""
    drawn = Table(*(Column(name, overflow="fold") for name in table.columns))
    for row in table.to_dict("records"):
        shown = {name: f"{row[name]:.4f}" for name in ("top1_min", "top1_mean")}
        cells = ("" if pd.isna(row[name]) else shown.get(name, str(row[name])) for name in table.columns)
        drawn.add_row(*map(Text, cells))
    return drawn


def is_base(file: Path) -> bool:
    """Whether a TOML file is there to be extended, not trained."""
    return file.name.startswith("_") and file.is_file()


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [] if is_base(given) else [given]
    files = sorted(given.glob("[!_]*.toml"))
    if not files:
        raise SweepError(f"{given}: no preset in this folder (a .toml whose name does not begin with _)")
    return files


def _train(job: Job, how: How) -> tuple[Path, Result]:
    """The job itself, wherever it runs.

    The lock makes it safe to run twice: a cluster that has lost sight of a worker gives its job to another one, which
    waits until the first has ended or died, and then finds a checkpoint or goes on from the saved state.
    """
    try:
        with _ONE_AT_A_TIME, alone(job.folder) as note:
            there = (job.folder / CHECKPOINT).exists()
            if not there:
                note("goes on" if (job.folder / STATE).exists() else "begins")
            try:
                run = pretrain(job.preset, job.folder, seed=job.seed, **asdict(how) | {"quiet": True})
            except Exception:
                note(traceback.format_exc())
                raise
            if not there:
                note("ends")
        made = run.provenance
        top1 = {line["language"]: line["top1"] for line in made["held_out"]}
        return job.folder, Result(THERE if there else TRAINED, made["steps"], made["minutes"], top1)
    except Exception as error:  # whatever it is, the other jobs go on
        return job.folder, Result.failure(error)


def _lost(error: BaseException, job: Job, *_: Any) -> tuple[Path, Result]:
    """What `_train` would give if it could."""
    return job.folder, Result.failure(error)


def _dispatch(
    jobs: Sequence[Job],
    where: Mapping[str, Any],
    at_once: int,
    how: How,
    started: list[Job] | None = None,
) -> Iterator[tuple[Path, Result]]:
    """Hand jobs out, no more than `at_once`, and note which are `started`."""

    def calls() -> Iterator[Any]:
        for job in jobs:
            if started is not None:
                started.append(job)
            yield delayed(_train)(job, how)

    with parallel_config(**where):
        parallel = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=at_once)
    yield from parallel(calls())


def _here(jobs: Sequence[Job], at_once: int, how: How) -> Iterator[tuple[Path, Result]]:
    """In processes of this machine; one job at once is trained in this very process.

    A process that dies takes the whole pool with it, and nobody knows whose it was: the jobs that were under way are
    then tried one by one, so that only the one that kills its process is lost.
    """
    processes = {"backend": "loky", "inner_max_num_threads": how.threads}
    left = list(jobs)
    while left:
        started: list[Job] = []
        ended: set[Path] = set()
        try:
            for folder, result in _dispatch(left, processes | {"n_jobs": at_once}, at_once, how, started):
                ended.add(folder)
                yield folder, result
        except TerminatedWorkerError:
            pass
        left = left[len(started) :]
        for job in (job for job in started if job.folder not in ended):
            try:
                yield from _dispatch([job], processes | {"n_jobs": 2}, 1, how)
            except TerminatedWorkerError as error:
                yield _lost(error, job)
