"""Where rows come from: all there is to know of a matrix but its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pretrained_embed.arrays import Float32Array, Int16Array, Int64Array
from pretrained_embed.formats import Findings
from pretrained_embed.formats.table import Rows
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.origin import OriginArray, Part
from pretrained_embed.vocabulary import Vocabulary


@dataclass
class Ledger:
    """What an `EmbeddingMatrix` has beside its vectors; see there."""

    vocabulary: Vocabulary
    origin: OriginArray
    source_rows: Int64Array
    sources: Int16Array
    parts: Sequence[Part] = ()
    advice: Advice | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def with_vectors(self, vectors: Float32Array | Rows) -> EmbeddingMatrix:
        """Return the matrix of these vectors, (len(vocabulary), dim)."""
        return EmbeddingMatrix(
            vectors,
            self.vocabulary,
            self.origin,
            self.provenance,
            self.findings,
            self.source_rows,
            self.sources,
            self.parts,
            self.advice,
        )
