"""The bytes of a table of Arrow: mapped, or asked for where they are.

pyarrow reads them from here.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pretrained_embed.budget import USUAL, Budget, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.files.reading import read_fully
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


class Content(Protocol):
    """The bytes of a file of which any are at hand."""

    size: int

    def view(self, start: int, size: int) -> memoryview:
        """Return some of them."""

    def opened(self) -> Any:
        """Return what pyarrow reads them from; of each thread its own."""


class Mapped:
    """The bytes of a local file; see `Content`."""

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


class Source:
    """A file to open: a stream, or a path and how it is read."""

    def __init__(self, stream: ByteStream | Path, options: ReadOptions = USUAL) -> None:
        self._stream = stream
        self._options = options
        self._held = ExitStack()
        self.name = str(stream) if isinstance(stream, Path) else stream.name

    def mapped(self) -> tuple[Mapped, Budget]:
        """Return the bytes of a file, on this machine, and their budget."""
        stream = self._stream
        if isinstance(stream, Path):
            with open_file(stream, self._options) as file:
                budget = self._options.budget_of(self.name, file_size(file))
                return _mapped(file, self.name), budget
        with open_local(stream) as file:
            return _mapped(file, stream.name), budget_of(stream, file)

    def open(self) -> tuple[Content, Budget]:
        """Return the bytes of a file, which may stay where they are, and the budget."""
        stream = self._stream
        if isinstance(stream, Path):
            return self.mapped()
        if stream.ranges and stream.path is None and stream.size is not None:
            self._held.enter_context(stream.open(0, 0))  # so that one version is read
            budget = stream.read_options.budget_of(stream.name, stream.size)
            return _Far(stream, stream.size), budget
        return self.mapped()

    def again(self, content: Content) -> Content:
        """Return the bytes for another thread."""
        if isinstance(content, _Far) and not isinstance(self._stream, Path):
            return _Far(self._stream, content.size)
        return content

    def close(self) -> None:
        """Release what is held open."""
        self._held.close()


def _mapped(file: LocalFile, where: str) -> Mapped:
    with refusing_damage(where):
        return Mapped(map_file(file))
