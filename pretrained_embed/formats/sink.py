"""New files of vectors: blocks of rows one after the other, then all else.

Every format is written this way: by a matrix that is saved, a source that is converted,
a build with more rows than memory holds. Where a format has to know all rows before its
first byte, they wait in a temporary file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    PackedTokens,
    Progress,
    joined,
)
from pretrained_embed.bits import Dtype, Stored
from pretrained_embed.budget import USUAL
from pretrained_embed.errors import OptionError, WriteError, suggestion
from pretrained_embed.files.replacement import check_room, folder_for, writing
from pretrained_embed.formats.blocks import (
    AnyBlock,
    PackedBlock,
    RowStream,
    StoredBlock,
)
from pretrained_embed.formats.format import Announced, Format, FormatSink, Place
from pretrained_embed.formats.local import LocalFile, map_array
from pretrained_embed.formats.registry import FORMATS, find_format, known_formats
from pretrained_embed.formats.table import (
    Annotations,
    Table,
    check_annotations,
    check_table,
    refuse_holes,
)

#: Names of the formats of this package that `write_table` and `write_rows` write.
WRITABLE_FORMATS = tuple(format.name for format in FORMATS if format.sink)

_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}

#: Suffixes by which they choose the format where none is named.
WRITABLE_SUFFIXES = tuple(_BY_SUFFIX)

#: Those of files that a reader maps: `new_sink` writes them before all is known.
TARGET_SUFFIXES = tuple(s for s, format in _BY_SUFFIX.items() if format.mapped)

_SHARDED = "sharded"
_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 22


class FileSink:
    """Takes the rows of a new file in order, then what belongs to them."""

    def __init__(self, inner: FormatSink, announced: Announced, *, whole: bool) -> None:
        self.written = 0  # rows
        self.finished = False
        self._inner = inner
        self._announced = announced
        self._whole = whole
        self._placed: Place | None = None  # where others write the rows
        self._tokens: list[PackedTokens] = []  # where nobody else keeps them
        self._scales: list[Float32Array] = []  # of the rows, where they have some

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before; their vectors are float32 (k, dim).

        Those that are in the bits of the file already are written as they are.

        Raises `WriteError` for another dtype or dim, for more rows than announced, and
        naming the token whose number, or which itself, the format cannot hold.
        """
        announced, (tokens, vectors) = self._announced, block
        if vectors.dtype not in (np.float32, announced.dtype) or (
            vectors.shape[1:] != (announced.dim,)
        ):
            raise WriteError(
                f"vectors are {vectors.dtype} of shape {vectors.shape}; expected "
                f"float32 (rows, {announced.dim})"
            )
        rows, came = announced.rows, self.written + len(vectors)
        if rows is not None and came > rows:
            check_count(rows, came)
        block = block_of(block, announced.dtype)
        self._inner.append(block)
        if isinstance(block, StoredBlock) and block.vectors.scales is not None:
            self._scales.append(block.vectors.scales)
        if self._whole and announced.tokens is None:
            self._tokens.append(tokens)
        self.written += len(vectors)

    def place(self) -> Place | None:
        """Return where the rows of the new file lie, which others write there.

        Takes the place of `append`. ``None`` for a format that cannot do that.
        """
        get = getattr(self._inner, "place", None)
        place: Place | None = get() if get is not None else None
        if place is not None:
            self.written = self._announced.rows or 0
            self._placed = place
        return place

    def finish(
        self, arrays: Mapping[str, AnyArray], metadata: Mapping[str, Any]
    ) -> None:
        """Write what belongs to all rows, as in `Table`.

        Scales of the rows are added to the arrays, and what the vectors are to the
        metadata. Raises `WriteError` for fewer rows than announced, and where tokens
        and arrays would not read back as they are.
        """
        announced = self._announced
        check_count(announced.rows, self.written)
        tokens = announced.tokens
        if tokens is None:
            tokens = joined(self._tokens)
        if self._placed is not None and self._placed.scales is not None:
            self._scales = [self._placed.scales]
        if self._scales:
            if bits.SCALES in arrays:
                raise WriteError(
                    f"array name {bits.SCALES!r}: this is the name of the scales of "
                    f"{announced.dtype} rows; give the array another name"
                )
            arrays = {**arrays, bits.SCALES: np.concatenate(self._scales)}
        annotations = Annotations(tokens, arrays, _told(announced, metadata))
        if self._whole:
            check_annotations(annotations, self.written)
        self._inner.finish(annotations)
        self.finished = True


@contextmanager
def new_sink(
    path: str | os.PathLike[str], announced: Announced, format: str | None = None
) -> Iterator[FileSink]:
    """Give a sink for rows; put what it wrote in the place of ``path`` at the end.

    The suffix chooses the format, if ``format`` does not. Room on the disk for all that
    is announced is taken first. Raises `WriteError` where the system refuses, where
    there is too little room on the disk, and where the block ends and the sink is not
    finished; `OptionError` for a format or a dtype that there is none of.
    """
    chosen = choose(path, format)
    chosen.check_dtype(announced.dtype)
    announced = announced._replace(format=chosen.name)
    rows, dim = announced.rows, announced.dim
    if rows == 0 or dim < 1:
        raise WriteError(
            f"vectors of shape ({rows}, {dim}); a table has at least one of each"
        )
    if (known := announced.annotations) is not None:
        known = known._replace(metadata=_told(announced, known.metadata))
        announced = announced._replace(tokens=known.tokens, annotations=known)
    if rows is not None and chosen.mapped:
        check_room(path, announced.size + announced.beside)
    with _opened(chosen, path, announced) as inner:
        sink = FileSink(inner, announced, whole=chosen.whole)
        yield sink
        if not sink.finished:
            raise WriteError(f"{os.fspath(path)}: the rows were never finished")


def _told(announced: Announced, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata that say what the vectors are, too."""
    return {**metadata, **bits.facts(announced.dtype, announced.dim)}


def block_of(block: AnyBlock, dtype: Dtype) -> AnyBlock:
    """Return a block in the bits of a dtype, as a `FormatSink` takes it.

    Vectors that are of that dtype are kept as they are. Raises `WriteError` naming the
    token with a number that it cannot hold.
    """
    tokens, vectors = block
    if isinstance(vectors, Stored):
        if vectors.encoding == dtype and dtype in bits.CODED:
            return block
        if vectors.encoding == dtype:
            return PackedBlock(tokens, vectors.checked())
        vectors = vectors.numbers()
    if dtype in bits.CODED:
        return StoredBlock(tokens, bits.encode(vectors, dtype, tokens))
    if vectors.dtype != dtype:
        vectors = bits.encode(vectors, dtype, tokens).checked()
    return PackedBlock(tokens, vectors)


def _opened(
    format: Format, path: str | os.PathLike[str], announced: Announced
) -> AbstractContextManager[FormatSink]:
    if format in FORMATS:
        return format.open_sink(path, announced)
    from pretrained_embed.formats import plugins

    return plugins.guarded_sink(format, path, announced)


def write_table(
    path: str | os.PathLike[str],
    table: Table,
    *,
    format: str | None = None,
    shards: int | None = None,
) -> None:
    """Write a table in a format of `WRITABLE_FORMATS`, by default as the suffix says.

    ``shards`` is in how many files, for the format ``"sharded"``, and means it where
    none is named. What is written appears whole or not at all. Raises `OptionError` for
    a format that there is none of, and for shards of another, and `WriteError` for a
    suffix that names none, where the format cannot hold the table, and where the system
    refuses. A format that cannot hold the bits of a `Stored` has its numbers, as
    float32.
    """
    if shards is not None and format not in (None, _SHARDED):
        raise OptionError(f"shards is {shards}, but {format} has none")
    chosen = choose(path, format if shards is None else _SHARDED)
    check_table(table)
    rows = stream_of(table)
    if rows.dtype not in chosen.dtypes:
        if not isinstance(table.vectors, Stored):
            raise WriteError(f"vectors are {rows.dtype}; {chosen.name} holds float32")
        rows = replace(rows, dtype="float32")  # the same numbers
    _write(path, rows, chosen, shards)


def write_rows(
    path: str | os.PathLike[str],
    rows: RowStream,
    *,
    format: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write rows as `write_table` does a table.

    Memory holds a block of vectors at a time. Where a format has to know the number of
    rows first, the vectors wait in a temporary file beside ``path`` and the tokens in
    memory; ``progress`` is called while they come from there. Raises also `OptionError`
    for a dtype that the format has not.
    """
    chosen = choose(path, format)
    chosen.check_dtype(rows.dtype)
    known = {"nothing": True, "count": rows.count, "all": rows.tokens is not None}
    if not known[chosen.needs]:
        rows = stream_of(spooled(rows, folder_for(path)), progress)
    _write(path, rows, chosen)


def _write(
    path: str | os.PathLike[str],
    rows: RowStream,
    format: Format,
    shards: int | None = None,
) -> None:
    if not format.whole:
        refuse_holes(rows.arrays, format.name)
    annotations = None
    if rows.tokens is not None:
        annotations = Annotations(rows.tokens, rows.arrays, rows.metadata)
    announced = Announced(
        rows.count, rows.dim, rows.dtype, annotations=annotations, shards=shards
    )
    with new_sink(path, announced, format.name) as sink:
        for block in rows.blocks:
            sink.append(block)
        sink.finish(rows.arrays, rows.metadata)


def choose(path: str | os.PathLike[str], format: str | None) -> Format:
    """Return the format of a new file, which has a sink.

    Plug-ins are looked up for names and suffixes that no format of this package has.
    Raises `OptionError` for a name that is none, `WriteError` for such a suffix.
    """
    if format is not None:
        found = find_format(format)
        if found is not None and found.sink:
            return found
        names = writable_formats()
        near = suggestion(format, names)
        raise OptionError(f"format is {format!r}; it can be {', '.join(names)}{near}")
    suffix = Path(path).suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    formats = [each for each in known_formats() if each.sink]
    for each in formats:
        if suffix in each.suffixes:
            return each
    suffixes = dict.fromkeys(suffix for each in formats for suffix in each.suffixes)
    raise WriteError(
        f"cannot tell the format of {os.fspath(path)!r} by its suffix; use one of "
        f"{' '.join(suffixes)}, or name the format: "
        f"{', '.join(each.name for each in formats)}"
    )


def writable_formats() -> tuple[str, ...]:
    """Return the names of all formats that are written, those of plug-ins, too."""
    return tuple(format.name for format in known_formats() if format.sink)


def stream_of(table: Table, progress: Progress | None = None) -> RowStream:
    """Return the rows of a table, also of a mapped one."""
    vectors = table.vectors
    rows, dim = vectors.shape
    step = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // (4 * dim)))
    kind = vectors.encoding if isinstance(vectors, Stored) else vectors.dtype.name

    whole: AnyBlock
    if isinstance(vectors, Stored):
        whole = StoredBlock(table.tokens, vectors)
    else:
        whole = PackedBlock(table.tokens, vectors)

    def blocks() -> Iterator[AnyBlock]:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            yield whole.part(slice(start, stop))
            if progress is not None:
                progress(4 * dim * stop, 4 * dim * rows)

    return RowStream(
        dim,
        blocks(),
        rows,
        cast(Dtype, kind),
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

        self._dim, self._dtype = dim, dtype
        self._tokens: list[PackedTokens] = []
        self._scales: list[Float32Array] = []
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by __exit__)
        self._file = cast(BinaryIO, file)
        # Nobody else can cut it short: it may be mapped.
        self._kept = LocalFile(self._file, USUAL)

    def append(self, block: AnyBlock) -> None:
        """Take rows of the spool's dtype behind those before."""
        kind = bits.storage(self._dtype)
        self._file.write(np.ascontiguousarray(block.raw, kind).data)
        self._tokens.append(block.tokens)
        if isinstance(block, StoredBlock) and block.vectors.scales is not None:
            self._scales.append(block.vectors.scales)

    def table(
        self, arrays: Mapping[str, AnyArray], metadata: Mapping[str, Any]
    ) -> Table:
        """Return all rows, with what belongs to them."""
        self._file.flush()
        packed = joined(self._tokens)
        shape = len(packed), bits.width(self._dtype, self._dim)
        mapped = map_array(self._kept, bits.storage(self._dtype), shape, 0)
        if self._dtype not in bits.CODED:
            return Table(packed, mapped, dict(arrays), dict(metadata))
        scales = np.concatenate(self._scales) if self._scales else None
        stored = Stored(self._dtype, mapped, scales, self._dim)
        return Table(packed, stored, dict(arrays), dict(metadata))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.close()


def spooled(rows: RowStream, folder: Path) -> Table:
    """Read a stream to its end and return it as a table; see `Spool`.

    Raises `WriteError` where there is no row, other rows than announced, no room, or a
    number that the dtype cannot hold.
    """
    with writing(folder), Spool(folder, rows.dim, rows.dtype) as spool:
        count = 0
        for block in rows.blocks:
            count += len(block.tokens)
            spool.append(block_of(block, rows.dtype))
        check_count(rows.count, count)
        return spool.table(rows.arrays, rows.metadata)


def check_count(announced: int | None, came: int) -> None:
    """Raise `WriteError` where not as many rows came as were announced, or none."""
    if not came:
        raise WriteError("there are no rows to write")
    if announced not in (None, came):
        raise WriteError(f"{announced:,} rows were announced, {came:,} came")
