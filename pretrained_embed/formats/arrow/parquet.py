"""Parquet files, row group by row group.

The file is mapped; of one on another machine only the bytes are asked for that are
needed. What the headers of pages say is compared with the budget of the file before
pyarrow makes anything of them: see `pages`.

https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, joined
from pretrained_embed.budget import OBJECT, USUAL, Budget, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, TruncatedError, needing_package
from pretrained_embed.files.reading import read_fully
from pretrained_embed.formats.arrow.batches import (
    Columns,
    choose_tokens,
    number_dtype,
    numbers_of,
    tokens_of,
    vectors_of,
)
from pretrained_embed.formats.arrow.pages import DELTA_STRINGS, pages
from pretrained_embed.formats.arrow.parts import BLOCK_BYTES, Parts
from pretrained_embed.formats.local import (
    LocalFile,
    budget_of,
    file_size,
    map_file,
    open_file,
    open_local,
)
from pretrained_embed.formats.reader import ByteStream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGIC = b"PAR1"
#: Bytes of one call in which strings are unfolded that refer to the ones before.
_UNFOLDED = 1 << 26
#: Rows whose tokens are taken from the budget at first, and checked by what is read.
_TOKEN = OBJECT // 2


class Content(Protocol):
    """The bytes of a file of which any are at hand."""

    size: int

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them."""

    def opened(self) -> Any:
        """Return what pyarrow reads them from; of each thread its own."""


class _Mapped:
    """The bytes of a local file; see `Content`."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.size = len(data)

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them, which are mapped."""
        return memoryview(self._data)[start : start + size]

    def opened(self) -> Any:
        """Return a reader of all."""
        import pyarrow as pa

        return pa.BufferReader(pa.py_buffer(self._data))


class _Far(io.RawIOBase):
    """The bytes of a file on another machine; see `Content`.

    The last range that was asked for is kept: pyarrow reads it again.
    """

    def __init__(self, stream: ByteStream, size: int) -> None:
        self.size = size
        self._stream = stream
        self._place = 0
        self._start, self._held = 0, b""

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them, asked for at once."""
        held = start - self._start
        if not (held >= 0 and held + size <= len(self._held)):
            with self._stream.open(start, start + size) as file:
                self._start, self._held = start, read_fully(file, size)
            held = 0
        return memoryview(self._held)[held : held + size]

    def opened(self) -> Any:
        """Return itself: it has one place."""
        return self

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place in the file."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset``; return the place in the file."""
        self._place = offset + (0, self._place, self.size)[whence]
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        data = self.view(self._place, min(len(target), self.size - self._place))
        target[: len(data)] = data
        self._place += len(data)
        return len(data)


class _Chunk(NamedTuple):
    """Where a column of a row group lies in the file."""

    start: int
    size: int


class ParquetParts(Parts):
    """The row groups of a file; see `Parts`."""

    def __init__(
        self, source: Source, token: str | None = None, vector: str | None = None
    ) -> None:
        with needing_package("reading Parquet"):
            import pyarrow.parquet  # noqa: F401  (whether it is there)

        self.where, self._source = source.name, source
        try:
            self._content, self.budget = source.open()
            self._open(token, vector)
        except BaseException:
            source.close()
            raise

    def _open(self, token: str | None, vector: str | None) -> None:
        self._check_ends()
        with self.refusing():
            file = self._file(self._content)
            self._metadata, schema = file.metadata, file.schema_arrow
            self.columns = self._choose(schema, token, vector)
            self._paths = [
                self._metadata.schema.column(number).path
                for number in range(self._metadata.num_columns)
            ]
            self._leaves = [self._leaf(name) for name in self.names]
            rows = [
                self._metadata.row_group(group).num_rows
                for group in range(self._metadata.num_row_groups)
            ]
            if min(rows, default=0) < 0:
                raise self.damaged("a row group has fewer rows than none")
            self.bounds: Int64Array = np.cumsum([0, *rows])
            self._chunks = self._find_chunks()
            self._take_columns(schema)

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return self.columns.names

    def _take_columns(self, schema: Any) -> None:
        self.dtype = number_dtype(schema, self.columns)
        self.dim = self.columns.dim or self._dim()

    def refusing(self) -> AbstractContextManager[None]:
        """Turn what pyarrow raises into our error."""
        return refusing_damage(self.where, "cannot be read as Parquet")

    def damaged(self, what: str) -> FormatError:
        """Return the error for a file whose parts cannot be as they say."""
        return FormatError(
            f"{self.where}: {what}; the file is damaged, copy or download it again"
        )

    def tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens of all rows; see `Parts`."""
        found, without = [PackedTokens.join([])], [np.empty(0, np.int64)]
        with self.refusing():
            file = self._file(self._content, read_dictionary=[self.columns.token])
            for group in range(len(self.bounds) - 1):
                start = int(self.bounds[group])
                for array in self._token_arrays(file, group):
                    packed, missing = tokens_of(array, self.budget)
                    found.append(packed)
                    without.append(start + missing)
                    start += len(packed)
        return joined(found), np.concatenate(without)

    def _token_arrays(self, file: Any, group: int) -> Iterator[Any]:
        """Yield the tokens of a row group; what is made of them is in the budget."""
        if not self._chunks[group]:
            return
        self.budget.take(int(np.diff(self.bounds)[group]) * _TOKEN)
        longest, unfolds = 1, False
        for page in pages(self._view(group, 0), self.where):
            self.budget.take(page.size)
            longest = max(longest, page.size)
            unfolds |= page.encoding == DELTA_STRINGS
        name = self.columns.token
        if not unfolds:
            yield from file.read_row_group(group, columns=[name]).column(name).chunks
            return
        rows = max(1, min(1 << 16, _UNFOLDED // longest))
        for batch in self._file(self._content).iter_batches(rows, [group], [name]):
            array = batch.column(name)
            self.budget.take(array.nbytes)
            yield array

    def numbers(self, names: list[str]) -> dict[str, AnyArray]:
        """Return columns of numbers of all rows; see `Parts`."""
        with self.refusing():
            for name in names:
                leaf = self._leaf(name)
                for group in range(len(self.bounds) - 1):
                    start, size = _chunk(self._metadata.row_group(group).column(leaf))
                    view = self._content.view(start, size)
                    for page in pages(view, self.where):
                        self.budget.take(page.size + 8 * page.values)
            read = self._file(self._content).read(names)
            return {name: numbers_of(read.column(name), self.where) for name in names}

    def reader(self) -> Callable[[int], Iterator[AnyArray]]:
        """Return a function of the number of a part that yields its vectors in order.

        It has a place of its own in the file: a thread has one for itself.
        """
        content = self._source.again(self._content)
        names = list(self.columns.vectors)
        rows = max(1, BLOCK_BYTES // (self.dim * self.dtype.itemsize))

        def blocks(group: int) -> Iterator[AnyArray]:
            with self.refusing():
                start, stop = self.bounds[group : group + 2].tolist()
                if not self._chunks[group]:
                    return
                for place in range(len(names)):
                    self._check_pages(content, group, 1 + place)
                file = self._file(content, metadata=self._metadata)
                for batch in file.iter_batches(
                    rows, [group], names, use_threads=not self.columns.lists
                ):
                    arrays = [batch.column(name) for name in names]
                    vectors = vectors_of(arrays, self.dim, self.where, start)
                    start += len(vectors)
                    yield vectors
                if start != stop:
                    raise self.damaged(f"row group {group} has other rows than it says")

        return blocks

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def _file(self, content: Content, **options: Any) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(
            content.opened(),
            pre_buffer=False,
            page_checksum_verification=True,
            **options,
        )

    def _check_ends(self) -> None:
        size = self._content.size
        if bytes(self._content.view(max(0, size - 4), min(4, size))) != _MAGIC:
            raise TruncatedError(
                f"{self.where}: {size:,} bytes that do not end as a Parquet file does; "
                "its end is missing, copy or download it again"
            )

    def _find_chunks(self) -> list[list[_Chunk]]:
        """Return where the columns lie, row group by row group; no two overlap."""
        chunks = [
            [
                _chunk(self._metadata.row_group(group).column(leaf))
                for leaf in self._leaves
            ]
            if rows
            else []
            for group, rows in enumerate(np.diff(self.bounds).tolist())
        ]
        end = len(_MAGIC)
        for start, size in sorted(chunk for group in chunks for chunk in group):
            if start < end or size < 0 or start + size > self._content.size:
                raise self.damaged(
                    f"a column at byte {start:,} of {size:,} bytes overlaps another, "
                    "or does not lie within the file"
                )
            end = start + size
        return chunks

    def _view(
        self, group: int, place: int, content: Content | None = None
    ) -> memoryview:
        start, size = self._chunks[group][place]
        return (content or self._content).view(start, size)

    def _check_pages(self, content: Content, group: int, place: int) -> None:
        """Raise `FormatError` for pages that ask for more memory than there may be."""
        values = 0
        for page in pages(self._view(group, place, content), self.where):
            values += page.values
            if max(page.size, values * self.dtype.itemsize) > self.budget.total:
                raise self.budget.spent()

    def _leaf(self, name: str) -> int:
        """Return which column of the file has a column of the table."""
        found = [number for number, path in enumerate(self._paths) if path == name]
        found = found or [
            number
            for number, path in enumerate(self._paths)
            if path.startswith(f"{name}.")
        ]
        if len(found) != 1:
            raise FormatError(
                f"{self.where}: {len(found)} columns of the file belong to {name!r}; "
                "expected one"
            )
        return found[0]

    def _dim(self) -> int:
        """Return the length of the first list, as the counts say or the row shows."""
        for group in range(len(self.bounds) - 1):
            of_group = self._metadata.row_group(group)
            values = of_group.column(self._leaves[1]).num_values
            if of_group.num_rows and values > 0:
                if values % of_group.num_rows == 0:
                    return int(values // of_group.num_rows)
                return self._first_length(group)
        return 0

    def _first_length(self, group: int) -> int:
        self._check_pages(self._content, group, 1)
        file = self._file(self._content)
        name = self.columns.vectors[0]
        batch = next(file.iter_batches(1, [group], [name]))
        first = batch.column(name)[0].as_py()
        return len(first) if first else 1  # a null is told of with its row


class ParquetTokens(ParquetParts):
    """The tokens of a file without vectors."""

    @property
    def names(self) -> list[str]:
        """The column of tokens."""
        return [self.columns.token]

    def _choose(self, schema: Any, token: str | None, vector: str | None) -> Columns:
        """Return the column of tokens alone."""
        return Columns(choose_tokens(schema, self.where), (), True, None, ())

    def _take_columns(self, schema: Any) -> None:
        self.dtype, self.dim = np.dtype(np.float32), 0


class Source:
    """A file to open: a stream, or a path and how it is read."""

    def __init__(self, stream: ByteStream | Path, options: ReadOptions = USUAL) -> None:
        self._stream = stream
        self._options = options
        self._held = ExitStack()
        self.name = str(stream) if isinstance(stream, Path) else stream.name

    def open(self) -> tuple[Content, Budget]:
        """Return the bytes of a file, and their budget."""
        stream = self._stream
        if isinstance(stream, Path):
            with open_file(stream, self._options) as file:
                budget = self._options.budget_of(self.name, file_size(file))
                return _mapped(file, self.name), budget
        if stream.ranges and stream.path is None and stream.size is not None:
            self._held.enter_context(stream.open(0, 0))  # so that one version is read
            budget = stream.read_options.budget_of(stream.name, stream.size)
            return _Far(stream, stream.size), budget
        with open_local(stream) as file:
            return _mapped(file, stream.name), budget_of(stream, file)

    def again(self, content: Content) -> Content:
        """Return the bytes for another thread."""
        if isinstance(content, _Far) and not isinstance(self._stream, Path):
            return _Far(self._stream, content.size)
        return content

    def close(self) -> None:
        """Release what is held open."""
        self._held.close()


def _mapped(file: LocalFile, where: str) -> _Mapped:
    with refusing_damage(where):
        return _Mapped(map_file(file))


def tokens_of_file(path: Path, options: ReadOptions) -> PackedTokens:
    """Return the tokens of a file that has no vectors."""
    parts = ParquetTokens(Source(path, options))
    try:
        tokens, missing = parts.tokens()
    finally:
        parts.close()
    if len(missing):
        raise FormatError(f"{path}, row {missing[0]:,}: the token is null")
    return tokens


def _chunk(column: Any) -> _Chunk:
    """Return where a column chunk lies, as pyarrow finds it."""
    start = column.data_page_offset
    dictionary = column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    return _Chunk(start, column.total_compressed_size)
