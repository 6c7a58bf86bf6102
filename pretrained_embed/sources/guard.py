"""Files that fail with the errors of this package.

Decompressors and handles raise what they like; everything the sources layer opens for
others raises `SourceError`, `FormatError` or `TruncatedError` with the file's name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

from pretrained_embed.errors import (
    FormatError,
    PretrainedEmbedError,
    SourceError,
    TruncatedError,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@contextmanager
def translated(name: str, corrupt: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn the exceptions of decompressors and handles into this package's own.

    ``corrupt`` are those that mean damaged data. `bz2` says the same with a bare
    `OSError`, which unlike one of the operating system has no ``errno``.
    """
    try:
        yield
    except PretrainedEmbedError:
        raise
    except EOFError as error:
        raise TruncatedError(
            f"{name}: the data ends too early ({error}); "
            "the file is incomplete, copy or download it again"
        ) from error
    except corrupt as error:
        raise _damaged(name, error) from error
    except OSError as error:
        if error.errno is None:
            raise _damaged(name, error) from error
        raise SourceError(f"{name}: cannot be read: {error.strerror}") from error


def _damaged(name: str, error: Exception) -> FormatError:
    return FormatError(
        f"{name}: the data is damaged ({error}); copy or download the file again"
    )


class Guarded(io.RawIOBase):
    """A binary file that reads another one and translates its failures.

    ``closing`` closes ``file`` and what it reads from.
    """

    def __init__(
        self,
        file: IO[bytes] | io.RawIOBase,
        name: str,
        corrupt: tuple[type[Exception], ...] = (),
        closing: ExitStack | None = None,
    ) -> None:
        self._inner: Any = file  # of BinaryIO, not every class has readinto
        self._name = name
        self._corrupt = corrupt
        self._closing = closing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        with translated(self._name, self._corrupt):
            return int(self._inner.readinto(buffer) or 0)

    def close(self) -> None:
        """Close all that was opened."""
        if not self.closed:
            super().close()
            if self._closing is None:
                self._inner.close()
            else:
                self._closing.close()
