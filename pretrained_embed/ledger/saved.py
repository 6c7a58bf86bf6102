"""From the table of a file to a ledger.

The table has the values of `Ledger.arrays` and `Ledger.metadata`. In a table without
them, as other tools write it, every token counts as found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, Float32Array
from pretrained_embed.bits import Stored
from pretrained_embed.errors import FormatError
from pretrained_embed.formats import HOLES, Findings, Table, TablePart
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.table import SHARD, Rows, cut_arrays
from pretrained_embed.ledger.ledger import VERSION, Ledger
from pretrained_embed.ledger.origin import OWN_CODES, Origin
from pretrained_embed.vocabulary import NO_HOLES, TokenRows, Vocabulary, some_rows
from pretrained_embed.vocabulary.files.saved import tokenizer_of
from pretrained_embed.vocabulary.number_rows import NumberRows

#: The pad token that is looked for in a file without metadata.
_PAD = "<pad>"

#: The note on a matrix of a release that did not record how texts are split.
_UNRECORDED = Note(
    "matrix.tokenizer-unknown",
    "it was saved without a record of how its vocabulary reads texts: encode splits a "
    "str at white space, which is right unless a tokenizer had made the vocabulary",
)


def read(
    table: Table, name: str, findings: Findings | None = None
) -> tuple[Rows, Ledger]:
    """Return the vectors and the ledger of a table; ``name`` is for messages.

    One file of a matrix in several files is a matrix by itself: its rows are numbered
    from 0, it has only special tokens of its own rows, and it ends with the last row
    that has a token.

    In a table of another tool every token counts as found, and a ``<pad>`` whose row is
    zeros is the pad token. The first row of a duplicate token is used; later ones
    become holes of zeros. The ledger has the ``findings`` of the reader and the number
    of duplicates; a matrix has its own findings.

    Raises `FormatError` for a newer version and for a damaged table, and the errors of
    `Vocabulary` and `Ledger`.
    """
    label = table.metadata.get(SHARD)
    if isinstance(label, dict):
        table = _ending_with_a_token(table)
        if not len(table.tokens):
            raise _empty(name)
    if not _is_own(table):
        return _first_of_each(table, name, findings or Findings())
    ledger = _own(
        table, _rows(table).checked(), name, whole=not isinstance(label, dict)
    )
    if isinstance(label, dict):
        start, rows = label.get("start"), label.get("rows")
        what = f"rows {start:,} on, of a matrix of {rows:,}"
        ledger = _noted(ledger, Note("matrix.part", what))
    return table.vectors, ledger


def read_part(part: TablePart, name: str) -> Ledger:
    """Return the ledger of consecutive rows of a table, which may be none.

    The vocabulary has only the special tokens of these rows. In a table of another tool
    the tokens keep their rows. Raises the errors of `read`.
    """
    rows = _rows(part.table)
    if _is_own(part.table):
        return _own(part.table, rows, name, whole=False)
    return _found(part.table, rows, part.start, name)


def _is_own(table: Table) -> bool:
    return "pretrained_embed" in table.metadata


def _rows(table: Table) -> TokenRows:
    holes = table.arrays.get(HOLES, NO_HOLES)
    said = table.metadata.get("vocabulary")
    if isinstance(said, dict) and said.get("numbers"):
        return NumberRows.of_packed(table.tokens, holes)
    return TokenRows(table.tokens, holes)


# Tables of this package


def _own(table: Table, rows: TokenRows, name: str, *, whole: bool) -> Ledger:
    """Return the ledger of a table, which may have only some rows of a ``whole``."""
    metadata, arrays = table.metadata, table.arrays
    codes = _codes(metadata, name)
    try:
        vocabulary = vocabulary_of(metadata["vocabulary"], rows, arrays, whole=whole)
        findings, provenance = metadata["findings"], metadata["provenance"]
        forms = metadata.get("advice")
        _check(arrays, codes, name)
        if not isinstance(provenance, dict):
            raise FormatError(f"{name}: the provenance is not a JSON object")
        ledger = Ledger.from_arrays(vocabulary, arrays, forms, provenance, findings)
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{name}: a part of the matrix is missing: {error}"
        ) from error
    recorded = vocabulary.tokenizer.recorded or _UNRECORDED in ledger.findings.notes
    return ledger if recorded else _noted(ledger, _UNRECORDED)


def _noted(ledger: Ledger, note: Note) -> Ledger:
    """Return a ledger with another note."""
    findings = ledger.findings
    return replace(ledger, findings=replace(findings, notes=[*findings.notes, note]))


def _codes(metadata: Mapping[str, Any], name: str) -> set[int]:
    """Return the codes that a ledger may have; raises `FormatError` for others."""
    version = metadata["pretrained_embed"]
    if version != VERSION:
        raise FormatError(
            f"{name}: a matrix of version {version}; this release reads version "
            f"{VERSION}. Upgrade pretrained-embed."
        )
    origins = metadata.get("origins")
    known = {origin.name.lower(): int(origin) for origin in Origin}
    if not isinstance(origins, dict) or not origins.items() <= known.items():
        raise FormatError(
            f"{name}: the codes of its row ledger are not those of this release"
        )
    return {*origins.values(), *OWN_CODES}


def _check(arrays: Mapping[str, AnyArray], codes: set[int], name: str) -> None:
    """Raise `FormatError` for arrays that are no valid ledger."""
    for origins, rows in (("origin", "source_rows"), ("part_origins", "part_rows")):
        if origins not in arrays and origins != "origin":
            continue
        if arrays[origins].dtype != np.uint8 or arrays[rows].dtype != np.int64:
            raise FormatError(f"{name}: the row ledger is not of whole numbers")
        if unknown := set(np.unique(arrays[origins]).tolist()) - codes:
            raise FormatError(f"{name}: the row ledger holds the code {min(unknown)}")
    if "sources" in arrays and arrays["sources"].dtype != np.int16:
        raise FormatError(f"{name}: the sources of its rows are not whole numbers")


def vocabulary_of(
    saved: Mapping[str, Any],
    rows: TokenRows,
    arrays: Mapping[str, AnyArray],
    *,
    whole: bool,
) -> Vocabulary:
    """Return the vocabulary; raises ``KeyError`` and ``TypeError`` too."""
    pad, unk = saved["pad"], saved["unk"]
    named, marks = saved.get("special_tokens"), saved.get("marks")
    tokenizer, counts = tokenizer_of(saved), arrays.get("counts")
    if whole:
        return Vocabulary(
            rows,
            pad=pad,
            unk=unk,
            counts=counts,
            tokenize=tokenizer,
            special_tokens=named,
            marks=marks,
        )
    special = {**(named or {}), "pad": pad, "unk": unk}
    texts = [token for token in special.values() if isinstance(token, str)]
    here = {*rows.find(texts)}
    return some_rows(
        rows,
        special_tokens={
            part: token for part, token in special.items() if token in here
        },
        counts=counts,
        tokenize=tokenizer,
        marks=marks,
    )


def _ending_with_a_token(table: Table) -> Table:
    """Return a table without the rows after its last token; raises `FormatError`."""
    rows = end = len(table.tokens)
    holes = set(table.arrays.get(HOLES, NO_HOLES).tolist())
    while end and end - 1 in holes:
        end -= 1
    arrays = cut_arrays(table.arrays, rows, 0, end)
    vectors = _first(table.vectors, end)
    return Table(table.tokens[:end], vectors, arrays, table.metadata)


def _first(vectors: Float32Array | Stored, count: int) -> Float32Array | Stored:
    """Return the first rows, as bits."""
    if isinstance(vectors, Stored):
        return vectors.part(slice(count))
    return vectors[:count]


# Tables of other tools


def _found(table: Table, rows: TokenRows, start: int, name: str) -> Ledger:
    """Return the ledger of tokens and vectors only, the first of which is ``start``.

    Every token counts as found. A ``<pad>`` whose row is zeros is the pad token.
    """
    row = rows.find([_PAD]).get(_PAD)
    is_pad = row is not None and not table.vectors[row : row + 1].any()
    vocabulary = some_rows(rows, special_tokens={"pad": _PAD} if is_pad else {})
    source_rows = np.arange(start, start + len(rows))
    source_rows[rows.holes] = -1
    provenance = {"source": {"name": name}}
    return Ledger(vocabulary, None, provenance, source_rows=source_rows)


def _first_of_each(table: Table, name: str, findings: Findings) -> tuple[Rows, Ledger]:
    given = _rows(table)
    rows = given.first_of_each()
    duplicates = len(rows.holes) - len(given.holes)
    findings = replace(
        findings,
        rows=len(rows),
        duplicates=duplicates,
        doubts=[*findings.doubts],  # its reader may read again
        notes=[*findings.notes],
    )
    filled = np.setdiff1d(np.arange(len(rows)), rows.holes, assume_unique=True)
    rows = rows.part(np.arange(filled.max(initial=-1) + 1))  # ends with a token
    if not len(rows):
        raise _empty(name)
    vectors = _first(table.vectors, len(rows))
    if len(rows.holes) and isinstance(vectors, Stored):
        vectors = vectors.without(rows.holes)
    elif len(rows.holes):
        vectors = vectors[:].copy()
        vectors[rows.holes] = 0.0
    return vectors, replace(_found(table, rows, 0, name), findings=findings)


def _empty(name: str) -> FormatError:
    return FormatError(f"{name}: the vocabulary is empty; it needs at least one row")
