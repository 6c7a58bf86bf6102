from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, WriteError
from pretrained_embed.formats.table import (
    HOLES,
    Annotations,
    bounds,
    check_cuttable,
    cut_arrays,
    join_annotations,
)


def annotations(rows: int, holes: list[int]) -> Annotations:
    tokens = ["" if row in holes else f"w{row}" for row in range(rows)]
    arrays = {
        HOLES: np.array(holes, np.int64),
        "origin": np.arange(rows, dtype=np.uint8),
        "part_rows": np.arange(2 * rows).reshape(2, rows),
    }
    return Annotations(PackedTokens.pack(tokens), arrays, {})


@given(rows=st.integers(0, 1000), parts=st.integers(1, 40))
def test_parts_follow_each_other_and_differ_by_a_row_at_most(rows, parts):
    cut = bounds(rows, parts)

    assert [row for start, stop in cut for row in range(start, stop)] == [*range(rows)]
    sizes = {stop - start for start, stop in cut}
    assert max(sizes) - min(sizes) <= 1
    assert len(cut) == parts


@given(
    rows=st.integers(3, 20), parts=st.integers(1, 6), holes=st.sets(st.integers(0, 19))
)
def test_what_is_cut_with_the_rows_is_joined_again(rows, parts, holes):
    whole = annotations(rows, sorted(hole for hole in holes if hole < rows))

    cut = [
        Annotations(
            whole.tokens[start:stop], cut_arrays(whole.arrays, rows, start, stop), {}
        )
        for start, stop in bounds(rows, parts)
    ]
    tokens, arrays = join_annotations(cut, "here")

    assert tokens.unpack() == whole.tokens.unpack()
    assert arrays.keys() == whole.arrays.keys()
    for name, array in whole.arrays.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_an_array_that_is_not_of_the_rows_is_not_cut():
    arrays = {"mean": np.array(0.25), "origin": np.zeros(3, np.uint8)}

    assert cut_arrays(arrays, 3, 1, 2)["mean"] == 0.25
    with pytest.raises(WriteError, match=r"'mean' has shape \(\).*one file"):
        check_cuttable(arrays, 3)


def test_arrays_that_are_not_alike_are_not_joined():
    one, other = annotations(3, []), annotations(4, [])
    odd = np.zeros(4, np.int16)

    with pytest.raises(FormatError, match=r"here: array 'origin' is not of one kind"):
        join_annotations([one, other._replace(arrays={"origin": odd})], "here")
    with pytest.raises(FormatError, match=r"'origin' is there for some rows only"):
        join_annotations([one, other._replace(arrays={})], "here")
