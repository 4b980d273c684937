"""Sweeps: many presets and seeds, each an independent run; what is planned, and the table of what came of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.table import Column, Table
from rich.text import Text

from mothello_interp.hints import atomic_write
from mothello_interp.models import CheckpointError, SpecError
from train import SEEDS
from train.options import TrainingStopped
from train.settings import Preset

TRAINED, THERE = "trained", "already there"
_EXPECTED = (TrainingStopped, CheckpointError, OSError)  # their messages say all without the name of their type


class SweepError(TrainingStopped):
    """A sweep that cannot be started or continued; the message says what is wrong."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: what to train, and where."""

    preset: Preset
    seed: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    status: str  # "trained", "already there", or "failed: " and why
    steps: int | None = None  # of the optimiser, in all
    minutes: float | None = None  # of training, in all
    top1: Mapping[int, float] = field(default_factory=dict)  # legal share of most likely moves, by input language

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
        """The result of a run that ended so."""
        message = str(error) if isinstance(error, _EXPECTED) else f"{type(error).__name__}: {error}"
        return cls(f"failed: {message}")


def parse_seeds(text: str) -> list[int]:
    """The seeds of a list such as "0,1,2"; SweepError for anything else, or one given twice."""
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


def plan(presets: Sequence[Path], seeds: Sequence[int], out: Path) -> list[PlannedRun]:
    """Every preset with every seed, in the order given; a folder stands for its presets, and bases are left out.

    Raises a SweepError that names every preset that cannot be used, or what is given twice.
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
    return [PlannedRun(preset, seed, out / f"{name}-seed{seed}") for name, preset in loaded.items() for seed in seeds]


def tabulate(results: Sequence[tuple[PlannedRun, Result]]) -> pd.DataFrame:
    """One row a run: preset, seed, status, steps, minutes, top1_min and top1_mean over input languages, folder."""
    rows = []
    for job, result in results:
        top1 = pd.Series(result.top1, dtype=float)
        row = {"preset": job.preset.name, "seed": job.seed, "status": result.status, "steps": result.steps}
        row |= {"minutes": result.minutes, "top1_min": top1.min(), "top1_mean": top1.mean()}
        rows.append(row | {"folder": str(job.folder)})
    return pd.DataFrame(rows).astype({"steps": "Int64", "minutes": float})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table of `tabulate` as CSV, atomically, below the rows of other runs that are there already.

    Sweeps that end together in one folder write one after the other.

    Raises SweepError if what is there is no such table, OSError if it cannot be written: what was there is intact.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
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
    """The table of `tabulate` for a terminal of 80 columns, without steps, mean and folder."""
    columns = ["preset", "seed", "status", "minutes", "top1_min"]
    drawn = Table(
        *(Column(name, overflow="fold", no_wrap=name != "status") for name in columns), box=None, pad_edge=False
    )
    for row in table.to_dict("records"):
        shown = row | {"top1_min": f"{row['top1_min']:.4f}"}
        drawn.add_row(*(Text("" if pd.isna(row[name]) else str(shown[name])) for name in columns))
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
