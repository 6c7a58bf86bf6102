"""Writing a matrix in several files; see `reader`.

Each file appears whole or not at all and the index after all of them, so a folder that
has an index is complete. The files of a run that was stopped are used by the next run
of the same job, if their content is what their digests say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pretrained_embed import bits
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.bits import Dtype
from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.errors import FormatError, OptionError, SourceError, WriteError
from pretrained_embed.files.replacement import new_folder, replacing, writing
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.format import Announced, Place
from pretrained_embed.formats.marks import INDEX
from pretrained_embed.formats.safetensors.sink import SafetensorsSink, reserved
from pretrained_embed.formats.sharded.index import (
    Label,
    ShardFile,
    file_name,
    format_index,
    tensor_prefix,
)
from pretrained_embed.formats.sharded.reader import OpenShard, open_shard
from pretrained_embed.formats.sharded.row_digests import (
    RowDigests,
    block_rows,
    digest_of,
)
from pretrained_embed.formats.sink import FileSink
from pretrained_embed.formats.table import (
    SHARD,
    Annotations,
    bounds,
    check_cuttable,
    cut_arrays,
)


class ShardedWriter:
    """Writes the rows of a matrix, shard by shard, into a folder; then its index.

    ``job`` is what tells this matrix from any other: shards of an earlier run are taken
    over only if it is theirs. ``block`` is how many rows a digest is of, and
    ``growing`` the folder that files grow in, see `replacing`. One writer at a time
    works in a folder. Raises `OptionError` for more shards than rows, and `WriteError`
    where the folder cannot be made, is complete already or holds something else.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        rows: int,
        dim: int,
        shards: int,
        job: str,
        dtype: Dtype = "float32",
        read_options: ReadOptions = USUAL,
        block: int | None = None,
        growing: Path | None = None,
    ) -> None:
        if not 1 <= shards <= rows:
            raise OptionError(
                f"shards is {shards} for {rows:,} rows; it can be 1 to {rows:,}"
            )
        self.bounds = bounds(rows, shards)  # of the rows of each shard
        remedy = "remove the link, or name another folder"
        self._folder = SafePath.at(folder, WriteError, remedy)
        self._rows, self._dim, self._job = rows, dim, job
        self._read_options = read_options
        self._dtype = dtype
        self._block_rows = block or block_rows(dim, dtype)
        self._growing = growing
        self._done: set[int] = set()
        self._claim_folder()

    def have(self, number: int) -> bool:
        """Return whether a shard, from 0, is there already: whole, right, of this job.

        All of it is read.
        """
        try:
            shard = self._open(number)
            self._check(number, shard.label)
            shard.vectors[:]  # checks all of them
        except (FormatError, SourceError):
            return False
        self._done.add(number)
        return True

    @contextmanager
    def shard(
        self, number: int, tokens: PackedTokens | None = None
    ) -> Iterator[FileSink]:
        """Give a sink for the rows of a shard, from 0; put its file in its place.

        ``tokens`` are those of its rows, where they are at hand. The sink is finished
        with the arrays of these rows. Raises `WriteError` as `new_sink` does, and for
        an array that has not one entry for each row (`HOLES` is counted from the first
        row of the shard).
        """
        start, stop = self.bounds[number]
        path = self._path(number)
        shape = stop - start, self._dim
        label = Label(
            self._job, self._rows, self._dim, start, stop, self._block_rows, (), ""
        )
        with (
            replacing(path, self._growing) as file,
            reserved(
                file, shape, self._dtype, path, prefix=tensor_prefix(number)
            ) as inner,
        ):
            announced = Announced(*shape, self._dtype, tokens)
            sink = FileSink(_LabellingSink(inner, label), announced, whole=True)
            yield sink
            if not sink.finished:
                raise WriteError(f"{path}: its rows were never finished")
        self._done.add(number)

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Write the index; ``metadata`` is that of the whole, as in `Table`.

        Raises `WriteError` where a shard was neither written nor found right.
        """
        missing = set(range(len(self.bounds))) - self._done
        if missing:
            raise WriteError(
                f"{self._folder}: shard {min(missing) + 1} of {len(self.bounds)} was "
                "not written"
            )
        files: list[ShardFile] = []
        tensors: dict[str, str] = {}
        total = 0
        for number in range(len(self.bounds)):
            path, shard = self._path(number), self._open(number)
            self._check(number, shard.label)
            size = path.checked().stat().st_size
            files.append(ShardFile(path.path, size, tensor_prefix(number), shard.label))
            tensors |= dict.fromkeys(shard.tensors, path.name)
            total += sum(shard.tensors.values())
        with replacing(self._folder / INDEX) as file:
            told = {**metadata, **bits.facts(self._dtype, self._dim)}
            file.write(format_index(files, tensors, total, told))

    def _path(self, number: int) -> SafePath:
        return self._folder / file_name(number, len(self.bounds))

    def _open(self, number: int) -> OpenShard:
        path = self._path(number).checked()
        return open_shard(path, tensor_prefix(number), self._read_options)

    def _check(self, number: int, label: Label) -> None:
        """Raise `FormatError` for a shard of other rows, or of another job."""
        wanted = (self._job, self._rows, self._dim, *self.bounds[number])
        if label[:6] != (*wanted, self._block_rows):
            raise FormatError(f"{self._path(number)}: this is a shard of another job")

    def _claim_folder(self) -> None:
        names = [
            file_name(number, len(self.bounds)) for number in range(len(self.bounds))
        ]
        with writing(self._folder):
            held = {path.name for path in self._folder.make().children()}
        if INDEX in held:
            raise WriteError(
                f"cannot write {self._folder}: a matrix is there already; name another "
                "folder, or remove it"
            )
        others = sorted(name for name in held - {*names} if not name.startswith("."))
        if others:
            raise WriteError(
                f"cannot write {self._folder}: {others[0]!r} is there already, and "
                f"would be no part of {len(names)} shards; name another folder, or "
                "remove it"
            )
        for name in names:
            (self._folder / name).discard_leftovers()


class _LabellingSink:
    """Writes into the metadata of a shard what it is; see `Label`."""

    def __init__(self, inner: SafetensorsSink, label: Label) -> None:
        self._inner = inner
        self._label = label
        self._digests = RowDigests(label.block_rows)
        self._place: Place | None = None

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        self._digests.update(block.raw)
        self._inner.append(block)

    def place(self) -> Place | None:
        """Return where the rows lie; whoever writes them there knows their digests."""
        self._place = self._inner.place()
        return self._place

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to all rows, and which rows they are."""
        check_cuttable(annotations.arrays, self._label.row_count)
        digests = self._digests.finish() if self._place is None else self._place.digests
        label = self._label._replace(vectors=digests, others=digest_of(annotations))
        metadata = {**annotations.metadata, SHARD: label.to_json()}
        self._inner.finish(annotations._replace(metadata=metadata))


_SHARD_BYTES = 1 << 32  # of vectors, where nobody says how many shards


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[ShardedSink]:
    """Give a sink whose folder is a new one, by default of shards of 4 GiB or less.

    Raises `OptionError` for more shards than rows.
    """
    rows, dim, known = announced.rows or 0, announced.dim, announced.annotations
    if known is None:
        raise ValueError("a table in shards is written when all of it is there")
    check_cuttable(known.arrays, rows)
    shards = announced.shards
    if shards is None:
        shards = min(rows, -(-announced.size // _SHARD_BYTES))
    with new_folder(path) as folder:
        writer = ShardedWriter(
            folder, rows=rows, dim=dim, shards=shards, job="", dtype=announced.dtype
        )
        with ExitStack() as held:
            yield ShardedSink(writer, known, held)


class ShardedSink:
    """Takes rows into one shard after the other; see `FormatSink`."""

    def __init__(
        self, writer: ShardedWriter, known: Annotations, held: ExitStack
    ) -> None:
        self._writer = writer
        self._known = known
        self._number = 0  # of the shard that is next to be full
        self._shard: FileSink | None = None  # once it is open
        self._held = held  # closes it

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        tokens = block.tokens
        begin = 0
        while begin < len(tokens):
            start, stop = self._writer.bounds[self._number]
            if self._shard is None:
                shard = self._writer.shard(self._number)
                self._shard = self._held.enter_context(shard)
            end = min(len(tokens), begin + stop - start - self._shard.written)
            self._shard.append(block.part(slice(begin, end)))
            if self._shard.written == stop - start:
                self._close(self._shard)
            begin = end

    def _close(self, shard: FileSink) -> None:
        rows, bounds = len(self._known.tokens), self._writer.bounds[self._number]
        arrays = cut_arrays(self._known.arrays, rows, *bounds)
        shard.finish(arrays, self._known.metadata)
        self._held.close()
        self._shard = None
        self._number += 1

    def finish(self, annotations: Annotations) -> None:
        """Write the index."""
        self._writer.finish(annotations.metadata)
