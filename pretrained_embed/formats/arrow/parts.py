"""A table in parts, row groups of Parquet or record batches of Arrow, and its bytes.

Its tokens are read first, and the vectors of those parts alone that have rows which are
wanted. The bytes are mapped, or asked for where they are; pyarrow reads them from here.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens
from pretrained_embed.budget import USUAL, Budget, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.files.reading import read_fully
from pretrained_embed.formats.arrow.columns import Projection, project, project_tokens
from pretrained_embed.formats.arrow.own_columns import (
    KEY,
    TOKEN,
    VECTOR,
    OwnMetadata,
)
from pretrained_embed.formats.columns import refuse_rows
from pretrained_embed.formats.findings import Doubt
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


class FileBytes(Protocol):
    """The bytes of a file of which any are at hand."""

    size: int

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them."""

    def opened(self) -> Any:
        """Return what pyarrow reads them from; of each thread its own."""


class MappedBytes:
    """The bytes of a local file; see `FileBytes`."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.size = len(data)

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them, which are mapped."""
        return memoryview(self.data)[start : start + size]

    def opened(self) -> Any:
        """Return a reader of all."""
        import pyarrow as pa

        return pa.BufferReader(pa.py_buffer(self.data))


class _FarBytes(io.RawIOBase):
    """The bytes of a file on another machine; see `FileBytes`.

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


class TableFile:
    """A file to open: a stream, or a path and how it is read."""

    def __init__(self, stream: ByteStream | Path, options: ReadOptions = USUAL) -> None:
        self._stream = stream
        self._options = options
        self._held = ExitStack()
        self.name = str(stream) if isinstance(stream, Path) else stream.name

    def mapped(self) -> tuple[MappedBytes, Budget]:
        """Return the bytes of a file, on this machine, and their budget."""
        stream = self._stream
        if isinstance(stream, Path):
            with open_file(stream, self._options) as file:
                budget = self._options.budget_of(self.name, file_size(file))
                return _mapped(file, self.name), budget
        with open_local(stream) as file:
            return _mapped(file, stream.name), budget_of(stream, file)

    def open(self) -> tuple[FileBytes, Budget]:
        """Return the bytes of a file, which may stay where they are, and the budget."""
        stream = self._stream
        if isinstance(stream, Path):
            return self.mapped()
        if stream.ranges and stream.path is None and stream.size is not None:
            self._held.enter_context(stream.open(0, 0))  # so that one version is read
            budget = stream.read_options.budget_of(stream.name, stream.size)
            return _FarBytes(stream, stream.size), budget
        return self.mapped()

    def again(self, content: FileBytes) -> FileBytes:
        """Return the bytes for another thread."""
        if isinstance(content, _FarBytes) and not isinstance(self._stream, Path):
            return _FarBytes(self._stream, content.size)
        return content

    def close(self) -> None:
        """Release what is held open."""
        self._held.close()


def _mapped(file: LocalFile, where: str) -> MappedBytes:
    with refusing_damage(where):
        return MappedBytes(map_file(file))


#: Bytes of the vectors that are made at a time, about.
BLOCK_BYTES = 1 << 22

#: Yields the vectors of a part in order, (k, dim) at a time.
Blocks = Callable[[int], Generator[AnyArray]]

#: Some vectors, and those of their rows that are malformed.
Decoded = tuple[AnyArray, list[Doubt]]

#: Yields these of a part in order.
Decoder = Callable[[int], Generator[Decoded]]


class PartedTable(ABC):
    """An open table. What its bytes say of themselves is checked."""

    where: str  # the file, for messages
    bounds: Int64Array  # (parts + 1,) the row at which each part begins, and the end
    dim: int
    dtype: np.dtype[Any]  # of the numbers
    columns: Projection
    own: OwnMetadata | None = None  # where it is one of ours

    @abstractmethod
    def tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens of all rows, and the rows that have none, rising."""

    @abstractmethod
    def numbers(self, names: list[str]) -> dict[str, AnyArray]:
        """Return columns of numbers, by name, of all rows."""

    def _choose(
        self, schema: Any, token: str | None, vector: str | None, *, alone: bool
    ) -> Projection:
        """Return the columns to read, and find out whether the table is ours.

        The tokens may be wanted ``alone``.
        """
        if alone:
            return project_tokens(schema, self.where, token)
        raw = (schema.metadata or {}).get(KEY)
        if raw is not None and token is None and vector is None:
            own = OwnMetadata(raw, self.where)
            if {TOKEN, VECTOR} <= {*schema.names}:
                self.own = own
                token, vector = TOKEN, VECTOR
                if not {*own.columns} <= {*schema.names}:  # somebody took some out
                    own.forget_arrays()
        columns = project(schema, self.where, token, vector)
        return columns if self.own is None else columns._replace(notes=())

    @abstractmethod
    def decoder(self, *, shares: bool = False) -> Decoder:
        """Return what yields vectors; a thread has one for itself.

        One that ``shares`` takes its memory out of what several threads may hold
        together. Then what it yields has to be closed, and no thread asks for two.
        """

    def reader(self, *, skips: bool = False, shares: bool = False) -> Blocks:
        """Return the same without the malformed rows, which it raises unless it skips.

        Raises `RowError`, which names the first of them.
        """
        decode = self.decoder(shares=shares)

        def blocks(part: int) -> Generator[AnyArray]:
            with closing(decode(part)) as found:
                for vectors, faults in found:
                    if faults and not skips:
                        refuse_rows(faults, self.where)
                    yield vectors

        return blocks

    def close(self) -> None:  # noqa: B027  (what is in memory holds nothing open)
        """Release what is held open."""


class PartedRows:
    """The vectors of a table in parts, as rows; see `table.Rows`."""

    def __init__(self, parts: PartedTable) -> None:
        self.parts = parts
        self.shape = int(parts.bounds[-1]), parts.dim
        self.dtype = parts.dtype

    def __getitem__(self, rows: slice, /) -> AnyArray:
        """Return some consecutive rows, as a new array."""
        start, stop, _ = rows.indices(self.shape[0])
        out = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
        self.copy(start, out)
        return out

    def copy(self, start: int, out: AnyArray) -> None:
        """Fill ``out`` with the rows from ``start`` on."""
        bounds, stop, blocks = self.parts.bounds, start + len(out), self.parts.reader()
        first = max(0, int(np.searchsorted(bounds, start, "right")) - 1)
        for part in range(first, int(np.searchsorted(bounds, stop, "left"))):
            at = int(bounds[part])
            with np.errstate(over="ignore", invalid="ignore"):
                for block in blocks(part):
                    low, high = max(start, at), min(stop, at + len(block))
                    if low < high:
                        out[low - start : high - start] = block[low - at : high - at]
                    at += len(block)
                    if at >= stop:
                        break
