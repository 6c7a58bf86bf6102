"""From a path, an open file or the URL of a remote file to a stream of bytes.

What has a name, and what is downloaded first, is the business of
`pretrained_embed.library`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pretrained_embed.errors import OptionError
from pretrained_embed.files.presence import is_file
from pretrained_embed.sources import local, packing
from pretrained_embed.sources.stream import AnyStream
from pretrained_embed.sources.url import url_or_words

if TYPE_CHECKING:
    from pretrained_embed.sources.patience import Patience


class Readable(Protocol):
    """An open binary file, or what is enough of one."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


#: A path, a name, a URL, ``archive.zip#member``, ``-``, or an open binary file.
Source = str | bytes | os.PathLike[str] | os.PathLike[bytes] | Readable

_REMOTE = re.compile(
    r"remote\+https?://"
    r"|(?!https?:|file:)(?:[a-z][a-z0-9.+-]*::)*[a-z][a-z0-9.+-]+://",
    re.IGNORECASE,
)


def words_of(source: Source) -> str | None:
    """Return what a user has written, a `Url` where it is one; ``None`` for a file.

    Raises `OptionError` for what can be no source, `SourceError` for a URL with a
    password in it.
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
    """Whether this is the URL of a file that is read where it is."""
    return _REMOTE.match(words) is not None


def open_source(
    source: Source, *, offline: bool = False, patience: Patience | None = None
) -> AnyStream:
    """Return the bytes of a path, of an open file or of a remote file, unpacked.

    ``s3://`` and the like, and ``remote+https://``, are read where they are, unless
    ``offline``. Compression and archives are recognised by content and read as streams.
    Raises `UnknownSourceError` where there is no such file, `SourceError` where it
    cannot be read, `MissingPackageError` where a package for it is not installed, and
    `FormatError` where an archive is damaged.
    """
    words = words_of(source)
    if words is None:
        return packing.unpacked(local.from_handle(source))
    if isinstance(source, str):
        if words == "-":
            return packing.unpacked(local.from_stdin())
        if is_remote(words):
            from pretrained_embed.sources.remote import open_remote

            found = open_remote(words, offline=offline, patience=patience)
            return packing.unpacked(*found)
    return packing.unpacked(*_from_path(words))


def _from_path(words: str) -> tuple[AnyStream, str | None]:
    """Take ``words`` as a path, or as ``archive#member`` where that is none."""
    path = Path(words).expanduser()
    for mark in re.finditer("#", words):
        if os.path.lexists(path):
            break
        before = Path(words[: mark.start()]).expanduser()
        if is_file(before):
            return local.from_path(before, words), words[mark.end() :]
    return local.from_path(path, words), None
