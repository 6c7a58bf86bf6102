"""The wire format of Protocol Buffers: what is in a message, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.vocabulary.files.sentencepiece import WireError, fields
from tests.vocabulary.messages import field, varint

numbers = st.integers(0, 2**64 - 1)
messages = st.lists(
    st.tuples(st.integers(1, 2**29 - 1), numbers | st.binary(max_size=200))
)


def read(raw: bytes):
    return [
        (number, value if isinstance(value, int) else raw[value])
        for number, value in fields(raw)
    ]


@given(messages)
def test_what_is_written_is_read(message):
    raw = b"".join(field(number, value) for number, value in message)

    assert read(raw) == message


def test_fixed_numbers_are_bytes():
    raw = varint(1 << 3 | 1) + b"12345678" + varint(2 << 3 | 5) + b"1234"

    assert read(raw) == [(1, b"12345678"), (2, b"1234")]


def test_part_of_a_message_can_be_read():
    raw = field(1, 5) + field(2, b"in") + field(3, 7)

    assert list(fields(raw, 2, 6)) == [(2, slice(4, 6))]


@pytest.mark.parametrize(
    ("raw", "offset", "what"),
    [
        (field(1, 3) + b"\x00\x01", 2, "field with number 0"),
        (b"\x0b", 0, "wire type 3"),
        (b"\x0c", 0, "wire type 4"),
        (b"\x0f", 0, "wire type 7"),
        (b"\x0a\x05abcd", 0, "5 bytes where 4 are left"),
        (b"\x09abc", 0, "8 bytes where 3 are left"),
        (b"\x08\xff", 1, "a number cut off"),
        (b"\x08", 1, "a number cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", 1, "more than 10 bytes"),
        (b"\x0a" + varint(2**63), 0, f"{2**63} bytes where 0 are left"),
    ],
)
def test_what_is_no_message_is_named_with_its_offset(raw, offset, what):
    with pytest.raises(WireError, match=f"at byte {offset}: .*{what}") as caught:
        read(raw)

    assert caught.value.offset == offset


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_an_error_of_ours(raw):
    try:
        for number, value in read(raw):
            assert number > 0
            assert isinstance(value, int) or len(value) <= len(raw)
    except WireError as error:
        assert 0 <= error.offset <= len(raw)  # noqa: PT017  (what is right is either)
