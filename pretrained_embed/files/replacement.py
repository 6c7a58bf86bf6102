"""Replace a user's file by a new one, whole or not at all.

The bytes go into a file of another name in the same folder, are flushed to the disk and
then replace the target in one step. If an error happens before that step, the temporary
file is removed and the target is unchanged. Of two writers at once, the file of the
later one stays.

The next writer of the same file removes the temporary file of a killed writer; see
`SafePath.among_writers`. A file that takes hours may grow in a given folder: there it
is kept after a kill, and the next writer continues it.

If a path is a symbolic link, its target is replaced. A `SafePath`, which is never a
user's path, is not used through links.
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

#: The path to write: a user's, or one of the package's own.
Output = str | os.PathLike[str] | SafePath


@contextmanager
def replacing(path: Output, growing: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a binary file to write to; it replaces ``path`` at the end.

    ``growing`` is a folder on the same disk in which the file grows, and stays if it is
    not finished. It may already have the bytes of an earlier writer.

    A symbolic link is followed. An existing file's permissions are kept, a new file's
    follow the umask. Raises `WriteError` if the system refuses (no such folder, no
    permission, disk full), or if ``path`` is a folder or a device.
    """
    with replacing_path(path, growing) as temporary, temporary.open("r+b") as file:
        yield file


@contextmanager
def replacing_path(path: Output, growing: Path | None = None) -> Iterator[Path]:
    """Like `replacing`, for libraries that open files by name.

    Yields the path of an existing file, empty unless it is ``growing``. It must be
    closed at the end of the block.
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
    """Like `replacing_path`, for libraries that write further files beside it.

    The path is in a new folder, which is empty unless files are ``growing``. All files
    of the folder are moved to the target's folder, the named one last.
    """
    target = resolved(path)
    with writing(path), _safe(target).among_writers():
        mode = _mode(target)
        folder = _beside(target) if growing is None else growing
        folder.mkdir(exist_ok=growing is not None)
        try:
            yield folder / target.name
            # False comes before True: the named file refers to the others.
            for file in sorted(folder.iterdir(), key=lambda f: f.name == target.name):
                _put(file, target.with_name(file.name), mode)
        finally:
            if growing is None:
                shutil.rmtree(folder, ignore_errors=True)
    sync_folder(target.parent)


@contextmanager
def new_folder(path: Output) -> Iterator[Path]:
    """Yield an empty folder to fill; it is renamed to ``path`` at the end.

    Raises `WriteError` as `replacing` does, and if ``path`` exists: an old folder may
    have other files too.
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
            if target.exists():  # it was empty before; otherwise this fails
                target.rmdir()
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)


@contextmanager
def writing(path: Output) -> Iterator[None]:
    """Turn errors of the operating system while writing into `WriteError`."""
    try:
        yield
    except PretrainedEmbedError:  # an error of a source is an OSError too
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {reason(path, error)}; nothing was changed"
        ) from error


def reason(path: Output, error: OSError) -> str:
    """Return why the system refused to write, with a remedy if one is known."""
    if isinstance(error, FileNotFoundError):  # the path may be a file in a folder
        for folder in (Path(str(path)).parent, Path(str(path))):
            if not folder.is_dir():
                return f"there is no folder {str(folder)!r}, make it first"
    return error.strerror or str(error)


def discard_leftovers(path: Output) -> None:
    """Remove the temporary files that a killed writer of ``path`` has left beside it.

    No other writer may be active.
    """
    _safe(resolved(path)).discard_leftovers()


def folder_for(path: Output) -> Path:
    """Return the folder of ``path``, which need not exist.

    Raises `WriteError` if no file can be at ``path``.
    """
    target = resolved(path)
    with writing(path):
        _mode(target)
    return target.parent


def resolved(path: Output) -> Path:
    """Return the file at the end of a path; `WriteError` if the name is invalid."""
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
    """Replace a file by another, which is complete."""
    if mode is not None:
        temporary.chmod(mode)
    _sync(temporary)
    temporary.replace(target)


def _sync(path: Path) -> None:
    # Windows only flushes files that are open for writing; elsewhere that may be
    # forbidden.
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
    """Return the free bytes on the disk of a folder; ``None`` if unknown.

    Raises `OSError` if there is no such folder.
    """
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None  # some network disks report 0 of 0


def check_room(path: Output, size: int) -> None:
    """Raise `WriteError` if there is no room for ``size`` new bytes at ``path``."""
    with writing(path):
        free = free_bytes(folder_for(path))
    if free is not None and free < size:
        raise _no_room(path, size)


def reserve(file: BinaryIO, size: int, path: Output) -> bool:
    """Reserve ``size`` bytes on the disk for a new file, to be placed at ``path``.

    If the system cannot do that, the file is unchanged and False is returned. Raises
    `WriteError` if the disk or a quota has too little room.
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
