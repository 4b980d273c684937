"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` when the block ends, and is gone if the block raises.

    Of several that write one path at a time each has a name of its own, and the last one to end stays.

    Raises:
        OSError: if there is no such folder, or it cannot be written to.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
