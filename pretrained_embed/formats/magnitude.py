"""Magnitude's files (``.magnitude``), which are SQLite databases.

::

    magnitude(key TEXT, dim_0 INTEGER, ..., dim_N INTEGER, magnitude REAL)
    magnitude_format(key TEXT, value INTEGER)     "precision", "version", ...

Each row has a key and its vector: the integers are its numbers times 10 ** precision.
Vectors have length 1, as pymagnitude returns them by default; the original norm is in
column ``magnitude`` and is not multiplied in, which the facts and a note say. Tables of
n-grams, search trees and language models are not read.

The database is opened read-only and as one that cannot change: no journal is replayed,
and no file is opened beside it. Views, virtual tables and computed columns are refused,
for reading these can run functions.

https://github.com/plasticityai/magnitude, pymagnitude/converter.py

No error of sqlite3 leaves this module.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array, PackedTokens
from pretrained_embed.budget import OBJECT
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import budget_of, file_size, open_local
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.subwords.readers import ComputedRows, SubwordTableReader

NAME = "magnitude"

_HIGHEST_PRECISION = 18  # decimal digits; more do not fit into 64 bits


def open_reader(stream: ByteStream) -> SubwordTableReader:
    """Open a file for reading; raises `FormatError` if it is damaged."""
    where = stream.name
    database = Database(stream)
    try:
        numbers = database.numbers()
        precision = numbers.get("precision", -1)
        if not 0 <= precision <= _HIGHEST_PRECISION:
            raise FormatError(
                f"{where}: the database does not say how many decimal digits its "
                "vectors have; it is damaged, or is none of Magnitude's"
            )
        tokens, rows, least, most = database.keys()
        facts: dict[str, object] = {
            "precision": precision,
            "version": numbers.get("version"),
        }
        notes = []
        if least <= most and not least == most == 1:
            facts["norms"] = [least, most]
            what = (
                f"vectors are of unit length; the norms they had, {least:.4g} to "
                f"{most:.4g}, are kept apart in the file and not multiplied in"
            )
            notes.append(Note("vectors.norms", what))
        return SubwordTableReader(
            NAME,
            where,
            tokens,
            _Rows(database, rows, 10**precision),
            facts=facts,
            notes=notes,
            release=database.close,
        )
    except BaseException:
        database.close()
        raise


class _Rows(ComputedRows):
    """Vectors that are read from the database on demand."""

    def __init__(self, database: Database, numbers: Int64Array, scale: int) -> None:
        self.shape = (len(numbers), database.dim)
        self._database = database
        self._numbers = numbers
        self._scale = scale

    def __getitem__(self, rows: slice | Int64Array) -> Float32Array:
        integers = self._database.vectors(self._numbers[rows])
        return (integers / self._scale).astype(np.float32)


_NOT_OURS = "the database is damaged, or is none of Magnitude's"
_TABLE = "magnitude"
_HEAD = 100  # bytes of the head of a database
_LONGEST_VALUE = 1 << 20  # bytes of a row, a key or a statement


class DatabaseKeys(NamedTuple):
    """The keys of all rows."""

    tokens: PackedTokens
    numbers: Int64Array  # the database's id of each row
    least: float  # length of a vector before it was scaled to 1
    most: float


class Database:
    """An open file: its keys, its vectors, and its metadata."""

    def __init__(self, stream: ByteStream) -> None:
        import sqlite3

        self._where = stream.name
        self._held = ExitStack()
        try:
            path = self._held.enter_context(_named(stream))
            with path.open("rb") as file:
                self._budget = budget_of(stream, file)
                self._check_size(file)
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
        """Return the metadata that are numbers."""
        with self._refusing_damage():
            query = (
                "SELECT key, value FROM magnitude_format WHERE typeof(value) = "
                "'integer' AND length(CAST(key AS BLOB)) < 100 LIMIT 5000"
            )
            rows = self._sql.execute(query).fetchall()
        return {
            key.decode("utf-8", "replace"): value
            for key, value in rows
            if type(key) is bytes
        }

    def keys(self) -> DatabaseKeys:
        """Return all keys, in the order of the rows."""
        keys: list[bytes] = []
        numbers: list[int] = []
        least, most = math.inf, -math.inf
        with self._refusing_damage():
            query = f"SELECT rowid, key, magnitude FROM {_TABLE} ORDER BY rowid"
            for number, key, length in self._sql.execute(query):
                # If they do not ascend, damaged pages are read again and again.
                if numbers and number <= numbers[-1]:
                    raise self._damaged(f"row {number:,} comes twice")
                if type(key) is not bytes:
                    raise self._damaged(f"row {number:,} has no key")
                self._budget.take(len(key) + OBJECT)  # keys can share their pages
                keys.append(key)
                numbers.append(number)
                if type(length) is float:  # NULL stands for a value that is no number
                    least, most = min(least, length), max(most, length)
        packed = PackedTokens.join(keys)
        return DatabaseKeys(packed, np.array(numbers, np.int64), least, most)

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

    def _check_size(self, file: BinaryIO) -> None:
        """Raise `TruncatedError` if pages are missing that the file says it has."""
        file.seek(0)
        head, size = file.read(_HEAD), file_size(file)
        page = int.from_bytes(head[16:18], "big")
        pages = int.from_bytes(head[28:32], "big")
        # A page of 64 KiB is written as 1; old versions of SQLite do not count pages.
        needed = pages * (0x10000 if page == 1 else page)
        if len(head) < _HEAD or (head[24:28] == head[92:96] and size < needed):
            raise TruncatedError(
                f"{self._where}: {size:,} bytes, but the database has {needed:,}; get "
                "the file again"
            )

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

    def _refusing_damage(self) -> AbstractContextManager[None]:
        return refusing_damage(self._where, _NOT_OURS)

    def _damaged(self, what: str) -> FormatError:
        return FormatError(
            f"{self._where}: {_NOT_OURS}: {what}; copy or download the file again"
        )


@contextmanager
def _named(stream: ByteStream) -> Iterator[Path]:
    """Yield the path of the bytes, or of a copy if they are no separate file."""
    import tempfile

    if stream.path is not None:
        yield stream.path
        return
    with tempfile.NamedTemporaryFile() as copy:
        with open_local(stream) as file:
            file.seek(0)
            shutil.copyfileobj(file, copy)
        copy.flush()
        yield Path(copy.name)
