"""How files are read: whether they are mapped, and how much memory that may take.

A small file can ask for much memory: by a string that is referred to a million times,
or by zeros that were packed a thousand to one. So who makes something of a file in
memory first takes the bytes from the budget of the file. Vectors that are read row by
row, or mapped, are not counted.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from pretrained_embed.errors import FormatError, OptionError

#: The environment variable that sets another budget, such as 4GB.
ENVIRONMENT = "PRETRAINED_EMBED_READ_BUDGET"

#: Bytes that may be made of any file, and for each byte of it.
FIXED, TIMES = 64 << 20, 64

#: Bytes that an object of Python takes beside what is in it: a string, a small list.
OBJECT = 64

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def number_of_bytes(given: int | str, what: str = "memory") -> int:
    """Return a number of bytes, as a number or in words; raises `OptionError`.

    >>> number_of_bytes("4GB"), number_of_bytes("1.5 MiB"), number_of_bytes(10)
    (4000000000, 1572864, 10)
    """
    if isinstance(given, str) and (match := _SIZE.fullmatch(given.strip())):
        unit = match[2].lower()
        one = 1024 ** list(_UNITS).index(unit) if match[3] else _UNITS[unit]
        given = int(float(match[1]) * one)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise OptionError(
            f"{what} is {given!r}, which is no number of bytes such as 500MB or 4G"
        )
    return given


class ReadOptions(NamedTuple):
    """How files are read. A stream has it, and so has a file that is open.

    ``mmap`` is whether they are mapped, or read into memory: a file that is mapped and
    cut short by another program ends the process by SIGBUS, one that was read does not.
    ``budget`` is how many bytes may be made of each, by default what the environment
    says.
    """

    mmap: bool = True
    budget: int | None = None

    def budget_of(self, where: str, size: int) -> Budget:
        """Return the budget of a file of so many bytes."""
        return Budget(where, size, self.budget)


#: How files are read unless a library says otherwise.
USUAL = ReadOptions()


class Budget:
    """What may still be made in memory of one file.

    ``size`` is the number of its bytes, packed as they are; ``allowed`` is that of the
    bytes that may be made, see `ReadOptions`. Raises `OptionError` where the
    environment sets what is no number of bytes.
    """

    def __init__(self, where: str, size: int, allowed: int | None = None) -> None:
        self._where = where
        self._size = size
        self._asked: str | None = None  # who has set the total, unless it is ours
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

    def take(self, count: int) -> None:
        """Take so many bytes before they are made; raises `FormatError`."""
        self.left -= count
        if self.left < 0:
            raise self.spent()

    def spent(self) -> FormatError:
        """Return the error that says that more is asked for than may be made."""
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
    """Return a number of bytes, in words, that is ten times as many."""
    return f"{max(1, -(-total // 10**8))}GB"
