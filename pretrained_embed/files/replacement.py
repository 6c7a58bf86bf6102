"""Files of the user's, in whose place new ones appear whole or not at all.

The bytes go into a file of another name in the same folder, are flushed to the disk
and then take the target's place in one step. Whatever goes wrong before that step
removes the temporary file and leaves the target as it was. Of two writers at once the
later one wins, whole.
What a writer that was killed has left is removed by the next one of the same file; see
`SafePath.among_writers`.

What takes hours may grow in a folder that is given: there it outlives a writer that was
killed, and the next one goes on with it.

A path is taken as it is named: where it is a symbolic link, the file it leads to is
replaced. A `SafePath`, which is no user's, is used through no link.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pretrained_embed.errors import PretrainedEmbedError, WriteError
from pretrained_embed.files.safe_path import SafePath, sync_folder, temporary_name

#: What is to be written, in the user's words or the package's own.
Output = str | os.PathLike[str] | SafePath


@contextmanager
def replacing(path: Output, growing: Path | None = None) -> Iterator[BinaryIO]:
    """Give a binary file to write to; put it in the place of ``path`` at the end.

    ``growing`` is a folder on the same disk in which the file grows, and stays if it is
    not finished. What is there of it already is what an earlier writer left.

    A symbolic link is followed. An existing file's permissions are kept, a new file's
    follow the umask. Raises `WriteError` where the system refuses (no such folder, no
    permission, disk full) or where ``path`` is a folder or a device.
    """
    with replacing_path(path, growing) as temporary, temporary.open("r+b") as file:
        yield file


@contextmanager
def replacing_path(path: Output, growing: Path | None = None) -> Iterator[Path]:
    """Like `replacing`, for libraries that open files by name.

    The path given is that of an existing file, empty unless it is ``growing``. Whatever
    opened it has to be closed at the end of the block.
    """
    target = resolved(path)
    with writing(path), _safe(target).among_writers():
        mode = _mode(target)
        temporary = _beside(target) if growing is None else growing / target.name
        with temporary.open("xb" if growing is None else "ab"):
            pass
        try:
            yield temporary
            _put(temporary, target, mode)
        finally:
            if growing is None:
                temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


@contextmanager
def replacing_with_others(path: Output, growing: Path | None = None) -> Iterator[Path]:
    """Like `replacing_path`, for libraries that write more files beside the named one.

    The path given is in a new folder; no file is there yet, unless they are
    ``growing``. All files of that folder go to the target's one after the other, the
    named one last.
    """
    target = resolved(path)
    with writing(path), _safe(target).among_writers():
        mode = _mode(target)
        folder = _beside(target) if growing is None else growing
        folder.mkdir(exist_ok=growing is not None)
        try:
            yield folder / target.name
            # False comes before True: what is named refers to the others.
            for file in sorted(folder.iterdir(), key=lambda f: f.name == target.name):
                _put(file, target.with_name(file.name), mode)
        finally:
            if growing is None:
                shutil.rmtree(folder, ignore_errors=True)
    sync_folder(target.parent)


@contextmanager
def new_folder(path: Output) -> Iterator[Path]:
    """Give an empty folder to fill; rename it to ``path`` at the end.

    Raises `WriteError` as `replacing` does, and where there is something already: a
    folder may hold more than what was once written here.
    """
    target = resolved(path)
    with writing(path), _safe(target).among_writers():
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise WriteError(
                f"cannot write {path}: it is there already, and would have "
                "to be a new folder; name another"
            )
        temporary = _beside(target)
        temporary.mkdir()
        try:
            yield temporary
            for made in temporary.rglob("*"):
                if made.is_dir():
                    sync_folder(made)
                else:
                    _sync(made)
            sync_folder(temporary)
            if target.exists():  # empty, as was seen; else this fails
                target.rmdir()
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)


@contextmanager
def writing(path: Output) -> Iterator[None]:
    """Turn what the system says where it cannot write into `WriteError`."""
    try:
        yield
    except PretrainedEmbedError:  # a source that failed meanwhile is an OSError too
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {reason(path, error)}; nothing was changed"
        ) from error


def reason(path: Output, error: OSError) -> str:
    """Return why the system refused to write, and what to do where that is known."""
    if isinstance(error, FileNotFoundError):  # what is written may be a folder's file
        for folder in (Path(str(path)).parent, Path(str(path))):
            if not folder.is_dir():
                return f"there is no folder {str(folder)!r}, make it first"
    return error.strerror or str(error)


def discard_leftovers(path: Output) -> None:
    """Remove what a writer of ``path`` that was killed has left beside it.

    For a path that nobody else is writing to.
    """
    _safe(resolved(path)).discard_leftovers()


def folder_for(path: Output) -> Path:
    """Return the folder in which ``path`` is, or will be.

    Raises `WriteError` where no file can take that place, before there is one.
    """
    target = resolved(path)
    with writing(path):
        _mode(target)
    return target.parent


def resolved(path: Output) -> Path:
    """Return the file that a path leads to; `WriteError` where none has the name."""
    if isinstance(path, SafePath):
        return path.checked()
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise WriteError(f"{str(path)!r}: no file can have this name") from error


def _safe(target: Path) -> SafePath:
    folder = SafePath.at(target.parent, WriteError, "remove the link")
    return folder / target.name if target.name else folder  # the root of a disk


def _beside(target: Path) -> Path:
    return target.with_name(temporary_name(target.name))


def _put(temporary: Path, target: Path, mode: int | None) -> None:
    """Put a whole file in the place of another."""
    if mode is not None:
        temporary.chmod(mode)
    _sync(temporary)
    temporary.replace(target)


def _sync(path: Path) -> None:
    # Windows flushes only what is open for writing; elsewhere it may not be allowed.
    with path.open("r+b" if os.name == "nt" else "rb") as file:
        os.fsync(file.fileno())


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
