"""The folder in which rows wait until a build has read all of its source.

It stands beside the output, lives until that is written, and outlives a build that was
killed: the next build of the same kind goes on from it. What is found there is used if
its record is whole and of this very job, and the bytes have their checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pretrained_embed.errors import WriteError
from pretrained_embed.files.replacement import reason
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.marks import INDEX


class WorkFolder:
    """The folder of one build."""

    def __init__(self, path: SafePath) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """The bytes that wait there."""
        extracts = self.path.path.glob("*/*.extract")
        return sum(file.lstat().st_size for file in extracts)

    def of_job(self, name: str, key: str) -> SafePath:
        """Make the folder of a job, and remove those of others of the name.

        Raises `WriteError`.
        """
        folder = self.path / f"{name}-{key}"
        try:
            for other in self.path.children():
                # In its own folder tasks of the job may still be writing.
                if other.name.startswith(f"{name}-") and other != folder:
                    other.remove_folder()
            return folder.make()
        except OSError as error:
            raise cannot_write(folder, error) from error


@contextmanager
def work_folder(output: Path) -> Iterator[WorkFolder]:
    """Give the work folder of an output, to this build alone; remove it at the end.

    It stays where the build fails, if anything waits there that a later one can use: a
    folder that holds a whole matrix in shards is written to no more. Another build of
    the same output waits. Raises `WriteError` where it cannot be made.
    """
    output = output.absolute()
    remedy = "remove the link, or name another output"
    path = SafePath.at(output.parent, WriteError, remedy) / f"{output.name}.work"
    with _alone(path):
        try:
            yield WorkFolder(path)
            path.remove_folder()
        finally:
            waits = any(folder.children() for folder in path.children())
            if not waits or (output / INDEX).is_file():
                path.remove_folder()


@contextmanager
def _alone(path: SafePath) -> Iterator[None]:
    """Make a folder and hold its lock.

    Whoever held it before may have removed the folder meanwhile, lock and all.
    """
    while True:
        with ExitStack() as held:
            try:
                lock = path.make() / "lock"
            except OSError as error:
                raise cannot_write(path, error) from error
            try:
                descriptor = held.enter_context(lock.locked())
                there = lock.status()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise cannot_write(path, error) from error
            if there and os.path.samestat(os.fstat(descriptor), there):
                yield
                return


def cannot_write(path: SafePath, error: OSError) -> WriteError:
    """Return the error for what the system refuses to write there."""
    return WriteError(
        f"cannot write {path}: {reason(path, error)}; rows wait there until all of the "
        "source is read. What is finished is used when the build is run again."
    )
