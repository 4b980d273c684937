"""Which models the analyses measure, and where results of models that are not bundled are kept."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from analyses._commands import run_folder, training_commands
from mothello_interp.hints import atomic_write, sha256_of
from mothello_interp.models import Checkpoint, load
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS
from mothello_interp.models.zoo import BUNDLE

REGIMES = {
    "naive": "mini/atomic-atomic-anchors0",
    "anchors": "mini/atomic-atomic-anchors4",
    "unified": "mini/atomic-atomic-unified",
}
MODELS = {preset: regime for regime, preset in REGIMES.items()}
LABELS = {"naive": "naive (no anchors)", "anchors": "4 anchor tokens", "unified": "unified output"}
TABLES = Path(__file__).parent / "tables"
CACHE = Path("figures/.cache")

Measure = Callable[[Checkpoint], pd.DataFrame]
Models = Mapping[str, str]  # presets, and the regime under which a table lists each


@dataclass(frozen=True)
class Zoo:
    """Which checkpoints are measured: the bundled ones, and those of finished runs.

    Attributes:
        scale: "mini", "midi" or "paper": the folder of presets that the models come from.
        runs: folder of finished runs, `RUNS/PRESET-seedSEED`; none are looked for without it.
        device: where models are put.
    """

    scale: str = "mini"
    runs: Path | None = None
    device: str = "cpu"

    def preset(self, model: str) -> str:
        """A model's preset at this scale."""
        return model.replace("mini/", f"{self.scale}/", 1)

    def has(self, model: str) -> bool:
        """Whether a model exists at this scale: those of no folder `mini` have one size alone."""
        return self.scale == BUNDLED.scale or model.startswith(f"{BUNDLED.scale}/")

    def folders(self, preset: str) -> list[Path]:
        """Its checkpoints, the bundled one first."""
        found = [BUNDLE / preset] if (BUNDLE / preset).is_dir() else []
        return found + (sorted(self.runs.glob(f"{preset}-seed*/checkpoint")) if self.runs else [])


BUNDLED = Zoo()


class NoModels(ValueError):
    """There is nothing to show: no checkpoint and no stored rows."""


class NoInput(ValueError):
    """A file or folder that an analysis was told to read cannot be what it reads."""


def over_models(
    analysis: str,
    measure: Measure,
    models: Models = MODELS,
    *,
    zoo: Zoo = BUNDLED,
    compute: bool = True,
    inputs: Sequence[Path] = (),
) -> pd.DataFrame:
    """What `measure` finds in the checkpoints of these models, and the stored rows of other models and seeds.

    Results are cached under a hash of the weights and of the code that measures.

    Args:
        analysis: its name.
        measure: from a checkpoint to a table.
        models: presets at the scale mini, and the regime under which the table lists them.
        zoo: which checkpoints are measured, and at which scale.
        compute: False for a measure that the bundled checkpoints have nothing for.
        inputs: other files that the measure reads: a result is cached for these bytes.

    Returns:
        The tables below each other, with columns regime, seed and origin ("computed" or "stored") in front.

    Raises:
        NoModels: if there is nothing of any of these models, or none of them at this scale.
    """
    regimes = {zoo.preset(model): regime for model, regime in models.items() if zoo.has(model)}
    if not regimes:
        raise NoModels(f"{analysis}: it has no models of scale {zoo.scale!r}; leave out --scale for those it has")
    folders = {folder: preset for preset in regimes for folder in zoo.folders(preset)}
    if not compute:
        folders = {folder: preset for folder, preset in folders.items() if not folder.is_relative_to(BUNDLE)}
    tables = []
    for place, (folder, preset) in enumerate(folders.items(), 1):
        with Console(stderr=True).status(f"{analysis}: measuring {preset} ({place} of {len(folders)})"):
            tables.append(_computed(analysis, measure, folder, preset, zoo.device, inputs))
    known = {(model, seed) for table in tables for model, seed in zip(table["model"], table["seed"], strict=True)}
    stored = TABLES / f"{analysis}.csv"
    if stored.exists():
        kept = pd.read_csv(stored)
        for model in regimes:
            rows = kept[kept["model"] == model]
            rows = rows[[(model, seed) not in known for seed in rows["seed"]]]
            tables += [rows.assign(origin="stored")] if len(rows) else []
    if not tables:
        where = "is bundled, " * compute + f"has stored rows or lies in {zoo.runs or 'a folder of runs'}"
        raise NoModels(
            f"{analysis}: none of {', '.join(regimes)} {where}; train one and "
            f"name the folder of runs with --runs, or keep its rows with: python -m analyses record {analysis} FOLDER"
        )
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "regime", table["model"].map(regimes))
    front = ["regime", "seed", "origin"]
    return table[front + [column for column in table if column not in (*front, "model")]]


def record(analysis: str, measure: Measure, folders: Sequence[Path]) -> Path:
    """Measure checkpoints and keep the rows in `analyses/tables/`, in place of older ones of theirs.

    With them go their provenance and the commands that make them again, from the preset on.

    All of them are checked before the first is measured.

    Raises:
        ValueError: for a checkpoint given twice, or with another spec than the model that has its name already, or
            fine-tuned from other weights than the one whose rows it would replace.
    """
    target = TABLES / f"{analysis}.csv"
    about = target.with_suffix(".json")
    known = json.loads(about.read_text(encoding="utf-8"))["models"] if about.exists() else {}
    new: dict[str, Any] = {}
    checkpoints = [load(folder) for folder in folders]
    for folder, checkpoint in zip(folders, checkpoints, strict=True):
        model, seed = checkpoint.provenance["preset"], checkpoint.provenance["seed"]
        spec = checkpoint.spec.to_toml()
        namesakes = [facts["spec"] for key, facts in (known | new).items() if key.rpartition("-seed")[0] == model]
        if (BUNDLE / model).is_dir():
            namesakes.append(load(model).spec.to_toml())
        if any(other != spec for other in namesakes):
            raise ValueError(
                f"{folder} says it is {model}, but another spec goes by that name: give its preset another one"
            )
        key = f"{model}-seed{seed}"
        if key in new:
            raise ValueError(f"{folder}: {model} of seed {seed} is given twice")
        if key in known and _start(known[key]["made_by"]) != _start(checkpoint.provenance):
            raise ValueError(
                f"{folder}: {about.name} has {key} already, from another start; fine-tune this one with another --seed"
            )
        new[key] = {
            "weights_sha256": sha256_of(folder / WEIGHTS),
            "spec": spec,
            "made_by": dict(checkpoint.provenance),
            "commands": _commands(analysis, measure, folder, checkpoint.provenance),
        }
    tables = [
        measure(checkpoint).assign(model=checkpoint.provenance["preset"], seed=checkpoint.provenance["seed"])
        for checkpoint in checkpoints
    ]
    if target.exists():
        kept = pd.read_csv(target)
        tables.insert(0, kept[~(kept["model"] + "-seed" + kept["seed"].astype(str)).isin(list(new))])
    TABLES.mkdir(exist_ok=True)
    table = pd.concat(tables, ignore_index=True).sort_values(["model", "seed"], kind="stable")
    facts = {"version": version("mothello-interp"), "models": dict(sorted((known | new).items()))}
    for file, text in (
        (target, table.to_csv(index=False, float_format="%.6g")),
        (about, json.dumps(facts, indent=1) + "\n"),
    ):
        with atomic_write(file) as beside:
            beside.write_text(text, encoding="utf-8")
    return target


def _commands(analysis: str, measure: Measure, folder: Path, made_by: Mapping[str, Any]) -> list[str]:
    """What to run, in this order, to have the rows again; an option of the analysis stands with its name for its value."""
    options = "".join(f" --{name} {name.upper()}" for name in getattr(measure, "keywords", {}))
    keep = len(list(folder.parent.glob("steps/*")))
    record = f"python -m analyses record {analysis} {run_folder(made_by)}{options}"
    return [*training_commands(made_by, keep=keep), record]


def _start(provenance: Mapping[str, Any]) -> str | None:
    """The hash of the weights that a fine-tuned model started from."""
    return provenance.get("start", {}).get("weights_sha256")


def _computed(
    analysis: str, measure: Measure, folder: Path, preset: str, device: str, inputs: Sequence[Path]
) -> pd.DataFrame:
    """A checkpoint's table, from the cache if it is there."""
    cached = CACHE / f"{analysis}-{Path(preset).name}-{_key(analysis, folder, inputs)}.csv"
    if cached.exists():
        table = pd.read_csv(cached)
    else:
        checkpoint = load(folder if not folder.is_relative_to(BUNDLE) else preset, device=device)
        table = measure(checkpoint).assign(model=preset, seed=checkpoint.provenance["seed"])
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cached) as file:
            table.to_csv(file, index=False)
    return table.assign(origin="computed")


def _key(analysis: str, folder: Path, inputs: Sequence[Path]) -> str:
    """A hash of everything that a result depends on: the weights, the library, the analysis and what it shares, other files it reads."""
    library = Path(__file__).parent.parent / "mothello_interp"
    here = Path(__file__).parent
    own = [*sorted(here.glob("_*.py")), here / f"{analysis}.py"]
    files = [*(folder / part for part in (WEIGHTS, SPEC, PROVENANCE)), *sorted(library.rglob("*.py")), *own, *inputs]
    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()[:16]
