"""Rows of models that are not bundled, kept in `analyses/tables/` with the commands that make them again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from analyses import _models
from analyses._models import BUNDLE, Checkpoint, Measure, NoInput, read_rows
from mothello_interp.hints import write_file
from mothello_interp.models import bundled_names, load
from mothello_interp.models.checkpoint import WEIGHTS, fingerprint

_PRESETS = Path(__file__).parent.parent / "train" / "presets"


def record(analysis: str, measure: Measure, folders: Sequence[Path], tables: Path | None = None) -> Path:
    """Measure checkpoints and keep the rows in a folder, `analyses/tables/` by default, in place of older ones of theirs.

    With them go their provenance and the commands that make them again, from the preset on. All checkpoints are checked
    before the first is measured.

    Raises:
        ValueError: for a checkpoint without a preset or seed, or given twice, or with another spec than the model that has
            its name already, or fine-tuned from other weights than the one whose rows it would replace.
    """
    target = (tables or _models.TABLES) / f"{analysis}.csv"
    about = target.with_suffix(".json")
    known = _known(about)
    new: dict[str, Any] = {}
    checkpoints = [load(folder) for folder in folders]
    for folder, checkpoint in zip(folders, checkpoints, strict=True):
        name = _checked(folder, checkpoint, known, new, about.name)
        new[name] = {
            "weights_sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
            "spec": checkpoint.spec.to_toml(),
            "made_by": dict(checkpoint.provenance),
            "commands": _commands(analysis, measure, folder, checkpoint.provenance),
        }
    measured = [
        measure(checkpoint).assign(model=checkpoint.provenance["preset"], seed=checkpoint.provenance["seed"])
        for checkpoint in checkpoints
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):  # commands that end together write one after the other
        if target.exists():
            kept = read_rows(target, "model", "seed")
            measured.insert(0, kept[~(kept["model"].astype(str) + "-seed" + kept["seed"].astype(str)).isin(list(new))])
        table = pd.concat(measured, ignore_index=True).sort_values(["model", "seed"], kind="stable")
        facts = {"version": version("mothello-interp"), "models": dict(sorted((_known(about) | new).items()))}
        write_file(target, table.to_csv(index=False, float_format="%.6g"))
        write_file(about, json.dumps(facts, indent=1) + "\n")
    return target


def _known(about: Path) -> dict[str, Any]:
    """The models whose rows are kept, and what made each; NoInput for a file that is another."""
    try:
        known: dict[str, Any] = json.loads(about.read_text(encoding="utf-8"))["models"] if about.exists() else {}
        for facts in known.values():
            facts["spec"], dict(facts["made_by"]), dict(facts["made_by"].get("start", {}))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise NoInput(f"{about} does not say what made the rows next to it: {error!r}") from None
    return known


def _checked(folder: Path, checkpoint: Checkpoint, known: Mapping[str, Any], new: Mapping[str, Any], file: str) -> str:
    """The name under which rows are kept, once it is sure that they belong there."""
    model, seed = checkpoint.provenance.get("preset"), checkpoint.provenance.get("seed")
    if not isinstance(model, str) or type(seed) is not int:
        raise ValueError(
            f"{folder}: rows are kept by preset and seed, which its provenance.json lacks: record runs of python -m train"
        )
    name, spec = f"{model}-seed{seed}", checkpoint.spec.to_toml()
    namesakes = [facts["spec"] for key, facts in {**known, **new}.items() if key.rpartition("-seed")[0] == model]
    if (BUNDLE / model).is_dir():
        namesakes.append(load(model).spec.to_toml())
    if any(other != spec for other in namesakes):
        raise ValueError(
            f"{folder} says it is {model}, but another spec goes by that name: give its preset another one"
        )
    if name in new:
        raise ValueError(f"{folder}: {model} of seed {seed} is given twice")
    if name in known and _start(known[name]["made_by"]) != _start(checkpoint.provenance):
        raise ValueError(
            f"{folder}: {file} has {name} already, from another start; fine-tune this one with another --seed"
        )
    return name


def _start(provenance: Mapping[str, Any]) -> str | None:
    """The hash of the weights that a fine-tuned model started from."""
    return provenance.get("start", {}).get("weights_sha256")


def _commands(analysis: str, measure: Measure, folder: Path, made_by: Mapping[str, Any]) -> list[str]:
    """What to run, in this order, to have the rows again; an option of the analysis stands with its name for its value."""
    options = "".join(f" --{name} {name.upper()}" for name in getattr(measure, "keywords", {}))
    keep = len(list(folder.parent.glob("steps/*")))
    return [
        *training_commands(made_by, keep=keep),
        f"python -m analyses record {analysis} {run_folder(made_by)}{options}",
    ]


def training_commands(made_by: Mapping[str, Any], *, keep: int = 0) -> list[str]:
    """What to run in the repository, in this order, to have the model in `run_folder(made_by)` again.

    A preset that is none of `train/presets` is called by its name alone.

    Args:
        made_by: the model's provenance.
        keep: how many checkpoints were kept on the way.
    """
    options = f" --seed {made_by['seed']}{f' --keep {keep}' if keep else ''}"
    if "recipe" not in made_by:
        return [f"python -m train pretrain {_preset(made_by['preset'])}{options}"]
    start = made_by["start"]
    name = start["preset"]
    if name in bundled_names() and fingerprint(load(name)) == start["weights_sha256"]:
        before, origin = [], name
    else:
        before, origin = training_commands(start), run_folder(start)
    recipe = _preset(f"finetune/{made_by['recipe']}")
    return [*before, f"python -m train finetune {recipe} --from {origin} --language {made_by['language']}{options}"]


def run_folder(made_by: Mapping[str, Any]) -> str:
    """The folder of the run, by default."""
    return f"runs/{made_by['preset']}-seed{made_by['seed']}"


def _preset(name: str) -> str:
    return f"train/presets/{name}.toml" if (_PRESETS / f"{name}.toml").exists() else f"{name}.toml"
