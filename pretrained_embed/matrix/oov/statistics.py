"""Mean and deviation of a source."""

from __future__ import annotations

import numpy as np

from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import Float32Array, OnBadRow, Statistics

#: Rows of the source that the statistics are taken from: its first ones, which in the
#: usual files are its most frequent tokens.
STATISTICS_ROWS = 10_000


def source_statistics(reader: Reader, on_bad_row: OnBadRow) -> Statistics:
    """Return mean and standard deviation of each dimension of the first rows.

    The sums run row by row in binary64, so that they are the same on any machine.
    Numbers that are not finite are left out of them. A reader that knows them already
    is not asked for rows.
    """
    if reader.statistics is not None:
        return reader.statistics
    parts: list[Float32Array] = []
    rows = 0
    for block in reader.blocks(on_bad_row=on_bad_row):
        parts.append(block.vectors[: STATISTICS_ROWS - rows])
        rows += len(parts[-1])
        if rows == STATISTICS_ROWS:
            break
    sample = np.concatenate(parts).astype(np.float64)
    finite = np.isfinite(sample)
    sample[~finite] = 0.0
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.add.reduce(sample, axis=0) / count
    apart = np.where(finite, sample - mean, 0.0)
    std = np.sqrt(np.add.reduce(apart * apart, axis=0) / count)
    return Statistics(mean, std, rows)
