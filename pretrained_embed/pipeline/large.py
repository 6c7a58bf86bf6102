"""Builds that do not fit one memory, or are done by more than one process.

The rows of the vocabulary are cut into ranges. One pass over a source looks for the
tokens of all of them, split by split; what is found waits in extracts, sorted by range.
Then the rows are made range by range, in order, and go into the output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from hashlib import blake2b

import numpy as np

from pretrained_embed import __version__, extraction, matrix
from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.formats.parts import bounds as even_bounds
from pretrained_embed.formats.scanned import ScannedReader
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.pipeline import output
from pretrained_embed.pipeline.extracting import Means, SourceInRanges, forms, passes
from pretrained_embed.pipeline.opening import Opened
from pretrained_embed.pipeline.ways import Ways
from pretrained_embed.pipeline.whole_progress import WholeProgress
from pretrained_embed.vocabulary import Vocabulary

#: Bytes of the vectors of a range: few, so that memory that was used for one is used
#: again for the next; but each range reads of each extract, so there are not too many.
_RANGE = 1 << 24
_RANGES = 1 << 10


def build(
    vocabulary: Vocabulary,
    opened: Sequence[Opened],
    maker: matrix.RowMaker,
    ways: Ways,
    complete: Callable[[Ledger], None],
    listener: Progress | None,
) -> EmbeddingMatrix:
    """Return the matrix that `matrix.build` would; with ``out`` its vectors are mapped.

    ``complete`` is called with a ledger before it is written, and ``listener`` with the
    progress of the whole.
    """
    options = maker.options
    files = _cut(len(vocabulary), maker.dim, ways)
    bounds = [rows for file in files for rows in file]
    memory = ways.memory or _half_of_memory()
    scans = len(passes(bounds, forms(options), memory))
    written = 0 if ways.out is None else 4 * maker.dim * len(vocabulary)
    total = _total(opened, scans, written)
    progress = WholeProgress(listener, total)
    given = [matrix.OpenSource(one.reader, one.provenance) for one in opened]
    in_ranges = matrix.InRanges(vocabulary, maker)

    each: list[SourceInRanges] = []

    def ledger() -> Ledger:
        so_far = in_ranges.ledger(given, [source.duplicates for source in each])
        complete(so_far)
        return so_far

    with ExitStack() as stack:
        work = None
        if ways.out is not None:
            work = stack.enter_context(extraction.work_folder(ways.out))
        means = Means(
            stack.enter_context(_threads(options.threads)),
            ways.executor,
            memory,
            work,
        )
        numbers = {rows.start: number for number, rows in enumerate(bounds)}

        def made(rows: range) -> Float32Array:
            # not before the output is open: that may fail, and this may take hours
            for number, one in enumerate(opened[len(each) :], len(each)):
                name = f"source-{number}"
                each.append(
                    SourceInRanges(
                        one, name, vocabulary, bounds, options, means, progress
                    )
                )
            readers = [source.reader(numbers[rows.start]) for source in each]
            block = in_ranges.make(rows, readers)
            if ways.out is not None:
                progress.add(block.nbytes)
            return block

        scanned = [
            one.reader for one in opened if isinstance(one.reader, ScannedReader)
        ]
        waiting = 4 * len(vocabulary) * sum(reader.dim for reader in scanned)
        if work is not None:
            waiting = max(0, waiting - work.size)
        rows = output.Rows(vocabulary, maker, files, made, ledger, waiting)
        if ways.out is None:
            return output.in_memory(rows)
        if ways.shards is None:
            return output.into_file(rows, ways.out)
        return output.into_shards(rows, ways.out, _job(ledger(), opened, options))


def _cut(rows: int, dim: int, ways: Ways) -> list[list[range]]:
    """Return the ranges of rows of each file of the output."""
    step = max(1, _RANGE // (4 * dim), -(-rows // _RANGES))
    if ways.out is None and ways.memory is None:
        step = rows
    return [
        [range(begin, min(begin + step, stop)) for begin in range(start, stop, step)]
        for start, stop in even_bounds(rows, ways.shards or 1)
    ]


def _job(ledger: Ledger, opened: Sequence[Opened], options: matrix.Options) -> str:
    """Return what differs where the rows may be others."""
    tokens, metadata = ledger.vocabulary.packed, ledger.metadata()
    facts = [
        [
            one.provenance,
            extraction.state_of(one.identity),
            extraction.same_file(one.address),
        ]
        for one in opened
    ]
    text = [facts, metadata["vocabulary"], metadata["provenance"]["options"]]
    text += [options.advise, [form.name for form in options.match]]
    if options.calls:  # what a function does is not known
        text.append(os.urandom(16).hex())
    digest = blake2b(json.dumps([__version__, *text]).encode(), digest_size=16)
    vocabulary = ledger.vocabulary
    for array in (tokens.offsets, tokens.data, vocabulary.holes, vocabulary.counts):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _total(opened: Sequence[Opened], scans: int, written: int) -> int | None:
    """Return the bytes that are read and written, where they are known."""
    scanned = [one.size for one in opened if isinstance(one.reader, ScannedReader)]
    if None in scanned:
        return None
    return sum(size or 0 for size in scanned) * scans + written


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
