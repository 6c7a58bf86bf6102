"""Room on the disk, made sure of before hours of work go into a file."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from pretrained_embed.errors import WriteError
from pretrained_embed.files.replacement import Output, folder_for, writing

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_SAY = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def free_bytes(folder: Path) -> int | None:
    """Return the bytes that are free on the disk of a folder; ``None``: not told.

    Raises `OSError` where there is no such folder.
    """
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None  # some network disks say 0 of 0


def check_room(path: Output, size: int) -> None:
    """Raise `WriteError` where there is no room for ``size`` new bytes at ``path``."""
    with writing(path):
        free = free_bytes(folder_for(path))
    if free is not None and free < size:
        raise _no_room(path, size)


def reserve(file: BinaryIO, size: int, path: Output) -> bool:
    """Make a new file, which will be at ``path``, ``size`` bytes long, all its own.

    Where the system cannot do that the file stays as it is, and False is returned.
    Raises `WriteError` where the disk or a quota has too little room.
    """
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(path, size) from error
        if error.errno not in _CANNOT_SAY:
            raise
        return False
    return True


def _no_room(path: Output, size: int) -> WriteError:
    with writing(path):
        free = free_bytes(folder_for(path)) or 0
    return WriteError(
        f"cannot write {path}: No space left for the {size:,} bytes that it "
        f"takes; {free:,} are free there. Nothing was changed"
    )
