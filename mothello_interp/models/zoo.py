"""Names to checkpoints: `load("mini/atomic-atomic-anchors4")`, or any folder."""

from difflib import get_close_matches
from pathlib import Path

import torch

from mothello_interp.models.checkpoint import SPEC, Checkpoint, CheckpointError, load_checkpoint

BUNDLE = Path(__file__).parent / "bundle"


def bundled() -> list[str]:
    """The names of the checkpoints that come with the package."""
    return sorted(str(path.parent.relative_to(BUNDLE)) for path in BUNDLE.glob(f"*/*/{SPEC}"))


def load(name_or_path: str | Path, *, device: str | torch.device = "cpu") -> Checkpoint:
    """A trained model with its languages and identity.

    Args:
        name_or_path: a bundled name such as `mini/atomic-atomic-anchors4`, or a checkpoint folder.
        device: where to put the model.

    Raises:
        CheckpointError: if there is no such name or folder, naming the nearest bundled name.

    >>> load("mini/atomic-atomic-anchors4").mothello.anchors
    ('c1', 'f2', 'a4', 'd6')
    """
    for folder in (BUNDLE / str(name_or_path), Path(name_or_path)):
        if (folder / SPEC).is_file():
            return load_checkpoint(folder, device=device, name=str(name_or_path))
    near = get_close_matches(str(name_or_path), bundled(), 1, 0.3)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise CheckpointError(
        f"no checkpoint {str(name_or_path)!r}: neither a bundled name nor a folder with a {SPEC}.{hint} "
        f"Bundled are: {', '.join(bundled())}"
    )
