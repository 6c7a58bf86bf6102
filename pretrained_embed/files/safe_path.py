"""Paths in a folder of the package's own, such as the cache, without links.

The name of the folder itself may be or contain a symbolic link, and is resolved once.
Below the folder the package makes all names, so a link there was made by somebody else,
for example by a cloned repository. It is refused: nothing is opened, written or removed
through it.

If the system supports it, each step is opened by the descriptor of its parent, so that
no step can become a link in the meantime. Elsewhere each step is checked first.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal, Self, cast

from pretrained_embed.errors import needing_package

_BY_DESCRIPTOR = (
    hasattr(os, "O_NOFOLLOW")
    and {
        *(os.open, os.stat, os.mkdir, os.unlink, os.rename, os.readlink),
    }
    <= os.supports_dir_fd
)

#: How often, and after how many seconds, to try a lock that is held only briefly.
_TRIES, _PAUSE = 100, 0.01

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)  # a link, on Windows


@dataclass(frozen=True)
class SafePath:
    """A path below a folder, which is never used through a link.

    It is made by `SafePath.at` and ``/``. All methods raise ``error``, with the link,
    its target and ``remedy``, if a step below the folder is a link, and `OSError` if
    the system refuses.
    """

    folder: Path  # as it was named
    real: str  # the same, without links
    error: type[Exception]
    remedy: str  # the end of the message about a link; TARGET stands for its target
    names: tuple[str, ...] = ()

    @classmethod
    def at(
        cls, folder: str | os.PathLike[str], error: type[Exception], remedy: str
    ) -> Self:
        """Return the path of a folder, which need not exist; links are resolved."""
        return cls(Path(folder), os.path.realpath(folder), error, remedy)

    def __truediv__(self, name: str) -> Self:
        """Return the path of an entry of this folder: one step, never upwards."""
        if name in ("", ".", "..") or not {"/", "\0", os.sep, os.altsep}.isdisjoint(
            name
        ):
            raise ValueError(f"{name!r} is not the name of a file in a folder")
        return self._named((*self.names, name))

    def _named(self, names: tuple[str, ...]) -> Self:
        return type(self)(self.folder, self.real, self.error, self.remedy, names)

    def beside(self, suffix: str) -> Self:
        """Return the path with this name and ``suffix``."""
        return self.parent / (self.name + suffix)

    @property
    def parent(self) -> Self:
        """The folder of this path; for the first folder, itself."""
        return self._named(self.names[:-1])

    @property
    def name(self) -> str:
        """The last step."""
        return self.names[-1] if self.names else self.folder.name

    @property
    def path(self) -> Path:
        """The path as the user named it, to be shown, unchecked."""
        return self.folder.joinpath(*self.names)

    def __str__(self) -> str:
        return str(self.path)

    def checked(self) -> Path:
        """Return the path for libraries that open files by name, checked now."""
        self.status()
        return self.path

    def status(self) -> os.stat_result | None:
        """Return the system's status of the file; ``None`` if there is none."""
        try:
            if not self.names:
                return Path(self.real).stat()
            with self._parent() as at:
                return self._look(at)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_link(self) -> bool:
        """Whether this is a link, in a folder that is none."""
        try:
            with self._parent() as at:
                return _is_link(os.lstat(self._step(at), dir_fd=at))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def children(self) -> list[Self]:
        """Return the entries of this folder by name; links are not followed."""
        return [self / name for name in sorted(self._held())]

    def _held(self) -> list[str]:
        """Return the names of the entries of this folder."""
        try:
            with self._opened() as folder:
                return os.listdir(self._real_path if folder is None else folder)  # noqa: PTH208  (a descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def open(
        self, mode: Literal["r", "w", "x", "a", "r+"] = "r", buffering: int = -1
    ) -> BinaryIO:
        """Open the file in binary mode; otherwise like `open`."""
        with self._parent() as at:
            if "x" not in mode:  # which opens no existing file, nor a link
                with suppress(FileNotFoundError):
                    self._look(at)

            def opener(_: str, flags: int) -> int:
                return os.open(self._step(at), flags | _NO_LINK, 0o666, dir_fd=at)

            opened = open(str(self), f"{mode}b", buffering, opener=opener)  # noqa: SIM115  (by a descriptor; handed on open)
            return cast(BinaryIO, opened)

    def read(self) -> bytes:
        """Return all bytes of the file."""
        with self.open() as file:
            return file.read()

    def make(self, *, parents: bool = False, mode: int = 0o777) -> Self:
        """Make this folder, and its parents below the first folder.

        Existing folders stay. With ``parents`` the first folder and its parents are
        made too. ``mode`` is the mode of the first folder, without the umask.
        """
        if parents or not self.names:
            Path(self.real).mkdir(mode, parents=parents, exist_ok=True)
        for step in self._steps():
            with step._parent() as at:
                try:
                    os.mkdir(step._step(at), dir_fd=at)
                except FileExistsError:
                    if not stat.S_ISDIR(step._look(at).st_mode):
                        raise
        return self

    def write(self, data: bytes) -> None:
        """Write a file whole or not at all; see `replacing`."""
        with self.replacing() as file:
            file.write(data)

    @contextmanager
    def replacing(self, *, durable: bool = True) -> Iterator[BinaryIO]:
        """Yield a new file in this folder to write to, which gets this name at the end.

        With ``durable`` it is flushed to the disk; a file that has a checksum and can
        be made again need not wait for that. After an error the old file is unchanged.
        """
        with self.among_writers():
            temporary = self.parent / temporary_name(self.name)
            file = temporary.open("x")
            try:
                with file:
                    yield file
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                temporary.replace(self, durable=durable)
            except BaseException:
                temporary.remove()
                raise

    @contextmanager
    def among_writers(self) -> Iterator[None]:
        """Join the writers of the folder of this file.

        A killed writer leaves its temporary file, and the next writer of the same file
        removes it. A lock on the folder, which all writers share, shows that nobody
        writes the file any more. So the file stays while others write into the folder,
        on disks without locks, and on Windows.
        """
        with ExitStack() as held:
            at = None
            if self.names:
                try:
                    at = held.enter_context(self._parent())
                except self.error:
                    raise
                except OSError:  # a missing folder is reported elsewhere
                    pass
            if at is not None:
                self._share(at)
            yield

    def _share(self, folder: int) -> None:
        """Lock an open folder: first alone, to remove leftovers, then shared."""
        import fcntl

        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.discard_leftovers()
        for _ in range(_TRIES):
            try:
                fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:  # this disk has no locks
                return

    def replace(self, target: Self, *, durable: bool = True) -> None:
        """Rename a file that is on the disk, in this folder or into another.

        The other folder must exist on the same disk. With ``durable`` the new name is
        flushed to the disk.
        """
        target.status()
        with self._parent() as at, target._parent() as to:
            new = target._step(to)
            os.replace(self._step(at), new, src_dir_fd=at, dst_dir_fd=to)
            if not durable:
                return
            sync_folder(target._real_path.parent if to is None else to)
            if target.parent != self.parent:
                sync_folder(self._real_path.parent if at is None else at)

    def remove(self) -> None:
        """Remove the file if it exists; of a link, the link itself."""
        with suppress(FileNotFoundError), self._parent() as at:
            os.unlink(self._step(at), dir_fd=at)

    def remove_folder(self) -> None:
        """Remove the folder and its content, if it exists; of a link, the link itself.

        Entries that cannot be removed stay.
        """
        with suppress(FileNotFoundError), self._parent() as at:
            name = self._step(at)
            if stat.S_ISDIR(os.lstat(name, dir_fd=at).st_mode):
                shutil.rmtree(name, ignore_errors=True, dir_fd=at)
            else:
                os.unlink(name, dir_fd=at)

    def discard_leftovers(self) -> None:
        """Remove the temporary files that a killed writer of this file has left.

        No other writer may be active.
        """
        for name in self.parent._held():  # there may be many entries
            if name.endswith(".part") and is_leftover(name, self.name):
                (self.parent / name).remove_folder()

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock of this file; waits for it if needed.

        Yields the descriptor of the file. The lock excludes other processes and
        threads. The system releases it when the process ends in any way, so the
        existence of the file has no meaning. The file is never removed, since another
        process may be waiting for it.
        """
        with self.open("a", buffering=0) as file:
            lock, unlock = _locks()
            try:
                lock(file.fileno())
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"{error.strerror}: the disk of this folder, perhaps a network "
                    "disk, gives no locks, and without them two processes could spoil "
                    "what each writes; name a folder on another disk",
                    str(self),
                ) from error
            try:
                yield file.fileno()
            finally:
                unlock(file.fileno())

    @property
    def _real_path(self) -> Path:
        return Path(self.real, *self.names)

    def _steps(self) -> list[Self]:
        """Return the paths from the first step below the folder to this one."""
        counts = range(1, len(self.names) + 1)
        return [self._named(self.names[:count]) for count in counts]

    def _step(self, at: int | None) -> str:
        """Return the name of this path in the folder that is open as ``at``."""
        return str(self._real_path) if at is None else self.name

    @contextmanager
    def _parent(self) -> Iterator[int | None]:
        """Open the parent folder; yields ``None`` if the system cannot do that."""
        with self.parent._opened() as folder:
            yield folder

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open this folder, step by step; yields ``None`` if that is impossible."""
        steps = self._steps()
        if not _BY_DESCRIPTOR:
            for step in steps:
                step._look(None)
            yield None
            return
        folder = os.open(self.real, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for step in steps:
                try:
                    flags = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK
                    below = os.open(step.name, flags, dir_fd=folder)
                except OSError:
                    step._look(folder)
                    raise
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _look(self, at: int | None) -> os.stat_result:
        """Return the system's status of the last step; refuse a link."""
        name = self._step(at)
        found = os.lstat(name, dir_fd=at)
        if _is_link(found):
            target = os.readlink(name, dir_fd=at)
            whole = os.path.join(self.real, *self.names[:-1], target)  # noqa: PTH118  (a link may lead up)
            remedy = self.remedy.replace("TARGET", os.path.normpath(whole))
            raise self.error(
                f"{self} is a symbolic link to {target}, and "
                f"nothing in {self.folder} is used through a link; {remedy}"
            )
        return found


def _locks() -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Return the functions that lock and unlock an open file, such as flock."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        with needing_package("a lock on this system"):
            from filelock import lock_descriptor, unlock_descriptor
        return lock_descriptor, unlock_descriptor
    return (
        lambda file: fcntl.flock(file, fcntl.LOCK_EX),
        lambda file: fcntl.flock(file, fcntl.LOCK_UN),
    )


def _is_link(found: os.stat_result) -> bool:
    tag = getattr(found, "st_reparse_tag", None)
    return stat.S_ISLNK(found.st_mode) or (tag is not None and tag == _JUNCTION)


#: How many characters of a name are in the name of its temporary file.
_LONGEST_NAME = 32


def temporary_name(name: str) -> str:
    """Return a new temporary name for a file until it is complete."""
    # Not tempfile: its files are private (0600), and reading the umask sets it.
    return f"{_stem(name)}.{os.urandom(6).hex()}.part"


def is_leftover(found: str, name: str) -> bool:
    """Return whether `temporary_name` gives this name for a file."""
    pattern = re.escape(_stem(name)) + r"\.[0-9a-f]{12}\.part"
    return re.fullmatch(pattern, found) is not None


def is_temporary(found: str) -> bool:
    """Return whether `temporary_name` gives this name for any file."""
    return re.fullmatch(r"\..+\.[0-9a-f]{12}\.part", found) is not None


def _stem(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return f".{name}"
    told = blake2b(name.encode(errors="surrogateescape"), digest_size=4)
    return f".{name[: _LONGEST_NAME - 8]}{told.hexdigest()}"


def sync_folder(folder: Path | int) -> None:
    """Make new names in a folder survive a power failure, if the system can.

    ``folder`` is a path or a descriptor.
    """
    # Some systems cannot open folders, and some file systems cannot sync them. The file
    # is complete in any case.
    with suppress(OSError):
        if isinstance(folder, int):
            os.fsync(folder)
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
