"""The wire format of Protocol Buffers, as far as messages need it to be read.

A message is fields one after the other: a varint ``number << 3 | wire type``, then
a varint (type 0), 8 bytes (1), a varint of a length and so many bytes (2), or 4 bytes
(5).
Types 3 and 4, groups, are obsolete and refused.
https://protobuf.dev/programming-guides/encoding/

Nothing is allocated by what a message declares: a length is held against the bytes that
are there, and what is handed out is where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from pretrained_embed.errors import VocabularyError

_FIXED = {1: 8, 5: 4}


class WireError(VocabularyError):
    """The bytes are no message; ``offset`` is where they cease to be."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"at byte {offset}: {message}")
        self.offset = offset


def fields(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int | slice]]:
    """Yield number and value of the fields of ``data[start:end]``.

    The value is the number of a varint, or where the other kinds stand in ``data``.
    Raises `WireError`.
    """
    place, end = start, len(data) if end is None else end
    while place < end:
        at = place
        key, place = _varint(data, place, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("a field with number 0", at)
        if wire == 0:
            value, place = _varint(data, place, end)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place, end)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise WireError(f"a field of wire type {wire}, which is not in use", at)
        if size > end - place:
            raise WireError(
                f"a field of {size} bytes where {end - place} are left; is the file "
                "cut off?",
                at,
            )
        yield number, slice(place, place + size)
        place += size


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the number that starts there and the place after it."""
    if start < end and data[start] < 0x80:  # as most are
        return data[start], start + 1
    number = 0
    for place in range(start, min(end, start + 10)):
        byte = data[place]
        number |= (byte & 0x7F) << 7 * (place - start)
        if byte < 0x80:
            return number, place + 1
    what = "a number of more than 10 bytes" if end - start >= 10 else "a number cut off"
    raise WireError(what, start)
