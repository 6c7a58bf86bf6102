"""The hash that goes to disk, what is found by it, and rows copied: both kernels."""

from __future__ import annotations

import struct
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import Wanted, token_index

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.store.directory import Buckets

MASK = 2**64 - 1

#: Hashes as they are on disk: a change here makes every store unreadable.
KNOWN = {
    b"": 0x13895ED9C12649CF,
    b"a": 0x905E1DC3655F802F,
    b"the": 0x49EE55F8882A2D94,
    b"coin": 0x6071DAE6D01E68F4,
    b"embedding": 0x36DB67F5FF928840,
    "naïve\u00a0Straße".encode(): 0x69D40D5906B51743,
    b"\xff" * 40: 0xB86346FE76A663AE,
}

tokens = st.binary(max_size=40) | st.sampled_from([b"", b"the", b"The", b"\xff"])


def by_definition(token: bytes) -> int:
    """The hash as the reference's docstring has it, in plain integers."""

    def mix(h: int, x: int) -> int:
        m = (h ^ x) * 0x9FB21C651E98DF25 & MASK
        return m ^ m >> 32

    n = len(token)
    h = 0x9E3779B97F4A7C15 * (n + 1) & MASK
    if n >= 8:
        words = [token[i : i + 8] for i in range(0, n - 8, 8)] + [token[-8:]]
    elif n >= 4:
        words = [token[:4] + token[-4:]]
    else:
        words = [bytes([token[0], token[n // 2], token[-1]])] if n else []
    for word in words:
        h = mix(h, int.from_bytes(word, "little"))
    return mix(h, h >> 29)


def hashes_of(implementation: ModuleType, listed: list[bytes]) -> np.ndarray:
    packed = PackedTokens.join(listed)
    out = np.zeros(len(listed), np.uint64)
    implementation.hash_tokens(packed.data, packed.offsets, out)
    return out


def look_up(
    implementation: ModuleType, listed: list[bytes], wanted: Wanted
) -> tuple[int, list[int], list[int]]:
    """Look tokens up in a list that is sorted here; return count, claims and seen."""
    packed = PackedTokens.join(listed)
    hashes = hashes_of(implementation, listed)
    buckets = Buckets.of(hashes)
    index = token_index(implementation, wanted)
    best = np.full(10, kernel.UNCLAIMED, np.int64)
    seen = np.zeros(len(index), np.uint8)
    found = implementation.look_up(
        index, *buckets, packed.data, packed.offsets, best, seen
    )
    return found, best.tolist(), seen.tolist()


def found_by_scan(
    implementation: ModuleType, listed: list[bytes], wanted: Wanted
) -> tuple[int, list[int], list[int]]:
    packed = PackedTokens.join(listed)
    index = token_index(implementation, wanted)
    best = np.full(10, kernel.UNCLAIMED, np.int64)
    seen = np.zeros(len(index), np.uint8)
    found = implementation.find_rows(index, packed.data, packed.offsets, 0, best, seen)
    return found, best.tolist(), seen.tolist()


def colliding(count: int) -> list[bytes]:
    """Tokens of 16 bytes that have one hash: the second 8 undo the first."""
    begin = 0x9E3779B97F4A7C15 * 17 & MASK
    made = []
    for i in range(count):
        mixed = (begin ^ i) * 0x9FB21C651E98DF25 & MASK
        made.append(struct.pack("<QQ", i, mixed ^ mixed >> 32))
    return made


def test_hashes_on_disk_never_change(both_kernels):
    assert hashes_of(both_kernels, list(KNOWN)).tolist() == list(KNOWN.values())


@given(listed=st.lists(tokens, max_size=20))
def test_a_hash_is_what_its_definition_says(kernel_pair, listed):
    expected = [by_definition(token) for token in listed]
    for implementation in kernel_pair:
        assert hashes_of(implementation, listed).tolist() == expected


def test_real_tokens_have_a_hash_each(both_kernels):
    listed = [
        b"%s%d" % (word, i) for word in (b"", b"w", b"word ") for i in range(30_000)
    ]

    assert len(set(hashes_of(both_kernels, listed).tolist())) == len(listed)


@given(
    listed=st.lists(tokens, max_size=20),
    wanted=st.lists(
        st.tuples(tokens, st.integers(0, 9), st.integers(0, 127)), max_size=12
    ),
)
def test_a_search_finds_what_a_scan_finds(kernel_pair, listed, wanted):
    expected = found_by_scan(kernel_pair[1], listed, wanted)
    for implementation in kernel_pair:
        assert look_up(implementation, listed, wanted) == expected


def test_tokens_of_one_hash_are_told_apart_by_their_bytes(both_kernels):
    listed = colliding(50)
    assert len(set(hashes_of(both_kernels, listed).tolist())) == 1
    wanted = [(listed[49], 0, 0), (listed[7], 1, 0), (colliding(51)[50], 2, 0)]

    found, best, seen = look_up(both_kernels, listed, wanted)

    assert (found, best[:3], seen) == (2, [49, 7, kernel.UNCLAIMED], [1, 1, 0])


def test_all_rows_of_a_token_are_counted_and_the_first_is_taken(both_kernels):
    found, best, seen = look_up(both_kernels, [b"b", b"a", b"b", b"b"], [("b", 0, 0)])

    assert (found, best[0], seen) == (3, 0, [1])


def test_nothing_is_found_in_nothing(both_kernels):
    assert look_up(both_kernels, [], [("a", 0, 0)])[0] == 0
    assert look_up(both_kernels, [b"a"], [])[0] == 0


@pytest.mark.parametrize("offsets", [[-1, 2], [0, 2, 1], [0, 4], [2**62, 2**62 + 1]])
def test_offsets_that_do_not_fit_the_data_are_refused(both_kernels, offsets):
    out = np.zeros(len(offsets) - 1, np.uint64)
    with pytest.raises(ValueError, match="offsets"):
        both_kernels.hash_tokens(b"abc", np.array(offsets, np.int64), out)


def test_another_number_of_hashes_than_of_tokens_is_refused(both_kernels):
    with pytest.raises(ValueError, match="out"):
        both_kernels.hash_tokens(
            b"abc", np.array([0, 1, 3], np.int64), np.zeros(1, np.uint64)
        )


@pytest.mark.parametrize(
    ("starts", "rows", "offsets"),
    [
        ([0, 1, 1], [1], [0, 1]),
        ([0, 1, 1], [-1], [0, 1]),
        ([0, 1, 1], [2**62], [0, 1]),
        ([0, 1, 1], [0], []),
        ([0, 1, 1], [0], [0, 4]),
        ([0, 1, 1], [0], [-1, 0]),
        ([0, 1, 1], [0], [2, 1]),
        ([0, 1, 1], [0, 0], [0, 1]),
        ([0, 2, 2], [0], [0, 1]),
        ([-1, 1, 1], [0], [0, 1]),
        ([1, 0, 1], [0], [0, 1]),
        ([0, 1], [0], [0, 1]),
        ([0, 1, 1, 1], [0], [0, 1]),
        ([], [0], [0, 1]),
    ],
)
def test_an_index_that_does_not_fit_is_refused(both_kernels, starts, rows, offsets):
    token = next(t for t in (b"a", b"b", b"c", b"d") if by_definition(t) < 2**63)
    index = token_index(both_kernels, [(token, 0, 0)])
    best, seen = np.full(1, kernel.UNCLAIMED, np.int64), np.zeros(1, np.uint8)
    with pytest.raises(ValueError, match=r"row|offsets|starts"):
        both_kernels.look_up(
            index,
            np.array(starts, np.int64),
            hashes_of(both_kernels, [token]),
            np.array(rows, np.int64),
            token * 3,
            np.array(offsets, np.int64),
            best,
            seen,
        )


def test_rows_are_copied_to_their_targets(both_kernels):
    source = np.arange(12, dtype=np.float32).reshape(4, 3)
    source[1, 0] = np.nan
    out = np.full((5, 3), -7, np.float32)

    rows, targets = np.array([[3, 1, 1], [0, 4, 2]], np.int64)
    both_kernels.gather(source, rows, targets, out, None, None)

    expected = np.full((5, 3), -7, np.float32)
    expected[[0, 4, 2]] = source[[3, 1, 1]]
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("rows", "targets", "width"),
    [
        ([4], [0], 3),
        ([-1], [0], 3),
        ([0], [5], 3),
        ([0], [-1], 3),
        ([0, 1], [0], 3),
        ([0], [0], 2),
    ],
)
def test_rows_that_are_not_there_are_not_copied(both_kernels, rows, targets, width):
    source, out = np.zeros((4, 3), np.float32), np.zeros((5, width), np.float32)
    with pytest.raises(ValueError, match=r"row|fit"):
        both_kernels.gather(
            source,
            np.array(rows, np.int64),
            np.array(targets, np.int64),
            out,
            None,
            None,
        )


@pytest.mark.parametrize("dim", [1, 7, 8, 300])
def test_rows_are_averaged_in_their_order(both_kernels, dim):
    vectors = np.random.default_rng(dim).standard_normal((50, dim), np.float32)
    vectors[7] *= np.float32(1e8)  # so that the order shows
    rows = np.random.default_rng(0).integers(0, 50, 40)
    offsets = np.array([0, 1, 1, 20, 40])
    out = np.full((4, dim), -7, np.float32)

    both_kernels.average(vectors, rows, offsets, out)

    for i, (begin, end) in enumerate(pairwise(offsets.tolist())):
        expected = np.full(dim, -7, np.float32)
        if begin < end:
            total = np.zeros(dim, np.float32)
            for row in rows[begin:end]:
                total = total + vectors[row]
            expected = total * np.float32(1 / (end - begin))
        assert out[i].tobytes() == expected.tobytes()


@pytest.mark.parametrize("dim", [1, 7, 8, 300])
def test_rows_are_summed_while_they_are_copied(both_kernels, dim):
    random = np.random.default_rng(dim)
    bits, weights = (
        random.integers(0, 2**32, size, np.uint32, endpoint=False)
        for size in ((5, dim), dim)
    )
    rows, targets = np.array([[4, 0, 4], [1, 0, 3]], np.int64)
    out, sums = np.zeros((4, dim), np.float32), np.zeros(3, np.uint32)

    both_kernels.gather(bits.view(np.float32), rows, targets, out, weights, sums)

    expected = [
        sum(map(int.__mul__, bits[row].tolist(), weights.tolist())) % 2**32
        for row in rows
    ]
    assert sums.tolist() == expected
    assert out[targets].view(np.uint32).tolist() == bits[rows].tolist()
