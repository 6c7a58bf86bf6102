"""Messages of Protocol Buffers, written by a second hand."""

from __future__ import annotations


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def piece(text: str | bytes, kind: int | None = None) -> bytes:
    """Return a piece of a SentencePiece model, with a score of 0."""
    body = field(1, text) + b"\x15\0\0\0\0"
    return field(1, body if kind is None else body + field(3, kind))
