"""Scanning word2vec binary rows: both kernels see the same, however cut."""

from __future__ import annotations

import numpy as np
import pytest
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
    usual = draw(st.sampled_from([(0, 255), (0, 255), (1, 0), (100, 140)]))
    return data, {"dim": dim, "usual": usual}


@given(
    file=binaries() | st.tuples(st.binary(max_size=80), st.just({"dim": 1})),
    wanted=st.sampled_from([None, WANTED, []]),
    room=st.integers(0, 4) | st.just(64),
    cuts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    known=st.just(-1) | st.integers(0, 30),
)
@example((b"\n", {"dim": 1}), None, 64, (0, 0), 0)
def test_both_kernels_scan_a_binary_alike(kernel_pair, file, wanted, room, cuts, known):
    data, layout = file
    start = min(cuts[0], len(data))
    span = (start, max(start, len(data) - cuts[1]))
    known = start + known if 0 <= start + known < span[1] and known >= 0 else -1

    native, reference = (
        scan_binary(
            implementation,
            token_index(implementation, wanted),
            data,
            span=span,
            known=known,
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
    layout["usual"] = 0, 255  # a doubt stops all
    for implementation in kernel_pair:
        index = token_index(implementation, wanted)
        whole = read_binary(implementation, index, [data], **layout)

        for cut in range(len(data) + 1):
            parts = [data[:cut], data[cut:]]
            read = read_binary(implementation, index, parts, room=room, **layout)
            assert read == whole


def test_a_binary_row_is_token_space_and_numbers(both_kernels):
    vectors = np.array([[1, -2], [np.nan, 0.1]], "<f4")
    data = (
        b"\n\nthe " + vectors[0].tobytes() + b"\nof\n " + vectors[1].tobytes() + b"\n"
    )

    read = read_binary(both_kernels, None, [data], dim=2)

    assert [hit.token for hit in read.hits] == [b"the", b"of\n"]
    assert [list(hit.vector) for hit in read.hits] == [bits(row) for row in vectors]
    assert read.rest == b"\n"


USUAL = np.array([1.5, -0.25, 0], "<f4").tobytes()


@pytest.mark.parametrize(
    ("vector", "doubtful"),
    [
        (b"york " + USUAL[:7], True),
        (b"\xc3\xa9\ty " + USUAL[:7], True),
        (b" " + USUAL[:11], True),
        (b"yorkyorkyork", True),  # the blank may come behind it
        (b"yo\nrk " + USUAL[:5], False),
        (b"yo\x7frk " + USUAL[:5], False),
        (USUAL, False),
        (b"!! >!! >!! >", False),  # text, and numbers as they usually are
        (b"!! >\x01\0\0\0" + USUAL[:4], True),
        (b"!! >\0\0\0\x80" + USUAL[:4], False),  # -0.0
    ],
)
def test_a_row_is_doubtful_that_goes_on_as_text(both_kernels, vector, doubtful):
    data = b"a " + USUAL + b"new " + vector + b"b " + USUAL
    sound = b"a " + USUAL

    def scan(**options):
        return scan_binary(both_kernels, None, data, dim=3, **options).result

    first = scan(usual=(100, 140))
    every = (len(data), 3, 3, 0)
    assert first == ((len(sound), 1, 1, 1) if doubtful else every)
    assert scan(usual=(0, 255)) == every
    # where its token ends is known
    span, known = (len(sound), len(data)), len(sound) + 3
    assert scan(usual=(100, 140), span=span, known=known) == (len(data), 2, 2, 0)


def test_a_known_end_of_a_token_may_lie_behind_a_blank(both_kernels):
    data = b"\nnew york " + USUAL + b"b " + USUAL

    scanned = scan_binary(both_kernels, None, data, dim=3, known=9)

    assert scanned.result == (len(data), 2, 2, 0)
    assert scanned.hits[0][1:3] == [1, 8]
    assert scanned.vectors[0] == bits(np.frombuffer(USUAL, "<f4"))
    with pytest.raises(ValueError, match="ends outside"):
        scan_binary(both_kernels, None, data, dim=3, known=len(data))
