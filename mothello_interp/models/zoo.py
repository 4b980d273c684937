"""Names to checkpoints: `load("mini/atomic-atomic-anchors4")`, any folder, or `org/name@revision` on the Hugging Face Hub."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from mothello_interp.hints import did_you_mean
from mothello_interp.models.checkpoint import SPEC, Checkpoint, CheckpointError, load_checkpoint
from mothello_interp.models.hub import HubName, check_manifest, fetch

BUNDLE = Path(__file__).parent / "bundle"


def bundled() -> list[str]:
    """The names of the checkpoints that come with the package."""
    return sorted(str(path.parent.relative_to(BUNDLE)) for path in BUNDLE.glob(f"*/*/{SPEC}"))


def load(
    name_or_path: str | Path, *, device: str | torch.device = "cpu", cache_dir: str | Path | None = None
) -> Checkpoint:
    """A trained model with its languages and identity, from the first place that has it.

    These are the bundle, the folders on disk, the user's Hugging Face cache, and the Hugging Face Hub. What is cached
    is taken as it is, without asking the Hub; name a commit to be sure which version that is. Without an `@`, a name
    that starts like a bundled one (`mini/`) or with a folder that exists here is never looked for on the Hub.

    Args:
        name_or_path: a bundled name such as `mini/atomic-atomic-anchors4`, a checkpoint folder, or `org/name` or
            `org/name/folder` on the Hub, with `@revision` (a branch, tag or commit hash; main by default).
        device: where to put the model.
        cache_dir: where downloads are kept, by default the user's Hugging Face cache (`HF_HUB_CACHE`).

    Returns:
        The checkpoint. If it came from the Hub, `provenance["hub"]` holds its repo, folder, revision and commit.

    Raises:
        CheckpointError: if there is no such name or folder, naming the nearest bundled name; if it cannot be
            downloaded; or if a bundled or downloaded file is not what its manifest says.
        SpecError: if its spec is not valid.

    Examples:
        >>> load("mini/atomic-atomic-anchors4").mothello.anchors
        ('c1', 'f2', 'a4', 'd6')
    """
    name = str(name_or_path)
    for folder in (BUNDLE / name, Path(name_or_path)):
        if (folder / SPEC).is_file():
            if folder.resolve().is_relative_to(BUNDLE.resolve()):
                check_manifest(BUNDLE, folder.resolve().relative_to(BUNDLE.resolve()).as_posix())
            return load_checkpoint(folder, device=device, name=name)
    if isinstance(name_or_path, str) and _may_be_on_the_hub(name):
        where = HubName.read(name)
        folder, commit = fetch(where, cache_dir)
        found = load_checkpoint(folder, device=device, name=name)
        return replace(found, provenance={**found.provenance, "hub": {**asdict(where), "commit": commit}})
    hint = did_you_mean(name, bundled(), 0.3)
    raise CheckpointError(
        f"no checkpoint {name!r}: neither a bundled name nor a folder with a {SPEC}{'; ' + hint if hint else '.'} "
        f"Bundled are: {', '.join(bundled())}. One on the Hugging Face Hub is named org/name@revision"
    )


def _may_be_on_the_hub(name: str) -> bool:
    """A mistyped bundled name or path stays on this machine, and nobody's repository can answer for it."""
    if "@" in name:
        return True
    first = name.partition("/")[0]
    return HubName.fits(name) and not (BUNDLE / first).is_dir() and not Path(first).is_dir()
