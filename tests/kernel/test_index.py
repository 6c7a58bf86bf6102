"""Wanted tokens, and which hit wins which row: both kernels against brute force."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import BLANK, Packed, Wanted, bits, raw, token_index

from pretrained_embed import kernel

tokens = st.sampled_from(
    ["the", b"the", "", "é", "\udcff", b"\xff", "a b"]
) | st.binary(max_size=20)
wanted_tokens = st.lists(
    st.tuples(tokens, st.integers(0, 9), st.integers(0, 3) | st.just(127)), max_size=12
)
ROWS = 10


def wants_of(wanted: Wanted) -> dict[bytes, list[tuple[int, int]]]:
    wants: dict[bytes, list[tuple[int, int]]] = {}
    for token, row, rank in wanted:
        wants.setdefault(raw(token), []).append((row, rank))
    return wants


@given(wanted=wanted_tokens, others=st.lists(tokens, max_size=5))
def test_tokens_are_numbered_in_order_of_first_appearance(kernel_pair, wanted, others):
    wants = wants_of(wanted)
    for implementation in kernel_pair:
        index = token_index(implementation, wanted)

        assert len(index) == len(wants)
        for key, (token, pairs) in enumerate(wants.items()):
            assert index.key(token) == key
            assert index.wanted(key) == pairs
        for token in map(raw, others):
            assert (index.key(token) == -1) == (token not in wants)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 63, 200])
def test_tokens_that_differ_in_one_byte_are_different_tokens(both_kernels, length):
    plain = b"a" * length
    close = [plain[:i] + b"b" + plain[i + 1 :] for i in range(length)]
    wanted = [plain, *close, plain + b"a", plain[1:], plain[:-1] + b"\0", plain + b"\0"]

    index = token_index(both_kernels, [(token, i, 0) for i, token in enumerate(wanted)])

    assert [index.key(token) for token in wanted] == list(range(len(wanted)))
    assert index.key(plain[:-1] + b"c") == -1


def test_a_hundred_thousand_tokens_are_all_found_and_no_others(both_kernels):
    count = 100_000
    wanted = [(f"token{i}", i, 0) for i in range(count)]

    index = token_index(both_kernels, wanted)

    assert len(index) == count
    assert all(index.key(b"token%d" % i) == i for i in range(count))
    assert all(index.key(b"tokem%d" % i) == -1 for i in range(count))


def test_tokens_whose_hashes_are_equal_are_kept_apart(both_kernels):
    # The native kernel's hash mixes 8 bytes after 8. The second 8 are chosen here to
    # undo what the first made of it, so that all these tokens have one hash.
    mask, length = 2**64 - 1, 16
    begin = 0x9E3779B97F4A7C15 * (length + 1) & mask
    colliding = []
    for i in range(500):
        mixed = (begin ^ i) * 0x9FB21C651E98DF25 & mask
        colliding.append(struct.pack("<QQ", i, mixed ^ mixed >> 32))

    index = token_index(
        both_kernels, [(token, i, 0) for i, token in enumerate(colliding)]
    )

    assert [index.key(token) for token in colliding] == list(range(500))
    assert index.key(b"\xff" * length) == -1


def test_a_token_and_its_beginning_of_the_same_hash_are_kept_apart(both_kernels):
    mask, factor = 2**64 - 1, 0x9FB21C651E98DF25

    def mix(h: int, x: int) -> int:
        m = (h ^ x) * factor & mask
        return m ^ m >> 32

    def mixed(length: int, words: tuple[int, ...]) -> int:
        h = 0x9E3779B97F4A7C15 * (length + 1) & mask
        for word in words:
            h = mix(h, word)
        return h

    wanted = mixed(16, (1, 2))
    product = (wanted ^ wanted >> 32) * pow(factor, -1, 2**64) & mask
    longer = struct.pack("<QQQ", 1, 2, mixed(24, (1, 2)) ^ product)
    assert mixed(24, struct.unpack("<QQQ", longer)) == wanted

    index = token_index(both_kernels, [(longer, 0, 0), (longer[:16], 1, 0)])

    assert len(index) == 2
    assert index.wanted(index.key(longer[:16])) == [(1, 0)]


def test_surrogates_stand_for_the_bytes_they_escape(both_kernels):
    index = token_index(both_kernels, [("caf\udce9", 0, 0), (b"caf\xe9", 1, 0)])

    assert len(index) == 1
    assert index.wanted(index.key(b"caf\xe9")) == [(0, 0), (1, 0)]
    with pytest.raises(UnicodeEncodeError):
        token_index(both_kernels, [("\ud800", 0, 0)])


def test_tokens_may_come_as_any_sequence(both_kernels):
    rows, ranks = np.arange(2, dtype=np.int64), np.zeros(2, np.uint8)
    for listed in (["a", "b"], ("a", "b"), np.array(["a", "b"])):
        assert len(both_kernels.TokenIndex(listed, rows, ranks)) == 2


@given(wanted=wanted_tokens, begin=st.integers(0, 9), end=st.integers(0, 9))
def test_packed_tokens_make_the_index_a_list_makes(kernel_pair, wanted, begin, end):
    data, offsets = Packed.of(token for token, _, _ in wanted)
    around = np.concatenate((np.ones(begin), data, np.ones(end))).astype(np.uint8)
    rows, ranks = (
        np.array([want[i] for want in wanted], dtype)
        for i, dtype in ((1, np.int64), (2, np.uint8))
    )
    for implementation in kernel_pair:
        packed = implementation.TokenIndex(Packed(around, offsets + begin), rows, ranks)
        listed = token_index(implementation, wanted)

        assert len(packed) == len(listed)
        assert packed.row_count == listed.row_count
        for key, token in enumerate(wants_of(wanted)):
            assert packed.key(token) == key
            assert packed.wanted(key) == listed.wanted(key)


def test_no_packed_tokens_may_have_no_offsets(both_kernels):
    none = Packed(np.empty(0, np.uint8), np.empty(0, np.int64))

    index = both_kernels.TokenIndex(none, np.empty(0, np.int64), np.empty(0, np.uint8))

    assert (len(index), index.row_count, index.key(b"")) == (0, 0, -1)


@pytest.mark.parametrize(
    "offsets", [[-1, 1, 2], [0, 2, 1], [0, 1, 4], [2, 1, 3], [0, 9, 2], [0, 2**62, 1]]
)
def test_packed_tokens_whose_offsets_cannot_be_are_refused(both_kernels, offsets):
    packed = Packed(np.zeros(3, np.uint8), np.array(offsets, np.int64))
    with pytest.raises(ValueError, match="offsets"):
        both_kernels.TokenIndex(packed, np.zeros(2, np.int64), np.zeros(2, np.uint8))


def test_packed_tokens_rows_and_ranks_of_different_lengths_are_refused(both_kernels):
    with pytest.raises(ValueError, match="differ"):
        both_kernels.TokenIndex(
            Packed.of(["a"]), np.zeros(2, np.int64), np.zeros(2, np.uint8)
        )


@pytest.mark.skipif(sys.platform != "linux", reason="needs sparse files")
def test_more_tokens_than_an_index_can_hold_are_refused(kernel_pair, tmp_path: Path):
    count = 3 * 2**30 + 1
    empty = tmp_path / "empty"
    with empty.open("wb") as file:
        file.truncate(8 * (count + 1))  # nothing of it is ever read

    offsets = np.memmap(empty, np.int64, "r", shape=count + 1)
    ranks = np.memmap(empty, np.uint8, "r", shape=count)

    with pytest.raises(ValueError, match="more tokens than an index can hold"):
        kernel_pair[0].TokenIndex(
            Packed(ranks[:0], offsets), offsets[:count], ranks[:count]
        )


@pytest.mark.parametrize("row", [2**31, 2**32 - 1, 2**32, 2**62])
def test_rows_may_have_large_numbers(both_kernels, row):
    index = token_index(both_kernels, [("a", row, 0), ("b", 1, 0), ("b", row - 1, 0)])

    assert index.row_count == row + 1
    assert [index.wanted(key) for key in (0, 1)] == [[(row, 0)], [(1, 0), (row - 1, 0)]]


def test_an_index_says_how_much_memory_it_takes(both_kernels):
    small = token_index(both_kernels, [("a", 0, 0)])
    large = token_index(both_kernels, [(f"token{i:04}", i, 0) for i in range(1000)])
    ranked = token_index(both_kernels, [(f"token{i:04}", i, 1) for i in range(1000)])

    assert 0 < small.nbytes < 1000
    assert large.nbytes - small.nbytes > 9 * 1000
    assert ranked.nbytes >= large.nbytes


def test_an_index_outlives_what_it_was_made_of(both_kernels):
    listed = [f"token{i}" for i in range(1000)]
    rows, ranks = np.arange(1000, dtype=np.int64), np.zeros(1000, np.uint8)
    index = both_kernels.TokenIndex(listed, rows, ranks)

    rows[:] = -1
    del listed, rows, ranks

    assert index.wanted(index.key(b"token999")) == [(999, 0)]


def test_an_index_knows_the_highest_row_it_wants(both_kernels):
    for rows in ([], [0], [7, 3]):
        index = token_index(both_kernels, [("a", row, 0) for row in rows])
        assert index.row_count == max(rows, default=-1) + 1


def claims_for(index: kernel.TokenIndex) -> tuple[np.ndarray, np.ndarray]:
    best = np.full(ROWS, kernel.UNCLAIMED, np.int64)
    return best, np.zeros(len(index), np.uint8)


positions = st.integers(0, 5) | st.just(2**40)
files = st.lists(tokens, max_size=8)


@given(
    wanted=wanted_tokens,
    parts=st.lists(st.tuples(positions, files), max_size=3),
    out_rows=st.integers(0, ROWS),
)
def test_the_lowest_rank_wins_then_the_first_in_the_file(
    kernel_pair, wanted, parts, out_rows
):
    wants = wants_of(wanted)
    order = list(wants)
    expected = np.full(ROWS, kernel.UNCLAIMED, np.int64)
    filled = np.zeros((ROWS, 2), np.float32)
    met = set()
    for base, file in parts:
        for position, token in enumerate(map(raw, file), base):
            for row, rank in wants.get(token, []):
                claim = rank << kernel.RANK_SHIFT | position
                if claim < expected[row]:
                    expected[row] = claim
                    filled[row] = position, len(token)
            met |= {token} & wants.keys()

    for implementation in kernel_pair:
        index = token_index(implementation, wanted)
        placed, found = claims_for(index), claims_for(index)
        out = np.zeros((out_rows, 2), np.float32)
        hit_count = found_count = 0
        for base, file in parts:
            raws = [raw(token) for token in file]
            hits = [
                (i, 0, len(t), index.key(t)) for i, t in enumerate(raws) if t in wants
            ]
            vectors = [(base + i, length) for i, _, length, _ in hits]
            implementation.place(
                index,
                np.array(hits, np.int64).reshape(-1, 4),
                len(hits),
                np.array(vectors, np.float32).reshape(-1, 2),
                base,
                *placed,
                out,
            )
            hit_count += len(hits)
            offsets = np.cumsum([0, *map(len, raws)], dtype=np.int64)
            found_count += implementation.find_rows(
                index, b"".join(raws), offsets, base, *found
            )

        for best, seen in (placed, found):
            assert best.tolist() == expected.tolist()
            assert {order[key] for key in np.flatnonzero(seen)} == met
        assert bits(out) == bits(filled[:out_rows])
        assert hit_count == found_count


@given(wanted=wanted_tokens, room=st.integers(0, 20), data=st.data())
def test_hits_are_spread_to_all_rows_they_are_wanted_for(
    kernel_pair, wanted, room, data
):
    pairs_of = [[row for row, _ in pairs] for pairs in wants_of(wanted).values()]
    keys = st.lists(st.integers(0, len(pairs_of) - 1)) if wanted else st.just([])
    met = data.draw(keys)
    hits = np.array([(i, 0, 0, key) for i, key in enumerate(met)], np.int64)
    count = data.draw(st.integers(0, len(met)))
    expected = [[i, row] for i in range(count) for row in pairs_of[met[i]]]
    for implementation in kernel_pair:
        pairs = np.full((room, 2), BLANK, np.int64)

        total = implementation.spread(
            token_index(implementation, wanted), hits.reshape(-1, 4), count, pairs
        )

        assert total == len(expected)
        assert pairs[:total].tolist() == expected[:room]
        assert (pairs[total:] == BLANK).all()


def test_only_the_first_count_hits_are_placed(both_kernels):
    index = token_index(both_kernels, [("a", 0, 0), ("b", 1, 0)])
    best, seen = claims_for(index)
    out = np.zeros((ROWS, 1), np.float32)
    hits = np.array([[0, 0, 1, 0], [1, 0, 1, 1]], np.int64)

    both_kernels.place(index, hits, 1, np.ones((2, 1), np.float32), 0, best, seen, out)

    assert seen.tolist() == [1, 0]
    assert out[:2].tolist() == [[1.0], [0.0]]


def test_no_tokens_are_found_in_no_file(both_kernels):
    index = token_index(both_kernels, [])
    for offsets in ([], [0], [3]):
        array = np.array(offsets, np.int64)
        assert both_kernels.find_rows(index, b"abc", array, 0, *claims_for(index)) == 0


@pytest.mark.parametrize("offsets", [[-1, 2], [0, 2, 1], [0, 4], [2**62, 2**62 + 1]])
def test_offsets_that_do_not_fit_the_data_are_refused(both_kernels, offsets):
    index = token_index(both_kernels, [("a", 0, 0)])
    with pytest.raises(ValueError, match="offsets"):
        both_kernels.find_rows(
            index, b"abc", np.array(offsets, np.int64), 0, *claims_for(index)
        )


@pytest.mark.parametrize(
    ("tokens", "rows", "ranks"),
    [
        (["a"], [-1], [0]),
        (["a"], [0], [128]),
        (["a"], [0, 1], [0]),
        (["a"], [0], []),
        (["a", "b"], [0], [0]),
    ],
)
def test_rows_and_ranks_that_cannot_be_are_refused(both_kernels, tokens, rows, ranks):
    with pytest.raises(ValueError, match=r"negative|differ"):
        both_kernels.TokenIndex(
            tokens, np.array(rows, np.int64), np.array(ranks, np.uint8)
        )


@pytest.mark.parametrize("hit", [(0, 0, 1, 1), (0, 0, 1, -1), (-1, 0, 1, 0)])
def test_a_hit_of_another_index_is_refused(both_kernels, hit):
    index = token_index(both_kernels, [("a", 0, 0)])
    hits, vectors = np.array([hit], np.int64), np.zeros((1, 1), np.float32)
    out = np.zeros((ROWS, 1), np.float32)
    with pytest.raises(ValueError, match="hit"):
        both_kernels.place(index, hits, 1, vectors, 0, *claims_for(index), out)
    with pytest.raises(ValueError, match="hit"):
        both_kernels.spread(index, hits, 1, np.zeros((1, 2), np.int64))
