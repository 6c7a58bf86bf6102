"""The folder in which rows wait until a build has read all of its source.

It stands beside the output, lives until that is written, and outlives a build that was
killed: the next build of the same kind goes on from it. What is found there is used if
its record is whole, the record is of this very job, and the bytes have its checksum.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pretrained_embed.errors import WriteError
from pretrained_embed.extraction.outcome import Outcome
from pretrained_embed.extraction.scanning import record_path
from pretrained_embed.extraction.wanted import WantedTokens
from pretrained_embed.sources.lock import locked

_KEY = "job"
_WANTED = "wanted.npy"


class WorkFolder:
    """The folder of one build."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of_job(self, name: str, key: str, wanted: WantedTokens) -> Path:
        """Return the folder of one pass; what another job has left there is removed.

        ``wanted`` is saved there, see `wanted_path`. Raises `WriteError`.
        """
        folder = self.path / name
        try:
            if folder.exists() and not self._is_of(folder, key):
                shutil.rmtree(folder)
            if not folder.exists():
                folder.mkdir()
                wanted.save(wanted_path(folder))
                (folder / _KEY).write_text(key, "ascii")
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return folder

    def _is_of(self, folder: Path, key: str) -> bool:
        file = folder / _KEY
        return file.is_file() and file.read_bytes() == key.encode("ascii")


def wanted_path(folder: Path) -> Path:
    """Return where the wanted tokens of a pass are."""
    return folder / _WANTED


def finished(folder: Path, splits: int) -> dict[int, Outcome]:
    """Return what is there, whole and right, of a pass over so many splits."""
    outcomes: dict[int, Outcome] = {}
    for number in range(splits):
        path = record_path(folder, number)
        try:
            outcome = Outcome.from_json(path.read_bytes(), folder)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):  # damaged: done again
            continue
        if all(extract.is_whole() for extract in outcome.extracts):
            outcomes[number] = outcome
    return outcomes


@contextmanager
def work_folder(output: Path) -> Iterator[WorkFolder]:
    """Give the work folder of an output, to this build alone; remove it at the end.

    It stays where the build fails. Another build of the same output waits. Raises
    `WriteError` where it cannot be made.
    """
    path = output.with_name(f"{output.name}.work")
    try:
        path.mkdir(exist_ok=True)
        holding = locked(path / "lock")
        holding.__enter__()
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield WorkFolder(path)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        holding.__exit__(None, None, None)


def _cannot_write(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"cannot write {path}: {error.strerror or error}; rows wait there until all of "
        "the source is read"
    )
