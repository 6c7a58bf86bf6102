"""The tables of a Magnitude file, read through SQLite without trusting the file.

None of sqlite3's errors gets past this module.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pretrained_embed.errors import FormatError, PretrainedEmbedError
from pretrained_embed.formats.local import open_local
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import Int64Array, PackedTokens

_TABLE = "magnitude"
_LONGEST_VALUE = 1 << 20  # bytes of a row, a key or a statement


class Database:
    """An open file: its keys, its vectors, and what it says of itself."""

    def __init__(self, stream: ByteStream) -> None:
        import sqlite3

        self._where = stream.name
        self._held = ExitStack()
        try:
            path = self._held.enter_context(_named(stream))
            self._size = path.stat().st_size
            with self._refusing_damage():
                self._sql = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=ro&immutable=1",
                    uri=True,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._held.callback(self._sql.close)
                self._sql.text_factory = bytes  # keys need not be UTF-8
                self._sql.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
                self._sql.execute("PRAGMA trusted_schema = OFF")
                self.dim = self._check_table()
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._held.close()

    def numbers(self) -> dict[str, int]:
        """Return what the file says of itself, where that is a number."""
        with self._refusing_damage():
            query = "SELECT key, value FROM magnitude_format LIMIT 5000"
            rows = self._sql.execute(query).fetchall()
        return {
            key.decode("utf-8", "replace"): value
            for key, value in rows
            if type(key) is bytes and type(value) is int
        }

    def keys(self) -> tuple[PackedTokens, Int64Array]:
        """Return all keys, and the number that the database gives each row."""
        # A row takes a byte for each column at least. Damaged pages can be met again
        # and again, so rows are counted and not believed.
        limit = self._size // (self.dim + 2)
        keys: list[bytes] = []
        numbers: list[int] = []
        with self._refusing_damage():
            query = f"SELECT rowid, key FROM {_TABLE} NOT INDEXED ORDER BY rowid"
            for number, key in self._sql.execute(query):
                if type(key) is not bytes or len(keys) >= limit:
                    raise self._damaged(f"row {len(keys):,} has no key, or is none")
                keys.append(key)
                numbers.append(number)
        return PackedTokens.join(keys), np.array(numbers, np.int64)

    def vectors(self, numbers: Int64Array) -> Int64Array:
        """Return the integers of some rows, int64 (rows, dim)."""
        columns = ", ".join(f"dim_{number}" for number in range(self.dim))
        query = f"SELECT {columns} FROM {_TABLE} WHERE rowid = ?"
        vectors = np.empty((len(numbers), self.dim), np.int64)
        with self._refusing_damage():
            for row, number in enumerate(numbers.tolist()):
                found = self._sql.execute(query, (number,)).fetchone()
                if found is None or any(type(value) is not int for value in found):
                    raise self._damaged(f"row {number:,} is not all integers")
                vectors[row] = found
        return vectors

    def _check_table(self) -> int:
        """Return the number of dimensions of the table of vectors."""
        query = "SELECT type, rootpage FROM sqlite_master WHERE name = ?"
        entry = self._sql.execute(query, (_TABLE,)).fetchone()
        if entry is None or entry[0] != b"table" or not entry[1]:  # 0: a virtual one
            raise self._damaged("there is no plain table of vectors")
        columns = self._sql.execute(f"PRAGMA table_xinfo({_TABLE})").fetchall()
        dim = len(columns) - 2
        names = [b"key", *(b"dim_%d" % number for number in range(dim)), b"magnitude"]
        if dim < 1 or [column[1] for column in columns] != names:
            raise self._damaged("its columns are not key, dim_0, dim_1, ..., magnitude")
        if any(column[6] for column in columns):
            raise self._damaged("some of its columns are computed")
        return dim

    @contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except PretrainedEmbedError:
            raise
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> FormatError:
        return FormatError(
            f"{self._where}: the database is damaged, or is none of Magnitude's: {what}"
        )


@contextmanager
def _named(stream: ByteStream) -> Iterator[Path]:
    """Give the path of the bytes, of a copy where they are no file of their own."""
    import tempfile

    if stream.path is not None:
        yield stream.path
        return
    with tempfile.NamedTemporaryFile() as copy:
        with open_local(stream) as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        yield Path(copy.name)
