"""The folder in which rows wait until a build has read all of its source.

It stands beside the output, lives until that is written, and outlives a build that was
killed: the next build of the same kind goes on from it. What is found there is used if
its record is whole and of this very job, and the bytes have their checksum.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pretrained_embed.errors import WriteError
from pretrained_embed.extraction.job import Job
from pretrained_embed.extraction.outcome import Outcome
from pretrained_embed.extraction.scanning import record_path
from pretrained_embed.extraction.wanted import WantedTokens
from pretrained_embed.sources.lock import locked

_LOCK = "lock"
_WANTED = "wanted.npy"


class WorkFolder:
    """The folder of one build."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """The bytes that wait there."""
        return sum(file.stat().st_size for file in self.path.glob("*/*.extract"))

    def of_job(self, name: str, key: str, wanted: WantedTokens) -> Path:
        """Return the folder of a job; those of others of the name are removed.

        ``wanted`` is saved there, see `wanted_path`. Raises `WriteError`.
        """
        folder = self.path / f"{name}-{key}"
        for other in self.path.glob(f"{name}-*"):
            if other != folder:  # tasks of its job may still be writing there
                shutil.rmtree(other, ignore_errors=True)
        try:
            folder.mkdir(exist_ok=True)
            beside = folder / f"{_WANTED}.part"
            wanted.save(beside)  # anew: nobody has checked what may be there
            beside.replace(wanted_path(folder))
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return folder


def wanted_path(folder: Path) -> Path:
    """Return where the wanted tokens of a job are."""
    return folder / _WANTED


def finished(job: Job) -> dict[int, Outcome]:
    """Return what is there of a job, whole and right."""
    outcomes: dict[int, Outcome] = {}
    if job.folder is None:
        return outcomes
    for number in range(len(job.splits)):
        try:
            record = record_path(job.folder, number).read_bytes()
        except OSError:
            continue
        outcome = Outcome.from_record(record, job.key, job.folder)
        if outcome and all(extract.is_whole() for extract in outcome.extracts):
            outcomes[number] = outcome
    return outcomes


@contextmanager
def work_folder(output: Path) -> Iterator[WorkFolder]:
    """Give the work folder of an output, to this build alone; remove it at the end.

    It stays where the build fails, if anything waits there. Another build of the same
    output waits. Raises `WriteError` where it cannot be made.
    """
    path = output.absolute()
    path = path.with_name(f"{path.name}.work")
    with _alone(path):
        try:
            yield WorkFolder(path)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            if not any(path.glob("*/*")):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Make a folder and hold its lock.

    Whoever held it before may have removed the folder meanwhile, lock and all.
    """
    while True:
        with ExitStack() as held:
            try:
                path.mkdir(exist_ok=True)
                descriptor = held.enter_context(locked(path / _LOCK))
                there = (path / _LOCK).stat()
            except FileNotFoundError as error:
                if not path.parent.is_dir():
                    raise _cannot_write(path, error) from error
                continue
            except OSError as error:
                raise _cannot_write(path, error) from error
            if os.path.samestat(os.fstat(descriptor), there):
                yield
                return


def _cannot_write(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"cannot write {path}: {error.strerror or error}; rows wait there until all of "
        "the source is read"
    )
