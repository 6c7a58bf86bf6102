"""An unfinished download on disk, which the next run goes on with.

``FILE.part`` holds the bytes got so far, ``FILE.part.json`` says of what: the URL, the
validator that names the version of the file there, and how long it is. The digests of
the bytes are taken as they come, and again from the disk when a download goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

from pretrained_embed.damage import parser_errors
from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import Hashes, hashed
from pretrained_embed.files.room import free_bytes
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources.patience import Failure
from pretrained_embed.sources.url import public

#: Room to leave on the disk, in bytes.
_SPARE = 16 << 20


def check_room(folder: SafePath, need: int) -> None:
    """Raise `Failure` unless the disk of ``folder`` has room for ``need`` bytes.

    That many may be what a host says; another one may know better.
    """
    free = free_bytes(folder.checked())
    if free is not None and need + _SPARE > free:
        raise Failure(
            f"{folder}: {need:,} more bytes are needed and {_SPARE:,} to spare; "
            f"{free:,} are free. Make room, or name another cache folder."
        )


@dataclass(frozen=True)
class Version:
    """Which bytes these are a part of."""

    url: str  # as it may be shown
    validator: str | None
    total: int | None


class Partial:
    """The bytes got so far, open for more.

    ``resumed`` tells whether some of them came in an earlier run or try.
    """

    def __init__(self, target: SafePath, algorithms: Iterable[str]) -> None:
        self.path = target.beside(".part")
        self._note = self.path.beside(".json")
        self._algorithms = tuple(algorithms)
        self.version = self._read_note()
        if self.version is None and self.path.status() is not None:
            self.path.remove()  # nobody knows of what this is a part
        self._file = self.path.open("a", buffering=0)
        self.size = self._file.tell()
        self.hashes = hashed(self.path.checked(), self._algorithms)
        self.resumed = self.size > 0

    def _read_note(self) -> Version | None:
        try:
            known = Version(**json.loads(self._note.read()))
            return replace(known, url=public(known.url))  # older ones are whole
        except SourceError:
            raise
        except OSError:
            return None
        except parser_errors():
            return None

    def restart(self, version: Version | None = None) -> None:
        """Throw the bytes away; what comes is a part of ``version``."""
        self._note.remove()
        self._file.truncate(0)
        self.size = 0
        self.hashes = Hashes(self._algorithms)
        self.resumed = False
        self.version = version
        if version is not None:
            self._note.write(json.dumps(asdict(version)).encode())

    def write(self, data: bytes) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:  # an unbuffered file may take fewer than it is given
            view = view[self._file.write(view) :]
        self.hashes.update(data)
        self.size += len(data)

    def publish(self, target: SafePath) -> None:
        """Give the file its final name, whole and on disk."""
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(target)
        self._note.remove()

    def discard(self) -> None:
        """Delete the part."""
        self._file.close()
        self.path.remove()
        self._note.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        left = self.path.status()
        if left is not None and left.st_size == 0:
            self.discard()
