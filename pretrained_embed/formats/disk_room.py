"""Room on the disk, made sure of before hours of work go into a file."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any, BinaryIO

from pretrained_embed.errors import WriteError
from pretrained_embed.formats.atomic import folder_for, writing

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_SAY = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def check_room(path: str | os.PathLike[str], size: int) -> None:
    """Raise `WriteError` where there is no room for ``size`` new bytes at ``path``."""
    usage = _usage(path)
    if usage.total and usage.free < size:  # some network disks say 0 of 0
        raise _no_room(path, size)


def reserve(file: BinaryIO, size: int, path: str | os.PathLike[str]) -> None:
    """Make a new file, which will be at ``path``, ``size`` bytes long, all its own.

    Where the system cannot do that the file stays as it is. Raises `WriteError` where
    the disk or a quota has too little room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(path, size) from error
        if error.errno not in _CANNOT_SAY:
            raise


def _usage(path: str | os.PathLike[str]) -> Any:
    with writing(path):
        return shutil.disk_usage(folder_for(path))


def _no_room(path: str | os.PathLike[str], size: int) -> WriteError:
    return WriteError(
        f"cannot write {os.fspath(path)}: No space left for the {size:,} bytes that it "
        f"takes; {_usage(path).free:,} are free there. Nothing was changed"
    )
