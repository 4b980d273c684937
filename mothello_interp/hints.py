"""What several modules need of names, files and command lines: the nearest known name, a file written atomically, a hash."""

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any
from uuid import uuid4


def did_you_mean(given: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint at the known name nearest to a mistyped one, `did you mean 'atomic'?`; empty where none is near.

    Args:
        cutoff: similarity from which a name is near, 0 (any) to 1 (equal).
    """
    near = get_close_matches(str(given), known, 1, cutoff)
    return f"did you mean {near[0]!r}?" if near else ""


def check_text(arguments: Iterable[str]) -> None:
    """SystemExit for an argument of a command that is no text, such as the name of a file in another encoding than UTF-8."""
    for given in arguments:
        try:
            given.encode()
        except UnicodeEncodeError:
            raise SystemExit(f"error: {given!r} is not UTF-8: rename the file or folder, or give another one") from None


def with_options(kind: type, *left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: the command with the fields of a dataclass as options of its command line, given to it as `options`.

    Args:
        kind: the dataclass; its fields are annotated as typer reads them.
        left_out: fields that are no option of this command and keep their default.
    """

    def extend(command: Callable[..., None]) -> Callable[..., None]:
        shared = [field for field in fields(kind) if field.name not in left_out]

        @wraps(command)
        def extended(**given: Any) -> None:
            chosen = {field.name: given.pop(field.name) for field in shared}
            command(**given, options=kind(**chosen))

        own = [value for name, value in signature(command).parameters.items() if name != "options"]
        more = [Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in shared]
        extended.__signature__ = signature(command).replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        extended.__annotations__ = {value.name: value.annotation for value in (*own, *more)}
        return extended

    return extend


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary name next to `path` to write to; it becomes `path` when the block ends, and is deleted if it raises.

    Each of several writers of one path has a temporary name of its own; the last one to end stays.

    Raises:
        OSError: if there is no such folder, or it cannot be written to.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a file atomically, text as UTF-8; its folder is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def sealed(data: bytes) -> bytes:
    """The data below a line with its SHA-256, by which `unsealed` sees damage."""
    return _seal(data) + b"\n" + data


def unsealed(data: bytes) -> bytes | None:
    """What `sealed` was given; None where that is damaged, or was never sealed."""
    line, _, rest = data.partition(b"\n")
    return rest if line == _seal(rest) else None


def _seal(data: bytes) -> bytes:
    return b"sha256 " + hashlib.sha256(data).hexdigest().encode()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change their names in one step; False where the system cannot (Linux alone can)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), both) == 0)


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
