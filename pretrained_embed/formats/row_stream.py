"""Rows on their way into a file, and the table that they make.

Formats that are written row by row take them as they come. Formats that have to know
all sizes before the first byte take a table, whose vectors may wait in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    FloatArray,
    PackedTokens,
    Progress,
    joined,
)
from pretrained_embed.errors import WriteError, brief
from pretrained_embed.files.replacement import writing
from pretrained_embed.formats.local import map_array
from pretrained_embed.formats.reader import PackedBlock
from pretrained_embed.formats.table import Table

#: What vectors may be written as, where the format can hold it.
Dtype = Literal["float32", "float16", "float64"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class RowStream:
    """Rows to write. ``blocks`` can be read once.

    ``count`` is the true number of rows, or ``None`` where only the end will tell.
    ``dtype`` is what the vectors become in the file. ``arrays`` and ``metadata`` are
    what else goes into formats that hold it, as in `Table`.
    """

    dim: int
    blocks: Iterable[PackedBlock]
    count: int | None = None
    dtype: Dtype = "float32"
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def stream_of(table: Table, progress: Progress | None = None) -> RowStream:
    """Return the rows of a table whose vectors are float32, also a mapped one."""
    rows, dim = table.vectors.shape
    step = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // (4 * dim)))

    def blocks() -> Iterator[PackedBlock]:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            yield PackedBlock(table.tokens[start:stop], table.vectors[start:stop])
            if progress is not None:
                progress(4 * dim * stop, 4 * dim * rows)

    return RowStream(dim, blocks(), rows, arrays=table.arrays, metadata=table.metadata)


def spooled(rows: RowStream, folder: Path) -> Table:
    """Read a stream to its end and return it as a table.

    Its tokens are in memory, its vectors, in their dtype, in a temporary file in
    ``folder`` that goes when nothing refers to them any more. Raises `WriteError` where
    there is no row, no room, or a number that the dtype cannot hold.
    """
    import tempfile

    stored = np.dtype(rows.dtype)
    tokens: list[PackedTokens] = []
    with writing(folder), cast(BinaryIO, tempfile.TemporaryFile(dir=folder)) as file:
        for block in checked(rows).blocks:
            vectors = rounded(block.vectors, rows.dtype, block.tokens)
            file.write(np.ascontiguousarray(vectors, stored).data)
            tokens.append(block.tokens)
        file.flush()
        packed = joined(tokens)
        mapped = map_array(file, stored, (len(packed), rows.dim), 0)
    return Table(packed, mapped, dict(rows.arrays), dict(rows.metadata))


def checked(rows: RowStream) -> RowStream:
    """Return the same rows; at their end `WriteError` if they are not as announced."""

    def blocks() -> Iterator[PackedBlock]:
        count = 0
        for block in rows.blocks:
            count += len(block.tokens)
            yield block
        if not count:
            raise WriteError("there are no rows to write")
        if rows.count not in (None, count):
            raise WriteError(f"{rows.count:,} rows were announced, {count:,} came")

    return replace(rows, blocks=blocks())


def rounded(vectors: Float32Array, dtype: Dtype, tokens: PackedTokens) -> FloatArray:
    """Return float32 vectors (len(tokens), dim) as ``dtype``.

    Raises `WriteError` naming the token with a number too large for it.
    """
    if dtype == "float32":
        return vectors
    with np.errstate(over="ignore", invalid="ignore"):
        converted = vectors.astype(dtype)
    lost = np.isinf(converted) & np.isfinite(vectors)
    if lost.any():
        row, column = np.argwhere(lost)[0].tolist()
        raise WriteError(
            f"the vector of {brief(tokens[row])} holds the number "
            f"{vectors[row, column]!s}, which {dtype} cannot hold; use float32"
        )
    return converted
