"""From a store to the rows of the wanted tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
    PackedTokens,
    Progress,
    UInt32Array,
)
from pretrained_embed.bits import FLOATS, Stored
from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats import Findings
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import (
    LocalFile,
    array_bytes,
    file_size,
    map_array,
    open_file,
)
from pretrained_embed.formats.parallel import run_in_order, thread_count
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.formats.store import directory
from pretrained_embed.formats.table import decode_metadata
from pretrained_embed.formats.table_reader import TableReader

#: What is there beside what every store has.
_ANY = (directory.VECTORS, directory.CHECKSUMS, directory.SCALES)

#: What the numbers in a store stand for.
_KINDS: dict[str, directory.Dtype] = {
    **{"<f4": "float32", "<f2": "float16"},
    **{"<u2": "bfloat16", "|i1": "int8"},
}

#: Rows that a thread copies at a time.
_PART_ROWS = 8192


class StoreReader(TableReader):
    """Gives what the reader gave that the store was made from, without reading it all.

    ``format``, ``name``, findings and row numbers are those of the source. ``dtype`` is
    what the vectors are kept as; they are handed out as float32. See `Reader`.
    """

    def __init__(self, parts: _StoreParts, name: str, path: Path) -> None:
        metadata = parts.metadata
        super().__init__(metadata["format"], name, parts.tokens, parts.vectors)
        self._checked = parts.vectors
        self.path = path
        self.dtype: str = parts.vectors.encoding
        self.provenance: dict[str, Any] = metadata["provenance"]
        self.statistics = Statistics(
            parts.statistics[0], parts.statistics[1], metadata["statistics_rows"]
        )
        self._buckets = parts.buckets
        self._known: dict[str, Any] = metadata["findings"]
        self._findings = self._found(0)  # all rows were read when it was made

    def _looked_up(self, claims: Claims) -> Int64Array:
        claims.look_up(*self._buckets, self._tokens.data, self._tokens.offsets)
        return claims.positions()

    def _gather(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        progress: Progress | None,
        threads: int | None,
    ) -> None:
        """Copy the rows found, in the order of the store, by several threads."""
        targets = np.flatnonzero(source_rows >= 0)
        targets = targets[np.argsort(source_rows[targets])]
        rows = source_rows[targets]

        def work(part: int) -> int:
            chosen = slice(part * _PART_ROWS, (part + 1) * _PART_ROWS)
            self._checked.take(rows[chosen], targets[chosen], out)
            return min(chosen.stop, len(rows))

        for done in run_in_order(
            work, -(-len(rows) // _PART_ROWS), thread_count(threads)
        ):
            if progress is not None:
                progress(done * self.dim * 4, len(rows) * self.dim * 4)

    def _found(self, duplicates: int) -> Findings:
        found = Findings.from_dict(self._known | {"duplicates": duplicates})
        if self.dtype != "float32":
            what = f"read from a store that keeps the vectors as {self.dtype}"
            found.notes.append(Note("vectors.stored-as", what))
        return found


#: Rows that are compared while they are still in the processor's cache.
_AT_ONCE = 512


class StoreRows:
    """Vectors (rows, dim), mapped; each row is compared with its checksum when read.

    A store is hashed whole when it is made, and when its size or time have changed.
    Damage that keeps both, such as a disk's, is seen here, in the rows that are used
    and when they are. Rows of float32 are summed up while they are copied, which takes
    about a fifth longer than to copy them.

    ``stored`` are their bits; numbers are handed out.

    Without checksums, as in stores of earlier releases, they are taken as they are.
    Raises `FormatError`, which names the file ``where``, for what has changed.
    """

    def __init__(self, stored: Stored, sums: UInt32Array | None, where: str) -> None:
        self.shape = stored.shape
        self.encoding = stored.encoding
        self._stored = stored
        self._vectors = cast(AnyArray, stored.values)
        self._plain = stored.encoding in FLOATS
        self.dtype = self._vectors.dtype if self._plain else stored.dtype
        self._sums = sums
        self._where = where

    def __getitem__(self, rows: slice, /) -> FloatArray:
        """Return some consecutive rows."""
        start, stop, _ = rows.indices(len(self._vectors))
        for first in range(start, stop, _AT_ONCE):
            last = min(first + _AT_ONCE, stop)
            sums = directory.checksums(self._vectors[first:last])
            self._compare(sums, np.arange(first, last))
        return self._vectors[rows] if self._plain else self._stored[rows]

    def take(self, rows: Int64Array, targets: Int64Array, out: Float32Array) -> None:
        """Copy rows into ``out[targets]``."""
        wide = self._vectors.shape[1]
        if self.encoding == "float32":
            weights, sums = directory.weights(wide), np.empty(len(rows), np.uint32)
            kernel.gather(self._vectors, rows, targets, out, weights, sums)
            self._compare(sums, rows)
            return
        # One buffer for all copies: to get new memory would take longer than to copy.
        buffer = np.empty((min(_AT_ONCE, len(rows)), wide), self._vectors.dtype)
        for start in range(0, len(rows), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            stored = buffer[: len(rows[some])]
            self._vectors.take(rows[some], axis=0, out=stored, mode="clip")
            out[targets[some]] = self._numbers(stored, rows[some])
            self._compare(directory.checksums(stored), rows[some])

    def _numbers(self, values: AnyArray, rows: Int64Array) -> Float32Array:
        """Return what the bits of some rows stand for."""
        scales = self._stored.scales
        if scales is not None:
            scales = scales[rows]
        return replace(self._stored, values=values, scales=scales).numbers()

    def _compare(self, sums: UInt32Array, rows: Int64Array) -> None:
        if self._sums is None:
            return
        wrong = np.flatnonzero(sums != self._sums[rows])
        if len(wrong):
            raise FormatError(
                f"{self._where}: the store is damaged: its row {rows[wrong[0]]:,} is "
                "not what was written; index its source again, or delete this file, "
                "and it is made anew"
            )


class _StoreParts(NamedTuple):
    """What a store holds, mapped and checked."""

    metadata: dict[str, Any]
    vectors: StoreRows
    tokens: PackedTokens
    buckets: directory.Buckets
    statistics: Float64Array


def open_store(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    read_options: ReadOptions = USUAL,
) -> StoreReader:
    """Open a store; ``name`` is what to call it, by default what its source was called.

    Everything but the vectors is checked against the store's digest. Raises
    `FormatError` where it is damaged, cut, no store or one of another version, and
    `SourceError` where it cannot be read.
    """
    where = os.fspath(path)
    try:
        with open_file(Path(path), read_options) as file:
            places, expected = _directory(file, where)
            arrays = {
                part: _mapped(file, places[part], where)
                for part in (*_ANY, *directory.COVERED)
                if part in places
            }
    except OSError as error:
        raise SourceError(
            f"{where}: cannot be read: {error.strerror or error}"
        ) from error
    if directory.digest(places, arrays) != expected:
        raise _damaged(where, "its digest is wrong")
    parts = _StoreParts(
        decode_metadata(arrays[directory.METADATA].tobytes(), where),
        StoreRows(_stored(arrays, where), arrays.get(directory.CHECKSUMS), where),
        PackedTokens(
            arrays[directory.TOKEN_BYTES], arrays[directory.TOKEN_OFFSETS], where=where
        ),
        directory.Buckets(*(arrays[part] for part in directory.BUCKETS)),
        arrays[directory.STATISTICS],
    )
    called = parts.metadata["name"] if name is None else name
    return StoreReader(parts, called, Path(path))


def _stored(arrays: Mapping[str, AnyArray], where: str) -> Stored:
    """Return the vectors in their bits."""
    vectors = arrays[directory.VECTORS]
    dtype = _KINDS[vectors.dtype.newbyteorder("<").str]
    if len(vectors.shape) != 2:
        raise _damaged(where, f"its vectors have shape {vectors.shape}")
    scales = arrays.get(directory.SCALES)
    return Stored(dtype, vectors, scales, vectors.shape[1], where)


def _directory(
    file: BinaryIO, where: str
) -> tuple[dict[str, directory.DirectoryEntry], str]:
    """Return where all arrays of a store lie, and their digest."""
    size = file_size(file)
    fixed = 8 + len(directory.MARK)
    file.seek(max(0, size - fixed))
    end = file.read()
    length = int.from_bytes(end[:8], "little")
    if not end.endswith(directory.MARK) or length > size - fixed:
        raise FormatError(f"{where}: is no store, or does not go on to its end")
    file.seek(size - fixed - length)
    known = decode_metadata(file.read(length), where)
    if known.get("version") != directory.VERSION:
        raise FormatError(
            f"{where}: is a store of version {known.get('version')}; this release "
            f"reads version {directory.VERSION}"
        )
    with refusing_damage(where, "the store is damaged: its directory cannot be read"):
        places = {
            name: directory.DirectoryEntry(
                str(dtype), tuple(map(int, shape)), int(offset)
            )
            for name, (dtype, shape, offset) in dict(known["arrays"]).items()
        }
        stored = {name: places[name].dtype for name in directory.COVERED}
        vectors, digest = places[directory.VECTORS], str(known["digest"])
    if stored != directory.COVERED or vectors.dtype not in _KINDS:
        raise _damaged(where, "it has arrays of other dtypes")
    sums = places.get(directory.CHECKSUMS)
    if sums is not None and sums[:2] != ("<u4", vectors.shape[:1]):
        raise _damaged(where, "it has checksums of something else")
    return places, digest


def _mapped(file: LocalFile, place: directory.DirectoryEntry, where: str) -> AnyArray:
    dtype, shape = np.dtype(place.dtype), place.shape
    if min((place.offset, *shape)) < 0:
        raise _damaged(where, "it has an array of negative size")
    if place.offset + array_bytes(shape, dtype.itemsize, where) > file_size(file):
        raise _damaged(where, "it ends too early")
    mapped = map_array(file, dtype, shape, place.offset)
    return mapped.astype(dtype.newbyteorder("="), copy=False)


def _damaged(where: str, what: str) -> FormatError:
    return FormatError(f"{where}: the store is damaged: {what}")
