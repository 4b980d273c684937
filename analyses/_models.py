"""Which models the analyses measure: the bundled ones, those of finished runs, and the stored rows of others."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock
from rich.console import Console

import mothello_interp
from analyses._sources import key
from mothello_interp.hints import sealed, unsealed, write_file

if TYPE_CHECKING:
    from mothello_interp import Activations, Checkpoint, Probes
else:  # to draw a table needs no torch
    Activations = Checkpoint = Probes = Any

REGIMES = {
    "naive": "mini/atomic-atomic-anchors0",
    "anchors": "mini/atomic-atomic-anchors4",
    "unified": "mini/atomic-atomic-unified",
}
MODELS = {preset: regime for regime, preset in REGIMES.items()}


class _Labels(dict[str, str]):
    """A checkpoint of the user's is a regime that is called as it is."""

    def __missing__(self, regime: str) -> str:
        return regime


LABELS = _Labels(naive="naive (no anchors)", anchors="4 anchor tokens", unified="unified output")
BUNDLE = Path(mothello_interp.__file__).parent / "models" / "bundle"
OTHER = "mini/atomic-atomic-anchors0-seed1"  # a trained model of another seed: its languages are the trained null
OTHER_FILES = (BUNDLE / OTHER / "weights.safetensors",)  # the `INPUTS` of an analysis that has it
_RECIPE = ("optimizer", "lr", "matrix_lr", "weight_decay", "decay", "games")
TABLES = Path(__file__).parent / "tables"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mothello-interp"

Measure = Callable[..., pd.DataFrame]
Models = Mapping[str, str]  # presets, and the regime under which a table lists each


@dataclass(frozen=True)
class Zoo:
    """Which checkpoints are measured: the bundled ones, those of finished runs, and any of the user's.

    Attributes:
        scale: "mini", "midi" or "paper": the folder of presets that the models come from.
        runs: folder of finished runs, `RUNS/PRESET-seedSEED`; none are looked for without it.
        device: where models are put.
        checkpoints: folders of the user's, each a regime of its own.
        tables: a folder of stored rows of the user's, as `record` writes them.
    """

    scale: str = "mini"
    runs: Path | None = None
    device: str = "cpu"
    checkpoints: tuple[Path, ...] = ()
    tables: Path | None = None

    def preset(self, model: str) -> str:
        """A model's preset at this scale."""
        return model.replace("mini/", f"{self.scale}/", 1)

    def has(self, model: str) -> bool:
        """Whether a model exists at this scale: those of no folder `mini` have one size alone."""
        return self.scale == BUNDLED.scale or model.startswith(f"{BUNDLED.scale}/")

    def folders(self, preset: str) -> list[Path]:
        """Its checkpoints, the bundled one first."""
        found = [BUNDLE / preset] if (BUNDLE / preset).is_dir() else []
        runs = sorted(self.runs.glob(f"{preset}-seed*/checkpoint")) if self.runs else []
        for folder in runs:
            _check_same(folder, preset, (found or runs)[0])
        return found + runs

    def own(self) -> dict[Path, str]:
        """The user's checkpoints, and the regime under which tables list each: its folder's name, or its path."""
        folders = [folder / "checkpoint" if (folder / "checkpoint").is_dir() else folder for folder in self.checkpoints]
        names = [(folder.parent if folder.name == "checkpoint" else folder).name for folder in folders]
        taken = [*names, *LABELS]
        return {
            folder: name if taken.count(name) == 1 else str(folder) for folder, name in zip(folders, names, strict=True)
        }

    def unused(self, models: Collection[str]) -> list[Path]:
        """The finished runs that are of none of these models."""
        used = {folder for model in models for folder in self.folders(self.preset(model))}
        return [folder for folder in sorted(self.runs.rglob("checkpoint")) if folder not in used] if self.runs else []


BUNDLED = Zoo()


class NoModels(ValueError):
    """There is nothing to show: no checkpoint and no stored rows."""


class NoInput(ValueError):
    """A file or folder that an analysis was told to read cannot be what it reads."""


def _check_same(folder: Path, preset: str, other: Path) -> None:
    """NoInput for a run whose model or training is not that of another one of its preset."""
    from mothello_interp.models import ModelSpec
    from mothello_interp.models.checkpoint import read_provenance

    specs = [ModelSpec.load(place / "spec.toml").to_toml() for place in (folder, other)]
    trained = (read_provenance(place).get("training") for place in (folder, other))
    mine, theirs = (training if isinstance(training, dict) else {} for training in trained)
    odd = ["model"] * (specs[0] != specs[1]) + [key for key in mine if key in theirs and mine[key] != theirs[key]]
    if odd:
        raise NoInput(
            f"{folder} goes by the name {preset}, but differs from {other} in {', '.join(odd)}: call it otherwise, or measure "
            f"it as a regime of its own: --checkpoint {folder}"
        )


def other_model(checkpoint: Checkpoint, *, same_recipe: bool = False) -> Checkpoint | None:
    """A model trained from another seed, whose languages share nothing but the game with the checkpoint's; None where there is
    none of its board and size, or the checkpoint is of that seed (equal seeds give equal tokens equal initial embeddings).

    same_recipe: only one trained in the same way: weight decay sets how large states are, which a rotation cannot mend.
    """
    from mothello_interp.models import load

    other = load(OTHER, device=checkpoint.model.W_E.device)
    sizes = [(m.spec.board, m.spec.model.n_layers, m.spec.model.d_model) for m in (other, checkpoint)]
    seeds = [m.provenance.get("seed", 0) for m in (other, checkpoint)]
    recipes = [[(m.provenance.get("training") or {}).get(key) for key in _RECIPE] for m in (other, checkpoint)]
    alike = sizes[0] == sizes[1] and (recipes[0] == recipes[1] or not same_recipe)
    return other if alike and seeds[0] != seeds[1] else None


def over_models(
    analysis: str,
    measure: Measure,
    models: Models = MODELS,
    *,
    zoo: Zoo = BUNDLED,
    stored: bool = False,
    inputs: Sequence[Path] = (),
) -> pd.DataFrame:
    """What `measure` finds in the checkpoints of these models, and the stored rows of other models and seeds.

    Results are cached in `CACHE` under a hash of the weights and of the code that measures.

    Args:
        analysis: its name.
        measure: from a checkpoint to a table.
        models: presets at the scale mini, and the regime under which the table lists them.
        zoo: which checkpoints are measured, and at which scale.
        stored: True to take stored rows of the bundled models too, for a measure that takes minutes or needs more than them.
        inputs: other files that the measure reads: a result is cached for these bytes.

    Returns:
        The tables below each other, with columns regime, seed and origin ("computed" or "stored") in front.

    Raises:
        NoModels: if there is nothing of any of these models, or none of them at this scale.
    """
    regimes = {zoo.preset(model): regime for model, regime in models.items() if zoo.has(model)}
    if not regimes and not zoo.checkpoints:
        raise NoModels(f"{analysis}: it has no models of scale {zoo.scale!r}; leave out --scale for those it has")
    folders = {folder: preset for preset in regimes for folder in zoo.folders(preset)}
    if stored:
        folders = {folder: preset for folder, preset in folders.items() if not folder.is_relative_to(BUNDLE)}
    folders |= zoo.own()
    regimes |= {name: name for name in zoo.own().values()}
    tables, console = [], Console(stderr=True)
    for place, (folder, preset) in enumerate(folders.items(), 1):
        with console.status(f"{analysis}: measuring {preset} ({place} of {len(folders)})"):
            try:
                tables.append(_computed(analysis, measure, folder, preset, zoo.device, inputs))
            except ValueError as error:
                if folder not in zoo.own():
                    raise
                console.print(f"{analysis}: left out {folder}, which it cannot measure: {error}", markup=False)
    for stored_rows in dict.fromkeys([TABLES, *([zoo.tables] if zoo.tables else [])]):
        tables += _kept(stored_rows / f"{analysis}.csv", list(regimes), tables)
    if not tables:
        where = "is bundled, " * (not stored) + f"has stored rows or lies in {zoo.runs or 'a folder of runs'}"
        raise NoModels(
            f"{analysis}: none of {', '.join(regimes)} {where}; train one and "
            f"name the folder of runs with --runs, or keep its rows with: python -m analyses record {analysis} FOLDER"
        )
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "regime", table["model"].map(regimes))
    front = ["regime", "seed", "origin"]
    return table[front + [column for column in table if column not in (*front, "model")]]


def read_rows(file: Path, *columns: str) -> pd.DataFrame:
    """A table of results.

    Raises:
        NoInput: for a file that is no table, or one without these columns.
    """
    try:
        rows = pd.read_csv(file)
    except ValueError as error:
        raise NoInput(f"{file} is no table: {error}") from None
    if missing := [column for column in columns if column not in rows]:
        raise NoInput(f"{file} is no table of results: it has no column {', '.join(missing)}")
    return rows


def cached_rows(file: Path) -> pd.DataFrame | None:
    """A cached table; None where there is none, or a damaged one, which stderr is told of."""
    if not file.exists():
        return None
    with suppress(ValueError):
        if (text := unsealed(file.read_bytes())) is not None:
            return pd.read_csv(BytesIO(text))
    print(f"{file} is damaged; it is measured again", file=sys.stderr)
    return None


def _kept(file: Path, presets: Sequence[str], computed: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The stored rows of each of these models, but those of seeds that there are already."""
    if not file.exists():
        return []
    rows = read_rows(file, "model", "seed")
    known = {pair for table in computed for pair in zip(table["model"], table["seed"], strict=True)}
    rows = rows[[pair not in known for pair in zip(rows["model"], rows["seed"], strict=True)]].assign(origin="stored")
    found = [rows[rows["model"] == preset] for preset in presets]
    return [table for table in found if len(table)]


def _computed(
    analysis: str, measure: Measure, folder: Path, preset: str, device: str, inputs: Sequence[Path]
) -> pd.DataFrame:
    """A checkpoint's table, from the cache if it is there."""
    from mothello_interp.models import load

    cached = CACHE / f"{analysis}-{Path(preset).name}-{key(analysis, folder, inputs)}.csv"
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cached}.lock"):  # two figures may need it at a time
        table = cached_rows(cached)
        if table is None:
            checkpoint = load(preset if folder == BUNDLE / preset else folder, device=device)
            table = measure(checkpoint).assign(model=preset, seed=checkpoint.provenance.get("seed", 0))
            write_file(cached, sealed(table.to_csv(index=False).encode()))
    return table.assign(origin="computed")
