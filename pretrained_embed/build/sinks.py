"""Where the rows of a build go: into memory, into a file, into shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from pretrained_embed import formats
from pretrained_embed.arrays import AnyArray, Float32Array
from pretrained_embed.bits import Stored, joined, row_bytes
from pretrained_embed.build.plan import Plan
from pretrained_embed.build.ranges import Keeper, Part, Target
from pretrained_embed.build.work import Output
from pretrained_embed.files.digests import crc32_joined
from pretrained_embed.files.replacement import (
    check_room,
    discard_leftovers,
    reserve,
    writing,
)
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Announced
from pretrained_embed.formats.format import Place
from pretrained_embed.formats.local import map_array, open_file
from pretrained_embed.formats.safetensors.sink import HEADER
from pretrained_embed.formats.sharded.index import file_name
from pretrained_embed.formats.table import cut_arrays
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix

#: About how many bytes an output has for each row beside its vector.
_BESIDE = 32


class Rows(Protocol):
    """The rows of a plan on their way out."""

    keeper: Keeper  # what those of a range are written to

    def place(self) -> Float32Array | None:
        """Return all rows, (rows, dim), zeros to be filled where they lie.

        ``None`` where the rows that were made have to be written.
        """

    def finish(
        self, ledger: Ledger, parts: Sequence[Part], scales: AnyArray | None
    ) -> None:
        """Write what belongs to all rows, which are there.

        ``parts`` are what became of the ranges, unless all was made at once, and
        ``scales`` those of the rows, where their dtype has such.
        """

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix, once what was written has its name."""


class MemoryRows:
    """Keeps rows in memory; see `Rows` and `Keeper`."""

    def __init__(self, plan: Plan) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._vectors = np.empty((0, plan.dim), np.float32)
        self._stored: list[Stored] = []  # in the bits of another dtype
        self.keeper: Keeper = self

    def place(self) -> Float32Array | None:
        """Return nothing: rows that are made at once are in memory already."""
        return None

    def write(
        self, rows: range, vectors: Float32Array | Stored
    ) -> tuple[int, tuple[str, ...]]:
        """Keep the rows of a range, which come in order."""
        if isinstance(vectors, Stored):
            self._stored.append(vectors)
            return 0, ()
        if len(rows) == self._shape[0]:
            self._vectors = vectors
            return 0, ()
        if not len(self._vectors):
            self._vectors = np.empty(self._shape, np.float32)
        self._vectors[rows.start : rows.stop] = vectors
        return 0, ()

    def crc32(self, rows: range) -> int | None:
        """Return nothing: no rows are there from an earlier build."""
        return None

    def finish(
        self, ledger: Ledger, parts: Sequence[Part], scales: AnyArray | None
    ) -> None:
        """Do nothing more."""

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix in memory."""
        if self._stored:
            return EmbeddingMatrix(joined(self._stored), ledger)
        self._vectors.flags.writeable = False  # and so need not be copied
        return EmbeddingMatrix(self._vectors, ledger)


class FileRows:
    """Puts rows into one file; see `Rows`."""

    def __init__(self, plan: Plan, output: Output, sink: formats.FileSink) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._ranges = plan.ranges
        self._output = output
        self._sink = sink
        self._place = cast(Place, sink.place())  # every format of an output has one
        path, begin = self._place.path, self._place.begin
        folder = str(path.parent.absolute())
        self._dtype = plan.dtype
        self.keeper: Keeper = Target(
            folder, *self._shape, path.name, begin, dtype=plan.dtype
        )

    def place(self) -> Float32Array | None:
        """Return the rows of the file, mapped, where that can be done."""
        if self._dtype != "float32":  # they have to be rounded
            return None
        return self._place.map(self._shape)

    def finish(
        self, ledger: Ledger, parts: Sequence[Part], scales: AnyArray | None
    ) -> None:
        """Write what belongs to all rows."""
        if parts:
            self._place.crc32 = 0
            for part, rows in zip(parts, self._ranges, strict=True):
                size = row_bytes(self._dtype, self._shape[1]) * len(rows)
                crc = self._place.crc32
                self._place.crc32 = crc32_joined(crc, part.crc32, size)
        self._place.scales = scales
        self._sink.finish(ledger.arrays(), ledger.metadata())

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that maps the file, or has read it."""
        path = cast(Path, self._output.path)
        if self._dtype != "float32":
            table = formats.read_table(self._output.stream())
            return EmbeddingMatrix(table.vectors, ledger)
        with open_file(path, self._output.read_options) as file:
            rows = map_array(file, "<f4", self._shape, self._place.begin)
        return EmbeddingMatrix(rows, ledger)


class ShardRows:
    """Puts rows into several files; see `Rows`."""

    def __init__(
        self, plan: Plan, output: Output, waiting: int, folder: Path, job: str
    ) -> None:
        from pretrained_embed.formats.sharded.sink import ShardedWriter

        self._tokens, self._output = plan.vocabulary.packed, output
        rows, files = len(self._tokens), cast(int, output.files)
        self._writer = ShardedWriter(
            cast(Path, output.path),
            rows=rows,
            dim=plan.dim,
            shards=files,
            job=job,
            dtype=plan.dtype,
            read_options=output.read_options,
            block=plan.digested(),
            growing=folder,
        )
        there = sum(file.stat().st_size for file in folder.iterdir())
        needed = (row_bytes(plan.dtype, plan.dim) + _BESIDE) * rows + waiting - there
        check_room(cast(Path, output.path) / "index", max(0, needed))
        self._starts = [one.start for one in plan.ranges]
        self.keeper: Keeper = Target(
            str(folder.absolute()),
            rows,
            plan.dim,
            files=files,
            block=plan.digested(),
            dtype=plan.dtype,
        )
        size = row_bytes(plan.dtype, plan.dim)
        for number, (start, stop) in enumerate(self._writer.bounds):
            path = folder / file_name(number, files)
            with writing(path), path.open("ab") as file:
                reserve(file, HEADER + size * (stop - start), path)

    def place(self) -> Float32Array | None:
        """Return nothing: rows of several files do not lie in one place."""
        return None

    def finish(
        self, ledger: Ledger, parts: Sequence[Part], scales: AnyArray | None
    ) -> None:
        """Write what belongs to the rows of each file, and the index."""
        arrays, metadata = ledger.arrays(), ledger.metadata()
        for number, (start, stop) in enumerate(self._writer.bounds):
            with self._writer.shard(number, self._tokens[start:stop]) as shard:
                first, end = np.searchsorted(self._starts, (start, stop)).tolist()
                place = cast(Place, shard.place())
                place.digests = tuple(
                    digest for part in parts[first:end] for digest in part.digests
                )
                place.scales = None if scales is None else scales[start:stop]
                cut = cut_arrays(arrays, len(ledger), start, stop)
                shard.finish(cut, metadata)
        self._writer.finish(metadata)

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that reads the shards."""
        from pretrained_embed.formats.sharded.reader import open_reader

        return EmbeddingMatrix(open_reader(self._output.stream()).stored, ledger)


def rows_of(
    plan: Plan, output: Output, waiting: int, growing: SafePath | None, job: str
) -> AbstractContextManager[Rows]:
    """Return what takes the rows of a plan; its file has its name at the end.

    Nobody else is writing to the output: its work folder is this build's alone.
    ``waiting`` is how many bytes are still to wait beside it. What grows does so in the
    folder ``growing``, where there is one, and outlives this process.
    """
    if output.path is None:
        return nullcontext(MemoryRows(plan))
    if output.files is None:
        folder = None if growing is None else growing.checked()
        return _file(plan, output, waiting, folder)
    assert growing is not None, "shards are not made at once"
    return nullcontext(ShardRows(plan, output, waiting, growing.checked(), job))


@contextmanager
def _file(
    plan: Plan, output: Output, waiting: int, growing: Path | None
) -> Iterator[Rows]:
    path, rows = cast(Path, output.path), len(plan.vocabulary)
    discard_leftovers(path)
    announced = Announced(
        rows,
        plan.dim,
        plan.dtype,
        plan.vocabulary.packed,
        beside=_BESIDE * rows + waiting,
        growing=growing,
    )
    with formats.new_sink(path, announced) as sink:
        yield FileRows(plan, output, sink)
