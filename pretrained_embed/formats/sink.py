"""New files of vectors: blocks of rows in order, then everything else.

Every format is written this way: when a matrix is saved, a source converted, or a
matrix built that is larger than the memory. If a format needs all rows before its first
byte, they are kept in a temporary file.
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

#: Names of this package's formats that `write_table` and `write_rows` write.
WRITABLE_FORMATS = tuple(format.name for format in FORMATS if format.sink)

_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}

#: Suffixes that choose a format if none is named.
WRITABLE_SUFFIXES = tuple(_BY_SUFFIX)

#: The suffixes of mappable files: `new_sink` writes them row by row.
TARGET_SUFFIXES = tuple(s for s, format in _BY_SUFFIX.items() if format.mapped)

_SHARDED = "sharded"
_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 22


class FileSink:
    """Takes the rows of a new file in order, then everything else; `new_sink` makes it.

    Parameters
    ----------
    inner : FormatSink
        The sink of the format.
    announced : Announced
        The facts about the rows.
    whole : bool
        Whether the format holds arrays and metadata.

    Examples
    --------
    >>> with new_sink("v.npy", Announced(2, 3)) as sink:  # doctest: +SKIP
    ...     sink.append(block)
    ...     sink.finish({}, {})
    """

    def __init__(self, inner: FormatSink, announced: Announced, *, whole: bool) -> None:
        self.written = 0  # rows
        self.finished = False
        self._inner = inner
        self._announced = announced
        self._whole = whole
        self._placed: Place | None = None  # if others write the rows
        self._tokens: list[PackedTokens] = []  # if nobody else keeps them
        self._scales: list[Float32Array] = []  # of the rows, if they have scales

    def append(self, block: AnyBlock) -> None:
        """Write rows after the earlier ones.

        Vectors that are already in the bits of the file are written unchanged.

        Parameters
        ----------
        block : PackedBlock
            The rows; vectors are float32 (k, dim).

        Raises
        ------
        WriteError
            For another dtype or dim, for more rows than announced, and for a token or
            number that the format cannot hold; the message names the token.
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
        """Return where the rows of the new file lie, for other writers.

        It replaces `append`.

        Returns
        -------
        Place or None
            ``None`` if the format cannot do that.
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
        """Write the arrays and metadata of all rows, as in `Table`.

        Scales of the rows are added to the arrays, and the dtype of the vectors to the
        metadata.

        Parameters
        ----------
        arrays : mapping from str to array
            Arrays beside the vectors.
        metadata : mapping
            JSON-compatible values.

        Raises
        ------
        WriteError
            For fewer rows than announced, and if tokens and arrays would not read back
            unchanged.
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
    """Yield a sink for rows; its file replaces ``path`` at the end.

    Room for the announced rows is reserved on the disk first.

    Parameters
    ----------
    path : path
        The file to write.
    announced : Announced
        The facts about the rows.
    format : str, optional
        The name of the format; by default the suffix chooses it.

    Yields
    ------
    FileSink
        Takes the rows; its `FileSink.finish` must be called.

    Raises
    ------
    WriteError
        If the system refuses or the disk has too little room, and if the sink is not
        finished at the end of the block.
    OptionError
        For an unknown format or dtype.

    Examples
    --------
    >>> with new_sink("v.npy", Announced(2, 3)) as sink:  # doctest: +SKIP
    ...     sink.append(block)
    ...     sink.finish({}, {})
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
    """Return metadata with the dtype of the vectors."""
    return {**metadata, **bits.facts(announced.dtype, announced.dim)}


def block_of(block: AnyBlock, dtype: Dtype) -> AnyBlock:
    """Return a block in the bits of a dtype, as a `FormatSink` takes it.

    Vectors of that dtype are not changed. Raises `WriteError`, which names the token,
    for a number that it cannot hold.
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
    """Write a table, whole or not at all.

    If the format cannot hold the bits of a `Stored`, its numbers are written as
    float32.

    Parameters
    ----------
    path : path
        The file or folder to write.
    table : Table
        The rows and everything else.
    format : str, optional
        One of `WRITABLE_FORMATS`; by default the suffix of ``path`` chooses it.
    shards : int, optional
        The number of files of the format "sharded", which is then the default.

    Raises
    ------
    OptionError
        For an unknown format, and for shards of another format.
    WriteError
        For an unknown suffix, if the format cannot hold the table, and if the system
        refuses.

    Examples
    --------
    >>> write_table("copy.npz", read_table(stream))  # doctest: +SKIP
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
    """Write rows as `write_table` writes a table.

    One block of vectors is in memory at a time. If a format needs the number of rows
    first, the vectors are kept in a temporary file beside ``path``, and the tokens in
    memory.

    Parameters
    ----------
    path : path
        The file or folder to write.
    rows : RowStream
        The rows and everything else.
    format : str, optional
        As in `write_table`.
    progress : callable, optional
        Called while rows are copied from the temporary file.

    Raises
    ------
    OptionError
        For an unknown format, and for a dtype that it cannot hold.
    WriteError
        As in `write_table`.

    Examples
    --------
    >>> write_rows("copy.bin", rows)  # doctest: +SKIP
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
    """Return the format of a new file; it has a sink.

    Plug-ins are searched for names and suffixes that no format of this package has.
    Raises `OptionError` for an unknown name, `WriteError` for an unknown suffix.
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
    """Return the names of all formats that can be written, with those of plug-ins.

    Returns
    -------
    tuple of str
        The names.

    Examples
    --------
    >>> "npz" in writable_formats()
    True
    """
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
    """Takes rows, and returns them as a table at the end.

    Its tokens are in memory, its vectors in a temporary file in ``folder``, which is
    deleted when nothing refers to it. Raises `OSError`.
    """

    def __init__(self, folder: Path, dim: int, dtype: Dtype) -> None:
        import tempfile

        self._dim, self._dtype = dim, dtype
        self._tokens: list[PackedTokens] = []
        self._scales: list[Float32Array] = []
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by __exit__)
        self._file = cast(BinaryIO, file)
        # No other program can cut it short, so it may be mapped.
        self._kept = LocalFile(self._file, USUAL)

    def append(self, block: AnyBlock) -> None:
        """Add rows of the spool's dtype."""
        kind = bits.storage(self._dtype)
        self._file.write(np.ascontiguousarray(block.raw, kind).data)
        self._tokens.append(block.tokens)
        if isinstance(block, StoredBlock) and block.vectors.scales is not None:
            self._scales.append(block.vectors.scales)

    def table(
        self, arrays: Mapping[str, AnyArray], metadata: Mapping[str, Any]
    ) -> Table:
        """Return all rows, with arrays and metadata."""
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

    Raises `WriteError` for an empty stream, another number of rows than announced, a
    full disk, and a number that the dtype cannot hold.
    """
    with writing(folder), Spool(folder, rows.dim, rows.dtype) as spool:
        count = 0
        for block in rows.blocks:
            count += len(block.tokens)
            spool.append(block_of(block, rows.dtype))
        check_count(rows.count, count)
        return spool.table(rows.arrays, rows.metadata)


def check_count(announced: int | None, came: int) -> None:
    """Raise `WriteError` for another number of rows than announced, and for none."""
    if not came:
        raise WriteError("there are no rows to write")
    if announced not in (None, came):
        raise WriteError(f"{announced:,} rows were announced, {came:,} came")
