"""From the table of a file back to a matrix.

`EmbeddingMatrix.table` puts the ledger and the counts into the table's arrays, the rest
into its metadata. A table without them, as other tools write it, becomes a matrix all
of whose tokens count as found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    ShapeError,
    VocabularyError,
)
from pretrained_embed.formats import HOLES, Doubt, Findings, Table
from pretrained_embed.matrix.advice import BITS, Advice
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.saved_ledger import DEFAULT_PAD, missing_part, read_ledger
from pretrained_embed.matrix.shard_file import standing_alone
from pretrained_embed.vocabulary import NO_HOLES, TokenRows, Vocabulary
from pretrained_embed.vocabulary.tokens import OwnTokenizer, Tokenizer

#: The note on a matrix of a release that did not record how its vocabulary reads texts.
_UNRECORDED = (
    "it was saved without a record of how its vocabulary reads texts: encode splits a "
    "str at white space, which is right unless a tokenizer had made the vocabulary"
)


def from_table(table: Table, name: str) -> EmbeddingMatrix:
    """Return the matrix that a table holds; ``name`` is for messages.

    Raises `FormatError` if its parts do not fit each other, or if a newer version of
    this package wrote it.
    """
    try:
        table = standing_alone(table)
        if "pretrained_embed" in table.metadata:
            return _own(table, name)
        return _foreign(table, name)
    except (OptionError, VocabularyError, ShapeError) as error:
        raise FormatError(f"{name}: {error}") from error


def _own(table: Table, name: str) -> EmbeddingMatrix:
    metadata = table.metadata
    ledger = read_ledger(table, name)
    try:
        options = {
            "pad": metadata["vocabulary"]["pad"],
            "unk": metadata["vocabulary"]["unk"],
            "tokenize": _tokenizer(metadata["vocabulary"]),
            "special_tokens": metadata["vocabulary"].get("special_tokens"),
            "marks": metadata["vocabulary"].get("marks"),
        }
        findings = _findings(metadata["findings"])
        if not options["tokenize"].recorded and _UNRECORDED not in findings.notes:
            findings.notes.append(_UNRECORDED)
        advice = _advice(metadata.get("advice"), table.arrays)
    except (KeyError, TypeError) as error:
        raise missing_part(name, error) from error
    return EmbeddingMatrix(
        table.vectors,
        Vocabulary(
            _rows(table).checked(), counts=table.arrays.get("counts"), **options
        ),
        ledger.origin,
        ledger.provenance,
        findings,
        ledger.source_rows,
        ledger.sources,
        ledger.parts,
        advice,
    )


def _rows(table: Table) -> TokenRows:
    return TokenRows(table.tokens, table.arrays.get(HOLES, NO_HOLES))


def _advice(forms: object, arrays: dict[str, AnyArray]) -> Advice | None:
    """Return the advice of a file that has some; raises KeyError and TypeError."""
    if forms is None:
        return None
    if not isinstance(forms, list) or len(forms) > BITS:
        raise TypeError("advice of another form")
    return Advice(tuple(map(str, forms)), arrays["advice"])


def _tokenizer(saved: dict[str, Any]) -> Tokenizer:
    """Return how a saved vocabulary reads texts: a function is there as its name."""
    name = saved.get("tokenize")
    return Tokenizer(
        lower=bool(saved.get("lower", False)),
        own=None if name is None else OwnTokenizer(str(name)),
        recorded=name is not None or "splits_at_white_space" in saved,
    )


def _findings(saved: dict[str, Any]) -> Findings:
    """Return saved findings; raises TypeError for those of another form."""
    doubts = [Doubt(*doubt) for doubt in saved["doubts"]]
    found = Findings(**saved | {"doubts": doubts})
    counts = (found.rows, found.bad_rows, found.suspicious_rows, found.duplicates)
    numbers = [*counts, *(doubt.row for doubt in doubts)]
    numbers += [doubt.line for doubt in doubts if doubt.line is not None]
    texts = [*found.notes, *(doubt.what for doubt in doubts)]
    if not all(type(n) is int for n in numbers) or not all(
        isinstance(text, str) for text in texts
    ):
        raise TypeError("findings of another form")
    return found


def _foreign(table: Table, name: str) -> EmbeddingMatrix:
    """Return a matrix of a file that holds tokens and vectors alone.

    Of a token that stands there twice the first row counts; the later rows have no
    token then, and are zeros. A ``<pad>`` whose row is zeros is the pad.
    """
    given = _rows(table)
    rows = given.first_of_each()
    duplicates = len(rows.holes) - len(given.holes)
    findings = Findings(rows=len(rows), duplicates=duplicates)
    filled = np.setdiff1d(np.arange(len(rows)), rows.holes, assume_unique=True)
    rows = rows.part(np.arange(filled.max(initial=-1) + 1))  # ends with a token
    row = rows.find([DEFAULT_PAD]).get(DEFAULT_PAD)
    pad = None if row is None or table.vectors[row].any() else DEFAULT_PAD
    vocabulary = Vocabulary(rows, pad=pad)
    vectors = table.vectors[: len(vocabulary)]
    source_rows = np.arange(len(vocabulary))
    if len(vocabulary.holes):
        vectors = vectors.copy()
        vectors[vocabulary.holes] = 0.0
        source_rows[vocabulary.holes] = -1
    provenance = {"source": {"name": name}}
    return EmbeddingMatrix(vectors, vocabulary, None, provenance, findings, source_rows)
