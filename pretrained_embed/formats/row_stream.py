"""Rows on their way into a file, and the table that they make.

Formats that are written row by row take them as they come. Formats that have to know
all sizes before the first byte take a table, whose vectors may wait in a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

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
from pretrained_embed.formats.blocks import Dtype, PackedBlock, RowStream
from pretrained_embed.formats.local import map_array
from pretrained_embed.formats.table import Table

_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 22


def stream_of(table: Table, progress: Progress | None = None) -> RowStream:
    """Return the rows of a table, also of a mapped one."""
    rows, dim = table.vectors.shape
    step = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // (4 * dim)))

    def blocks() -> Iterator[PackedBlock]:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            yield PackedBlock(table.tokens[start:stop], table.vectors[start:stop])
            if progress is not None:
                progress(4 * dim * stop, 4 * dim * rows)

    return RowStream(
        dim,
        blocks(),
        rows,
        cast(Dtype, table.vectors.dtype.name),
        table.tokens,
        table.arrays,
        table.metadata,
    )


class Spool:
    """Takes rows, and gives them back as a table once all are there.

    Its tokens are in memory, its vectors in a temporary file in ``folder`` that goes
    when nothing refers to them any more. Raises `OSError`.
    """

    def __init__(self, folder: Path, dim: int, dtype: Dtype) -> None:
        import tempfile

        self._dim, self._dtype = dim, np.dtype(dtype)
        self._tokens: list[PackedTokens] = []
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by __exit__)
        self._file = cast(BinaryIO, file)

    def append(self, block: PackedBlock) -> None:
        """Take rows of the spool's dtype behind those before."""
        self._file.write(np.ascontiguousarray(block.vectors, self._dtype).data)
        self._tokens.append(block.tokens)

    def table(
        self, arrays: Mapping[str, AnyArray], metadata: Mapping[str, Any]
    ) -> Table:
        """Return all rows, with what belongs to them."""
        self._file.flush()
        packed = joined(self._tokens)
        mapped = map_array(self._file, self._dtype, (len(packed), self._dim), 0)
        return Table(packed, mapped, dict(arrays), dict(metadata))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def spooled(rows: RowStream, folder: Path) -> Table:
    """Read a stream to its end and return it as a table; see `Spool`.

    Raises `WriteError` where there is no row, other rows than announced, no room, or a
    number that the dtype cannot hold.
    """
    with writing(folder), Spool(folder, rows.dim, rows.dtype) as spool:
        count = 0
        for block in rows.blocks:
            count += len(block.tokens)
            vectors = rounded(block.vectors, rows.dtype, block.tokens)
            spool.append(PackedBlock(block.tokens, vectors))
        check_count(rows.count, count)
        return spool.table(rows.arrays, rows.metadata)


def check_count(announced: int | None, came: int) -> None:
    """Raise `WriteError` where not as many rows came as were announced, or none."""
    if not came:
        raise WriteError("there are no rows to write")
    if announced not in (None, came):
        raise WriteError(f"{announced:,} rows were announced, {came:,} came")


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
