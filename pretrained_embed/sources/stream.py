"""Streams: named bytes, which sources pass to formats.

`Stream` can be opened any number of times; `OneShot` (standard input, a pipe, a handle
that cannot seek) once; `pretrained_embed.sources.remote` has a stream that is read by
ranges over the network. They open unbuffered binary files with ``readinto``. Errors of
decompressors and handles become `SourceError`, `FormatError` or `TruncatedError` with
the name of the file.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.sources.url import with_member

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from pretrained_embed.sources.identity import Identity


class Guarded(io.RawIOBase):
    """A binary file that reads another one and translates its errors.

    ``closing`` closes ``file`` and its source.
    """

    def __init__(
        self,
        file: IO[bytes] | io.RawIOBase,
        name: str,
        closing: ExitStack | None = None,
    ) -> None:
        self._inner: Any = file  # of BinaryIO, not every class has readinto
        self._name = name
        self._closing = closing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        with refusing_damage(self._name):
            return int(self._inner.readinto(buffer) or 0)

    def close(self) -> None:
        """Close all that was opened."""
        if not self.closed:
            super().close()
            if self._closing is None:
                self._inner.close()
            else:
                self._closing.close()


#: Opens bytes for reading from the beginning.
Opener = Callable[[], IO[bytes] | io.RawIOBase]


@dataclass(frozen=True)
class Stream:
    """Bytes that can be opened any number of times.

    ``size`` is the number of bytes, if known; ``path`` the plain local file with
    exactly these bytes; ``provenance`` has JSON-compatible values. `open_source` of
    ``address`` opens the same bytes in another process; ``None`` if that is impossible.
    ``identity`` identifies the bytes, if they can be recognised again. ``packed`` is
    the size of the file before decompression. ``read_options`` are for readers.
    ``fragment`` is the text after the ``#`` of the name, if it is no member of an
    archive: formats interpret it. A source of several files has ``parts``, and no bytes
    of its own.
    """

    name: str
    opener: Opener = field(repr=False)
    provenance: Mapping[str, object] = field(default_factory=dict)
    size: int | None = None
    path: Path | None = None
    tokens_path: Path | None = None
    address: str | None = None
    identity: Identity | None = None
    packed: int | None = None
    read_options: ReadOptions = USUAL
    fragment: str | None = None
    parts: tuple[Stream, ...] = ()

    @property
    def packed_size(self) -> int | None:
        """The size in bytes before decompression."""
        return self.size if self.packed is None else self.packed

    @property
    def ranges(self) -> bool:
        """Whether the size is known and any range can be opened, several at a time."""
        return self.path is not None and self.size is not None

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        with self.open() as file:
            return read_fully(file, size)

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from ``begin`` on, which is 0 without `ranges`.

        ``end`` is a hint: little will be read after it. Raises `SourceError` if they
        cannot be opened.
        """
        file = cast(BinaryIO, self.opener())
        if begin:
            file.seek(begin)
        return file


class OneShot:
    """Bytes that can be read once. ``open`` also yields the bytes of ``head``."""

    size: int | None = None
    packed_size: int | None = None
    path: Path | None = None
    tokens_path: Path | None = None
    address: str | None = None
    identity: Identity | None = None
    fragment: str | None = None
    ranges = False
    parts: tuple[Stream, ...] = ()

    def __init__(
        self,
        name: str,
        opener: Opener,
        provenance: Mapping[str, object],
        read_options: ReadOptions = USUAL,
    ) -> None:
        self.name = name
        self.read_options = read_options
        self.provenance = provenance
        self._opener = opener
        self._file: BinaryIO | None = None
        self._head = b""
        self._taken = False

    def _started(self) -> BinaryIO:
        if self._taken:
            raise SourceError(
                f"{self.name}: these bytes can be read only once and have been; "
                "save them to a file to read them again"
            )
        if self._file is None:
            self._file = cast(BinaryIO, self._opener())
        return self._file

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        file = self._started()
        self._head += read_fully(file, size - len(self._head))
        return self._head[:size]

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from the start: once.

        ``begin`` is 0, and ``end`` is ignored. Raises `SourceError` the second time.
        """
        file = self._started()
        self._taken = True
        return cast(BinaryIO, _Replay(self.name, self._head, file))


AnyStream = Stream | OneShot


def with_options(stream: AnyStream, options: ReadOptions) -> AnyStream:
    """Return a stream of the same bytes with other options for reading."""
    if isinstance(stream, OneShot):
        stream.read_options = options
        return stream
    return replace(stream, read_options=options)


def with_fragment(stream: AnyStream, fragment: str) -> AnyStream:
    """Return a stream of the same bytes with a fragment; see `Stream`."""
    name = f"{stream.name}#{fragment}"
    if isinstance(stream, OneShot):
        stream.name, stream.fragment = name, fragment
        return stream
    return replace(
        stream,
        name=name,
        fragment=fragment,
        address=stream.address and with_member(stream.address, fragment),
        identity=stream.identity and replace(stream.identity, member=fragment),
    )


def derived(
    stream: AnyStream,
    name: str,
    opener: Opener,
    *,
    size: int | None = None,
    address: str | None = None,
    member: str | None = None,
    **facts: object,
) -> AnyStream:
    """Return a stream of other bytes that are derived from those of ``stream``.

    ``opener`` opens ``stream``; ``facts`` are added to the provenance, and so is
    ``member``, that of an archive; ``address`` is as in `Stream`.
    """
    identity, provenance = stream.identity, dict(stream.provenance)
    if member is not None:
        provenance["member"] = member
        identity = identity and replace(identity, member=member)
    provenance |= facts
    if isinstance(stream, OneShot):
        return OneShot(name, opener, provenance, stream.read_options)
    return Stream(
        name,
        opener,
        provenance,
        size=size,
        address=address,
        identity=identity,
        packed=stream.packed_size,
        read_options=stream.read_options,
    )


class _Replay(Guarded):
    """The bytes that were read already, then the rest of the file."""

    def __init__(self, name: str, head: bytes, file: BinaryIO) -> None:
        super().__init__(file, name)
        self._head = memoryview(head)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        if not self._head:
            return super().readinto(buffer)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._head))
        target[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def rereadable(stream: AnyStream) -> Stream:
    """Return a stream of the same bytes that can be opened any number of times.

    A `OneShot` is copied to the disk; the copy is deleted with the returned stream.
    Raises `SourceError` if the disk has no room.
    """
    if not isinstance(stream, OneShot):
        return stream
    import shutil
    import tempfile

    try:
        handle, name = tempfile.mkstemp(prefix="pretrained-embed-")
        path = Path(name)
        try:
            with stream.open() as source, open(handle, "wb") as copy:  # noqa: PTH123  (a descriptor, not a path)
                shutil.copyfileobj(source, copy, 1 << 20)
        except BaseException:
            path.unlink()
            raise
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"{stream.name}: cannot be kept in a temporary file: "
            f"{error.strerror or error}"
        ) from error
    size = path.stat().st_size
    kept = Stream(
        stream.name,
        lambda: path.open("rb", buffering=0),
        stream.provenance,
        size,
        path,
        read_options=stream.read_options,
        fragment=stream.fragment,
    )
    weakref.finalize(kept, path.unlink)
    return kept
