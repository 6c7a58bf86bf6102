"""Where the rows of a build go: what takes them, and the one that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.build.plan import Plan
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix

#: Returns the ledger of the rows so far.
SoFar = Callable[[], Ledger]


class Sink(Protocol):
    """Takes the rows of a plan, range by range in order."""

    def place(self) -> Float32Array | None:
        """Return all rows, (rows, dim), zeros to be filled where they lie.

        ``None`` where the rows that were made have to be written.
        """

    def write(self, rows: range, vectors: Float32Array, so_far: SoFar) -> None:
        """Write the rows of a range."""

    def finish(self, ledger: Ledger) -> None:
        """Write what belongs to all rows, which are there."""

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix, once what was written has its name."""


class Memory:
    """Takes rows into memory; see `Sink`."""

    def __init__(self, plan: Plan) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._vectors = np.empty((0, plan.dim), np.float32)

    def place(self) -> Float32Array | None:
        """Return nothing: rows that are made at once are in memory already."""
        return None

    def write(self, rows: range, vectors: Float32Array, so_far: SoFar) -> None:
        """Keep the rows of a range."""
        if len(rows) == self._shape[0]:
            self._vectors = vectors
            return
        if not len(self._vectors):
            self._vectors = np.empty(self._shape, np.float32)
        self._vectors[rows.start : rows.stop] = vectors

    def finish(self, ledger: Ledger) -> None:
        """Do nothing more."""

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix in memory."""
        self._vectors.flags.writeable = False  # and so need not be copied
        return EmbeddingMatrix(self._vectors, ledger)
