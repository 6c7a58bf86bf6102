"""Where the rows of a build go: into memory, into a file, into shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np

from pretrained_embed import formats
from pretrained_embed.arrays import AnyArray, Float32Array
from pretrained_embed.bits import Dtype, Stored, joined, row_bytes
from pretrained_embed.build.plan import Plan
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
from pretrained_embed.formats.local import crc32, map_array, open_file
from pretrained_embed.formats.table import bounds, cut_arrays, write_array
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix

#: About how many bytes an output has for each row beside its vector.
_BESIDE = 32

_PIECE = 1 << 22

#: The finished rows of a range, (rows, dim).
Finished = Float32Array | Stored


class Written(NamedTuple):
    """What is known of the bytes of a range that are at their place."""

    crc32: int = 0
    digests: tuple[str, ...] = ()  # of the blocks of rows that shards have some of


class Keeper(Protocol):
    """What the rows of ranges are written to, by any process or by this one."""

    def write(self, rows: range, vectors: Finished) -> Written:
        """Write the rows of a range at their place."""

    def crc32(self, rows: range) -> int | None:
        """Return the CRC-32 of what lies there; ``None`` where that is too little."""


@dataclass(frozen=True)
class Target:
    """Where the rows of a matrix lie, in files that grow in a folder; see `Keeper`.

    ``name`` is that of the one file, in which they begin at byte ``begin``; without it
    they are in ``files`` shards, whose rows have a digest each ``block``.
    """

    folder: str
    rows: int
    dim: int
    dtype: Dtype
    name: str = ""
    begin: int = 0
    files: int = 1
    block: int = 0

    @property
    def row_bytes(self) -> int:
        """How many bytes a row has."""
        return row_bytes(self.dtype, self.dim)

    def place(self, rows: range) -> tuple[Path, int]:
        """Return the file that has a range of rows, and where in it they begin."""
        folder = Path(self.folder)
        if self.name:
            return folder / self.name, self.begin + self.row_bytes * rows.start
        from pretrained_embed.formats.safetensors.sink import HEADER
        from pretrained_embed.formats.sharded.index import file_name

        number = ((rows.start + 1) * self.files - 1) // self.rows
        first = rows.start - bounds(self.rows, self.files)[number][0]
        return folder / file_name(number, self.files), HEADER + self.row_bytes * first

    def map(self, rows: range) -> Float32Array:
        """Return rows of binary32 of one file where they lie, to be written to."""
        path, begin = self.place(rows)
        shape = len(rows), self.dim
        return np.asarray(np.memmap(path, np.float32, "r+", begin, shape))

    def write(self, rows: range, vectors: Finished) -> Written:
        """Write the rows of a range at their place."""
        raw = vectors.checked() if isinstance(vectors, Stored) else vectors
        path, begin = self.place(rows)
        with writing(path), path.open("r+b", buffering=0) as file:
            file.seek(begin)
            write_array(file, raw)
        digests: tuple[str, ...] = ()
        if self.block:
            from pretrained_embed.formats.sharded.row_digests import RowDigests

            state = RowDigests(self.block)
            state.update(raw)
            digests = state.finish()
        kind = raw.dtype.newbyteorder("<")
        return Written(crc32(np.ascontiguousarray(raw, kind).data), digests)

    def crc32(self, rows: range) -> int | None:
        """Return the CRC-32 of what lies there; ``None`` where that is too little."""
        path, begin = self.place(rows)
        crc, left = 0, self.row_bytes * len(rows)
        with suppress(OSError), path.open("rb", buffering=0) as file:
            file.seek(begin)
            while left and (piece := file.read(min(left, _PIECE))):
                crc, left = crc32(piece, crc), left - len(piece)
            return None if left else crc
        return None


class RowSink(ABC):
    """The rows of a plan on their way out. ``keeper`` takes those of a range."""

    keeper: Keeper

    def place(self) -> Float32Array | None:
        """Return all rows, (rows, dim), zeros to be filled where they lie.

        ``None`` where the rows that were made have to be written.
        """
        return None

    def finish(
        self,
        ledger: Ledger,
        written: Sequence[Written | None],
        scales: AnyArray | None,
    ) -> None:
        """Write what belongs to all rows, which are there.

        ``written`` is that of the ranges, unless all was made at once, ``None`` of one
        that was put there as it was found; ``scales`` are those of the rows, where
        their dtype has such.
        """
        return

    @abstractmethod
    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix, once what was written has its name."""


class MemoryRows(RowSink):
    """Keeps rows in memory: see `RowSink` and `Keeper`."""

    def __init__(self, plan: Plan) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._vectors = np.empty((0, plan.dim), np.float32)
        self._stored: list[Stored] = []  # in the bits of another dtype
        self.keeper = self

    def write(self, rows: range, vectors: Finished) -> Written:
        """Keep the rows of a range, which come in order."""
        if isinstance(vectors, Stored):
            self._stored.append(vectors)
        elif len(rows) == self._shape[0]:
            self._vectors = vectors
        else:
            if not len(self._vectors):
                self._vectors = np.empty(self._shape, np.float32)
            self._vectors[rows.start : rows.stop] = vectors
        return Written()

    def crc32(self, rows: range) -> int | None:
        """Return nothing: no rows are there from an earlier build."""
        return None

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix in memory."""
        if self._stored:
            return EmbeddingMatrix(joined(self._stored), ledger)
        self._vectors.flags.writeable = False  # and so need not be copied
        return EmbeddingMatrix(self._vectors, ledger)


class FileRows(RowSink):
    """Puts rows into one file: see `RowSink`."""

    def __init__(self, plan: Plan, output: Output, sink: formats.FileSink) -> None:
        self._shape = len(plan.vocabulary), plan.dim
        self._ranges = plan.ranges
        self._output = output
        self._sink = sink
        self._place = cast(Place, sink.place())  # every format of an output has one
        path, begin = self._place.path, self._place.begin
        folder = str(path.parent.absolute())
        self._dtype = plan.dtype
        self.keeper = Target(folder, *self._shape, plan.dtype, path.name, begin)
        #: Where any process of this machine may place rows, if it can.
        self.mapped = self.keeper if self._place.reserved and plan.places_hits else None

    def place(self) -> Float32Array | None:
        """Return the rows of the file, mapped, where that can be done."""
        if self._dtype != "float32":  # they have to be rounded
            return None
        return self._place.map(self._shape)

    def finish(
        self,
        ledger: Ledger,
        written: Sequence[Written | None],
        scales: AnyArray | None,
    ) -> None:
        """Write what belongs to all rows."""
        known = [one.crc32 for one in written if one is not None]
        if written and len(known) == len(written):
            crc, row = 0, row_bytes(self._dtype, self._shape[1])
            for one, rows in zip(known, self._ranges, strict=True):
                crc = crc32_joined(crc, one, row * len(rows))
            self._place.crc32 = crc
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


class ShardRows(RowSink):
    """Puts rows into several files: see `RowSink`."""

    def __init__(
        self, plan: Plan, output: Output, waiting: int, folder: Path, job: str
    ) -> None:
        from pretrained_embed.formats.safetensors.sink import HEADER
        from pretrained_embed.formats.sharded.index import file_name
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
        size = row_bytes(plan.dtype, plan.dim)
        needed = (size + _BESIDE) * rows + waiting - there
        check_room(cast(Path, output.path) / "index", max(0, needed))
        self._starts = [one.start for one in plan.ranges]
        place, shape = str(folder.absolute()), (rows, plan.dim)
        self.keeper = Target(
            place, *shape, plan.dtype, files=files, block=plan.digested()
        )
        for number, (start, stop) in enumerate(self._writer.bounds):
            path = folder / file_name(number, files)
            with writing(path), path.open("ab") as file:
                reserve(file, HEADER + size * (stop - start), path)

    def finish(
        self,
        ledger: Ledger,
        written: Sequence[Written | None],
        scales: AnyArray | None,
    ) -> None:
        """Write what belongs to the rows of each file, and the index."""
        arrays, metadata = ledger.arrays(), ledger.metadata()
        for number, (start, stop) in enumerate(self._writer.bounds):
            with self._writer.shard(number, self._tokens[start:stop]) as shard:
                first, end = np.searchsorted(self._starts, (start, stop)).tolist()
                place = cast(Place, shard.place())
                place.digests = tuple(
                    digest
                    for one in filter(None, written[first:end])
                    for digest in one.digests
                )
                place.scales = None if scales is None else scales[start:stop]
                cut = cut_arrays(arrays, len(ledger), start, stop)
                shard.finish(cut, metadata)
        self._writer.finish(metadata)

    def matrix(self, ledger: Ledger) -> EmbeddingMatrix:
        """Return the matrix that reads the shards."""
        from pretrained_embed.formats.sharded.reader import open_reader

        return EmbeddingMatrix(open_reader(self._output.stream()).stored, ledger)


def sink_of(
    plan: Plan, output: Output, waiting: int, growing: SafePath | None, job: str
) -> AbstractContextManager[RowSink]:
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
) -> Iterator[RowSink]:
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
