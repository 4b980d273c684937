"""The state of a run on disk: one file, replaced atomically, so that a run killed at any moment resumes exactly."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mothello_interp.hints import sealed, unsealed
from mothello_interp.models import SpecError
from train.options import TrainingStopped
from train.settings import Training

STATE, METRICS, CHECKPOINT, STEPS, WANDB = "state.pt", "metrics.csv", "checkpoint", "steps", "wandb-id"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Replace the state file by a complete new one; where that fails (a full disk, say), the earlier one is intact."""
    whole = BytesIO()
    torch.save(state, whole)  # into a file it would meet a full disk with an error of its own
    data = whole.getvalue()
    partial = folder / f"{STATE}.partial"  # always this name: what a killed run left is written over
    try:
        with partial.open("wb") as file:
            file.write(sealed(data))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / STATE)
    except OSError as error:
        raise TrainingStopped(
            f"{folder / STATE} cannot be written ({error.strerror}), the earlier one is intact: "
            f"mend that and start the same command again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


# as `Run.save` writes them, and which way of adding up a batch their weights come from
_PARTS = {"identity", "precision", "model", "optimizer", "step", "seconds", "sums", "tables", "parts"}
ANEW = "continue with the version that wrote it, or delete the folder to start again"


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state, or None. Nothing in it is unpickled but tensors and plain values.

    Raises:
        TrainingStopped: for a file that cannot be read, is damaged or of another version; it names the last kept step.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingStopped(f"{path} cannot be opened ({error.strerror})") from error
    if not data.startswith(b"sha256 "):
        raise TrainingStopped(f"{path} does not begin as a state of this version does: {ANEW}")
    if (whole := unsealed(data)) is None:
        good = max((int(step.name) for step in (folder / STEPS).glob("*") if step.name.isdecimal()), default=None)
        kept = (
            "no checkpoint on the way was kept"
            if good is None
            else f"the last kept checkpoint is {folder / STEPS / str(good)}"
        )
        raise TrainingStopped(f"{path} is damaged, {kept}: put back a copy, or delete the folder to start again")
    try:
        state: dict[str, Any] = dict(torch.load(BytesIO(whole), weights_only=True, map_location="cpu"))
    except Exception as error:  # written whole, but not by us
        raise TrainingStopped(f"{path} cannot be read ({type(error).__name__}): {ANEW}") from error
    if missing := sorted(_PARTS - state.keys()):
        raise TrainingStopped(f"{path} lacks {', '.join(missing)}, as one of another version would: {ANEW}")
    return state


def check_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise TrainingStopped if another run is there, naming the first part that differs, and all that differs in it."""
    for key, value in wanted.items():
        found = there.get(key)
        if key == "training" and found is not None:  # a setting that came later has the value it had before
            found, value = (_settings(folder, settings) for settings in (found, value))
        if found != value:
            if key == "spec" and found is not None:
                found, value = tomllib.loads(found), tomllib.loads(value)
            raise TrainingStopped(
                f"{folder} holds a run with another {key} ({_changes(found, value)}); choose another --out, or delete it"
            )


def _settings(folder: Path, training: Any) -> dict[str, Any]:
    """All of them, as this version reads them."""
    try:
        return Training.read(training, "training").model_dump(mode="json")
    except SpecError as error:
        odd = str(error).splitlines()[0]
        raise TrainingStopped(f"{folder} holds a run of another version ({odd}): {ANEW}") from error


def _changes(found: Any, value: Any) -> str:
    """What was and what is; of tables only the settings that differ."""
    if not isinstance(value, Mapping) or not isinstance(found, Mapping):
        return f"{found!r}, now {value!r}"
    return "; ".join(
        f"{key}: {_changes(found.get(key), value.get(key))}"
        for key in dict.fromkeys([*found, *value])
        if found.get(key) != value.get(key)
    )


def check_empty(folder: Path, names: Iterable[str]) -> None:
    """Raise TrainingStopped for what, where there is no state, a run would write over or take for its own."""
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise TrainingStopped(
            f"{folder} holds {', '.join(there)} of a run, but no {STATE}; choose another --out, or delete it"
        )


class Table:
    """A CSV that grows along a run; on resuming cut back to the lines that the saved state knows of."""

    def __init__(self, path: Path, count: int):
        self.path, self.count = path, count
        if not count:
            path.unlink(missing_ok=True)
            return
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        there = sum(line.endswith(b"\n") for line in lines[1:])
        if there < count:
            raise TrainingStopped(
                f"{path} has {there} lines, the state knows of {count}: put back what was there, or delete {path.parent} "
                f"to start again"
            )
        os.truncate(path, sum(map(len, lines[: count + 1])))

    def append(self, lines: list[dict[str, Any]]) -> None:
        """Write lines, on the disk before the state that counts them."""
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                pd.DataFrame(lines).to_csv(file, header=self.count == 0, index=False)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrainingStopped(
                f"{self.path} cannot be written ({error.strerror}): mend that and start again"
            ) from error
        self.count += len(lines)
