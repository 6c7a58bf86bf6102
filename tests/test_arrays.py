"""Tokens packed into one run of bytes, and made `str` again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.arrays import PackedTokens, joined
from pretrained_embed.errors import FormatError

# What one way of packing or unpacking might take for the end of a token, or join.
PIECES = ["a", "é", "🙂", "\n", "\r", "\0", "\u2028", "\udcc3", "\udca9", "\udce2", ""]
tokens = st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join))


def escaped(token: str) -> str:
    """The token as its bytes are read, for "\\udcc3\\udca9" is an "é"."""
    return token.encode(errors="surrogateescape").decode(errors="surrogateescape")


@given(tokens, st.sampled_from([1, 100]))
def test_tokens_few_or_many_come_back_as_their_bytes_are_read(few, times):
    expected = [escaped(token) for token in few] * times

    packed = PackedTokens.pack(token for token in few * times)

    assert packed.unpack() == expected
    assert packed.split() == [t.encode(errors="surrogateescape") for t in expected]


def test_bytes_of_two_tokens_are_not_read_as_one_character():
    packed = PackedTokens.join([b"\xc3", b"\xa9"] * 100)

    assert packed.unpack() == ["\udcc3", "\udca9"] * 100


def test_more_tokens_than_are_unpacked_at_a_time_come_back():
    expected = [str(number) for number in range(70_000)]

    assert PackedTokens.pack(expected).unpack() == expected


def test_lines_end_in_line_feeds():
    assert PackedTokens.of_lines(b"a\n\nb\r\n").split() == [b"a", b"", b"b\r"]
    assert PackedTokens.of_lines(b"").split() == []
    with pytest.raises(FormatError):
        PackedTokens.of_lines(b"a\nb")


def test_lines_may_be_longer_than_the_blocks_in_which_their_ends_are_found():
    expected = [b"a" * (5 << 20), b"b", b"c" * (5 << 20)]

    assert PackedTokens.of_lines(b"\n".join([*expected, b""])).split() == expected


def test_parts_are_joined_in_order():
    parts = [PackedTokens.pack(part) for part in (["a", ""], [], ["é"])]

    assert joined(parts).unpack() == ["a", "", "é"]
    assert joined([]).unpack() == []


def test_rows_are_given_one_by_one_and_in_runs():
    packed = PackedTokens.pack(["a", "é", "c"])

    assert [packed[0], packed[1]] == ["a", "é"]
    assert packed[1:].unpack() == ["é", "c"]
    assert packed.raw(1) == "é".encode()
    with pytest.raises(IndexError):
        packed[3]
    with pytest.raises(ValueError, match="steps of 1"):
        packed[::2]


@pytest.mark.parametrize("offsets", [[], [1, 1], [0, 2], [0, 1, 0, 1]])
def test_offsets_that_do_not_fit_the_bytes_are_refused(offsets):
    with pytest.raises(FormatError, match="offsets do not"):
        PackedTokens(np.zeros(1, np.uint8), np.array(offsets, np.int64))
