"""Rows into a table of Arrow: a Parquet file, or Arrow IPC; `own_columns` says how.

Rows are written in row groups, or record batches, of some megabytes: memory holds one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, FloatArray, PackedTokens
from pretrained_embed.bits import SCALES, has_scales
from pretrained_embed.errors import OptionError, needing_package
from pretrained_embed.files.replacement import replacing_path
from pretrained_embed.formats.arrow.own_columns import (
    ID,
    KEY,
    TOKEN,
    VECTOR,
    columns_of,
)
from pretrained_embed.formats.blocks import (
    AnyBlock,
    PackedBlock,
    StoredBlock,
    gathered,
)
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.table import HOLES, Annotations

#: Bytes of the vectors of a row group, about.
_GROUP_BYTES = 1 << 22


@contextmanager
def open_parquet(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[ArrowSink]:
    """Give a sink whose Parquet file takes the place of ``path`` at the end."""
    with needing_package("writing Parquet"):
        from pyarrow import parquet

    with replacing_path(path) as temporary:
        sink = ArrowSink(announced)
        # Vectors hardly get smaller, and none of their numbers comes often.
        names = [name for name in sink.schema.names if name != VECTOR]
        with parquet.ParquetWriter(
            temporary,
            sink.schema,
            compression=dict.fromkeys(names, "zstd") | {_LEAF: "none"},
            use_dictionary=[name for name in names if name not in (ID, TOKEN)],
            write_statistics=names,
            write_page_checksum=True,
        ) as writer:
            sink.write = lambda batch: writer.write_batch(batch, len(batch))
            yield sink


@contextmanager
def open_ipc(path: str | os.PathLike[str], announced: Announced) -> Iterator[ArrowSink]:
    """Give a sink whose file of Arrow IPC takes the place of ``path`` at the end."""
    with needing_package("writing Arrow IPC"):
        from pyarrow import OSFile, ipc

    with replacing_path(path) as temporary:
        sink = ArrowSink(announced)
        with (
            OSFile(str(temporary), "wb") as file,
            ipc.new_file(file, sink.schema) as writer,
        ):
            sink.write = writer.write_batch
            yield sink


#: The path of the numbers of the vectors in a Parquet file.
_LEAF = f"{VECTOR}.list.element"


class ArrowSink:
    """Takes rows into a table; see `FormatSink`. ``write`` takes a record batch."""

    def __init__(self, announced: Announced) -> None:
        import pyarrow as pa

        if announced.annotations is None:
            raise OptionError("Arrow's tables need all that belongs to the rows first")
        self._annotations: Annotations = announced.annotations
        rows = len(self._annotations.tokens)
        self._scales = np.zeros(rows, np.float32)  # filled in as rows come
        arrays = self._annotations.arrays
        if has_scales(announced.dtype):
            arrays = {**arrays, SCALES: self._scales}
        known = self._annotations._replace(arrays=arrays)
        self._columns, metadata = columns_of(known, rows)
        self._holes = self._annotations.arrays.get(HOLES, np.empty(0, np.int64))
        self._vector = pa.list_(_not_null(announced.storage), announced.width)
        self._token = _token_type(self._annotations.tokens)
        self.schema = pa.schema(
            [
                pa.field(ID, pa.int64(), nullable=False),
                pa.field(TOKEN, self._token),
                pa.field(VECTOR, self._vector, nullable=False),
                *(
                    pa.field(name, pa.from_numpy_dtype(array.dtype), nullable=False)
                    for name, array in self._columns.items()
                ),
            ],
            metadata={KEY: metadata},
        )
        self.write: Any = None
        self._row = self._came = 0
        self._waiting: list[PackedBlock] = []
        self._held = 0

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before, once there are enough for a row group."""
        raw, begin = block.raw, self._came
        self._came += len(raw)
        if isinstance(block, StoredBlock) and block.vectors.scales is not None:
            self._scales[begin : self._came] = block.vectors.scales
        self._waiting.append(PackedBlock(block.tokens, raw))
        self._held += raw.nbytes
        if self._held >= _GROUP_BYTES:
            self._flush()

    def finish(self, annotations: Annotations) -> None:
        """Write the last rows: what belongs to them was known."""
        self._flush()

    def _flush(self) -> None:
        for tokens, vectors in gathered(self._waiting):
            self.write(self._batch(tokens, vectors))
        self._waiting, self._held = [], 0

    def _batch(self, tokens: PackedTokens, vectors: FloatArray) -> Any:
        import pyarrow as pa

        start, self._row = self._row, self._row + len(tokens)
        rows = slice(start, self._row)
        flat = np.ascontiguousarray(vectors).reshape(-1)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(flat), type=self._vector)
        columns = [
            pa.array(np.arange(start, self._row)),
            self._tokens(tokens, start),
            lists,
            *(_numbers(array[rows]) for array in self._columns.values()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _tokens(self, tokens: PackedTokens, start: int) -> Any:
        import pyarrow as pa

        low, high = np.searchsorted(self._holes, (start, start + len(tokens)))
        valid, nulls = None, int(high - low)
        if nulls:
            here = np.ones(len(tokens), np.bool_)
            here[self._holes[low:high] - start] = False
            valid = pa.py_buffer(np.packbits(here, bitorder="little"))
        large = pa.Array.from_buffers(
            pa.large_binary(),
            len(tokens),
            [valid, pa.py_buffer(tokens.offsets), pa.py_buffer(tokens.data)],
            nulls,
        )
        return large.cast(pa.binary()).cast(self._token)


def _not_null(dtype: np.dtype[Any]) -> Any:
    import pyarrow as pa

    return pa.field("element", pa.from_numpy_dtype(dtype), nullable=False)


def _token_type(tokens: PackedTokens) -> Any:
    """Return the type that holds all tokens: strings, if they are UTF-8."""
    import pyarrow as pa

    step = 1 << 16
    for start in range(0, len(tokens), step):
        some = tokens[start : start + step]
        try:
            some.data.tobytes().decode("utf-8")
        except UnicodeDecodeError:
            return pa.binary()
    return pa.string()


def _numbers(array: AnyArray) -> Any:
    import pyarrow as pa

    return pa.array(np.ascontiguousarray(array))
