"""Scanning word2vec binary rows: both kernels see the same, however cut."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from kernels import ATOMS, WANTED, bits, read_binary, scan_binary, token_index


@st.composite
def binaries(draw) -> tuple[bytes, dict[str, object]]:
    dim = draw(st.integers(1, 5))
    newline = draw(st.booleans())
    token = st.sampled_from([*ATOMS, b"\n", b"a\nb"]) | st.binary(max_size=6)
    rows = draw(st.lists(st.tuples(token, st.binary(max_size=4)), max_size=6))
    data = b"".join(
        token.replace(b" ", b"_")
        + b" "
        + (raw * 4 * dim).ljust(4 * dim, b"\x7f")[: 4 * dim]
        + b"\n" * newline
        for token, raw in rows
    )
    data = data[: len(data) - draw(st.sampled_from([0, 0, 1, 2, 5]))]
    return data, {"dim": dim, "newline": draw(st.sampled_from([newline] * 3 + [True]))}


@given(
    file=binaries() | st.tuples(st.binary(max_size=80), st.just({"dim": 1})),
    wanted=st.sampled_from([None, WANTED, []]),
    room=st.integers(0, 4) | st.just(64),
    cuts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
@example((b"\n", {"dim": 1, "newline": True}), None, 64, (0, 0))
def test_both_kernels_scan_a_binary_alike(kernel_pair, file, wanted, room, cuts):
    data, layout = file
    start = min(cuts[0], len(data))
    span = (start, max(start, len(data) - cuts[1]))

    native, reference = (
        scan_binary(
            implementation,
            token_index(implementation, wanted),
            data,
            span=span,
            room=room,
            **layout,
        )
        for implementation in kernel_pair
    )

    assert native == reference


@given(
    file=binaries(), wanted=st.sampled_from([None, WANTED, []]), room=st.integers(1, 4)
)
def test_a_binary_may_be_cut_at_every_byte(kernel_pair, file, wanted, room):
    data, layout = file
    for implementation in kernel_pair:
        index = token_index(implementation, wanted)
        whole = read_binary(implementation, index, [data], **layout)

        for cut in range(len(data) + 1):
            parts = [data[:cut], data[cut:]]
            read = read_binary(implementation, index, parts, room=room, **layout)
            assert read == whole


def test_a_binary_row_is_token_space_and_numbers(both_kernels):
    vectors = np.array([[1, -2], [np.nan, 0.1]], "<f4")
    data = b"\nthe " + vectors[0].tobytes() + b"\nof\n " + vectors[1].tobytes() + b"\n"

    read = read_binary(both_kernels, None, [data], dim=2, newline=True)

    assert [hit.token for hit in read.hits] == [b"the", b"of\n"]
    assert [list(hit.vector) for hit in read.hits] == [bits(row) for row in vectors]
    assert read.rest == b"\n"
