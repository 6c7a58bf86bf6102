"""From a path, an open file or the URL of a remote file to a stream.

Names and downloads are in `pretrained_embed.library`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.errors import OptionError, SourceError, UnknownSourceError
from pretrained_embed.files.digests import fingerprint
from pretrained_embed.files.reading import exists, open_pipe
from pretrained_embed.sources import archive, compressed
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import (
    AnyStream,
    Guarded,
    OneShot,
    Stream,
    rereadable,
    with_fragment,
    with_options,
)
from pretrained_embed.sources.url import Url, url_or_words

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from pretrained_embed.sources.http import Retry


class Readable(Protocol):
    """An open binary file, or a similar object."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


#: A path, a name, a URL, ``archive.zip#member``, ``-``, or an open binary file.
Source = str | bytes | os.PathLike[str] | os.PathLike[bytes] | Readable

_REMOTE = re.compile(
    r"remote\+https?://"
    r"|(?!https?:|file:)(?:[a-z][a-z0-9.+-]*::)*[a-z][a-z0-9.+-]+://",
    re.IGNORECASE,
)


#: The special characters in a pattern of names.
_MAGIC = re.compile(r"[*?\[]")


def words_of(source: Source) -> str | None:
    """Return the text of a user, as a `Url` if it is one; ``None`` for a file.

    Raises `OptionError` for a value that is no source, `SourceError` for a URL with a
    password.
    """
    if hasattr(source, "read"):
        return None
    if not isinstance(source, str | bytes | os.PathLike):
        raise OptionError(
            "a source is a name, a URL, a path or an open binary file, "
            f"not {type(source).__name__}"
        )
    return url_or_words(os.fsdecode(source))


def is_remote(words: str) -> bool:
    """Return whether this is the URL of a file that is read remotely."""
    return _REMOTE.match(words) is not None


def open_source(
    source: Source,
    *,
    offline: bool = False,
    retry: Retry | None = None,
    read_options: ReadOptions = USUAL,
) -> AnyStream:
    """Return the bytes of a path, an open file or a remote file, decompressed.

    ``s3://`` and the like, and ``remote+https://``, are read remotely, unless
    ``offline``. Compression and archives are recognised by content and read as streams.
    ``read_options`` are those of the stream. A pattern of names that is no file, such
    as ``part-*.txt``, is one source of all files that it matches; so are, in an object
    store, a pattern with ``*``, and a folder whose URL ends with a slash. Raises
    `UnknownSourceError` if there is no such file, `SourceError` if it cannot be read,
    `MissingPackageError` if a package for it is not installed, and `FormatError` if an
    archive is damaged.
    """
    stream, member = _raw(source, offline, retry, read_options)
    return unpacked(with_options(stream, read_options), member)


def _raw(
    source: Source, offline: bool, retry: Retry | None, read_options: ReadOptions
) -> tuple[AnyStream, str | None]:
    """Return the bytes before decompression, and the requested member."""
    words = words_of(source)
    if words is None:
        return from_handle(source), None
    if isinstance(source, str):
        if words == "-":
            return from_stdin(), None
        if is_remote(words):
            from pretrained_embed.sources.remote import open_remote, parts_of

            urls = None if offline else parts_of(words, retry)
            if urls is None:
                return open_remote(words, offline=offline, retry=retry)
            found = [open_remote(url, offline=offline, retry=retry)[0] for url in urls]
            url, member = Url(words).parted()
            return _in_parts(words, url, found, member or None, read_options), None
    return _from_path(words, read_options)


def _from_path(words: str, read_options: ReadOptions) -> tuple[AnyStream, str | None]:
    """Interpret ``words`` as a path, else as ``archive#member``, else as a pattern."""
    if words[:7].lower() == "file://":
        words = _path_of(words)
    path = Path(words).expanduser()
    for mark in re.finditer("#", words):
        if os.path.lexists(path):
            break
        before = Path(words[: mark.start()]).expanduser()
        if exists(before):
            return from_path(before, words), words[mark.end() :]
    if _MAGIC.search(words) and not os.path.lexists(path):
        return of_pattern(words, read_options), None
    return from_path(path, words), None


def of_folder(stream: Stream) -> Stream:
    """Return the files of a folder as one stream in parts.

    Raises `UnknownSourceError` if there is no file, and `SourceError` if a folder is
    among them.
    """
    from pretrained_embed.sources.folder import files_in  # most sources do not need it

    folder = cast(Path, stream.path)
    words, paths = str(stream.provenance["source"]), files_in(folder)
    options, member = stream.read_options, stream.fragment
    return _in_parts(words, folder, _opened(paths), member, options, paths)


def of_pattern(words: str, read_options: ReadOptions) -> Stream:
    """Return the files that a pattern of names matches as one stream in parts.

    The text after a ``#`` is the fragment of each file. Raises the errors of
    `files_matching`.
    """
    from pretrained_embed.sources.folder import files_matching  # as above

    pattern, paths, member = files_matching(words)
    place = Path(pattern).expanduser()
    return _in_parts(words, place, _opened(paths), member, read_options, paths)


def _opened(paths: Sequence[Path]) -> list[AnyStream]:
    return [from_path(path, str(path)) for path in paths]


def _in_parts(
    words: str,
    place: str | Path,
    found: Sequence[AnyStream],
    member: str | None,
    read_options: ReadOptions,
    paths: Sequence[Path] = (),
) -> Stream:
    """Return files, in order, as one stream; see `joined`."""
    from pretrained_embed.sources.folder import joined

    streams = [with_options(stream, read_options) for stream in found]
    parts = [rereadable(unpacked(stream, member)) for stream in streams]
    return joined(words, place, parts, member, read_options, paths)


def _path_of(url: str) -> str:
    """Return the path of a ``file://`` URL; raises `SourceError` for another host."""
    from urllib.parse import unquote
    from urllib.request import url2pathname

    host, slash, path = url[7:].partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise SourceError(
            f"{url}: a path on another machine; a file here is file:///path/to/file"
        )
    path, mark, member = path.partition("#")
    return f"{url2pathname(f'/{path}')}{mark}{unquote(member)}"


class FolderStream(Stream):
    """A folder: a path without bytes."""

    def head(self, size: int) -> bytes:
        """Return no bytes."""
        return b""


def from_path(path: Path, words: str) -> AnyStream:
    """Return the stream of a file, a folder or a named pipe.

    ``words`` is the text of the user. A folder cannot be opened; its ``path`` is for
    formats that are folders. Raises `UnknownSourceError` if it does not exist,
    `SourceError` if it cannot be read.
    """
    name = str(path)
    facts: dict[str, object] = {"source": words, "name": name}
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return FolderStream(name, lambda: _open(path), facts, path=path)
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
    """Return the stream of an open binary file, from its position.

    A file that can seek may be read any number of times, another one once. It is never
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
    """A handle that its owner closes."""

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
    """A handle that can seek, read from ``start`` on, with its own position."""

    def __init__(self, file: BinaryIO, name: str, start: int) -> None:
        super().__init__(file, name)
        self._start = start
        self._place = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset``; return the position relative to ``start``."""
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


def unpacked(stream: AnyStream, member: str | None = None) -> AnyStream:
    """Return the bytes of ``stream`` decompressed, and of one member only.

    It may be a compressed file, an archive or a compressed archive, each with a member
    that may be compressed again. A file that is no archive keeps the name of the member
    as its ``fragment``. Raises `SourceError` if there is no such member or no single
    one, `MissingPackageError` if a package for decompression is not installed, and
    `FormatError` if an archive is damaged.
    """
    if stream.parts:  # each is decompressed
        return stream
    stream = _decompressed(stream)
    expected = member is not None or stream.name.lower().endswith((".zip", ".exe"))
    kind = archive.archive_kind(stream, expected=expected)
    if kind is not None:
        # the content of an archive must be known before it is read
        stream = rereadable(stream)
        found = archive.extracted(stream, kind, member)
        if found is not None:
            return _decompressed(found)
    return stream if member is None else with_fragment(stream, member)


def _decompressed(stream: AnyStream) -> AnyStream:
    kind = compressed.compression(stream.head(archive.HEAD))
    return stream if kind is None else compressed.decompressed(stream, kind)
