"""Files that appear whole or not at all.

The bytes go into a file of another name in the same folder, are flushed to the disk
and then take the target's place in one step. Whatever goes wrong before that step
removes the temporary file and leaves the target as it was. Does not lock: of two
writers at once the later one wins, whole.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pretrained_embed.errors import PretrainedEmbedError, WriteError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a binary file to write to; put it in the place of ``path`` at the end.

    A symbolic link is followed. An existing file's permissions are kept, a new file's
    follow the umask. Raises `WriteError` where the system refuses (no such folder, no
    permission, disk full) or where ``path`` is a folder or a device.
    """
    with replacing_path(path) as temporary, temporary.open("r+b") as file:
        yield file


@contextmanager
def replacing_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like `replacing`, for libraries that open files by name.

    The path given is that of an existing empty file. Whatever opened it has to be
    closed at the end of the block.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = _mode(target)
        # Not tempfile: its files are private (0600), and asking for the umask sets it.
        name = f".{target.name[:32]}.{os.urandom(6).hex()}.part"
        temporary = target.with_name(name)
        with temporary.open("xb"):
            pass
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except PretrainedEmbedError:  # a source that failed meanwhile is an OSError too
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write {os.fspath(path)}: {error.strerror or error}; "
            "nothing was changed"
        ) from error
    _sync_folder(target.parent)


def _mode(target: Path) -> int | None:
    """Return the permissions of an existing file, ``None`` if there is none."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise WriteError(f"cannot write {target}: it is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise WriteError(
            f"cannot write {target}: it is no regular file, and replacing it "
            "would remove it; name a file"
        )
    return stat.S_IMODE(mode)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can do that."""
    # Some systems open no folders and some file systems sync none. The file is in
    # place and whole either way.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
