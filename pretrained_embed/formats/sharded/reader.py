"""A matrix in several safetensors files, each a consecutive range of its rows.

::

    model-00001-of-00002.safetensors   the first half of the rows, a table by itself
    model-00002-of-00002.safetensors   the second
    model.safetensors.index.json       which rows are where, see `index`

Some rows are read without touching the files that have others. What is read is checked
against the digests of the index: a block of rows when it is first asked for, the
tokens and arrays of a file when it is opened.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pretrained_embed import bits
from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.hugging_face import model_folder
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.safetensors.own_tensors import (
    read_annotations,
    vectors_among,
)
from pretrained_embed.formats.sharded.index import (
    Index,
    Label,
    ShardFile,
    is_sharded,
    load_index,
)
from pretrained_embed.formats.sharded.row_digests import DigestedRows, digest_of
from pretrained_embed.formats.table import (
    SHARD,
    Annotations,
    JoinedRows,
    Span,
    TablePart,
    join_annotations,
)
from pretrained_embed.formats.table_reader import TableReader

NAME = "sharded"


def open_folder(stream: ByteStream) -> TableReader | None:
    """Open all shards as `open_reader` does; ``None`` where the folder has none."""
    return open_reader(stream) if is_sharded(_folder(stream)) else None


def open_reader(stream: ByteStream) -> TableReader:
    """Open all shards for reading.

    Raises `FormatError` where a shard is missing, damaged or of another matrix.
    """
    index = load_index(_folder(stream))
    return _reader(index, index.files, stream)


def read_part(stream: ByteStream, span: Span) -> TablePart | None:
    """Read the rows that ``span`` wants, of the files that have them.

    Their vectors stay mapped where one file has them all. Raises `FormatError` as
    `open_reader` does, of these files.
    """
    folder = _folder(stream)
    if not is_sharded(folder):
        return None
    index = load_index(folder)
    wanted = span(index.rows)
    starts = [file.label.start for file in index.files]
    first = bisect_right(starts, min(wanted.start, index.rows - 1)) - 1
    last = max(first, bisect_right(starts, wanted.stop - 1) - 1)
    reader = _reader(index, index.files[first : last + 1], stream)
    skipped = starts[first]
    here = range(wanted.start - skipped, wanted.stop - skipped)
    part = reader.rows_in(lambda _: here)
    return TablePart(part.table, wanted.start, index.rows)


class OpenShard(NamedTuple):
    """A file of a matrix, of which all is checked but vectors not yet asked for."""

    annotations: Annotations  # without what makes it a shard
    vectors: DigestedRows
    label: Label
    tensors: dict[str, int]  # their names, and their bytes


def open_shard(path: Path, prefix: str, options: ReadOptions) -> OpenShard:
    """Open a file by itself, as it describes itself.

    ``prefix`` is that of its tensors. Raises `FormatError` where it is missing, damaged
    or no shard.
    """
    where = str(path)
    if not path.is_file():
        raise FormatError(
            f"{where}: this shard is missing; get it again, or write the matrix again"
        )
    file = model_folder.open_shard(path, options)
    annotations = None
    name = vectors_among(file.header.tensors, prefix)
    if name is not None:
        annotations = read_annotations(file.header, file.load, where, prefix)
    if (
        name is None
        or annotations is None
        or not isinstance(annotations.metadata.get(SHARD), dict)
    ):
        raise FormatError(f"{where}: this is no shard of a matrix, or another one")
    metadata = dict(annotations.metadata)
    label = Label.from_json(metadata.pop(SHARD), where)
    vectors = file.rows(name)
    if digest_of(annotations) != label.others:
        raise FormatError(
            f"{where}: its tokens or arrays are not those that were written; get the "
            "file again, or write it again"
        )
    dtype = bits.dtype_told(metadata, where)
    kind, shape = bits.storage(dtype), (label.row_count, bits.width(dtype, label.dim))
    if vectors.shape != shape or vectors.dtype != kind:
        raise FormatError(
            f"{where}: vectors are {vectors.dtype} of shape {vectors.shape}; expected "
            f"{kind} {shape}"
        )
    return OpenShard(
        annotations._replace(metadata=metadata),
        DigestedRows(vectors, label.vectors, label.block_rows, where),
        label,
        {name: t.end - t.begin for name, t in file.header.tensors.items()},
    )


def _reader(
    index: Index, files: Sequence[ShardFile], stream: ByteStream
) -> TableReader:
    where = stream.name
    opened = [_opened(file, stream.read_options) for file in files]
    tokens, arrays = join_annotations([one.annotations for one in opened], where)
    return TableReader(
        NAME,
        where,
        tokens,
        JoinedRows([one.vectors for one in opened]),
        arrays=arrays,
        metadata=index.metadata,
        notes=[Note("file.shards", f"in {len(index.files):,} shards")],
    )


def _opened(file: ShardFile, options: ReadOptions) -> OpenShard:
    """Open a shard that an index lists; raises `FormatError` if it is another."""
    shard = open_shard(file.path, file.prefix, options)
    if shard.label != file.label or file.path.stat().st_size != file.size:
        raise FormatError(
            f"{file.path}: this is not the shard that the index lists; get the folder "
            "again, or write it again"
        )
    return shard


def _folder(stream: ByteStream) -> Path:
    if stream.path is None:
        raise SourceError(f"{stream.name}: shards are in a folder, and this is none")
    return stream.path
