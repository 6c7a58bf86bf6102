"""How a build is carried out, beside the usual way in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import OptionError
from pretrained_embed.formats import TARGET_SUFFIXES, write_table

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pretrained_embed.matrix import EmbeddingMatrix


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
