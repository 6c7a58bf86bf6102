"""A member of an archive, made a file of its own in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import Hashes
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources.partial import check_room
from pretrained_embed.sources.patience import Failure

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


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
