"""Bytes that go by once, kept in a temporary file so that they can be read again."""

from __future__ import annotations

import weakref
from pathlib import Path

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream


def rereadable(stream: AnyStream) -> Stream:
    """Return a stream of the same bytes that can be opened as often as one likes.

    A `OneShot` is copied to the disk; its copy goes with the stream that is returned.
    Raises `SourceError` where the disk has no room.
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
    )
    weakref.finalize(kept, path.unlink)
    return kept
