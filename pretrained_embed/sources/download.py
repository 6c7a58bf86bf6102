"""One published file, or a piece of it, brought from the first host that has it.

What was got is kept and gone on with: after a broken connection, after Ctrl-C, after a
crash, by Range requests that name the version of the file (RFC 9110, 13.1.5). The file
gets its name when it is complete and right, and not before.

``FILE.part`` holds the bytes got so far, ``FILE.part.json`` says of what: the URL, the
validator that names the version of the file there, and how long it is. The digests of
the bytes are taken as they come, and again from the disk when a download goes on.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import IO, TYPE_CHECKING, Self

from pretrained_embed.damage import unless_damaged
from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import Hashes, hashed
from pretrained_embed.files.replacement import free_bytes
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import http
from pretrained_embed.sources.http import Answer, Failure, Retry, persist
from pretrained_embed.sources.url import Url, public

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.sources.connections import Session


#: Room to leave on the disk, in bytes.
_SPARE = 16 << 20


def check_room(folder: SafePath, need: int) -> None:
    """Raise `Failure` unless the disk of ``folder`` has room for ``need`` bytes.

    That many may be what a host says; another one may know better.
    """
    free = free_bytes(folder.checked())
    if free is not None and need + _SPARE > free:
        raise Failure(
            f"{folder}: {need:,} more bytes are needed and {_SPARE:,} to spare; "
            f"{free:,} are free. Make room, or name another cache folder."
        )


@dataclass(frozen=True)
class Version:
    """Which bytes these are a part of."""

    url: str  # as it may be shown
    validator: str | None
    total: int | None


class Partial:
    """The bytes got so far, open for more.

    ``resumed`` tells whether some of them came in an earlier run or try.
    """

    def __init__(self, target: SafePath, algorithms: Iterable[str]) -> None:
        self.path = target.beside(".part")
        self._note = self.path.beside(".json")
        self._algorithms = tuple(algorithms)
        self.version = self._read_note()
        if self.version is None and self.path.status() is not None:
            self.path.remove()  # nobody knows of what this is a part
        self._file = self.path.open("a", buffering=0)
        self.size = self._file.tell()
        self.hashes = hashed(self.path.checked(), self._algorithms)
        self.resumed = self.size > 0

    def _read_note(self) -> Version | None:
        def noted() -> Version:
            known = Version(**json.loads(self._note.read()))
            return replace(known, url=public(known.url))  # older ones are whole

        return unless_damaged(noted)

    def restart(self, version: Version | None = None) -> None:
        """Throw the bytes away; what comes is a part of ``version``."""
        self._note.remove()
        self._file.truncate(0)
        self.size = 0
        self.hashes = Hashes(self._algorithms)
        self.resumed = False
        self.version = version
        if version is not None:
            self._note.write(json.dumps(asdict(version)).encode())

    def write(self, data: bytes) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:  # an unbuffered file may take fewer than it is given
            view = view[self._file.write(view) :]
        self.hashes.update(data)
        self.size += len(data)

    def publish(self, target: SafePath) -> None:
        """Give the file its final name, whole and on disk."""
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(target)
        self._note.remove()

    def discard(self) -> None:
        """Delete the part."""
        self._file.close()
        self.path.remove()
        self._note.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        left = self.path.status()
        if left is not None and left.st_size == 0:
            self.discard()


_MEANWHILE = "the file has changed meanwhile"
#: The disk is full, or what a user may have of it is.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", None), errno.EFBIG)


class NotPiecewise(Failure):
    """The host or the file gives no pieces; the whole file may be had."""


@dataclass(frozen=True)
class Piece:
    """The bytes to get from one URL: a whole file, or ``start`` to ``start + size``."""

    url: Url
    target: SafePath
    size: int | None  # bytes of the piece, where known before
    covered: bool  # whether a published checksum covers them, now or once unpacked
    start: int | None = None  # None: the whole file
    validator: str | None = None  # of the file that ``start`` was found in
    algorithms: tuple[str, ...] = ()

    def span(self, offset: int) -> str | None:
        """Return the Range to ask for when ``offset`` bytes are there already."""
        if self.start is not None and self.size is not None:
            return f"{self.start + offset}-{self.start + self.size - 1}"
        return f"{offset}-" if offset else None


def download(
    session: Session,
    piece: Piece,
    check: Callable[[Hashes], str | None],
    *,
    retry: Retry,
    progress: Progress | None = None,
) -> Hashes:
    """Bring the bytes to ``piece.target``; return their digests.

    ``check`` says what is wrong with them, if anything. Raises `Failure` where this
    URL does not give them, or more of them than the disk has room for; `SourceError`
    where they cannot be written.
    """
    try:
        with Partial(piece.target, piece.algorithms) as partial:
            while True:
                persist(
                    lambda: _ask(session, piece, partial, retry, progress),
                    retry,
                    got=lambda: partial.size,
                    start_over=partial.restart,
                )
                fault = check(partial.hashes)
                if fault is None:
                    partial.publish(piece.target)
                    return partial.hashes
                resumed = partial.resumed
                partial.restart()
                if not resumed:
                    raise Failure(fault)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"{piece.target}: cannot be written: {error.strerror or error}"
        ) from error


def _ask(
    session: Session,
    piece: Piece,
    partial: Partial,
    retry: Retry,
    progress: Progress | None,
) -> None:
    """Ask once for the bytes that are missing."""
    if partial.version is not None and not _goes_on(piece, partial.version):
        partial.restart()
    version = partial.version
    if version is not None and partial.size == version.total:
        return
    validator = piece.validator
    if validator is None and version is not None:
        validator = version.validator
    with http.get(
        session,
        piece.url,
        retry,
        covered=piece.covered,
        span=piece.span(partial.size),
        validator=validator,
    ) as part:
        total = _length(piece, part, retry)
        if (
            not piece.covered
            and part.response.status_code == 206
            and validator not in (None, part.validator)
        ):  # what it was to depend on was ignored
            raise _changed() if piece.start is None else NotPiecewise(_MEANWHILE)
        first = piece.start or 0
        if part.start == first:
            partial.restart()  # all of it comes, because the host or the file says so
        elif part.start != first + partial.size:
            raise Failure("the host sends another part than it was asked for")
        elif version is not None and version.total != total:
            raise _changed()
        if partial.size == 0:
            partial.restart(Version(str(piece.url), part.validator, total))
        check_room(piece.target.parent, 0 if total is None else total - partial.size)
        _receive(part, piece, partial, retry, progress)


def _changed() -> Failure:
    return Failure("the file has changed", again=True, start_over=True)


def _goes_on(piece: Piece, version: Version) -> bool:
    """Whether a part of ``version`` may be gone on with."""
    if piece.size is not None and version.total not in (None, piece.size):
        return False
    # Without a validator only a published checksum can tell that the file is the same.
    return piece.covered or (version.url == piece.url and version.validator is not None)


def _length(piece: Piece, part: Answer, retry: Retry) -> int | None:
    """Return how many bytes the piece has."""
    if piece.start is not None:
        if part.response.status_code != 206:
            raise NotPiecewise(_MEANWHILE)
        return piece.size
    if part.total is None and piece.size is None and not part.ends_by_itself:
        raise Failure("the host does not say how long the file is")
    if None not in (piece.size, part.total) and piece.size != part.total:
        what = http.not_vectors(next(http.body(part, retry), b""))
        raise Failure(
            f"the file there has {part.total:,} bytes, not {piece.size:,}"
            + (f"; it is {what}" if what else "")
        )
    return piece.size if part.total is None else part.total


def _write(chunk: bytes, partial: Partial) -> None:
    try:
        partial.write(chunk)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        if partial.version is None or partial.version.total is None:
            partial.restart()  # it may have no end, and leaves room for no other one
        raise Failure(f"its bytes cannot be kept: {error.strerror}") from error


def _receive(
    part: Answer,
    piece: Piece,
    partial: Partial,
    retry: Retry,
    progress: Progress | None,
) -> None:
    total = None if partial.version is None else partial.version.total
    for chunk in http.body(part, retry):
        if partial.size == 0 and piece.start is None:
            what = http.not_vectors(chunk)
            if what is not None:
                partial.restart()
                raise Failure(f"the host sends {what}")
        if total is not None and partial.size + len(chunk) > total:
            partial.restart()
            raise Failure("the host sends more bytes than it said")
        _write(chunk, partial)
        if progress is not None:
            progress(partial.size, total)
    if total is not None and partial.size < total:
        raise Failure(
            f"the connection ended after {partial.size:,} of {total:,} bytes",
            again=True,
        )


_CHUNK = 1 << 20


def unpack(
    file: IO[bytes],
    size: int,
    target: SafePath,
    algorithms: tuple[str, ...],
    check: Callable[[Hashes], str | None],
    *,
    progress: Progress | None = None,
) -> Hashes:
    """Write the bytes of ``file``, ``size`` of them, to ``target``, if they are right.

    ``check`` says what is wrong with them, if anything. Raises `Failure` then,
    `SourceError` where they cannot be written, and what reading ``file`` raises;
    ``target`` is whole or as it was. Nobody else writes to it meanwhile.
    """
    check_room(target.parent, size)
    hashes = Hashes(algorithms)
    done = 0
    try:
        target.discard_leftovers()
        with target.replacing() as out:
            while chunk := file.read(_CHUNK):
                out.write(chunk)
                hashes.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, size)
            fault = check(hashes)
            if fault is not None:
                raise Failure(fault)
    except OSError as error:
        if error.errno is None:  # it is not the operating system's, but of ``file``
            raise
        raise SourceError(
            f"{target}: cannot be written: {error.strerror or error}"
        ) from error
    return hashes
