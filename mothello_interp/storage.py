"""Activations as Parquet, with their labels, written and read part by part: for more games than fit in memory.

One row a move of a game in one language. Columns are those of `Activations.numpy`, but for a column `layer_k` for each layer
in place of `activation`; what has several values a row is a fixed-size list. pandas, polars and `datasets` read it too.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mothello_interp.activations import Activations, all_layers, collect
from mothello_interp.arguments import checked, several
from mothello_interp.hints import atomic_write
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from mothello_interp.parquet import check_amount, opened
from mothello_interp.progress import shown

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"mothello_interp.activations"  # in the metadata of a file
_PART = 250  # games in memory at a time


@checked
def write_activations(
    path: str | Path,
    checkpoint: Checkpoint,
    games: Games,
    *,
    layers: int | Sequence[int] | None = None,
    languages: int | Sequence[int] | None = None,
) -> Path:
    """Write what `collect` gives to a Parquet file, atomically; an existing file is replaced.

    Memory does not grow with the number of games. The file takes about 4 * d_model bytes a row, layer and language.

    Raises:
        ValueError: as `collect`, and for no games.
        OSError: if it cannot be written.
    """
    import pyarrow.parquet as pq

    spoken = checkpoint.mothello.inputs if languages is None else several("languages", languages)
    chosen = all_layers(checkpoint) if layers is None else several("layers", layers)
    if not len(games) or not spoken:
        raise ValueError(f"{len(games)} games in languages {list(spoken)}: there is nothing to write")
    starts = range(0, len(games), _PART)
    with atomic_write(path) as partial:
        writer = None
        try:
            for start in shown(starts, "activations"):
                for language in spoken:
                    part = collect(checkpoint, games[start : start + _PART], layers=chosen, languages=language)
                    table = _table(part, language, start, {"languages": spoken, "layers": chosen, "model": part.model})
                    writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd", use_dictionary=False)
                    writer.write_table(table, row_group_size=max(1, len(table)))
        finally:
            if writer:
                writer.close()
    return Path(path)


@checked
def read_activations(path: str | Path, language: int, layer: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows of one language and layer of a file that `write_activations` wrote, part by part, as `Activations.numpy`.

    Each part holds some hundred games, in their order; `game` counts through the file.

    Raises:
        ValueError: for another file, or what was not written, naming what was.
    """
    with opened(path, _KEY, "activations") as (_, facts):
        if language not in facts["languages"] or layer not in facts["layers"]:
            raise ValueError(
                f"language {language} at layer {layer} is not in it: there are languages {facts['languages']} "
                f"at layers {facts['layers']}"
            )
    return _parts(Path(path), facts["languages"].index(language), len(facts["languages"]), f"layer_{layer}")


def _parts(path: Path, first: int, step: int, column: str) -> Iterator[dict[str, np.ndarray]]:
    """Every `step`-th row group, with one column of activations."""
    with opened(path, _KEY, "activations") as (file, _):
        wanted = [column, *(name for name in file.schema_arrow.names if not name.startswith("layer_"))]
        check_amount(file, path.stat().st_size, wanted)
        for group in range(first, file.num_row_groups, step):
            table = file.read_row_group(group, columns=wanted)
            yield {"activation": _array(table[column])} | {name: _array(table[name]) for name in wanted[1:]}


def _table(part: Activations, language: int, start: int, facts: dict[str, Any]) -> "pa.Table":
    """The rows of one language; `start` is the number of the first game."""
    import pyarrow as pa

    columns = part.numpy(language, part.layers[0])
    del columns["activation"]
    columns |= {"game": columns["game"] + start}
    columns |= {f"layer_{layer}": part.at(language, layer).numpy() for layer in part.layers}
    table = pa.table({name: _column(values) for name, values in columns.items()})
    return table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})


def _column(values: np.ndarray) -> "pa.Array":
    """An array `[row]`, or `[row item]` as lists of one size."""
    import pyarrow as pa

    flat = pa.array(values.reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _array(column: "pa.ChunkedArray") -> np.ndarray:
    """What `_column` was made from."""
    import pyarrow as pa

    whole = column.combine_chunks()
    size = column.type.list_size if pa.types.is_fixed_size_list(column.type) else None
    values: np.ndarray = (whole.flatten() if size else whole).to_numpy(zero_copy_only=False)
    return values.reshape(-1, size) if size else values
