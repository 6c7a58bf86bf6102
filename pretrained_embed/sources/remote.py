"""Files on other machines that are read where they are, by ranges.

``s3://``, ``gs://``, ``hf://``, ``az://`` and what else fsspec has a package for; and
``remote+https://``, which is ``https://`` without the download: a bare ``https://``
URL is downloaded once, verified and kept (`pretrained_embed.sources.fetching`). It is a
part of the URL, not an option, so that one source of several can be read so, and a
worker process that is given the address does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import RawIOBase
from typing import BinaryIO, Protocol, cast
from urllib.parse import urlsplit

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import http_file, object_store
from pretrained_embed.sources.far import Far, Requests
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.patience import Failure, Patience, persist
from pretrained_embed.sources.ranged import RangedFile
from pretrained_embed.sources.stream import Stream

DIRECT = "remote+"


class Remote(Far, Protocol):
    """A file on another machine, as its protocol gives it."""

    size: int | None
    version: str | None  # another one is another file
    ranges: bool  # whether `get` can be asked, where the size is known

    def whole(self) -> RawIOBase:
        """Open all bytes, to be read from the first to the last."""


@dataclass(frozen=True)
class RemoteStream(Stream):
    """Bytes on another machine of which any range can be read."""

    requests: Requests = field(kw_only=True, repr=False)

    @property
    def ranges(self) -> bool:
        """True."""
        return True

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        return self.requests.head(size)

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from ``begin`` on. See `Stream`."""
        return cast(BinaryIO, RangedFile(self.requests, begin, end))


def open_remote(
    words: str, *, offline: bool, patience: Patience | None = None
) -> tuple[Stream, str | None]:
    """Return the bytes at a URL, and the member that is named behind a ``#``.

    Where the host gives no ranges the stream is read from front to back. Raises
    `UnknownSourceError` where there is no such file, `MissingPackageError` where the
    package for its protocol is not installed, and `SourceError` where it cannot be had.
    """
    url, _, member = words.partition("#")
    if offline:
        raise SourceError(f"{words}: is on another machine, and the network is off")
    if urlsplit(url).password is not None:
        raise SourceError(
            "a URL with a password in it is not read, for sources are named in results "
            "and messages; credentials are taken from the environment"
        )
    patience = patience or Patience()
    try:
        found = persist(lambda: _find(url, patience), patience)
    except Failure as failure:
        raise SourceError(f"{url}: cannot be read: {failure}") from failure
    facts: dict[str, object] = {
        "source": words,
        "name": url.rpartition("/")[2],
        "url": url,
        "size": found.size,
        "version": found.version,
    }
    return _stream(found, facts, patience), member or None


def _find(url: str, patience: Patience) -> Remote:
    if url.lower().startswith(DIRECT):
        return http_file.HttpFile(url[len(DIRECT) :], url, patience)
    return object_store.StoredFile(url)


def _stream(found: Remote, facts: dict[str, object], patience: Patience) -> Stream:
    name, size = found.name, found.size
    identity = Identity(str(facts["source"]), size, version=found.version)
    if size is None or not found.ranges:
        return Stream(
            name, found.whole, facts, size=size, address=name, identity=identity
        )
    requests = Requests(found, size, patience)
    return RemoteStream(
        name,
        lambda: RangedFile(requests, 0, None),
        facts,
        size=size,
        address=name,
        identity=identity,
        requests=requests,
    )
