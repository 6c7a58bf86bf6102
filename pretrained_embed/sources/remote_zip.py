"""One member of a zip archive on a host, without the rest of the archive.

The directory at the end of the archive has the place of the member; only that part is
downloaded. `zipfile` then reads the archive as if it were complete.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.files.digests import Hashes
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import http
from pretrained_embed.sources.archive import member_file, packing_fault
from pretrained_embed.sources.download import NotPiecewise, Piece, download, unpack
from pretrained_embed.sources.http import Answer, Failure, Retry, persist
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    import zipfile

    from pretrained_embed.arrays import Progress
    from pretrained_embed.sources.connections import Session

_TAIL = 1 << 16  # holds the directory of most archives, and any comment after it
_LARGEST_READ = 1 << 26


class _Remote:
    """A file on a host that can seek and keeps the bytes it has read."""

    def __init__(self, get: Callable[[str], tuple[int, bytes, int]]) -> None:
        self._get = get
        start, tail, self.size = get(f"-{_TAIL}")
        self._pieces: list[tuple[int, int, IO[bytes]]] = []
        self.add(start, len(tail), io.BytesIO(tail))
        self._place = 0

    def add(self, start: int, size: int, file: IO[bytes]) -> None:
        """Record that the bytes from ``start`` on are in a local file."""
        self._pieces.append((start, start + size, file))

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._place, self.size)[whence]
        if base + offset < 0:
            raise OSError("seek before the beginning")
        self._place = base + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self._place + size, self.size)
        if end - self._place > _LARGEST_READ:
            raise NotPiecewise("the archive's directory is too large to be true")
        data = b""
        while self._place < end:
            part = self._piece(end)
            data += part
            self._place += len(part)
        return data

    def _piece(self, end: int) -> bytes:
        for start, stop, file in self._pieces:
            if start <= self._place < stop:
                file.seek(self._place - start)
                return file.read(min(end, stop) - self._place)
        last = min(max(end, self._place + _TAIL), self.size) - 1
        start, data, _ = self._get(f"{self._place}-{last}")
        if start != self._place or not data:
            raise NotPiecewise("the host sends another part than it was asked for")
        self.add(start, len(data), io.BytesIO(data))
        return data[: end - self._place]


def download_member(
    session: Session,
    url: Url,
    member: str,
    target: SafePath,
    *,
    covered: bool,
    algorithms: tuple[str, ...],
    check: Callable[[Hashes], str | None],
    retry: Retry,
    progress: Progress | None = None,
) -> Hashes:
    """Download a member of the archive at ``url`` to ``target``; return its digests.

    Its CRC is checked, then ``check`` is called. Raises `NotPiecewise` if only the
    whole archive can be downloaded, another `Failure` if the member cannot.
    """
    import zipfile

    validator: str | None = None

    def get(span: str) -> tuple[int, bytes, int]:
        nonlocal validator
        ask = lambda: _get(session, url, span, validator, covered, retry)  # noqa: E731
        part, data = persist(ask, retry)
        if validator not in (None, part.validator):
            raise NotPiecewise("the file has changed meanwhile")
        validator = part.validator
        return part.start, data, cast(int, part.total)

    remote = cast(BinaryIO, here := _Remote(get))
    try:
        with refusing_damage(url), zipfile.ZipFile(remote) as archive:
            info = _found(archive, member)
            start, size = _extent(archive, info)
            raw = target.beside(".zipped")
            piece = Piece(url, raw, size, covered, start, validator)
            download(session, piece, lambda _: None, retry=retry, progress=progress)
            try:
                with raw.open() as file:
                    here.add(start, size, file)
                    with member_file(archive, remote, info) as opened:
                        size = info.file_size
                        return unpack(opened, size, target, algorithms, check)
            finally:
                raw.remove()
    except FormatError as error:
        raise NotPiecewise(str(error)) from error


def _get(
    session: Session,
    url: Url,
    span: str,
    validator: str | None,
    covered: bool,
    retry: Retry,
) -> tuple[Answer, bytes]:
    with http.get(
        session, url, retry, covered=covered, span=span, validator=validator
    ) as part:
        if part.response.status_code != 206:
            raise NotPiecewise("the host sends whole files only")
        data = b""
        for chunk in http.body(part, retry):
            data += chunk
            if len(data) > _LARGEST_READ:
                raise NotPiecewise("the host sends more than it was asked for")
        return part, data


def _found(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename == member]
    if len(found) != 1:
        names = ", ".join(info.filename for info in archive.infolist()[:20])
        raise Failure(
            f"the archive has {len(found) or 'no'} member {member!r}; it holds: {names}"
        )
    if fault := packing_fault(found[0]):
        raise Failure(f"the member {member!r} {fault}")
    return found[0]


def _extent(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Return where a member with its header begins, and its largest size."""
    start = info.header_offset
    later = [i.header_offset for i in archive.infolist() if i.header_offset > start]
    return start, min([*later, archive.start_dir]) - start
