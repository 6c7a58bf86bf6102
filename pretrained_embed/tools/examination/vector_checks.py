"""Vectors of a file that are no numbers, no finite ones, or nothing at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pretrained_embed.arrays import Float32Array


@dataclass
class VectorChecks:
    """Rows (0-based, rising) with remarkable vectors, and the lengths of the others.

    The norms are Euclidean lengths, of the finite rows.
    """

    nan: list[int] = field(default_factory=list)
    infinite: list[int] = field(default_factory=list)
    zero: list[int] = field(default_factory=list)
    shortest: float = math.inf
    longest: float = -math.inf
    rows: int = 0
    _sum: float = 0.0
    _finite: int = 0

    def add(self, vectors: Float32Array) -> None:
        """Look at the next rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", vectors, vectors)
        # squares go out of range long before the numbers do: look again there
        odd = np.flatnonzero(~np.isfinite(squares) | (squares < 1e-30))
        norms = np.sqrt(squares.astype(np.float64))
        for i in odd.tolist():
            vector = vectors[i].astype(np.float64)
            norms[i] = math.nan
            if np.isnan(vector).any():
                self.nan.append(self.rows + i)
            elif np.isinf(vector).any():
                self.infinite.append(self.rows + i)
            else:
                norms[i] = math.sqrt(float(vector @ vector))
                if not vector.any():
                    self.zero.append(self.rows + i)
        self.rows += len(vectors)
        finite = norms[~np.isnan(norms)] if len(odd) else norms
        if len(finite):
            self.shortest = min(self.shortest, float(finite.min()))
            self.longest = max(self.longest, float(finite.max()))
            self._sum += float(finite.sum())
            self._finite += len(finite)

    @property
    def mean_norm(self) -> float | None:
        """Mean length of the finite rows, if there are any."""
        return self._sum / self._finite if self._finite else None

    def norms(self) -> dict[str, float] | None:
        """Return the least, mean and greatest length, if there are any."""
        if self.mean_norm is None:
            return None
        return {"min": self.shortest, "mean": self.mean_norm, "max": self.longest}
