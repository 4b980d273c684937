"""Names to checkpoints: `load("mini/atomic-atomic-anchors4")`, any folder, or `org/name@revision` on the Hugging Face Hub.

A repository on the Hub has one checkpoint at its root, or many in folders. `manifest.json` at its root maps each of
their files to its SHA-256: it tells a damaged or half-published checkpoint from a complete one. Only the manifest and a
checkpoint's three files are downloaded, all of one commit; name a commit to be sure that nobody has changed it since.
"""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

import pandas as pd
import torch

from mothello_interp.arguments import checked
from mothello_interp.hints import did_you_mean, sha256_of, write_file
from mothello_interp.models.build import device_of
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS, Checkpoint, CheckpointError, load_checkpoint
from mothello_interp.models.spec import ModelSpec

BUNDLE = Path(__file__).parent / "bundle"
MANIFEST, MEASURED = "manifest.json", "measured.csv"
FILES = (WEIGHTS, SPEC, PROVENANCE)
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # no part starts with a dot, so none leads out of its folder
_PARTS = rf"{_PART}(?:/{_PART})*"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:/(?P<folder>{_PARTS}))?(?:@(?P<revision>{_PARTS}))?")


def bundled_names() -> list[str]:
    """The names of the checkpoints that come with the package."""
    return sorted(str(path.parent.relative_to(BUNDLE)) for path in BUNDLE.glob(f"*/*/{SPEC}"))


def bundled() -> pd.DataFrame:
    """The checkpoints that come with the package, one row each, as their own files describe them.

    Returns:
        - name: what `load` takes.
        - board: its side.
        - languages: their types; under a unified output the first is the output language.
        - unified_output: whether games are continued in it.
        - anchors: the moves that languages write alike.
        - opening: the moves that every training game began with; outside of such games the model knows nothing.
        - top1: top-1 legal accuracy on held-out games of the same kind, the mean over languages, 0 to 1.
        - top1_all: the same on games of every opening.
        - alignment: normalised alignment (see `align`) of the first input language with the others, the mean, through the
          identity at `paper_layer`, on games of the same kind.

    Examples:
        >>> bundled().set_index("name").anchors["mini/atomic-atomic-anchors4"]
        'c1 f2 a4 d6'
    """
    measured = pd.read_csv(BUNDLE / MEASURED).set_index(["name", "weights"])
    table = pd.DataFrame([_described(name) for name in bundled_names()])
    here = pd.MultiIndex.from_arrays([table["name"], table["name"].map(weights_of)])
    return table.assign(**dict(measured.reindex(here).reset_index(drop=True)))


def weights_of(name: str) -> str:
    """The SHA-256 of a bundled checkpoint's weights, by the manifest."""
    return read_manifest(BUNDLE / MANIFEST).get(f"{name}/{WEIGHTS}", "")


def _described(name: str) -> dict[str, Any]:
    """The row of one bundled checkpoint."""
    spec = ModelSpec.load(BUNDLE / name / SPEC)
    made = json.loads((BUNDLE / name / PROVENANCE).read_text(encoding="utf-8"))
    return {
        "name": name,
        "board": spec.board,
        "languages": ", ".join(type(language).__name__.lower() for language in spec.mothello.languages),
        "unified_output": spec.mothello.unified_output,
        "anchors": " ".join(map(str, spec.mothello.anchors)),
        "opening": " ".join(made["training"]["opening"]),
        "top1": fmean(language["top1"] for language in made["held_out"]),
    }


@checked
def load(
    name_or_path: str | Path, *, device: str | torch.device = "cpu", cache_dir: str | Path | None = None
) -> Checkpoint:
    """A trained model with its languages and identity, from the first place that has it.

    These are the bundle, the folders on disk, the user's Hugging Face cache, and the Hugging Face Hub. A cached
    checkpoint is taken as it is, without asking the Hub. Without an `@`, a name that starts like a bundled one (`mini/`)
    or with a folder that exists here, or as runs of one's own are, is never looked for on the Hub.

    Args:
        name_or_path: a bundled name such as `mini/atomic-atomic-anchors4`, a checkpoint folder, or `org/name` or
            `org/name/folder` on the Hub, with `@revision` (a branch, tag or commit hash; main by default).
        device: where to put the model.
        cache_dir: where downloads are stored, by default the user's Hugging Face cache (`HF_HUB_CACHE`).

    Returns:
        The checkpoint. If it came from the Hub, `provenance["hub"]` holds its repo, folder, revision and commit.

    Raises:
        CheckpointError: if there is no such name or folder, naming the nearest bundled name; if it cannot be
            downloaded; or if a bundled or downloaded file is not the one that its manifest lists.
        SpecError: if its spec is not valid.

    Examples:
        >>> load("mini/atomic-atomic-anchors4").mothello.anchors
        ('c1', 'f2', 'a4', 'd6')
    """
    name, device = str(name_or_path), device_of(device)
    for folder in (BUNDLE / name, Path(name_or_path)):
        if (folder / SPEC).is_file():
            _check_bundled(folder.resolve(), BUNDLE.resolve())
            return load_checkpoint(folder, device=device, name=name)
    if isinstance(name_or_path, str) and _may_be_on_the_hub(name):
        where = HubName.read(name)
        folder, commit = fetch(where, cache_dir)
        found = load_checkpoint(folder, device=device, name=name)
        return replace(found, provenance={**found.provenance, "hub": {**asdict(where), "commit": commit}})
    hint = did_you_mean(name, bundled_names(), 0.3)
    raise CheckpointError(
        f"no checkpoint {name!r}: neither a bundled name nor a folder with a {SPEC}{'; ' + hint if hint else '.'} "
        f"Bundled are: {', '.join(bundled_names())}. One on the Hugging Face Hub is named org/name@revision"
    )


@checked
def write_manifest(folder: str | Path) -> Path:
    """Write the `manifest.json` of a checkpoint, or of a folder that holds checkpoints at any depth, for uploading.

    Write it again whenever a checkpoint changes. Folders whose names start with a dot are left out.

    Raises:
        CheckpointError: if there is no checkpoint in the folder, or one lacks a file.
        OSError: if it cannot be written; an existing one is left as it was.
    """
    folder = Path(folder)
    specs = [path.relative_to(folder) for path in sorted(folder.rglob(SPEC))]
    homes = [path.parent for path in specs if not any(part.startswith(".") for part in path.parts)]
    if not homes:
        raise CheckpointError(f"{folder} holds no checkpoint: there is no {SPEC} in it or in a folder below")
    names = [(home / file).as_posix() for home in homes for file in FILES]
    if missing := _missing(folder, names):
        raise CheckpointError(f"{folder} holds incomplete checkpoints: {', '.join(missing)} missing")
    hashes = {name: sha256_of(folder / name) for name in names}
    write_file(folder / MANIFEST, json.dumps(hashes, indent=2, sort_keys=True) + "\n")
    return folder / MANIFEST


def read_manifest(path: str | Path) -> dict[str, str]:
    """File to SHA-256 in hexadecimal.

    Raises:
        CheckpointError: if it is anything else.
    """
    try:
        hashes = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(hashes, dict) or not all(re.fullmatch("[0-9a-f]{64}", str(value)) for value in hashes.values()):
        raise CheckpointError(f"{path} is no manifest: expected one table from file names to SHA-256 in hexadecimal")
    return hashes


@dataclass(frozen=True)
class HubName:
    """Where a checkpoint is on the Hub.

    Attributes:
        repo: `org/name`.
        folder: of the checkpoint in the repository, empty for its root.
        revision: branch, tag or commit hash.
    """

    repo: str
    folder: str = ""
    revision: str = "main"

    @classmethod
    def read(cls, text: str) -> "HubName":
        """`org/name`, `org/name@revision`, `org/name/folder`, or `org/name/folder@revision`.

        Raises:
            CheckpointError: if it is none of these.
        """
        match = _NAME.fullmatch(text)
        if not match:
            raise CheckpointError(
                f"{text!r} names no checkpoint on the Hugging Face Hub: expected org/name, org/name@revision or "
                f"org/name/folder@revision, where revision is a branch, a tag or a commit hash"
            )
        return cls(**{key: value for key, value in match.groupdict().items() if value})

    def __str__(self) -> str:
        return f"{self.repo}/{self.folder}@{self.revision}" if self.folder else f"{self.repo}@{self.revision}"

    @property
    def files(self) -> list[str]:
        """The checkpoint's files in the repository."""
        return [(PurePosixPath(self.folder) / file).as_posix() for file in FILES]


def fetch(where: HubName, cache_dir: str | Path | None = None) -> tuple[Path, str]:
    """The checkpoint's folder on disk and its commit: from the cache if it is complete there, else from the Hub.

    Raises:
        CheckpointError: if it cannot be had, is not listed in its manifest, or a file is not the one listed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = [MANIFEST, *where.files]

    def snapshot(*, cached: bool) -> Path:
        return Path(
            snapshot_download(
                where.repo,
                revision=where.revision,
                cache_dir=cache_dir,
                allow_patterns=wanted,
                local_files_only=cached,
            )
        )

    try:
        with suppress(LocalEntryNotFoundError):
            root = snapshot(cached=True)
            if not _missing(root, wanted):
                return _checked(where, root)
        root = snapshot(cached=False)
    except CheckpointError:
        raise
    except Exception as error:  # what a transfer raises depends on the version: of requests, httpx or xet
        raise CheckpointError(f"no checkpoint {str(where)!r}: {_why(where, cache_dir, error)}") from error
    return _checked(where, root)


def _missing(root: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if not (root / name).is_file()]


def _check_bundled(folder: Path, bundle: Path) -> None:
    """A bundled checkpoint is the one in the manifest, by whatever path it is reached; a bundle may have none."""
    if not folder.is_relative_to(bundle) or not (bundle / MANIFEST).exists():
        return
    expected = read_manifest(bundle / MANIFEST)
    for path in (folder / file for file in FILES):
        if path.is_file() and sha256_of(path) != expected.get(path.relative_to(bundle).as_posix()):
            raise CheckpointError(
                f"{path} is not the file that {bundle / MANIFEST} lists: restore it, or after a change of your own "
                f"write the manifest again with write_manifest({str(bundle)!r})"
            )


def _checked(where: HubName, root: Path) -> tuple[Path, str]:
    """The checkpoint's folder and commit, if all files are there and are those that the manifest lists."""
    if missing := _missing(root, [MANIFEST]):
        raise CheckpointError(_lacks(where, missing, root))
    expected = read_manifest(root / MANIFEST)
    if unlisted := [name for name in where.files if name not in expected]:
        raise CheckpointError(_unlisted(where, unlisted, expected))
    if missing := _missing(root, where.files):
        raise CheckpointError(_lacks(where, missing, root))
    for name in where.files:
        if (found := sha256_of(root / name)) != expected[name]:
            raise CheckpointError(
                f"{where} is not what was published: {name} has SHA-256 {found}, its {MANIFEST} says {expected[name]}. "
                f"If the download was damaged, delete {root.parent.parent} and load it again; "
                f"if that does not help, name another revision, or ask its authors to write the manifest again"
            )
    return root / where.folder, root.name


def _lacks(where: HubName, missing: list[str], root: Path) -> str:
    return (
        f"no checkpoint {str(where)!r}: {', '.join(missing)} is not in the cache {root.parents[2]}, and {where.repo} has "
        f"none or cannot be reached (connect, and unset HF_HUB_OFFLINE). A checkpoint is {', '.join(FILES)}, listed in "
        f"{MANIFEST} (write_manifest makes it); other files, such as pickled weights, are never opened"
    )


def _unlisted(where: HubName, missing: list[str], listed: Iterable[str]) -> str:
    homes = [PurePosixPath(name).parent.as_posix() for name in listed if PurePosixPath(name).name == WEIGHTS]
    hint = f". Its checkpoints are: {', '.join('the root' if home == '.' else home for home in homes)}" if homes else ""
    return (
        f"no checkpoint {str(where)!r}: the {MANIFEST} of {where.repo} does not list {', '.join(missing)}{hint}; "
        f"other files, such as pickled weights, are never opened"
    )


def _why(where: HubName, cache_dir: str | Path | None, error: Exception) -> str:
    """What went wrong, and how to mend it."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"neither bundled nor a folder here, and the Hub shows no repository {where.repo}. Check the spelling; "
            f"for a private one, log in with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{where.repo} has no branch, tag or commit {where.revision!r}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        cause = error.__cause__
        offline, mend = f"the Hub cannot be reached ({type(cause).__name__}: {cause})", "connect"
        if constants.HF_HUB_OFFLINE:
            offline, mend = "HF_HUB_OFFLINE is set", "unset it"
        return (
            f"neither bundled nor a folder here; it is not in the cache {cache_dir or constants.HF_HUB_CACHE}, "
            f"and {offline}. To download it once, {mend} and load it again; or name a checkpoint folder on disk"
        )
    return f"it cannot be fetched: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _may_be_on_the_hub(name: str) -> bool:
    """A mistyped bundled name or path stays on this machine, and nobody's repository can answer for it."""
    if "@" in name:
        return True
    first, last = name.split("/")[0], name.split("/")[-1]
    if first == "runs" or last == "checkpoint":  # as training writes them
        return False
    return bool(_NAME.fullmatch(name)) and not (BUNDLE / first).is_dir() and not Path(first).is_dir()
