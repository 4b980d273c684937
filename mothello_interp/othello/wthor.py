"""The bytes of WTHOR files: header, records of games, tables of names. What they mean is the business of `records.py`.

Little endian. A header of 16 bytes, then records of 68 bytes (`.wtb`), or names of 20 (`.JOU`, players) or 26 bytes
(`.TRN`, tournaments). Format: https://www.ffothello.org/wthor/Format_WThor.pdf
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np

from mothello_interp.hints import atomic_write

SIDE = 8
HEADER = np.dtype(
    [(name, "u1") for name in ("century", "short_year", "month", "day")]
    + [("games", "<u4"), ("names", "<u2"), ("year", "<u2")]
    + [(name, "u1") for name in ("board", "kind", "depth", "reserved")]
)
RECORD = np.dtype(
    [(name, "<u2") for name in ("tournament", "black", "white")]
    + [("score", "u1"), ("theoretical", "u1"), ("moves", "u1", 60)]
)
_NAME_BYTES = {".jou": 20, ".trn": 26}
_CREATED = date(2000, 1, 1)


def read_header(path: Path) -> tuple[np.void, bytes]:
    """The header of a file, with the fields of HEADER, and the bytes behind it.

    Raises:
        ValueError: for a file shorter than a header.
    """
    data = path.read_bytes()
    if len(data) < HEADER.itemsize:
        raise ValueError(f"{path} is no WTHOR file: {len(data)} bytes, less than its header of {HEADER.itemsize}")
    return np.frombuffer(data, HEADER, 1)[0], data[HEADER.itemsize :]


def write_file(path: Path, body: bytes, *, created: date, **fields: int) -> Path:
    """Write a header with these fields of HEADER, and the bytes behind it.

    Raises:
        ValueError: for a number that does not fit its field.
    """
    header = np.zeros(1, HEADER)
    century, short_year = divmod(created.year, 100)
    day = {"century": century, "short_year": short_year, "month": created.month, "day": created.day}
    for name, value in (day | fields).items():
        fill(header, name, value)
    with atomic_write(path) as partial:
        partial.write_bytes(header.tobytes() + body)
    return path


def fill(array: np.ndarray, name: str, value: int | np.ndarray) -> None:
    """Put whole numbers into a field of a structured array `[n]`: one for all, or one each.

    Raises:
        ValueError: if there are not n of them, or the field has no room for one.
    """
    given, most = np.asarray(value), np.iinfo(array.dtype[name]).max
    if given.shape not in ((), array.shape) or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"{name} is {given.dtype} of shape {given.shape}: expected {len(array)} whole numbers")
    if given.size and (given.min() < 0 or given.max() > most):
        raise ValueError(f"{name} from {given.min()} to {given.max()}: a WTHOR file has room for 0 to {most}")
    array[name] = given


def read_names(path: str | Path) -> list[str]:
    """The names of a table of players (`.JOU`) or tournaments (`.TRN`); a number in a record is an index into it.

    Raises:
        ValueError: for another kind of file, or one whose size is not what its header says.
    """
    path = Path(path)
    width = _name_bytes(path)
    header, body = read_header(path)
    n = int(header["names"])
    if len(body) != n * width:
        raise ValueError(f"{path}: the header counts {n} names of {width} bytes, but {len(body)} bytes follow it")
    fields = (body[first : first + width] for first in range(0, len(body), width))
    return [field.partition(b"\0")[0].decode("latin-1") for field in fields]


def write_names(path: str | Path, names: Iterable[str], *, created: date = _CREATED) -> Path:
    """Write a table of players (`.JOU`) or tournaments (`.TRN`); what stood there is replaced.

    Raises:
        ValueError: for another kind of file, or a name that does not fit.
    """
    path = Path(path)
    width = _name_bytes(path)
    fields = []
    for name in names:
        field = name.encode("latin-1", errors="replace")
        if field.decode("latin-1") != name or len(field) >= width or "\0" in name:
            raise ValueError(f"{path}: {name!r} does not fit: expected fewer than {width} characters of latin-1")
        fields.append(field.ljust(width, b"\0"))
    return write_file(path, b"".join(fields), created=created, names=len(fields))


def _name_bytes(path: Path) -> int:
    width = _NAME_BYTES.get(path.suffix.lower())
    if width is None:
        raise ValueError(f"{path}: tables of names are .JOU (players) and .TRN (tournaments)")
    return width
