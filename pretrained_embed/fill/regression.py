"""Ridge regression on counts, the same to the bit on any machine.

Conjugate gradients on the normal equations (Hestenes and Stiefel, 1952), scaled by the
diagonal. The number of steps is fixed, every sum runs in order, one number after the
other, in binary64, and no BLAS or LAPACK is called: their results change with the
machine and the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Float64Array, FloatArray, Int64Array

#: What is left of the error, as a share of its square at the start, where it ends.
_ENOUGH = 1e-24


class Counts(NamedTuple):
    """How often each row has each feature, as a list of single occurrences."""

    rows: Int64Array  # (occurrences,)
    features: Int64Array  # (occurrences,)
    row_count: int
    feature_count: int

    def times(self, weights: FloatArray) -> Float64Array:
        """Return the sum of the weights of each row's features, (row_count,)."""
        return _sums(self.rows, weights[self.features], self.row_count)

    def transposed_times(self, values: Float64Array) -> Float64Array:
        """Return the sum of the values of each feature's rows, (feature_count,)."""
        return _sums(self.features, values[self.rows], self.feature_count)


def ridge(
    counts: Counts, target: Float64Array, *, penalty: float, steps: int
) -> Float64Array:
    """Return the weights w, (feature_count,), after some steps towards the least of

    ``sum((counts.times(w) - target)**2) + penalty * sum(w**2)``, from zeros.
    """
    scale = 1.0 / (
        np.bincount(counts.features, minlength=counts.feature_count) + penalty
    )
    weights = np.zeros(counts.feature_count)
    error = counts.transposed_times(target)
    scaled = scale * error
    direction = scaled
    size = start = _dot(error, scaled)
    for _ in range(steps):
        if size <= _ENOUGH * start:
            break
        image = counts.transposed_times(counts.times(direction)) + penalty * direction
        step = size / _dot(direction, image)
        weights += step * direction
        error = error - step * image
        scaled = scale * error
        before, size = size, _dot(error, scaled)
        direction = scaled + (size / before) * direction
    return weights


def _sums(places: Int64Array, values: FloatArray, count: int) -> Float64Array:
    """Return the sum of the values of each place, added in the order they stand in."""
    return np.bincount(places, values, count).astype(np.float64, copy=False)


def _dot(one: Float64Array, other: Float64Array) -> float:
    # np.dot and np.sum add in an order of their own
    return float(np.add.accumulate(one * other)[-1]) if len(one) else 0.0
