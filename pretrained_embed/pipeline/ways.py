"""How a build is carried out, beside the usual way in memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import OptionError
from pretrained_embed.formats import TARGET_SUFFIXES, write_table

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pretrained_embed.matrix import EmbeddingMatrix


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def number_of_bytes(given: int | str) -> int:
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
            f"memory is {given!r}, which is no number of bytes such as 500MB or 4G"
        )
    return given


class Ways(NamedTuple):
    """What may be asked for; the rows do not depend on it."""

    out: Path | None = None
    shards: int | None = None
    executor: Executor | None = None
    memory: int | None = None  # bytes that an index of tokens may take

    @property
    def are_asked_for(self) -> bool:
        """Whether anything is to be other than usual."""
        return self != Ways()

    def check(self, rows: int) -> None:
        """Raise `OptionError` for what does not go together, or with so many rows."""
        if self.out is not None and not self.out.name:
            raise OptionError(f"out is {str(self.out)!r}; name a file or a folder")
        if self.shards is None:
            if self.out is not None and self.out.suffix.lower() not in TARGET_SUFFIXES:
                raise OptionError(
                    f"out is {str(self.out)!r}; rows go into files that end in "
                    f"{' '.join(TARGET_SUFFIXES)}, or into shards. Save others with "
                    "matrix.save"
                )
            return
        if self.out is None:
            raise OptionError("shards are written: name a new folder for them with out")
        if not 1 <= self.shards <= rows:
            raise OptionError(
                f"shards is {self.shards} for {rows:,} rows; it can be 1 to {rows:,}"
            )

    def write(self, built: EmbeddingMatrix) -> None:
        """Write a matrix that was made in memory where it is wanted."""
        if self.out is not None and self.shards is None:
            built.save(self.out)
        elif self.out is not None:
            write_table(self.out, built.table(), format="sharded", shards=self.shards)
