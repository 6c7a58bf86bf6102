"""A member of an archive, made a file of its own in the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.digests import Hashes
from pretrained_embed.sources.partial import check_room
from pretrained_embed.sources.patience import Failure

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


_CHUNK = 1 << 20


def unpack(
    file: IO[bytes],
    size: int,
    target: Path,
    algorithms: tuple[str, ...],
    check: Callable[[Hashes], str | None],
    *,
    progress: Progress | None = None,
) -> Hashes:
    """Write the bytes of ``file``, ``size`` of them, to ``target``, if they are right.

    ``check`` says what is wrong with them, if anything. Raises `Failure` then,
    `SourceError` where they cannot be written, and what reading ``file`` raises;
    ``target`` is whole or as it was.
    """
    check_room(target.parent, size)
    temporary = target.with_name(target.name + ".unpacked")
    hashes = Hashes(algorithms)
    done = 0
    try:
        with temporary.open("wb") as out:
            while chunk := file.read(_CHUNK):
                out.write(chunk)
                hashes.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, size)
            out.flush()
            os.fsync(out.fileno())
        fault = check(hashes)
        if fault is not None:
            raise Failure(fault)
        temporary.replace(target)
    except OSError as error:
        if error.errno is None:  # it is not the operating system's, but of ``file``
            raise
        raise SourceError(
            f"{target}: cannot be written: {error.strerror or error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return hashes
