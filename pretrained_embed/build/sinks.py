"""Where the rows of a build go that are not kept in memory: a file, or shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pretrained_embed import formats, sources
from pretrained_embed.arrays import Float32Array
from pretrained_embed.build.memory import Sink, SoFar
from pretrained_embed.build.plan import Plan
from pretrained_embed.files.replacement import discard_leftovers
from pretrained_embed.files.room import check_room
from pretrained_embed.formats import Announced, PackedBlock
from pretrained_embed.formats.parts import cut_arrays
from pretrained_embed.formats.sharded.reader import open_reader
from pretrained_embed.formats.sharded.shards import ShardedWriter
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources.spool import rereadable

#: About how many bytes an output has for each row beside its vector.
_BESIDE = 32


class File:
    """Takes rows into one file; see `Sink`."""

    def __init__(self, plan: Plan, path: Path, sink: formats.Sink) -> None:
        self._tokens = plan.vocabulary.packed
        self._path = path
        self._sink = sink

    def place(self) -> Float32Array | None:
        """Return the rows of the file, mapped, where that can be done."""
        return self._sink.map()

    def write(self, rows: range, vectors: Float32Array, so_far: SoFar) -> None:
        """Write the rows of a range behind those before."""
        tokens = self._tokens[rows.start : rows.stop]
        self._sink.append(PackedBlock(tokens, vectors))

    def finish(self, ledger: Ledger) -> None:
        """Write what belongs to all rows."""
        self._sink.finish(ledger.arrays(), ledger.metadata())

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that maps the file."""
        stream = rereadable(sources.open_source(self._path))
        return EmbeddingMatrix(formats.read_table(stream).vectors, ledger)


class Shards:
    """Takes rows into several files; see `Sink`.

    Those of a build that was killed are kept if they are of the same job.
    """

    def __init__(
        self, plan: Plan, folder: Path, writer: ShardedWriter, open: ExitStack
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._writer = writer
        self._number = 0  # of the shard that comes next
        self._shard: formats.Sink | None = None  # unless it is there already
        self._open = open

    def place(self) -> Float32Array | None:
        """Return nothing: rows of several files do not lie in one place."""
        return None

    def write(self, rows: range, vectors: Float32Array, so_far: SoFar) -> None:
        """Write the rows of a range into the shard that has them."""
        tokens = self._plan.vocabulary.packed
        start, stop = self._writer.bounds[self._number]
        if rows.start == start and not self._writer.have(self._number):
            shard = self._writer.shard(self._number, tokens[start:stop])
            self._shard = self._open.enter_context(shard)
        if self._shard is not None:
            block = PackedBlock(tokens[rows.start : rows.stop], vectors)
            self._shard.append(block)
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
        stream = rereadable(sources.open_source(self._folder))
        return EmbeddingMatrix(open_reader(stream).stored, ledger)


@contextmanager
def file_sink(plan: Plan, path: Path, waiting: int) -> Iterator[Sink]:
    """Give a sink whose file takes the place of ``path`` at the end.

    Nobody else is writing to it: its work folder is this build's alone. ``waiting`` is
    how many bytes are still to wait beside it.
    """
    discard_leftovers(path)
    rows = len(plan.vocabulary)
    announced = Announced(
        rows, plan.dim, tokens=plan.vocabulary.packed, beside=_BESIDE * rows + waiting
    )
    with formats.new_sink(path, announced) as sink:
        yield File(plan, path, sink)


@contextmanager
def shards_sink(
    plan: Plan, folder: Path, shards: int, waiting: int, job: str
) -> Iterator[Sink]:
    """Give a sink into a folder of so many files."""
    rows = len(plan.vocabulary)
    writer = ShardedWriter(folder, rows=rows, dim=plan.dim, shards=shards, job=job)
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    needed = (4 * plan.dim + _BESIDE) * rows + waiting - there
    check_room(folder / "index", max(0, needed))
    with ExitStack() as open:
        yield Shards(plan, folder, writer, open)
