"""MurmurHash of many runs of bytes at once.

Both functions were written and put into the public domain by Austin Appleby,
https://github.com/aappleby/smhasher. Runs of one length are hashed together, so the
time goes by the number of different lengths.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pretrained_embed.arrays import Int64Array, UInt8Array, UInt64Array

_M2 = np.uint64(0xC6A4A7935BD1E995)
_M3_1, _M3_2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FIVE, _ADD_1, _ADD_2 = np.uint64(5), np.uint64(0x52DCE729), np.uint64(0x38495AB5)


def murmur2(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, seed: int
) -> UInt64Array:
    """Return MurmurHash64A of each run ``data[starts[i]:ends[i]]``."""
    hashes = np.empty(len(starts), np.uint64)
    for chosen, words, length in _by_length(data, starts, ends, 8):
        start = (seed ^ length * int(_M2)) % 2**64
        h = np.full(len(chosen), start, np.uint64)
        for column in range(length // 8):
            k = words[:, column] * _M2
            h = (h ^ _shifted(k, 47) * _M2) * _M2
        if length % 8:
            h = (h ^ words[:, -1]) * _M2
        h = _shifted(h, 47) * _M2
        hashes[chosen] = _shifted(h, 47)
    return hashes


def murmur3(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, seed: int
) -> UInt64Array:
    """Return MurmurHash3_x64_128 of each run, uint64 (runs, 2)."""
    hashes = np.empty((len(starts), 2), np.uint64)
    for chosen, words, length in _by_length(data, starts, ends, 16):
        h1 = np.full(len(chosen), seed, np.uint64)
        h2 = h1.copy()
        whole = length // 16
        for column in range(0, 2 * whole, 2):
            h1 = h1 ^ _rotated(words[:, column] * _M3_1, 31) * _M3_2
            h1 = (_rotated(h1, 27) + h2) * _FIVE + _ADD_1
            h2 = h2 ^ _rotated(words[:, column + 1] * _M3_2, 33) * _M3_1
            h2 = (_rotated(h2, 31) + h1) * _FIVE + _ADD_2
        if length % 16:  # the bytes that are missing count as zeros, which change none
            h2 = h2 ^ _rotated(words[:, 2 * whole + 1] * _M3_2, 33) * _M3_1
            h1 = h1 ^ _rotated(words[:, 2 * whole] * _M3_1, 31) * _M3_2
        h1, h2 = h1 ^ np.uint64(length), h2 ^ np.uint64(length)
        h1 = h1 + h2
        h2 = h2 + h1
        h1, h2 = _mixed(h1), _mixed(h2)
        h1 = h1 + h2
        hashes[chosen, 0], hashes[chosen, 1] = h1, h2 + h1
    return hashes


def _by_length(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, step: int
) -> Iterator[tuple[Int64Array, UInt64Array, int]]:
    """Yield runs of one length: their numbers, their words, the length in bytes.

    The words are little-endian, zeros behind the last byte up to a multiple of
    ``step`` bytes.
    """
    lengths = ends - starts
    order = np.argsort(lengths, kind="stable")
    sizes, firsts = np.unique(lengths[order], return_index=True)
    stops = np.append(firsts[1:], len(order))
    for length, first, stop in zip(
        sizes.tolist(), firsts, stops[: len(sizes)], strict=True
    ):
        chosen = order[first:stop]
        padded = np.zeros((len(chosen), -(-length // step) * step), np.uint8)
        for place in range(length):
            padded[:, place] = data[starts[chosen] + place]
        yield chosen, padded.view("<u8").astype(np.uint64, copy=False), length


def _shifted(h: UInt64Array, by: int) -> UInt64Array:
    return h ^ h >> np.uint64(by)


def _rotated(h: UInt64Array, by: int) -> UInt64Array:
    return h << np.uint64(by) | h >> np.uint64(64 - by)


def _mixed(h: UInt64Array) -> UInt64Array:
    h = _shifted(h, 33) * _MIX_1
    h = _shifted(h, 33) * _MIX_2
    return _shifted(h, 33)
