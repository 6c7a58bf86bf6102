"""Numbers as a model stores them, and as one computes with them.

Rows that are only moved keep their bits. Means are computed in float64, rounded to
float32 and from there to the dtype of the model, to the nearest, ties to even.
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import AnyArray, Float64Array

#: The dtypes of safetensors that a table can have, as numpy holds them. numpy has no
#: bfloat16, the upper half of a float32; its bits are held.
STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

Stored = AnyArray


def to_float64(stored: Stored, dtype: str) -> Float64Array:
    """Return the values of stored numbers, exactly."""
    if dtype == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return stored.astype(np.float64)


def from_float64(values: Float64Array, dtype: str) -> Stored:
    """Return values rounded to what is stored."""
    if dtype == "F64":
        return values
    singles = values.astype(np.float32)
    if dtype != "BF16":
        return singles.astype(STORED[dtype])
    bits = singles.view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    # Rounding could carry a NaN over to infinity or beyond.
    return np.where(np.isnan(singles), bits >> 16 | 0x40, rounded).astype("<u2")
