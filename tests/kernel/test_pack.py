"""Copying the tokens of hits one behind another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def hits_of(places: list[tuple[int, int]]) -> np.ndarray:
    hits = [(row, start, length, -1) for row, (start, length) in enumerate(places)]
    return np.array(hits, np.int64).reshape(-1, 4)


@given(
    data=st.binary(max_size=20),
    places=st.lists(st.tuples(st.integers(-2, 22), st.integers(-2, 22)), max_size=4),
    count=st.integers(-1, 5),
    room=st.integers(0, 40),
)
def test_both_kernels_pack_alike(kernel_pair, data, places, count, room):
    outcomes = []
    for implementation in kernel_pair:
        out = np.full(room, 0x55, np.uint8)
        try:
            written = implementation.pack(data, hits_of(places), count, out)
        except ValueError:
            outcomes.append("refused")
        else:
            outcomes.append((written, out.tobytes()))

    assert outcomes[0] == outcomes[1]
    tokens = [data[start : start + length] for start, length in places[: max(count, 0)]]
    whole = all(
        0 <= start <= len(data) and len(token) == length
        for token, (start, length) in zip(tokens, places, strict=False)
    )
    packed = b"".join(tokens)
    if whole and len(tokens) == count and len(packed) <= room:
        assert outcomes[0] == (len(packed), packed.ljust(room, b"\x55"))


@pytest.mark.parametrize(
    "place", [(0, 4), (-1, 1), (4, 0), (0, -1), (3, 1), (2**62, 1), (1, 2**62)]
)
def test_a_token_outside_the_data_is_refused(both_kernels, place):
    with pytest.raises(ValueError, match="hits"):
        both_kernels.pack(b"abc", hits_of([place]), 1, np.zeros(9, np.uint8))


def test_what_does_not_fit_out_is_refused(both_kernels):
    with pytest.raises(ValueError, match=r"out|shape"):
        both_kernels.pack(b"abc", hits_of([(0, 2), (0, 2)]), 2, np.zeros(3, np.uint8))
