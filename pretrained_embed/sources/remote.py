"""Files on other machines that are read where they are, by ranges.

``s3://``, ``gs://``, ``hf://``, ``az://`` and what else fsspec has a package for; and
``remote+https://``, which is ``https://`` without the download: a library downloads a
bare ``https://`` URL once, and keeps the file. ``remote+`` is a part of the URL, not an
option, so that one source of several can be read so, and a worker process that is given
the address does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import RawIOBase
from typing import BinaryIO, Protocol, cast

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import http_file, object_store
from pretrained_embed.sources.far import Far, Requests
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.patience import Failure, Patience, persist
from pretrained_embed.sources.ranged import RangedFile
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream
from pretrained_embed.sources.url import Url

DIRECT = "remote+"


class Remote(Far, Protocol):
    """A file on another machine, as its protocol gives it."""

    size: int | None
    version: str | None  # another one is another file; None: it cannot be told
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
) -> tuple[AnyStream, str | None]:
    """Return the bytes at a URL, and the member that is named behind a ``#``.

    Where the host gives no ranges the stream is read from front to back. Where it names
    no versions it is read once, for two answers may be of two versions. Raises
    `UnknownSourceError` where there is no such file, `MissingPackageError` where the
    package for its protocol is not installed, and `SourceError` where it cannot be had.
    """
    words = Url(words)
    url, member = words.parted()
    if offline:
        raise SourceError(f"{words}: is on another machine, and the network is off")
    patience = patience or Patience()
    try:
        found = persist(lambda: _find(url, patience), patience)
    except Failure as failure:
        raise SourceError(f"{url}: cannot be read: {failure}") from failure
    facts: dict[str, object] = {
        "source": str(words),
        "name": url.rpartition("/")[2],
        "url": str(url),
        "size": found.size,
        "version": found.version,
    }
    return _stream(found, url, facts, patience), member or None


def _find(url: Url, patience: Patience) -> Remote:
    if url.scheme.startswith(DIRECT):
        return http_file.HttpFile(Url(url.whole[len(DIRECT) :]), str(url), patience)
    return object_store.StoredFile(url)


def _stream(
    found: Remote, url: Url, facts: dict[str, object], patience: Patience
) -> AnyStream:
    name, size = found.name, found.size
    if found.version is None:
        return OneShot(name, found.whole, facts)
    identity = Identity(str(facts["source"]), size, version=found.version)
    if size is None or not found.ranges:
        return Stream(
            name, found.whole, facts, size=size, address=url, identity=identity
        )
    requests = Requests(found, size, patience)
    return RemoteStream(
        name,
        lambda: RangedFile(requests, 0, None),
        facts,
        size=size,
        address=url,
        identity=identity,
        requests=requests,
    )
