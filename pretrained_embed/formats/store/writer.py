"""From an open reader to a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pretrained_embed import bits, kernel
from pretrained_embed.arrays import (
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
    UInt8Array,
    UInt32Array,
    UInt64Array,
)
from pretrained_embed.errors import BY_COPY, FormatError, OptionError, left_out
from pretrained_embed.files.replacement import Output, replacing_path
from pretrained_embed.formats import Reader
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.formats.store import directory
from pretrained_embed.formats.store.directory import Buckets, Dtype, checksums
from pretrained_embed.formats.table import encode_metadata


@left_out(BY_COPY)
def write_store(
    path: Output,
    reader: Reader,
    statistics: Callable[[], Statistics],
    *,
    dtype: Dtype = "float32",
    provenance: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Write all rows that ``reader`` gives into a store.

    It appears whole or not at all. Holds the tokens in memory, of the vectors one block
    at a time. ``statistics`` gives those of the reader's first rows, ``provenance`` is
    what JSON can hold. Returns what was found on the way.

    Raises `RowError` at the first malformed row, `FormatError` where there are no rows
    or rows without a token, `OptionError` for another dtype, and `WriteError` where the
    file cannot be written or a number is one that the dtype cannot hold.
    """
    # most builds write no store
    from pretrained_embed.formats.hdf5.sink import RowFile

    if dtype not in directory.DTYPES:
        raise OptionError(
            f"dtype is {dtype!r}; it can be {' or '.join(directory.DTYPES)}"
        )
    name = bits.name_in_file(directory.VECTORS, dtype)
    tokens = _StoreTokens()
    sums: list[UInt32Array] = []
    scales: list[Float32Array] = []
    with (
        replacing_path(path) as temporary,
        RowFile(
            temporary,
            name,
            bits.width(dtype, reader.dim),
            bits.storage(dtype),
            alignment=directory.PAGE,
        ) as file,
    ):
        for block in reader.packed_blocks(progress=progress):
            stored = bits.encode(block.vectors, dtype, block.tokens)
            rows = stored.values[:]
            file.append(rows)
            sums.append(checksums(rows))
            if stored.scales is not None:
                scales.append(stored.scales)
            tokens.append(block.tokens)
        findings = reader.findings
        _check(reader, tokens.count, findings)
        sample = statistics()
        arrays = tokens.arrays() | {
            directory.STATISTICS: np.stack([sample.mean, sample.std]),
            directory.CHECKSUMS: np.concatenate(sums),
            directory.METADATA: _json(
                {
                    "format": reader.format,
                    "name": reader.name,
                    "statistics_rows": sample.rows,
                    "findings": findings.to_dict(),
                    "provenance": dict(provenance or {}),
                    **(bits.facts(dtype, reader.dim) if dtype in bits.CODED else {}),
                }
            ),
        }
        if scales:
            arrays[directory.SCALES] = np.concatenate(scales)
        offsets = file.finish(tokens.count, arrays)
        offsets[directory.VECTORS] = offsets.pop(name)
        shape = (tokens.count, reader.dim)
        places = directory.places(offsets, arrays, shape, dtype)
        with temporary.open("ab") as end:
            end.write(directory.as_bytes(places, arrays))
    return findings


class _StoreTokens:
    """The tokens of all blocks so far, and their hashes."""

    def __init__(self) -> None:
        self.count = 0
        self._bytes: list[UInt8Array] = []
        self._lengths: list[Int64Array] = []
        self._hashes: list[UInt64Array] = []

    def append(self, tokens: PackedTokens) -> None:
        hashes = np.empty(len(tokens), np.uint64)
        kernel.hash_tokens(tokens.data.data, tokens.offsets, hashes)
        self.count += len(tokens)
        self._bytes.append(tokens.data)
        self._lengths.append(np.diff(tokens.offsets))
        self._hashes.append(hashes)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the tokens and their index as data sets."""
        offsets = np.zeros(self.count + 1, np.int64)
        np.cumsum(np.concatenate(self._lengths), out=offsets[1:])
        buckets = Buckets.of(np.concatenate(self._hashes))
        return {
            directory.TOKEN_BYTES: np.concatenate(self._bytes),
            directory.TOKEN_OFFSETS: offsets,
            **dict(zip(directory.BUCKETS, buckets, strict=True)),
        }


def _check(reader: Reader, count: int, findings: Findings) -> None:
    if not count:
        raise FormatError(f"{reader.name}: no rows")
    if findings.rows != count:
        raise FormatError(
            f"{reader.name}: {findings.rows - count:,} of its rows have no token, so "
            "rows would have other numbers in a store; save it without such rows"
        )


def _json(metadata: dict[str, object]) -> UInt8Array:
    return np.frombuffer(encode_metadata(metadata), np.uint8)
