"""Half precision ends at 65504: larger values must not become infinite in silence."""

from __future__ import annotations

import numpy as np

from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard


def check_float16(matrix: EmbeddingMatrix | EmbeddingShard) -> None:
    """Raise `OptionError` if a value of the matrix is too large for float16."""
    largest = np.abs(matrix.vectors).max(initial=0)
    with np.errstate(over="ignore"):
        lost = np.isinf(np.float16(largest)) and np.isfinite(largest)
    if lost:
        raise OptionError(
            f"float16 cannot hold the values of this matrix, which reach {largest:g}: "
            "take bfloat16 or float32"
        )
