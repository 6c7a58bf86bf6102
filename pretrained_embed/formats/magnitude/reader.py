"""Magnitude's files (``.magnitude``), which are SQLite databases.

::

    magnitude(key TEXT, dim_0 INTEGER, ..., dim_N INTEGER, magnitude REAL)
    magnitude_format(key TEXT, value INTEGER)     "precision", "version", ...

Row after row, a key and its vector: the integers are its numbers times
10 ** precision. Vectors are of unit length, as pymagnitude gives them unless asked for
others; the norm that each had is in column ``magnitude`` and is not multiplied back in;
the facts and a note speak of it. Tables of n-grams, search trees and language models
are not read.

The database is opened read-only and as one that cannot change: no journal is replayed,
and no file is opened beside it. Views, virtual tables and computed columns are refused,
for reading these can run functions.

https://github.com/plasticityai/magnitude, pymagnitude/converter.py
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.magnitude.database import Database
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.subwords.table import ComputedRows, SubwordTableReader

NAME = "magnitude"

_HIGHEST_PRECISION = 18  # decimal digits; more do not fit into 64 bits


def open_reader(stream: ByteStream) -> SubwordTableReader:
    """Open a file for reading; raises `FormatError` where it is damaged."""
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
            notes.append(
                f"vectors are of unit length; the norms they had, {least:.4g} to "
                f"{most:.4g}, are kept apart in the file and not multiplied in"
            )
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
    """Vectors, taken out of the database when they are asked for."""

    def __init__(self, database: Database, numbers: Int64Array, scale: int) -> None:
        self.shape = (len(numbers), database.dim)
        self._database = database
        self._numbers = numbers
        self._scale = scale

    def __getitem__(self, rows: slice | Int64Array) -> Float32Array:
        integers = self._database.vectors(self._numbers[rows])
        return (integers / self._scale).astype(np.float32)
