"""Mean and deviation of a source."""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow, Statistics

#: Rows of the source that the statistics are taken from: its first ones, which in the
#: usual files are its most frequent tokens.
STATISTICS_ROWS = 10_000


def source_statistics(reader: Reader, on_bad_row: OnBadRow) -> Statistics:
    """Return mean and standard deviation of each dimension of the first rows.

    See `Statistics.of`. A reader that knows them already is not asked for rows.
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
    return Statistics.of(np.concatenate(parts))
