"""The members of a tar archive: POSIX.1-2001 (pax), GNU and older."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from pretrained_embed.budget import Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.sources.guard import Guarded
from pretrained_embed.sources.member import Member, name_fault
from pretrained_embed.sources.stream import Opener, Stream

if TYPE_CHECKING:
    import tarfile

_BUFFER = 1 << 18
_LONGEST_HEADER = 1 << 20  # bytes that say more of a member, such as its long name
_MEMBER = 4096  # bytes that is known of a member takes


def tar_members(stream: Stream) -> Iterator[Member]:
    """Yield the members of a tar archive. Raises as `archive.extracted` does."""
    with ExitStack() as closing:
        archive = _open_tar(stream, closing)
        size = stream.packed_size
        budget = Budget(stream.name, size) if size is not None else None
        while info := _next(stream.name, archive):
            if budget is not None:  # headers can be packed a thousand to one
                budget.take(_MEMBER + len(info.name))
            if not info.isdir():
                fault = name_fault(info.name)
                if not info.isreg():
                    fault = "is a link or a device, not a file; name a file"
                if info.issparse():
                    fault = "is stored with holes; unpack it first"
                yield Member(info.name, info.size, fault, _tar_opener(stream, info))


def _next(name: str, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    with refusing_damage(name):
        return archive.next()


def _tar_opener(stream: Stream, info: tarfile.TarInfo) -> Opener:
    def opener() -> Guarded:
        name = f"{stream.name}#{info.name}"
        with ExitStack() as closing:
            archive = _open_tar(stream, closing)
            with refusing_damage(name):
                # The place noted in ``info`` is valid in every opening of the archive.
                file = closing.enter_context(archive.fileobject(archive, info))
            return Guarded(file, name, closing.pop_all())

    return opener


def _bounded_header(name: str) -> type[tarfile.TarInfo]:
    """Return the class of headers, of which one that says more of a member is short.

    `tarfile` reads such a header whole, however long it says it is.
    """
    import tarfile

    more = (
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    )

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            header = super().frombuf(buf, encoding, errors)
            if header.type in more and header.size > _LONGEST_HEADER:
                raise FormatError(
                    f"{name}: a header of {header.size:,} bytes; the archive is damaged"
                )
            return header

    return Header


def _open_tar(stream: Stream, closing: ExitStack) -> tarfile.TarFile:
    import tarfile

    raw = closing.enter_context(stream.open())
    with refusing_damage(stream.name):
        header = _bounded_header(stream.name)
        if raw.seekable():
            return closing.enter_context(
                tarfile.open(fileobj=raw, mode="r:", tarinfo=header)
            )
        return closing.enter_context(
            tarfile.open(fileobj=raw, mode="r|", bufsize=_BUFFER, tarinfo=header)
        )
