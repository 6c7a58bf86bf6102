"""The row ledger in the table of a file: read and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Int16Array, Int64Array
from pretrained_embed.errors import FormatError
from pretrained_embed.formats import Table
from pretrained_embed.matrix.origin import OWN_CODES, Origin, OriginArray, Part
from pretrained_embed.matrix.saving import VERSION

#: The pad token that a file without metadata is asked for.
DEFAULT_PAD = "<pad>"


class SavedLedger(NamedTuple):
    """Where the rows are from, as in `EmbeddingMatrix`."""

    origin: OriginArray
    source_rows: Int64Array
    sources: Int16Array | None
    parts: list[Part]
    provenance: dict[str, Any]


def read_ledger(table: Table, name: str) -> SavedLedger:
    """Return the ledger of a table that this package wrote; ``name`` is for messages.

    Raises `FormatError` for that of a newer version, and for a damaged one.
    """
    version = table.metadata["pretrained_embed"]
    if version != VERSION:
        raise FormatError(
            f"{name}: a matrix of version {version}; this release reads version "
            f"{VERSION}. Upgrade pretrained-embed."
        )
    origins = table.metadata.get("origins")
    known = {o.name.lower(): int(o) for o in Origin}
    if not isinstance(origins, dict) or not origins.items() <= known.items():
        raise FormatError(
            f"{name}: the codes of its row ledger are not those of this release"
        )
    try:
        ledger = SavedLedger(
            table.arrays["origin"],
            table.arrays["source_rows"],
            table.arrays.get("sources"),
            _parts(table.arrays),
            table.metadata["provenance"],
        )
    except (KeyError, TypeError) as error:
        raise missing_part(name, error) from error
    _check(ledger, {*origins.values(), *OWN_CODES}, name)
    return ledger


def missing_part(name: str, error: Exception) -> FormatError:
    """Return the error for a table that lacks something of a matrix."""
    return FormatError(f"{name}: a part of the matrix is missing: {error}")


def _check(ledger: SavedLedger, codes: set[int], name: str) -> None:
    for part in (Part(ledger.origin, ledger.source_rows), *ledger.parts):
        if part.origin.dtype != np.uint8 or part.source_rows.dtype != np.int64:
            raise FormatError(f"{name}: the row ledger is not of whole numbers")
        if unknown := set(np.unique(part.origin).tolist()) - codes:
            raise FormatError(f"{name}: the row ledger holds the code {min(unknown)}")
    if ledger.sources is not None and ledger.sources.dtype != np.int16:
        raise FormatError(f"{name}: the sources of its rows are not whole numbers")
    if not isinstance(ledger.provenance, dict):
        raise FormatError(f"{name}: the provenance is not a JSON object")


def _parts(arrays: dict[str, AnyArray]) -> list[Part]:
    """Return the ledgers of the parts; raises KeyError and TypeError."""
    if "part_origins" not in arrays:
        return []
    origins, rows = arrays["part_origins"], arrays["part_rows"]
    if len(origins) != len(rows):
        raise TypeError(f"{len(origins)} part_origins, {len(rows)} part_rows")
    return [Part(*part) for part in zip(origins, rows, strict=True)]
