"""Corpora as files: games in every language as Parquet, which `datasets.load_dataset("parquet", ...)` reads.

One row a game: `moves`, its squares, and `tokens_0`, `tokens_1`, ..., what each language writes, all without padding.
Rows are written and read part by part, so that memory does not grow with the number of games.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mothello_interp.hints import atomic_write
from mothello_interp.languages import PAD, Mothello
from mothello_interp.othello import Games, full_length

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"mothello_interp"  # of the provenance in the metadata of the file
_PART = 10_000  # games read at a time


def write_parquet(
    path: str | Path, parts: Iterable[Games], mothello: Mothello, *, provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write games in all languages, one row group a part, whole or not at all; what stood there is replaced.

    Args:
        path: of the file.
        parts: the games, a part at a time in memory.
        mothello: the languages. Under a unified output `tokens_0` holds one token a move, those of the output language.
        provenance: what made the games, kept in the file as JSON; see `read_provenance`.

    Raises:
        ValueError: for games on another board.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["moves", *(f"tokens_{language}" for language in range(len(mothello.languages)))]
    types = [pa.list_(pa.int8()), *[pa.list_(pa.int32())] * len(mothello.languages)]
    facts = json.dumps({"board": mothello.board, **(provenance or {})}).encode()
    schema = pa.schema(list(zip(names, types, strict=True)), metadata={_KEY: facts})
    with atomic_write(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for games in parts:
            texts = [_tokens(mothello, games, language) for language in range(len(mothello.languages))]
            columns = [_lists(games.moves, games.moves >= 0), *(_lists(tokens, tokens != PAD) for tokens in texts)]
            writer.write_table(pa.table(columns, schema=schema))
    return Path(path)


def read_parquet(path: str | Path) -> Iterator[Games]:
    """The games of a file that `write_parquet` wrote, some thousands at a time.

    Raises:
        ValueError: as `read_provenance`.
    """
    import pyarrow.parquet as pq

    board = read_provenance(path)["board"]
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(_PART, columns=["moves"]):
            lists = part.column("moves")
            lengths = np.diff(lists.offsets.to_numpy())
            moves = np.full((len(lists), full_length(board)), -1, np.int8)
            moves[np.arange(moves.shape[1]) < lengths[:, None]] = lists.flatten().to_numpy()
            yield Games(moves, board)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """What made the games of a file that `write_parquet` wrote, and their `board`.

    Raises:
        ValueError: for another file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from None
    if _KEY not in metadata:
        raise ValueError(f"{path} holds no games of ours: its metadata has no {_KEY.decode()}")
    facts: dict[str, Any] = json.loads(metadata[_KEY])
    return facts


def _tokens(mothello: Mothello, games: Games, language: int) -> np.ndarray:
    """What a language writes, int32 `[game pos]`; an output language writes one token a move."""
    if language in mothello.inputs:
        return mothello.encode(games, language).tokens
    return np.append(mothello.words[language, :, 0], np.int32(PAD))[games.moves]


def _lists(values: np.ndarray, there: np.ndarray) -> "pa.ListArray":
    """Rows `[game item]` of different lengths: those items that are there."""
    import pyarrow as pa

    offsets = np.concatenate([[0], there.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values[there])
