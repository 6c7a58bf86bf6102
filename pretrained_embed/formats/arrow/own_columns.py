"""Our own tables of Arrow: the columns and the metadata of a matrix.

::

    id       int64                     the row, which is the token's id
    token    string or binary          null in a row without one
    vector   fixed_size_list<float>    float16, float32 or float64; or the whole
                                       numbers that `bits` keeps, and column scales
    NAME     numbers                   an array with an entry for each row
    NAME.K   numbers                   row K of an array of several

Tokens are strings where all of them are UTF-8. The metadata of the schema has, under
``pretrained_embed``, a JSON object: ``version``, ``metadata`` and ``arrays``. An array
has ``name`` and ``dtype``, and its ``columns``, or else ``shape`` and ``base64``: its
bytes in C order, little-endian.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.marks import OWN
from pretrained_embed.formats.table import HOLES, Annotations, encode_metadata

VERSION = 1
ID, TOKEN, VECTOR = "id", "token", "vector"
KEY = OWN.encode()

#: Kinds of numbers that arrays have.
_DTYPES = {
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
}


def columns_of(
    annotations: Annotations, rows: int
) -> tuple[dict[str, AnyArray], bytes]:
    """Return the columns of the arrays of a table, by name, and the metadata."""
    columns: dict[str, AnyArray] = {}
    listed: list[dict[str, Any]] = []
    for name in sorted(annotations.arrays):
        array = annotations.arrays[name]
        entry: dict[str, Any] = {"name": name, "dtype": array.dtype.name}
        listed.append(entry)
        if name == HOLES:
            entry["nulls"] = TOKEN
        elif array.ndim in (1, 2) and array.shape[-1] == rows and array.size:
            taken = (ID, TOKEN, VECTOR)
            stem = f"{name}." if array.ndim == 2 or name in taken else name
            named = {stem: array} if array.ndim == 1 else _numbered(stem, array)
            entry["columns"] = list(named)
            entry["ndim"] = array.ndim
            columns |= named
        else:
            plain = array.astype(array.dtype.newbyteorder("<"), copy=False)
            entry["shape"] = list(array.shape)
            entry["base64"] = binascii.b2a_base64(
                np.ascontiguousarray(plain).tobytes(), newline=False
            ).decode("ascii")
    content = {"version": VERSION, "arrays": listed, "metadata": annotations.metadata}
    return columns, encode_metadata(content)


def _numbered(stem: str, array: AnyArray) -> dict[str, AnyArray]:
    return {f"{stem}{number}": row for number, row in enumerate(array)}


class OwnMetadata:
    """What the metadata of one of our tables says."""

    def __init__(self, raw: bytes, where: str) -> None:
        self._where = where
        with self._refusing():
            content = json.loads(raw)
            self.metadata: dict[str, Any] = content["metadata"]
            self._arrays: list[dict[str, Any]] = content["arrays"]
            known = content["version"] == VERSION
            if not isinstance(self.metadata, dict):
                raise TypeError("the metadata is no object")
            for entry in self._arrays:
                if entry["dtype"] not in _DTYPES:
                    raise ValueError(f"an array of {entry['dtype']!r}")
        if not known:
            raise FormatError(
                f"{where}: was written by a newer release of pretrained-embed; "
                "upgrade it: pip install --upgrade pretrained-embed"
            )

    def _refusing(self) -> Any:
        return refusing_damage(self._where, f"the metadata {OWN!r} makes no sense")

    def forget_arrays(self) -> None:
        """Keep the holes alone: the columns are no longer those that were written."""
        self._arrays = [entry for entry in self._arrays if "nulls" in entry]
        self.metadata = {}

    @property
    def has_holes(self) -> bool:
        """Whether rows without a token are listed."""
        return any("nulls" in entry for entry in self._arrays)

    @property
    def columns(self) -> list[str]:
        """The columns of the arrays."""
        with self._refusing():
            return [
                str(column)
                for entry in self._arrays
                for column in entry.get("columns", ())
            ]

    def arrays(self, columns: Mapping[str, AnyArray], rows: int) -> dict[str, AnyArray]:
        """Return the arrays but that of the holes, given the columns."""
        with self._refusing():
            return {
                str(entry["name"]): self._array(entry, columns, rows)
                for entry in self._arrays
                if "nulls" not in entry
            }

    def _array(
        self, entry: dict[str, Any], columns: Mapping[str, AnyArray], rows: int
    ) -> AnyArray:
        dtype = np.dtype(entry["dtype"])
        if "columns" in entry:
            parts = [columns[name] for name in entry["columns"]]
            if any(part.dtype != dtype or part.shape != (rows,) for part in parts):
                raise ValueError(f"the columns of array {entry['name']!r} are others")
            return np.stack(parts) if entry["ndim"] == 2 else parts[0]
        shape = tuple(map(int, entry["shape"]))
        data = binascii.a2b_base64(entry["base64"])
        if math.prod(shape) * dtype.itemsize != len(data) or min(shape, default=0) < 0:
            raise ValueError(f"the bytes of array {entry['name']!r} are others")
        stored = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
        return stored.astype(dtype)
