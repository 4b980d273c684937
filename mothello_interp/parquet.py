"""Parquet files of ours, opened: metadata, sizes and errors are checked in this one place."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_ROWS, _VALUES, _DENSEST = 2**16, 2**22, 64  # what any file may have, values in a row group, and more for each byte


@contextmanager
def opened(path: str | Path, key: bytes, what: str) -> Iterator[tuple["pq.ParquetFile", dict[str, Any]]]:
    """The file, and the facts that its metadata hold as JSON under a key.

    Args:
        key: in the metadata.
        what: the file holds, such as "games".

    Raises:
        ValueError: for another file or a damaged one, in the block too, naming it.
        OSError: if it cannot be opened.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with Path(path).open("rb") as data:  # a missing file is none of the errors below
        try:
            with pq.ParquetFile(data) as file:
                metadata = file.schema_arrow.metadata or {}
                if key not in metadata:
                    raise ValueError(f"its metadata has no {key.decode()}")
                facts = json.loads(metadata[key])
                if not isinstance(facts, dict):
                    raise ValueError(f"its {key.decode()} is no table")
                yield file, facts
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"{path} holds no {what} of ours, or is damaged: {reason}") from None


def check_amount(file: "pq.ParquetFile", size: int, columns: Sequence[str]) -> None:
    """Is there no more in these columns than a file of so many bytes has room for?

    Of columns the schema alone is asked: pyarrow ends the process where the statistics of one are damaged.

    Raises:
        ValueError: for more rows, or a row group of more values.
    """
    rows, most = _ROWS + _DENSEST * size, _VALUES + _DENSEST * size
    if file.metadata.num_rows > rows:
        raise ValueError(f"{file.metadata.num_rows} rows in {size} bytes, expected {rows} at most")
    width = sum(getattr(file.schema_arrow.field(name).type, "list_size", 1) for name in columns)
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        if max(group.num_rows * width, group.total_byte_size // 8) > most:
            raise ValueError(f"{group.num_rows * width} values in {size} bytes, expected {most} at most")
