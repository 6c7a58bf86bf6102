"""Streams of what is at hand: files, folders, pipes, standard input, open handles."""

from __future__ import annotations

import errno
import io
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.files.digests import fingerprint
from pretrained_embed.files.pipes import open_pipe
from pretrained_embed.sources.guard import Guarded
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Folder(Stream):
    """A folder: it has a path and no bytes."""

    def head(self, size: int) -> bytes:
        """Return no bytes."""
        return b""


def from_path(path: Path, words: str) -> AnyStream:
    """Return the stream of a file, a folder or a named pipe.

    ``words`` are the user's own for it. A folder cannot be opened; its ``path`` is
    for formats that are folders. Raises `UnknownSourceError` where there is nothing,
    `SourceError` where it cannot be read.
    """
    name = str(path)
    facts: dict[str, object] = {"source": words, "name": name}
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Folder(name, lambda: _open(path), facts, path=path)
        if stat.S_ISREG(status.st_mode):
            facts["size"] = status.st_size
            facts["fingerprint"] = told = f"blake2b-128-sampled:{fingerprint(path)}"
            return Stream(
                name,
                lambda: _open(path),
                facts,
                size=status.st_size,
                path=path,
                address=str(path.absolute()),
                identity=Identity(words, status.st_size, told, files=(path,)),
            )
    except OSError as error:
        raise _unusable(name, error) from error
    except ValueError as error:  # a NUL in the path
        raise UnknownSourceError(f"{name!r}: no file can have this name") from error
    is_pipe = stat.S_ISFIFO(status.st_mode)
    return OneShot(name, lambda: _open_pipe(path) if is_pipe else _open(path), facts)


def from_stdin() -> OneShot:
    """Return the stream of standard input."""
    facts = {"source": "-", "name": "<stdin>"}
    return OneShot("<stdin>", lambda: _Unclosed(sys.stdin.buffer, "<stdin>"), facts)


def from_handle(handle: Any) -> AnyStream:
    """Return the stream of an open binary file, from where it stands.

    One that can seek may be read again and again, one that cannot once. It is never
    closed here. Raises `SourceError` for a text file or a closed one.
    """
    name = str(getattr(handle, "name", f"<{type(handle).__name__}>"))
    facts: dict[str, object] = {"source": name, "name": name}
    if isinstance(handle, io.TextIOBase) or hasattr(handle, "encoding"):
        raise SourceError(
            f"{name}: the file is open as text, which changes bytes; open it with 'rb'"
        )
    if getattr(handle, "closed", False):
        raise SourceError(f"{name}: the file is closed already")
    if not (hasattr(handle, "seekable") and handle.seekable()):
        return OneShot(name, lambda: _Unclosed(handle, name), facts)
    start = handle.tell()
    size = handle.seek(0, io.SEEK_END) - start
    handle.seek(start)
    facts["size"] = size
    return Stream(name, lambda: _View(handle, name, start), facts, size=size)


def _open(path: Path) -> BinaryIO:
    try:
        return cast(BinaryIO, path.open("rb", buffering=0))
    except OSError as error:
        raise _unusable(str(path), error) from error


def _unusable(name: str, error: OSError) -> SourceError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UnknownSourceError(
            f"{name!r}: no such file, and no known source of vectors has this name; "
            "pretrained-embed list shows the names there are"
        )
    if error.errno == errno.EISDIR:
        return SourceError(f"{name}: is a folder; name a file in it")
    if error.errno == errno.ELOOP:
        return SourceError(f"{name}: is a symbolic link that leads back to itself")
    if isinstance(error, TimeoutError):
        return SourceError(f"{name}: {error}")
    return SourceError(f"{name}: cannot be read: {error.strerror or error}")


def _open_pipe(path: Path) -> BinaryIO:
    try:
        return open_pipe(path)
    except OSError as error:
        raise _unusable(str(path), error) from error


class _Unclosed(Guarded):
    """A handle that somebody else owns and closes."""

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        if hasattr(self._inner, "readinto"):
            return super().readinto(buffer)
        target = memoryview(buffer).cast("B")
        data = self._inner.read(len(target))
        if not isinstance(data, bytes):
            raise SourceError(f"{self._name}: reading gave {type(data).__name__}")
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Leave the handle open."""
        io.RawIOBase.close(self)


class _View(_Unclosed):
    """A handle that can seek, read from ``start`` on, with a place of its own."""

    def __init__(self, file: BinaryIO, name: str, start: int) -> None:
        super().__init__(file, name)
        self._start = start
        self._place = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset``; return the place relative to ``start``."""
        if whence == io.SEEK_CUR:
            offset += self._place
        elif whence == io.SEEK_END:
            offset += self._inner.seek(0, io.SEEK_END) - self._start
        self._place = offset
        return offset

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        self._inner.seek(self._start + self._place)
        count = super().readinto(buffer)
        self._place += count
        return count
