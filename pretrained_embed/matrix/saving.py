"""From a matrix to the table of a file, which `saved` turns back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pretrained_embed.arrays import AnyArray, Int16Array, Int64Array, PackedTokens
from pretrained_embed.errors import WriteError
from pretrained_embed.files.digests import fingerprint
from pretrained_embed.formats import HOLES, Findings, Table
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.origin import Origin, OriginArray, Part
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.tokens import Tokenizer

if TYPE_CHECKING:
    from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix

#: Version of what a saved matrix consists of. Raised when an older release could not
#: read it.
VERSION = 1


_FINGERPRINT = "blake2b-128-sampled:"  # as the provenance of a file has it


def check_place(
    path: str | os.PathLike[str], sources: Iterable[Mapping[str, Any]]
) -> None:
    """Raise `WriteError` where ``path`` is a file that the matrix was built from.

    ``sources`` is what the provenance tells of each. The content of the file counts,
    not its name, so that another file of that name can be replaced.
    """
    target = Path(os.fsdecode(path))
    known = [str(source.get("fingerprint", "")) for source in sources]
    if not any(one.startswith(_FINGERPRINT) for one in known) or not target.is_file():
        return
    if _FINGERPRINT + fingerprint(target) in known:
        raise WriteError(
            f"{str(target)!r} is a source of this matrix, and would be lost: give the "
            "matrix another name"
        )


class Described(Protocol):
    """What is saved of a matrix beside its vectors; see `EmbeddingMatrix`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the rows."""

    @property
    def origin(self) -> OriginArray:
        """The row ledger."""

    @property
    def source_rows(self) -> Int64Array:
        """Rows of the sources."""

    @property
    def sources(self) -> Int16Array:
        """Numbers of the sources."""

    @property
    def parts(self) -> Sequence[Part]:
        """The ledger of each source, where rows are put together of all."""

    @property
    def advice(self) -> Advice | None:
        """The forms that would have found OOV tokens."""

    @property
    def provenance(self) -> dict[str, Any]:
        """How to build the same rows again."""

    @property
    def findings(self) -> Findings:
        """What reading the sources found."""


def to_table(matrix: EmbeddingMatrix) -> Table:
    """Return everything there is about a matrix, as a table of a file."""
    return Table(
        tokens_of(matrix), matrix.vectors, arrays_of(matrix), metadata_of(matrix)
    )


def tokens_of(matrix: Described) -> PackedTokens:
    """Return the tokens of a table; a row that no token has has an empty one."""
    return matrix.vocabulary.packed


def arrays_of(matrix: Described) -> dict[str, AnyArray]:
    """Return the arrays of a table, most of them with one entry a row."""
    vocabulary = matrix.vocabulary
    arrays: dict[str, AnyArray] = {
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
    return arrays


def metadata_of(matrix: Described) -> dict[str, Any]:
    """Return the metadata of a table."""
    vocabulary, findings = matrix.vocabulary, matrix.findings
    return {
        "pretrained_embed": VERSION,
        "vocabulary": {
            "pad": vocabulary.pad_token,
            "unk": vocabulary.unk_token,
            "lower": vocabulary.tokenizer.lower,
            "tokenize": vocabulary.tokenizer.name,
            **_split(vocabulary.tokenizer),
            "special_tokens": dict(vocabulary.special_tokens),
            "marks": vocabulary.marks,
        },
        "origins": {origin.name.lower(): int(origin) for origin in Origin},
        "advice": None if matrix.advice is None else list(matrix.advice.forms),
        "provenance": matrix.provenance,
        "findings": asdict(findings)
        | {"doubts": [list(doubt) for doubt in findings.doubts]},
    }


def _split(tokenizer: Tokenizer) -> dict[str, bool]:
    """Return whether texts are split at white space, nothing where it is not known."""
    if not tokenizer.recorded:
        return {}
    return {"splits_at_white_space": tokenizer.name is None}
