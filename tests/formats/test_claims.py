"""Positions of rows in splits, beside the rank of the form that was found."""

import numpy as np
import pytest

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.claims import MOST_SPLITS, Claims, position_of
from pretrained_embed.kernel import TokenIndex

LAST_ROW = (1 << 36) - 1


def test_the_last_row_of_the_last_split_stays_below_the_rank():
    assert MOST_SPLITS == 1 << 20
    assert position_of(MOST_SPLITS - 1, LAST_ROW) == (1 << kernel.RANK_SHIFT) - 1


@pytest.mark.parametrize(
    ("split", "row", "reached"),
    [(MOST_SPLITS, 0, "rank"), (-1, 0, "rank"), (0, LAST_ROW + 1, "split")],
)
def test_no_position_reaches_what_stands_above_it(split, row, reached):
    with pytest.raises(AssertionError, match=f"would reach the .*{reached}"):
        position_of(split, row)


def test_rows_are_counted_from_the_first_of_the_file():
    tokens = PackedTokens.pack(["a", "b", "c"])
    rows, ranks = np.arange(3), np.zeros(3, np.uint8)
    claims = Claims(TokenIndex(tokens, rows, ranks), 3)
    first = PackedTokens.pack(["b"])
    claims.find(first.data, first.offsets, position_of(2, 5))
    last = PackedTokens.pack(["x", "a", "b"])
    claims.find(last.data, last.offsets, position_of(3, 0))

    rows = claims.rows(np.array([0, 10, 20, 30, 40]))

    assert rows.tolist() == [31, 25, -1]
    assert claims.duplicates == 1
