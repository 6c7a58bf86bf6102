"""The members of a tar archive: POSIX.1-2001 (pax), GNU and older."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pretrained_embed.sources.guard import Guarded, translated
from pretrained_embed.sources.member import Member, name_fault
from pretrained_embed.sources.stream import Opener, Stream

if TYPE_CHECKING:
    import tarfile

_BUFFER = 1 << 18


def tar_members(stream: Stream) -> Iterator[Member]:
    """Yield the members of a tar archive. Raises as `archive.extracted` does."""
    with ExitStack() as closing:
        archive = _open_tar(stream, closing)
        while info := _next(stream.name, archive):
            if not info.isdir():
                fault = name_fault(info.name)
                if not info.isreg():
                    fault = "is a link or a device, not a file; name a file"
                yield Member(info.name, info.size, fault, _tar_opener(stream, info))


def _next(name: str, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    import tarfile

    with translated(name, (tarfile.TarError,)):
        return archive.next()


def _tar_opener(stream: Stream, info: tarfile.TarInfo) -> Opener:
    def opener() -> Guarded:
        from tarfile import TarError

        name = f"{stream.name}#{info.name}"
        with ExitStack() as closing:
            archive = _open_tar(stream, closing)
            with translated(name, (TarError,)):
                # The place noted in ``info`` is valid in every opening of the archive.
                file = closing.enter_context(archive.fileobject(archive, info))
            return Guarded(file, name, (TarError,), closing.pop_all())

    return opener


def _open_tar(stream: Stream, closing: ExitStack) -> tarfile.TarFile:
    import tarfile

    raw = closing.enter_context(stream.open())
    with translated(stream.name, (tarfile.TarError,)):
        if raw.seekable():
            return closing.enter_context(tarfile.open(fileobj=raw, mode="r:"))
        return closing.enter_context(
            tarfile.open(fileobj=raw, mode="r|", bufsize=_BUFFER)
        )
