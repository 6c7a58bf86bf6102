"""The extract of a split: its hits, sorted by the range of rows that wants them.

::

    extract  = section section ... bounds
    section  = count bytes positions vectors lengths owned tokens
    bounds   = (ranges + 1) x int64, where each section begins and the last ends

Of a section, which is that of one range: ``count`` and ``bytes`` are int64, the entries
and the bytes of their tokens; ``positions`` int64, the rows of the split they stand in;
``vectors`` float32 (count, dim); ``lengths`` uint32, of the tokens; ``owned`` uint8: 1
in the first of the ranges that want the token. A range that nothing was found for has a
section of no bytes. Numbers are those of the machine: an extract lives as long as the
job, and on machines of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed import kernel
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.reader import Float32Array
from pretrained_embed.packed_tokens import PackedTokens, joined

Int64Array = npt.NDArray[np.int64]

_HEAD = 16
#: Bytes of vectors that wait before an extract is closed and the next is begun.
_FULL = 1 << 25


class Section(NamedTuple):
    """What one extract has for one range."""

    positions: Int64Array  # (entries,) rows of the split
    tokens: PackedTokens
    vectors: Float32Array  # (entries, dim)
    owned: npt.NDArray[np.uint8]  # (entries,)


class Gathering:
    """Collects hits until they are made into an extract."""

    def __init__(self, index: kernel.TokenIndex, ranges: int, dim: int) -> None:
        self._index = index
        self._ranges = ranges
        self._dim = dim
        self._pairs = np.empty((0, 2), np.int64)
        self._clear()

    def _clear(self) -> None:
        self._tokens: list[PackedTokens] = []
        self._vectors: list[Float32Array] = []
        self._positions: list[Int64Array] = []
        self._hits: list[Int64Array] = []  # of the pairs, counted over all calls
        self._wanted_by: list[Int64Array] = []
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether it is time for `extract`."""
        return 4 * self._dim * self._count >= _FULL

    def add(self, found: Hits) -> None:
        """Take a copy of hits."""
        block = found.block()
        self._tokens.append(block.tokens)
        self._vectors.append(block.vectors)
        self._positions.append(found.hits[: found.size, 0] + found.rows_before)
        pairs = self._spread(found)
        self._hits.append(pairs[:, 0] + self._count)
        self._wanted_by.append(pairs[:, 1].copy())
        self._count += found.size

    def _spread(self, found: Hits) -> Int64Array:
        count = kernel.spread(self._index, found.hits, found.size, self._pairs)
        if count > len(self._pairs):
            self._pairs = np.empty((count, 2), np.int64)
            kernel.spread(self._index, found.hits, found.size, self._pairs)
        return self._pairs[:count]

    def extract(self) -> list[npt.NDArray[np.uint8]]:
        """Return the pieces of bytes of an extract of what was added; forget it."""
        if not self._count:
            return []
        hits = np.concatenate(self._hits)
        wanted_by = np.concatenate(self._wanted_by)
        owned = np.diff(hits, prepend=-1) > 0
        order = np.argsort(wanted_by, kind="stable")
        bounds = np.searchsorted(wanted_by[order], np.arange(self._ranges + 1))
        tokens = joined(self._tokens)
        positions = np.concatenate(self._positions)
        vectors = np.concatenate(self._vectors)
        self._clear()

        pieces: list[npt.NDArray[np.uint8]] = []
        begins = np.zeros(self._ranges + 1, np.int64)
        for number in range(self._ranges):
            entries = order[bounds[number] : bounds[number + 1]]
            section = []
            if len(entries):
                chosen = hits[entries]
                section = _section(
                    positions[chosen],
                    _take(tokens, chosen),
                    vectors[chosen],
                    owned[entries],
                )
            pieces += section
            begins[number + 1] = begins[number] + sum(len(piece) for piece in section)
        pieces.append(begins.view(np.uint8))
        return pieces


def _section(
    positions: Int64Array,
    tokens: PackedTokens,
    vectors: Float32Array,
    owned: npt.NDArray[np.bool_],
) -> list[npt.NDArray[np.uint8]]:
    count = len(positions)
    parts: list[npt.NDArray[np.generic]] = [
        np.array([count, len(tokens.data)]),
        positions,
        vectors.reshape(-1),
        np.diff(tokens.offsets).astype(np.uint32),
        owned,
        tokens.data,
    ]
    filler = -sum(part.nbytes for part in parts) % 8  # the next begins aligned
    return [
        *(part.view(np.uint8) for part in parts),
        np.zeros(filler, np.uint8),
    ]


def _take(tokens: PackedTokens, rows: Int64Array) -> PackedTokens:
    """Return some of the tokens, in the order of ``rows``."""
    starts, lengths = tokens.offsets[rows], np.diff(tokens.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if np.all(np.diff(rows) == 1):  # side by side
        data = tokens.data[starts[0] : starts[0] + offsets[-1]]
    else:
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        data = tokens.data[places]
    return PackedTokens(data, offsets)


def bounds_size(ranges: int) -> int:
    """Return the bytes at the end of an extract that hold its bounds."""
    return 8 * (ranges + 1)


def read_section(raw: bytes | memoryview, dim: int) -> Section | None:
    """Return a section, given its bytes; ``None`` for one of no entries."""
    if not len(raw):
        return None
    count, size = np.frombuffer(raw, np.int64, 2).tolist()
    fields = _fields(raw, count, size, dim)
    positions = np.frombuffer(next(fields), np.int64)
    vectors = np.frombuffer(next(fields), np.float32).reshape(count, dim)
    lengths = np.frombuffer(next(fields), np.uint32)
    owned = np.frombuffer(next(fields), np.uint8)
    data = np.frombuffer(next(fields), np.uint8)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Section(positions, PackedTokens(data, offsets), vectors, owned)


def _fields(
    raw: bytes | memoryview, count: int, size: int, dim: int
) -> Iterator[memoryview]:
    view, begin = memoryview(raw), _HEAD
    for length in (8 * count, 4 * dim * count, 4 * count, count, size):
        yield view[begin : begin + length]
        begin += length
