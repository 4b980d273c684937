"""Which commands make a trained model again, from what its provenance says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mothello_interp.models import bundled, load
from mothello_interp.models.checkpoint import fingerprint

_PRESETS = Path(__file__).parent.parent / "train" / "presets"


def training_commands(made_by: Mapping[str, Any], *, keep: int = 0) -> list[str]:
    """What to run in the repository, in this order, to have the model in `run_folder(made_by)` again.

    A preset that is none of `train/presets` is called by its name alone.

    Args:
        made_by: the model's provenance.
        keep: how many checkpoints were kept on the way.
    """
    options = f" --seed {made_by['seed']}{f' --keep {keep}' if keep else ''}"
    if "recipe" not in made_by:
        return [f"python -m train pretrain {_file(made_by['preset'])}{options}"]
    start = made_by["start"]
    name = start["preset"]
    if name in bundled() and fingerprint(load(name)) == start["weights_sha256"]:
        before, origin = [], name
    else:
        before, origin = training_commands(start), run_folder(start)
    recipe = _file(f"finetune/{made_by['recipe']}")
    options = f" --from {origin} --language {made_by['language']}{options}"
    return [*before, f"python -m train finetune {recipe}{options}"]


def run_folder(made_by: Mapping[str, Any]) -> str:
    """Of the run, by default."""
    return f"runs/{made_by['preset']}-seed{made_by['seed']}"


def _file(name: str) -> str:
    return f"train/presets/{name}.toml" if (_PRESETS / f"{name}.toml").exists() else f"{name}.toml"
