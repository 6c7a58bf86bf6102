"""Writing a table that is all there in several files; see `reader`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.parts import check_cuttable, cut_arrays
from pretrained_embed.formats.sharded.shards import ShardedWriter
from pretrained_embed.formats.sink import Sink
from pretrained_embed.formats.table import Annotations

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
        shards = min(rows, -(-4 * rows * dim // _SHARD_BYTES))
    with new_folder(path) as folder:
        writer = ShardedWriter(folder, rows=rows, dim=dim, shards=shards, job="")
        with ExitStack() as held:
            yield ShardedSink(writer, known, held)


class ShardedSink:
    """Takes rows into one shard after the other; see `RowSink`."""

    def __init__(
        self, writer: ShardedWriter, known: Annotations, held: ExitStack
    ) -> None:
        self._writer = writer
        self._known = known
        self._number = 0  # of the shard that is next to be full
        self._shard: Sink | None = None  # once it is open
        self._held = held  # closes it

    def append(self, block: PackedBlock) -> None:
        """Write rows behind those before."""
        tokens, vectors = block
        begin = 0
        while begin < len(tokens):
            start, stop = self._writer.bounds[self._number]
            if self._shard is None:
                shard = self._writer.shard(self._number)
                self._shard = self._held.enter_context(shard)
            end = min(len(tokens), begin + stop - start - self._shard.written)
            self._shard.append(PackedBlock(tokens[begin:end], vectors[begin:end]))
            if self._shard.written == stop - start:
                self._close(self._shard)
            begin = end

    def _close(self, shard: Sink) -> None:
        rows, bounds = len(self._known.tokens), self._writer.bounds[self._number]
        arrays = cut_arrays(self._known.arrays, rows, *bounds)
        shard.finish(arrays, self._known.metadata)
        self._held.close()
        self._shard = None
        self._number += 1

    def finish(self, annotations: Annotations) -> None:
        """Write the index."""
        self._writer.finish(annotations.metadata)
