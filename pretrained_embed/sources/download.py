"""One published file, or a piece of it, brought from the first host that has it.

What was got is kept and gone on with: after a broken connection, after Ctrl-C, after a
crash, by Range requests that name the version of the file (RFC 9110, 13.1.5). The file
gets its name when it is complete and right, and not before.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import Hashes
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import http
from pretrained_embed.sources.http import Part
from pretrained_embed.sources.partial import Partial, Version, check_room
from pretrained_embed.sources.patience import Failure, Patience, persist
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.sources.connections import Session


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
    patience: Patience,
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
                    lambda: _ask(session, piece, partial, patience, progress),
                    patience,
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
    patience: Patience,
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
        patience,
        covered=piece.covered,
        span=piece.span(partial.size),
        validator=validator,
    ) as part:
        total = _length(piece, part, patience)
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
        _receive(part, piece, partial, patience, progress)


def _changed() -> Failure:
    return Failure("the file has changed", again=True, start_over=True)


def _goes_on(piece: Piece, version: Version) -> bool:
    """Whether a part of ``version`` may be gone on with."""
    if piece.size is not None and version.total not in (None, piece.size):
        return False
    # Without a validator only a published checksum can tell that the file is the same.
    return piece.covered or (version.url == piece.url and version.validator is not None)


def _length(piece: Piece, part: Part, patience: Patience) -> int | None:
    """Return how many bytes the piece has."""
    if piece.start is not None:
        if part.response.status_code != 206:
            raise NotPiecewise(_MEANWHILE)
        return piece.size
    if part.total is None and piece.size is None and not part.ends_by_itself:
        raise Failure("the host does not say how long the file is")
    if None not in (piece.size, part.total) and piece.size != part.total:
        what = http.not_vectors(next(http.body(part, patience), b""))
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
    part: Part,
    piece: Piece,
    partial: Partial,
    patience: Patience,
    progress: Progress | None,
) -> None:
    total = None if partial.version is None else partial.version.total
    for chunk in http.body(part, patience):
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
