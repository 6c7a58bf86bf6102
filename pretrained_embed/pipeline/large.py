"""Builds that do not fit one memory, or are done by more than one process.

The rows of the vocabulary are cut into ranges. One pass over a source looks for the
tokens of all of them, split by split; what is found waits in extracts, sorted by range.
Then the rows are made range by range, in order, and go into the output.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pretrained_embed import extraction, formats, matrix, sources
from pretrained_embed.errors import OptionError
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.formats.reader import Float32Array
from pretrained_embed.formats.scanned import ScannedReader
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.pipeline.extracting import Means, SourceInRanges
from pretrained_embed.pipeline.opening import Opened
from pretrained_embed.pipeline.whole_progress import WholeProgress
from pretrained_embed.vocabulary import Vocabulary

#: Bytes of the vectors of a range.
_RANGE = 1 << 25


class Ways(NamedTuple):
    """How a build is carried out; the result does not depend on it."""

    out: Path | None = None
    shards: int | None = None
    executor: Executor | None = None
    memory: int | None = None  # bytes that an index of tokens may take

    @property
    def are_asked_for(self) -> bool:
        """Whether anything is to be other than usual."""
        return self != Ways()

    def check(self) -> None:
        """Raise `OptionError` for what does not go together."""
        if self.memory is not None and self.memory < 1:
            raise OptionError(f"memory is {self.memory}; it is a number of bytes")
        if self.shards is not None and self.out is None:
            raise OptionError("shards are written: name a folder for them with out")


def build(
    vocabulary: Vocabulary,
    opened: Sequence[Opened],
    maker: matrix.RowMaker,
    ways: Ways,
    complete: Callable[[matrix.Ledger], None],
) -> EmbeddingMatrix:
    """Return the matrix that `matrix.build` would; with ``out`` its vectors are mapped.

    ``complete`` is called with the ledger before anything of it is written.
    """
    options = maker.options
    rows = len(vocabulary)
    step = rows if ways.out is None else max(1, _RANGE // (4 * maker.dim))
    bounds = [range(start, min(start + step, rows)) for start in range(0, rows, step)]
    progress = WholeProgress(options.progress, _total(opened, rows, maker.dim, ways))
    given = [matrix.OpenSource(one.reader, one.provenance) for one in opened]
    in_ranges = matrix.InRanges(vocabulary, maker)
    with ExitStack() as stack:
        work = None
        if ways.out is not None:
            work = stack.enter_context(extraction.work_folder(ways.out))
        means = Means(
            ways.executor or stack.enter_context(_threads(options.threads)),
            ways.executor is None,
            ways.memory or _half_of_memory(),
            work,
        )
        each = [
            SourceInRanges(
                one, f"source-{number}", vocabulary, bounds, options, means, progress
            )
            for number, one in enumerate(opened)
        ]

        def made(number: int) -> Float32Array:
            readers = [source.reader(number) for source in each]
            block = in_ranges.make(bounds[number], readers)
            if ways.out is not None:
                progress.add(block.nbytes)
            return block

        if ways.out is None:
            block = made(0)
            ledger = in_ranges.ledger(given)
            complete(ledger)
            block.flags.writeable = False  # and so need not be copied
            return ledger.with_vectors(block)
        with formats.new_target(
            ways.out, rows=rows, dim=maker.dim, beside=_beside(vocabulary)
        ) as target:
            for number in range(len(bounds)):
                target.append(made(number))
            ledger = in_ranges.ledger(given)
            complete(ledger)
            target.finish(
                matrix.tokens_of(ledger),
                matrix.arrays_of(ledger),
                matrix.metadata_of(ledger),
            )
    return ledger.with_vectors(_mapped(ways.out))


def _mapped(path: Path) -> Float32Array:
    stream = sources.open_source(path)
    return formats.read_table(stream).vectors


def _total(opened: Sequence[Opened], rows: int, dim: int, ways: Ways) -> int | None:
    """Return the bytes that are read and written, where they are known."""
    scanned = [one.size for one in opened if isinstance(one.reader, ScannedReader)]
    if None in scanned:
        return None
    written = 0 if ways.out is None else 4 * rows * dim
    return sum(size or 0 for size in scanned) + written


def _beside(vocabulary: Vocabulary) -> int:
    """Return about how many bytes an output has beside its vectors."""
    return 32 * len(vocabulary)


@contextmanager
def _threads(threads: int | None) -> Iterator[Executor]:
    pool = ThreadPoolExecutor(thread_count(threads))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _half_of_memory() -> int:
    """Return half of the bytes of memory that are free, as far as that is told."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # not on this system
        return 1 << 31
