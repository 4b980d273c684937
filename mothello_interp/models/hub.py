"""Checkpoints on the Hugging Face Hub: their names, and downloads checked against a manifest of SHA-256 hashes.

A repository holds one checkpoint at its root, or many in folders. `manifest.json` at its root maps every file of
theirs to its hash. It tells a damaged or half-published checkpoint from a whole one; who pins a commit also knows that
nobody has changed it since. Only the manifest and a checkpoint's three files are ever downloaded or opened.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS, CheckpointError

MANIFEST = "manifest.json"
FILES = (WEIGHTS, SPEC, PROVENANCE)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # no part starts with a dot, so none leads out of its folder
_PARTS = rf"{_PART}(?:/{_PART})*"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:/(?P<folder>{_PARTS}))?(?:@(?P<revision>{_PARTS}))?")


class _Unlisted(CheckpointError):
    """A checkpoint that a manifest does not list; a newer manifest may."""


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

    @staticmethod
    def fits(text: str) -> bool:
        """Whether a text is written like such a name."""
        return bool(_NAME.fullmatch(text))

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


def fetch(where: HubName, cache_dir: str | Path | None = None) -> tuple[Path, str]:
    """The checkpoint's folder on disk and the commit it is of: from the cache, else from the Hub into the cache.

    Args:
        where: which one.
        cache_dir: of the downloads; by default the user's Hugging Face cache (`HF_HUB_CACHE`).

    Raises:
        CheckpointError: if it cannot be had, is not listed in its manifest, or a file is not what the manifest says.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _fetch(where, cache_dir, cached=True)
    except (LocalEntryNotFoundError, _Unlisted):
        return _fetch(where, cache_dir, cached=False)


def write_manifest(folder: str | Path) -> Path:
    """Write the `manifest.json` of a checkpoint, or of a folder that holds checkpoints at any depth, for uploading.

    Write it again whenever a checkpoint changes. Folders whose names start with a dot are left out.

    Raises:
        CheckpointError: if there is no checkpoint in the folder, or one lacks a file.
        OSError: if it cannot be written; what stood there before is intact.
    """
    folder = Path(folder)
    specs = [path.relative_to(folder) for path in sorted(folder.rglob(SPEC))]
    homes = [path.parent for path in specs if not any(part.startswith(".") for part in path.parts)]
    if not homes:
        raise CheckpointError(f"{folder} holds no checkpoint: there is no {SPEC} in it or in a folder below")
    missing = [str(home / file) for home in homes for file in FILES if not (folder / home / file).is_file()]
    if missing:
        raise CheckpointError(f"{folder} holds incomplete checkpoints: {', '.join(missing)} missing")
    hashes = {(home / file).as_posix(): _sha256(folder / home / file) for home in homes for file in FILES}
    partial = folder / f".{MANIFEST}"
    partial.write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return partial.replace(folder / MANIFEST)


def read_manifest(path: str | Path) -> dict[str, str]:
    """File to SHA-256 in hexadecimal.

    Raises:
        CheckpointError: if it is anything else.
    """
    try:
        hashes = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(hashes, dict) or not all(re.fullmatch("[0-9a-f]{64}", str(value)) for value in hashes.values()):
        raise CheckpointError(f"{path} is no manifest: expected one table from file names to SHA-256 in hexadecimal")
    return hashes


def check_manifest(root: Path, checkpoint: str) -> None:
    """Compare the files of the checkpoint `root/checkpoint` with the manifest of `root`, if it has one.

    Raises:
        CheckpointError: if one is another than the manifest says.
    """
    expected = read_manifest(root / MANIFEST) if (root / MANIFEST).exists() else None
    for name in (f"{checkpoint}/{file}" for file in FILES):
        if expected is not None and (root / name).is_file() and _sha256(root / name) != expected.get(name):
            raise CheckpointError(
                f"{root / name} is not the file that {root / MANIFEST} lists: restore it, or after a change of your own "
                f"write the manifest again with write_manifest({str(root)!r})"
            )


def _fetch(where: HubName, cache_dir: str | Path | None, *, cached: bool) -> tuple[Path, str]:
    """The manifest settles the commit, so that all files are of one."""
    manifest = _get(where, where.revision, MANIFEST, cache_dir, cached=cached)
    snapshot, commit = manifest.parent, manifest.parent.name
    expected = read_manifest(manifest)
    names = [(PurePosixPath(where.folder) / file).as_posix() for file in FILES]
    _check_listed(where, names, expected)
    for name in names:
        found = _sha256(_get(where, commit, name, cache_dir, cached=cached))
        if found != expected[name]:
            raise CheckpointError(
                f"{where} is not what was published: {name} has SHA-256 {found}, its {MANIFEST} says {expected[name]}. "
                f"If the download was damaged, delete {snapshot.parent.parent} and load it again; "
                f"if that does not help, name another revision, or ask its authors to write the manifest again"
            )
    return snapshot / where.folder, commit


def _check_listed(where: HubName, names: list[str], expected: dict[str, str]) -> None:
    missing = [name for name in names if name not in expected]
    if not missing:
        return
    pickles = [name for name in expected if name.endswith(_PICKLES)]
    others = [PurePosixPath(name).parent.as_posix() for name in expected if PurePosixPath(name).name == WEIGHTS]
    hint = ""
    if pickles:
        hint = f". It lists {', '.join(pickles)}: pickled weights are never opened, only {WEIGHTS} is"
    elif others:
        hint = f". Its checkpoints are: {', '.join('the root' if home == '.' else home for home in others)}"
    raise _Unlisted(
        f"no checkpoint {str(where)!r}: the {MANIFEST} of {where.repo} does not list {', '.join(missing)}{hint}"
    )


def _get(where: HubName, revision: str, file: str, cache_dir: str | Path | None, *, cached: bool) -> Path:
    """One file in the cache; `LocalEntryNotFoundError` if only cached ones are asked for and it is not."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(where.repo, file, revision=revision, cache_dir=cache_dir, local_files_only=cached))
    except Exception as error:  # what a transfer raises depends on the version: of requests, httpx or xet
        if cached and isinstance(error, LocalEntryNotFoundError):
            raise
        raise CheckpointError(f"no checkpoint {str(where)!r}: {_why(where, file, cache_dir, error)}") from error


def _why(where: HubName, file: str, cache_dir: str | Path | None, error: Exception) -> str:
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
            f"neither bundled nor a folder here; its {file} is not in the cache {cache_dir or constants.HF_HUB_CACHE}, "
            f"and {offline}. To download it once, {mend} and load it again; or name a checkpoint folder on disk"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"{where.repo} has no {file}, so nothing in it is opened. A checkpoint is {', '.join(FILES)}, listed in "
            f"{MANIFEST} (write_manifest makes it); pickled weights ({', '.join(_PICKLES)}) are never read"
        )
    lines = str(error).strip().splitlines() or [""]
    return f"its {file} cannot be fetched: {type(error).__name__}: {lines[0]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
