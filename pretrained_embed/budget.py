"""How files are read: mapped or into memory, and how much memory that may take.

A small file can need much memory: a string in it may be referred to a million times,
and zeros are compressed a thousand to one. Code that unpacks part of a file therefore
first takes the bytes from the budget of the file. Vectors that are read row by row, or
mapped, are not counted.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pretrained_embed.errors import FormatError, OptionError

#: The environment variable for another budget, such as 4GB.
ENVIRONMENT = "PRETRAINED_EMBED_READ_BUDGET"

#: How many bytes may be unpacked of any file, and how many more for each of its bytes.
FIXED, TIMES = 64 << 20, 64

#: The size in bytes of a Python object without its content: a string, a small list.
OBJECT = 64

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def number_of_bytes(given: int | str, what: str = "memory") -> int:
    """Return a number of bytes given as a number or as text; raises `OptionError`.

    >>> number_of_bytes("4GB"), number_of_bytes("1.5 MiB"), number_of_bytes(10)
    (4000000000, 1572864, 10)
    """
    if isinstance(given, str) and (match := _SIZE.fullmatch(given.strip())):
        unit = match[2].lower()
        one = 1024 ** list(_UNITS).index(unit) if match[3] else _UNITS[unit]
        given = int(float(match[1]) * one)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise OptionError(
            f"{what} is {given!r}, which is not a number of bytes such as 500MB or 4G"
        )
    return given


class ReadOptions(NamedTuple):
    """How a file or a stream is read.

    With ``mmap`` files are mapped, else they are read into memory. If another program
    cuts a mapped file short, SIGBUS ends this process; a file that was read is safe.
    ``budget`` is how many bytes may be unpacked of each file, by default as the
    environment says.
    """

    mmap: bool = True
    budget: int | None = None

    def budget_of(self, where: str, size: int) -> Budget:
        """Return the budget of a file of the given size."""
        return Budget(where, size, self.budget)


#: How files are read unless a library says otherwise.
USUAL = ReadOptions()


class Budget:
    """How much may still be unpacked into memory from one file.

    ``size`` is the size of the file in bytes; ``allowed`` is how many bytes may be
    unpacked from it, see `ReadOptions`. Raises `OptionError` if the value in the
    environment is no number of bytes.
    """

    def __init__(self, where: str, size: int, allowed: int | None = None) -> None:
        self._where = where
        self._size = size
        # the setting that gave the total, or None for the default
        self._asked: str | None = None
        said = os.environ.get(ENVIRONMENT)
        if allowed is not None:
            self.total = allowed
            self._asked = f"{allowed:,} bytes that read_budget allows"
        elif said:
            self.total = number_of_bytes(said, ENVIRONMENT)
            self._asked = f"{said} that {ENVIRONMENT} allows"
        else:
            self.total = FIXED + TIMES * size
        self.left = self.total
        self._lent = 0
        self._change = threading.Condition()

    def take(self, count: int) -> None:
        """Take a number of bytes before they are allocated; raises `FormatError`."""
        with self._change:
            self.left -= count
            spent = self.left < 0
        if spent:
            raise self.spent()

    @contextmanager
    def lend(self, count: int) -> Iterator[None]:
        """Lend a number of bytes to one of several threads until it is done.

        Threads wait for each other, so that together they hold no more than is left. A
        thread that asks for more than that is let in when it is alone. A thread must
        not ask again before it is done.
        """
        with self._change:
            self._change.wait_for(
                lambda: not self._lent or self._lent + count <= self.left
            )
            self._lent += count
        try:
            yield
        finally:
            with self._change:
                self._lent -= count
                self._change.notify_all()

    def spent(self) -> FormatError:
        """Return the error for a file that needs more memory than is allowed."""
        allowed = (
            f"the {self._asked}"
            if self._asked
            else f"{self.total:,} bytes, which are {FIXED >> 20} MiB and {TIMES} times "
            f"its {self._size:,}"
        )
        more = _more(self.total)
        return FormatError(
            f"{self._where}: reading it takes more memory than {allowed}; it is "
            f"damaged, or made to fill the memory. If you trust it, allow more: "
            f"{ENVIRONMENT}={more}, or pe.Library(read_budget={more!r})"
        )


def _more(total: int) -> str:
    """Return ten times a number of bytes, as text."""
    return f"{max(1, -(-total // 10**8))}GB"
