"""The row ledger: where each row of a matrix comes from."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

OriginArray = npt.NDArray[np.uint8]


class Origin(IntEnum):
    """One code a row. Codes from `EXACT` on: found in the source, by that form."""

    UNUSED = 0  # no token has this id; the row is zeros
    PAD = 1  # the padding row; zeros
    OOV = 2  # not in the source; filled by the OOV policy
    SUBWORD = 3  # not in the source; made of the source's own subword pieces
    PARTS = 4  # not in the source; the mean of tokens of the source it consists of
    NGRAM = 5  # not in the source; predicted from its character n-grams
    EXACT = 16  # found as it stands
    LOWER = 17  # found in lower case

    @property
    def found(self) -> bool:
        """Whether the row's vector is from the source."""
        return self >= Origin.EXACT


class Part(NamedTuple):
    """The ledger of one of the sources that all rows of a matrix are put together of.

    A row that the source does not have has a code below `EXACT`, and the row -1.
    """

    origin: OriginArray  # (rows,)
    source_rows: npt.NDArray[np.int64]  # (rows,), -1 for none
