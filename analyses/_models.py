"""Which models the analyses measure, and where results of models that are not bundled are kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from mothello_interp.models import Checkpoint, load
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS
from mothello_interp.models.zoo import BUNDLE

REGIMES = {
    "naive": "mini/atomic-atomic-anchors0",
    "anchors": "mini/atomic-atomic-anchors4",
    "unified": "mini/atomic-atomic-unified",
}
LABELS = {"naive": "naive (no anchors)", "anchors": "4 anchor tokens", "unified": "unified output"}
TABLES = Path(__file__).parent / "tables"
CACHE = Path("figures/.cache")

Measure = Callable[[Checkpoint], pd.DataFrame]


def regime_of(checkpoint: Checkpoint) -> str:
    """How a checkpoint's languages came to meet: naive, anchors or unified."""
    mothello = checkpoint.mothello
    if mothello.unified_output:
        return "unified"
    return "anchors" if mothello.groups else "naive"


def over_models(analysis: str, measure: Measure, regimes: Sequence[str] = tuple(REGIMES)) -> pd.DataFrame:
    """What `measure` finds in the bundled models of these regimes, and the stored rows of the seeds not bundled.

    Results are cached under a hash of the weights and of the code that measures.

    Returns:
        The tables below each other, with columns regime, seed and origin ("computed" or "stored") in front.
    """
    tables = []
    for place, regime in enumerate(regimes, 1):
        name = REGIMES[regime]
        key = _key(analysis, BUNDLE / name)
        cached = CACHE / f"{analysis}-{regime}-{key}.csv"
        if cached.exists():
            table = pd.read_csv(cached)
        else:
            with Console(stderr=True).status(f"{analysis}: measuring {name} ({place} of {len(regimes)})"):
                table = _labelled(load(name), measure)
            cached.parent.mkdir(parents=True, exist_ok=True)
            partial = cached.with_suffix(".partial")
            table.to_csv(partial, index=False)
            partial.replace(cached)
        tables.append(table.assign(origin="computed"))
    stored = TABLES / f"{analysis}.csv"
    if stored.exists():
        kept = pd.read_csv(stored)
        tables.append(kept[kept["regime"].isin(regimes)].assign(origin="stored"))
    table = pd.concat(tables, ignore_index=True)
    front = ["regime", "seed", "origin"]
    return table[front + [column for column in table if column not in front]]


def record(analysis: str, measure: Measure, folders: Sequence[Path]) -> Path:
    """Measure checkpoints that are not bundled and keep the rows, with provenance, in `analyses/tables/`.

    Raises:
        ValueError: for a checkpoint that is no other seed of a bundled one, or given twice.
    """
    tables: list[pd.DataFrame] = []
    provenance: dict[str, Any] = {}
    for folder in folders:
        checkpoint = load(folder)
        bundled = load(REGIMES[regime_of(checkpoint)])
        seed = checkpoint.provenance["seed"]
        key = f"{regime_of(checkpoint)}-seed{seed}"
        if checkpoint.spec != bundled.spec:
            raise ValueError(f"{folder} is no other seed of {bundled.name}: its spec differs")
        if seed == bundled.provenance["seed"]:
            raise ValueError(f"{folder} is no other seed of {bundled.name}: its seed is {seed} too")
        if key in provenance:
            raise ValueError(f"{folder}: {key} is given twice")
        tables.append(_labelled(checkpoint, measure))
        provenance[key] = {"weights_sha256": _sha256(folder / WEIGHTS), "made_by": dict(checkpoint.provenance)}
    TABLES.mkdir(exist_ok=True)
    target = TABLES / f"{analysis}.csv"
    pd.concat(tables, ignore_index=True).to_csv(target, index=False, float_format="%.6g")
    facts = {"command": "python -m analyses record", "version": version("mothello-interp"), "models": provenance}
    target.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return target


def _labelled(checkpoint: Checkpoint, measure: Measure) -> pd.DataFrame:
    return measure(checkpoint).assign(regime=regime_of(checkpoint), seed=checkpoint.provenance["seed"])


def _key(analysis: str, folder: Path) -> str:
    """A hash of everything that a result depends on: the weights, the library, the analysis."""
    library = Path(__file__).parent.parent / "mothello_interp"
    own = [Path(__file__), Path(__file__).parent / f"{analysis}.py"]
    files = [*(folder / part for part in (WEIGHTS, SPEC, PROVENANCE)), *sorted(library.rglob("*.py")), *own]
    return hashlib.sha256("".join(_sha256(file) for file in files).encode()).hexdigest()[:16]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
