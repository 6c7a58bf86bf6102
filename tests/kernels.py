"""Driving a kernel by hand: fresh buffers for each call, results that compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel

Wanted = Sequence[tuple[bytes | str, int, int]]

#: What arrays hold before a call, so that a place never written shows.
BLANK = -77


#: Parts of tokens that readers tend to trip over, and a vocabulary made of some.
ATOMS = [b"the", b"of", b"new york", b"route 66", b"\xc2\xa0", b"\xc2\x85", b"\xff\x80"]
ATOMS += [b".", b"\0", b"\r", b"\t", b" ", b"", b"1", b"-0.5", b"nan", b"x" * 70]
ATOMS += [b"\xef\xbb\xbf", b"\xef\xbb\xbfthe"]
WANTED = [(b"the", 0, 0), (b"route 66", 1, 0), (b"\xc2\xa0", 2, 1), (b"", 3, 0)]
WANTED += [(b"\xff\x80", 4, 0), (b"the", 5, 2), (b"x" * 70, 4, 1), (b"1", 6, 0)]


class Scanned(NamedTuple):
    """What one call of a scan did; the float32 values as their bits."""

    result: tuple[int, ...]
    hits: list[list[int]]
    vectors: list[list[int]]
    faults: list[list[int]]


class Row(NamedTuple):
    """A hit, in terms of the whole text."""

    row: int
    token: bytes
    key: int
    vector: tuple[int, ...]


class Read(NamedTuple):
    """What a text or binary file gave, however it was cut."""

    rows: int
    rest: bytes
    hits: list[Row]
    faults: list[tuple[int, int, int, int]]  # row, kind, found, offset


def raw(token: bytes | str) -> bytes:
    return (
        token if isinstance(token, bytes) else token.encode("utf-8", "surrogateescape")
    )


class Packed(NamedTuple):
    """Packed tokens, which may be such as `PackedTokens` refuses."""

    data: object
    offsets: object

    @classmethod
    def of(cls, tokens: Iterable[bytes | str]) -> Packed:
        raws = [raw(token) for token in tokens]
        offsets = np.cumsum([0, *map(len, raws)], dtype=np.int64)
        return cls(exactly(b"".join(raws)), offsets)


def exactly(data: object) -> object:
    """Bytes as a block of the heap of just their size, with no NUL behind them.

    So a sanitizer sees a kernel that reads one byte too many.
    """
    return np.frombuffer(data, np.uint8).copy() if isinstance(data, bytes) else data


def bits(values: object) -> list[int]:
    return np.asarray(values, np.float32).view(np.uint32).tolist()


def token_index(
    implementation: ModuleType, wanted: Wanted | None
) -> kernel.TokenIndex | None:
    """Build an index of (token, row, rank) triples; None stands for all rows."""
    if wanted is None:
        return None
    tokens, rows, ranks = zip(*wanted, strict=True) if wanted else ((), (), ())
    return implementation.TokenIndex(
        list(tokens), np.array(rows, np.int64), np.array(ranks, np.uint8)
    )


def scan_text(
    implementation: ModuleType,
    index: kernel.TokenIndex | None,
    data: bytes,
    *,
    dim: int,
    span: tuple[int, int] | None = None,
    final: bool = True,
    separator: bytes = b" ",
    delimiter: bytes | None = None,
    room: tuple[int, int] = (64, 64),
) -> Scanned:
    start, stop = span or (0, len(data))
    hits = np.full((room[0], kernel.HIT_COLUMNS), BLANK, np.int64)
    vectors = np.full((room[0], dim), BLANK, np.float32)
    faults = np.full((room[1], kernel.FAULT_COLUMNS), BLANK, np.int64)
    result = implementation.scan_text(
        index,
        exactly(data),
        start,
        stop,
        final,
        dim,
        separator[0],
        (delimiter or separator)[0],
        hits,
        vectors,
        faults,
    )
    count, bad = result[2:]
    assert (hits[count:] == BLANK).all()
    assert (faults[bad:] == BLANK).all()
    return Scanned(
        tuple(result),
        hits[:count].tolist(),
        bits(vectors[:count]),
        faults[:bad].tolist(),
    )


def scan_binary(
    implementation: ModuleType,
    index: kernel.TokenIndex | None,
    data: bytes,
    *,
    dim: int,
    span: tuple[int, int] | None = None,
    known: int = -1,
    usual: tuple[int, int] = (0, 255),
    room: int = 64,
) -> Scanned:
    start, stop = span or (0, len(data))
    hits = np.full((room, kernel.HIT_COLUMNS), BLANK, np.int64)
    vectors = np.full((room, dim), BLANK, np.float32)
    result = implementation.scan_binary(
        index, exactly(data), start, stop, dim, known, *usual, hits, vectors
    )
    count = result[2]
    assert (hits[count:] == BLANK).all()
    assert bits(vectors[count:]) == bits(np.full_like(vectors[count:], BLANK))
    return Scanned(tuple(result), hits[:count].tolist(), bits(vectors[:count]), [])


def read_text(
    implementation: ModuleType,
    index: kernel.TokenIndex | None,
    chunks: Iterable[bytes],
    *,
    room: tuple[int, int] = (64, 64),
    **layout: object,
) -> Read:
    """Read a text that comes in chunks; what a call leaves is carried over."""
    chunks = list(chunks)
    buffer, offset, rows = b"", 0, 0
    hits: list[Row] = []
    faults: list[tuple[int, int, int, int]] = []
    for number, chunk in enumerate(chunks, 1):
        buffer += chunk
        while True:
            scanned = scan_text(
                implementation,
                index,
                buffer,
                final=number == len(chunks),
                room=room,
                **layout,
            )
            hits += _rows(scanned, buffer, rows)
            faults += [
                (rows + row, kind, found, offset + start)
                for row, kind, found, start in scanned.faults
            ]
            consumed, more, *counts = scanned.result
            rows += more
            buffer, offset = buffer[consumed:], offset + consumed
            if counts[0] < room[0] and counts[1] < room[1]:
                break
    return Read(rows, buffer, hits, faults)


def read_binary(
    implementation: ModuleType,
    index: kernel.TokenIndex | None,
    chunks: Iterable[bytes],
    *,
    room: int = 64,
    **layout: object,
) -> Read:
    """As `read_text`, for word2vec binary rows."""
    buffer, rows = b"", 0
    hits: list[Row] = []
    for chunk in chunks:
        buffer += chunk
        while True:
            scanned = scan_binary(implementation, index, buffer, room=room, **layout)
            hits += _rows(scanned, buffer, rows)
            consumed, more, count, doubtful = scanned.result
            rows += more
            buffer = buffer[consumed:]
            if count < room or doubtful:
                break
    return Read(rows, buffer, hits, [])


def _rows(scanned: Scanned, buffer: bytes, before: int) -> list[Row]:
    return [
        Row(before + row, buffer[start : start + length], key, tuple(vector))
        for (row, start, length, key), vector in zip(
            scanned.hits, scanned.vectors, strict=True
        )
    ]
