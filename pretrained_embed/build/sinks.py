"""Where the rows of a build go: into memory, into a file, into shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from pretrained_embed import formats
from pretrained_embed.arrays import Float32Array, PackedTokens
from pretrained_embed.bits import Stored, joined, row_bytes
from pretrained_embed.build.plan import Plan
from pretrained_embed.build.work import Output
from pretrained_embed.files.replacement import discard_leftovers
from pretrained_embed.files.room import check_room
from pretrained_embed.formats import Announced, PackedBlock
from pretrained_embed.formats.blocks import AnyBlock, StoredBlock
from pretrained_embed.formats.format import Place
from pretrained_embed.formats.table import cut_arrays, write_array
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix

if TYPE_CHECKING:
    from pretrained_embed.formats.sharded.sink import ShardedWriter

#: About how many bytes an output has for each row beside its vector.
_BESIDE = 32

#: Returns the ledger of the rows so far.
SoFar = Callable[[], Ledger]


class PlanSink(Protocol):
    """Takes the rows of a plan, range by range in order."""

    def place(self) -> Float32Array | None:
        """Return all rows, (rows, dim), zeros to be filled where they lie.

        ``None`` where the rows that were made have to be written.
        """

    def write(self, rows: range, vectors: Float32Array | Stored, so_far: SoFar) -> None:
        """Write the rows of a range."""

    def finish(self, ledger: Ledger) -> None:
        """Write what belongs to all rows, which are there."""

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix, once what was written has its name."""


class MemoryRows:
    """Takes rows into memory; see `PlanSink`."""

    def __init__(self, plan: Plan) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._vectors = np.empty((0, plan.dim), np.float32)
        self._stored: list[Stored] = []  # in the bits of another dtype

    def place(self) -> Float32Array | None:
        """Return nothing: rows that are made at once are in memory already."""
        return None

    def write(self, rows: range, vectors: Float32Array | Stored, so_far: SoFar) -> None:
        """Keep the rows of a range."""
        if isinstance(vectors, Stored):
            self._stored.append(vectors)
            return
        if len(rows) == self._shape[0]:
            self._vectors = vectors
            return
        if not len(self._vectors):
            self._vectors = np.empty(self._shape, np.float32)
        self._vectors[rows.start : rows.stop] = vectors

    def finish(self, ledger: Ledger) -> None:
        """Do nothing more."""

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix in memory."""
        if self._stored:
            return EmbeddingMatrix(joined(self._stored), ledger)
        self._vectors.flags.writeable = False  # and so need not be copied
        return EmbeddingMatrix(self._vectors, ledger)


class FileRows:
    """Takes rows into one file; see `PlanSink`."""

    def __init__(self, plan: Plan, output: Output, sink: formats.FileSink) -> None:
        self._tokens = plan.vocabulary.packed
        self._output = output
        self._sink = sink
        self._dim = plan.dim
        self._place: Place | None = None

    def place(self) -> Float32Array | None:
        """Return the rows of the file, mapped, where that can be done."""
        self._place = self._sink.place()
        if self._place is None:
            return None
        return self._place.map((len(self._tokens), self._dim))

    def write(self, rows: range, vectors: Float32Array | Stored, so_far: SoFar) -> None:
        """Write the rows of a range behind those before."""
        if self._place is not None:
            with self._place.path.open("r+b") as file:
                file.seek(self._place.begin + 4 * self._dim * rows.start)
                write_array(file, vectors[:])
            return
        self._sink.append(_block(self._tokens[rows.start : rows.stop], vectors))

    def finish(self, ledger: Ledger) -> None:
        """Write what belongs to all rows."""
        self._sink.finish(ledger.arrays(), ledger.metadata())

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that maps the file, or has read it."""
        stream = self._output.stream()
        return EmbeddingMatrix(formats.read_table(stream).vectors, ledger)


class ShardRows:
    """Takes rows into several files; see `PlanSink`.

    Those of a build that was killed are kept if they are of the same job.
    """

    def __init__(
        self, plan: Plan, output: Output, writer: ShardedWriter, open: ExitStack
    ) -> None:
        self._plan = plan
        self._output = output
        self._writer = writer
        self._number = 0  # of the shard that comes next
        self._shard: formats.FileSink | None = None  # unless it is there already
        self._open = open

    def place(self) -> Float32Array | None:
        """Return nothing: rows of several files do not lie in one place."""
        return None

    def write(self, rows: range, vectors: Float32Array | Stored, so_far: SoFar) -> None:
        """Write the rows of a range into the shard that has them."""
        tokens = self._plan.vocabulary.packed
        start, stop = self._writer.bounds[self._number]
        if rows.start == start and not self._writer.have(self._number):
            shard = self._writer.shard(self._number, tokens[start:stop])
            self._shard = self._open.enter_context(shard)
        if self._shard is not None:
            self._shard.append(_block(tokens[rows.start : rows.stop], vectors))
        if rows.stop == stop:
            if self._shard is not None:
                ledger = so_far()
                arrays = cut_arrays(ledger.arrays(), len(ledger), start, stop)
                self._shard.finish(arrays, ledger.metadata())
                self._shard = None
                self._open.close()
            self._number += 1

    def finish(self, ledger: Ledger) -> None:
        """Write the index."""
        self._writer.finish(ledger.metadata())

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that reads the shards."""
        from pretrained_embed.formats.sharded.reader import open_reader

        return EmbeddingMatrix(open_reader(self._output.stream()).stored, ledger)


def _block(tokens: PackedTokens, vectors: Float32Array | Stored) -> AnyBlock:
    if isinstance(vectors, Stored):
        return StoredBlock(tokens, vectors)
    return PackedBlock(tokens, vectors)


@contextmanager
def file_sink(plan: Plan, output: Output, waiting: int) -> Iterator[PlanSink]:
    """Give a sink whose file takes the place of the output at the end.

    Nobody else is writing to it: its work folder is this build's alone. ``waiting`` is
    how many bytes are still to wait beside it.
    """
    path = cast(Path, output.path)
    discard_leftovers(path)
    rows = len(plan.vocabulary)
    announced = Announced(
        rows,
        plan.dim,
        plan.dtype,
        plan.vocabulary.packed,
        beside=_BESIDE * rows + waiting,
    )
    with formats.new_sink(path, announced) as sink:
        yield FileRows(plan, output, sink)


@contextmanager
def shards_sink(
    plan: Plan, output: Output, waiting: int, job: str
) -> Iterator[PlanSink]:
    """Give a sink into a folder of several files."""
    from pretrained_embed.formats.sharded.sink import ShardedWriter

    folder, shards = cast(Path, output.path), cast(int, output.files)
    rows = len(plan.vocabulary)
    writer = ShardedWriter(
        folder,
        rows=rows,
        dim=plan.dim,
        shards=shards,
        job=job,
        dtype=plan.dtype,
        read_options=output.read_options,
    )
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    needed = (row_bytes(plan.dtype, plan.dim) + _BESIDE) * rows + waiting - there
    check_room(folder / "index", max(0, needed))
    with ExitStack() as open:
        yield ShardRows(plan, output, writer, open)
