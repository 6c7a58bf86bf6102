"""Files that appear whole or not at all.

The bytes go into a file of another name in the same folder, are flushed to the disk
and then take the target's place in one step. Whatever goes wrong before that step
removes the temporary file and leaves the target as it was. Does not lock: of two
writers at once the later one wins, whole.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from pretrained_embed.errors import PretrainedEmbedError, WriteError

#: Characters of a name that a temporary file beside it has in its own.
_LONGEST_NAME = 32


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
    with writing(path):
        mode = _mode(target)
        temporary = _beside(target)
        with temporary.open("xb"):
            pass
        try:
            yield temporary
            _put(temporary, target, mode)
        finally:
            temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


@contextmanager
def replacing_with_others(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like `replacing_path`, for libraries that write more files beside the named one.

    The path given is in a new folder; no file is there yet. All files of that folder
    go to the target's one after the other, the named one last.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        mode = _mode(target)
        folder = _beside(target)
        folder.mkdir()
        try:
            yield folder / target.name
            # False comes before True: what is named refers to the others.
            for file in sorted(folder.iterdir(), key=lambda f: f.name == target.name):
                _put(file, target.with_name(file.name), mode)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    _sync_folder(target.parent)


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder to fill; rename it to ``path`` at the end.

    Raises `WriteError` as `replacing` does, and where there is something already: a
    folder may hold more than what was once written here.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise WriteError(
                f"cannot write {os.fspath(path)}: it is there already, and would have "
                "to be a new folder; name another"
            )
        temporary = _beside(target)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.iterdir():
                _sync(file)
            if target.exists():  # empty, as was seen; else this fails
                target.rmdir()
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    _sync_folder(target.parent)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system says where it cannot write into `WriteError`."""
    try:
        yield
    except PretrainedEmbedError:  # a source that failed meanwhile is an OSError too
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write {os.fspath(path)}: {error.strerror or error}; "
            "nothing was changed"
        ) from error


def discard_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what a writer of ``path`` that was killed has left beside it.

    For a path that nobody else is writing to.
    """
    target = Path(os.path.realpath(path))
    name = re.compile(re.escape(_stem(target)) + r"\.[0-9a-f]{12}\.part")
    held = [path for path in target.parent.iterdir() if name.fullmatch(path.name)]
    for leftover in held:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def folder_for(path: str | os.PathLike[str]) -> Path:
    """Return the folder in which ``path`` is, or will be.

    Raises `WriteError` where no file can take that place, before there is one.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        _mode(target)
    return target.parent


def _beside(target: Path) -> Path:
    # Not tempfile: its files are private (0600), and asking for the umask sets it.
    return target.with_name(f"{_stem(target)}.{os.urandom(6).hex()}.part")


def _stem(target: Path) -> str:
    if len(target.name) <= _LONGEST_NAME:
        return f".{target.name}"
    told = blake2b(target.name.encode(errors="surrogateescape"), digest_size=4)
    return f".{target.name[: _LONGEST_NAME - 8]}{told.hexdigest()}"


def _put(temporary: Path, target: Path, mode: int | None) -> None:
    """Put a whole file in the place of another."""
    if mode is not None:
        temporary.chmod(mode)
    _sync(temporary)
    temporary.replace(target)


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
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
