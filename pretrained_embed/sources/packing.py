"""Compression and archives, taken off a stream in the order they were put on."""

from __future__ import annotations

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import archive, compressed
from pretrained_embed.sources.spool import rereadable
from pretrained_embed.sources.stream import AnyStream


def unpacked(stream: AnyStream, member: str | None = None) -> AnyStream:
    """Return the bytes of ``stream`` without compression, and of one member only.

    That is: of a compressed file, an archive, a compressed archive, each with a member
    that may be compressed once more. Raises `SourceError` where there is
    no such member or no single one, `MissingPackageError` where a package that
    decompresses it is not installed, and `FormatError` where an archive is damaged.
    """
    stream = _decompressed(stream)
    expected = member is not None or stream.name.lower().endswith((".zip", ".exe"))
    kind = archive.archive_kind(stream, expected=expected)
    if kind is None:
        if member is not None:
            raise SourceError(
                f"{stream.name}: is no zip or tar archive, so it has no member "
                f"{member!r}"
            )
        return stream
    stream = rereadable(
        stream
    )  # what is in an archive has to be seen before it is read
    found = archive.extracted(stream, kind, member)
    return stream if found is None else _decompressed(found)


def _decompressed(stream: AnyStream) -> AnyStream:
    kind = compressed.compression(stream.head(archive.HEAD))
    return stream if kind is None else compressed.decompressed(stream, kind)
