"""From a matrix to the table of a file, which `saved` turns back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pretrained_embed.formats import HOLES, PackedTokens, Table
from pretrained_embed.matrix.origin import Origin

if TYPE_CHECKING:
    from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix

#: Version of what a saved matrix consists of. Raised when an older release could not
#: read it.
VERSION = 1


def to_table(matrix: EmbeddingMatrix) -> Table:
    """Return everything there is about a matrix, as a table of a file."""
    vocabulary, findings = matrix.vocabulary, matrix.findings
    arrays: dict[str, npt.NDArray[Any]] = {
        "origin": matrix.origin,
        "sources": matrix.sources,
        "source_rows": matrix.source_rows,
    }
    if matrix.parts:  # one row a source
        arrays["part_origins"] = np.stack([part.origin for part in matrix.parts])
        arrays["part_rows"] = np.stack([part.source_rows for part in matrix.parts])
    if matrix.advice is not None:
        arrays["advice"] = matrix.advice.found_by
    if len(vocabulary.holes):
        arrays[HOLES] = vocabulary.holes
    if vocabulary.counts is not None:
        arrays["counts"] = vocabulary.counts
    metadata = {
        "pretrained_embed": VERSION,
        "vocabulary": {
            "pad": vocabulary.pad_token,
            "unk": vocabulary.unk_token,
            "lower": vocabulary.tokenizer.lower,
            "tokenize": _name(vocabulary.tokenizer.tokenize),
            "special_tokens": dict(vocabulary.special_tokens),
            "marks": vocabulary.marks,
        },
        "origins": {origin.name.lower(): int(origin) for origin in Origin},
        "advice": None if matrix.advice is None else list(matrix.advice.forms),
        "provenance": matrix.provenance,
        "findings": asdict(findings)
        | {"doubts": [list(doubt) for doubt in findings.doubts]},
    }
    tokens = PackedTokens.pack(token or "" for token in vocabulary.tokens)
    return Table(tokens, matrix.vectors, arrays, metadata)


def _name(function: Callable[..., Any] | None) -> str | None:
    """Return what a file can hold of a function: its name."""
    if function is None:
        return None
    return getattr(function, "__qualname__", type(function).__qualname__)
