"""Files that fail with the errors of this package.

Decompressors and handles raise what they like; everything the sources layer opens for
others raises `SourceError`, `FormatError` or `TruncatedError` with the file's name.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from pretrained_embed.damage import refusing_damage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Guarded(io.RawIOBase):
    """A binary file that reads another one and translates its failures.

    ``closing`` closes ``file`` and what it reads from.
    """

    def __init__(
        self,
        file: IO[bytes] | io.RawIOBase,
        name: str,
        closing: ExitStack | None = None,
    ) -> None:
        self._inner: Any = file  # of BinaryIO, not every class has readinto
        self._name = name
        self._closing = closing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        with refusing_damage(self._name):
            return int(self._inner.readinto(buffer) or 0)

    def close(self) -> None:
        """Close all that was opened."""
        if not self.closed:
            super().close()
            if self._closing is None:
                self._inner.close()
            else:
                self._closing.close()
