from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.sharded.row_digests import DigestedRows, RowDigests

VECTORS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def digests(vectors: np.ndarray, block_rows: int, cuts: list[int]) -> tuple[str, ...]:
    running = RowDigests(block_rows)
    for part in np.split(vectors, sorted(cuts)):
        running.update(part)
    return running.finish()


@given(block_rows=st.integers(1, 12), cuts=st.lists(st.integers(0, 10), max_size=4))
def test_digests_are_of_blocks_however_the_rows_come(block_rows, cuts):
    expected = tuple(
        sha256(VECTORS[start : start + block_rows].tobytes()).hexdigest()
        for start in range(0, 10, block_rows)
    )

    assert digests(VECTORS, block_rows, cuts) == expected


def test_rows_are_given_as_they_are():
    rows = DigestedRows(VECTORS, digests(VECTORS, 4, []), 4, "here")

    assert rows[3:9].tobytes() == VECTORS[3:9].tobytes()
    assert rows[:].base is VECTORS
    assert rows[7:2].shape == (0, 3)
    assert (rows.shape, rows.dtype) == ((10, 3), np.float32)


def test_the_block_that_is_damaged_is_named_and_others_can_be_read():
    damaged = VECTORS.copy()
    damaged[5, 1] += 1
    rows = DigestedRows(damaged, digests(VECTORS, 4, []), 4, "here")

    assert rows[:4].tobytes() == VECTORS[:4].tobytes()
    assert rows[8:].tobytes() == VECTORS[8:].tobytes()
    for wanted in (slice(3, 5), slice(4, 5), slice(0, 10), slice(7, 9)):
        with pytest.raises(FormatError, match="here: rows 4 to 7 are not those"):
            rows[wanted]


def test_a_block_is_checked_once():
    held = VECTORS.copy()
    rows = DigestedRows(held, digests(VECTORS, 4, []), 4, "here")
    rows[0:4]
    held[1] = 0

    assert rows[0:4].tobytes() == held[:4].tobytes()
