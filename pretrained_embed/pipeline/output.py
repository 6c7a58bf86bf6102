"""Where the rows of a large build go: into memory, a file, or shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pretrained_embed import formats, matrix, sources
from pretrained_embed.arrays import Float32Array
from pretrained_embed.files.replacement import discard_leftovers
from pretrained_embed.files.room import check_room
from pretrained_embed.formats import Announced, PackedBlock, Sink
from pretrained_embed.formats.parts import cut_arrays
from pretrained_embed.formats.sharded.reader import open_reader
from pretrained_embed.formats.sharded.shards import ShardedWriter
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources.spool import rereadable
from pretrained_embed.vocabulary import Vocabulary

#: About how many bytes an output has for each row beside its vector.
_BESIDE = 32


class Rows(NamedTuple):
    """The rows of a matrix, to be made in order."""

    vocabulary: Vocabulary
    maker: matrix.RowMaker
    files: list[list[range]]  # the ranges of each file
    made: Callable[[range], Float32Array]
    ledger: Callable[[], Ledger]  # of the rows made so far
    waiting: int  # bytes that are still to wait beside the output

    def checked_ledger(self) -> Ledger:
        """Return the ledger of all rows; raises `CoverageError`."""
        ledger = self.ledger()
        matrix.check_ledger(ledger, self.maker)
        return ledger


def in_memory(rows: Rows) -> EmbeddingMatrix:
    """Return the matrix in memory."""
    (ranges,) = rows.files
    if len(ranges) == 1:
        vectors = rows.made(ranges[0])
    else:
        vectors = np.empty((len(rows.vocabulary), rows.maker.dim), np.float32)
        for one in ranges:
            vectors[one.start : one.stop] = rows.made(one)
    vectors.flags.writeable = False  # and so need not be copied
    return EmbeddingMatrix(vectors, rows.checked_ledger())


def into_file(rows: Rows, path: Path) -> EmbeddingMatrix:
    """Write a file, and return the matrix that maps it.

    Nobody else is writing to it: its work folder is this build's alone.
    """
    discard_leftovers(path)
    count = len(rows.vocabulary)
    beside = _BESIDE * count + rows.waiting
    announced = Announced(
        count, rows.maker.dim, tokens=rows.vocabulary.packed, beside=beside
    )
    with formats.new_sink(path, announced) as sink:
        _append(rows, rows.files[0], sink)
        ledger = rows.checked_ledger()
        sink.finish(ledger.arrays(), ledger.metadata())
    stream = rereadable(sources.open_source(path))
    return EmbeddingMatrix(formats.read_table(stream).vectors, ledger)


def into_shards(rows: Rows, folder: Path, job: str) -> EmbeddingMatrix:
    """Write a folder of shards, and return the matrix that reads them.

    Shards of a build that was killed are kept if they are of the same ``job``.
    """
    count = len(rows.vocabulary)
    dim = rows.maker.dim
    writer = ShardedWriter(folder, rows=count, dim=dim, shards=len(rows.files), job=job)
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    needed = (4 * dim + _BESIDE) * count + rows.waiting - there
    check_room(folder / "index", max(0, needed))
    for number, ranges in enumerate(rows.files):
        if writer.have(number):
            for one in ranges:
                rows.made(one)  # for the ledger
            continue
        start, stop = writer.bounds[number]
        with writer.shard(number, rows.vocabulary.packed[start:stop]) as sink:
            _append(rows, ranges, sink)
            ledger = rows.ledger()
            arrays = cut_arrays(ledger.arrays(), count, start, stop)
            sink.finish(arrays, ledger.metadata())
    ledger = rows.checked_ledger()
    writer.finish(ledger.metadata())
    stream = rereadable(sources.open_source(folder))
    return EmbeddingMatrix(open_reader(stream).stored, ledger)


def _append(rows: Rows, ranges: list[range], sink: Sink) -> None:
    tokens = rows.vocabulary.packed
    for one in ranges:
        vectors = rows.made(one)
        sink.append(PackedBlock(tokens[one.start : one.stop], vectors))
