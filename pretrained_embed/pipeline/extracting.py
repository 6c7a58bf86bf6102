"""From an open source to readers of what each range of a matrix's rows wants of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

from pretrained_embed import __version__, extraction, matrix, sources
from pretrained_embed.extraction import (
    Extracted,
    Job,
    Outcome,
    WantedTokens,
    WorkFolder,
    extract,
    finished,
    scan_split,
    wanted_path,
)
from pretrained_embed.files.digests import json_digest
from pretrained_embed.formats import Reader
from pretrained_embed.formats.scanned import ScannedReader
from pretrained_embed.pipeline.opening import Opened
from pretrained_embed.pipeline.whole_progress import WholeProgress
from pretrained_embed.vocabulary import Vocabulary

#: How many splits there are: enough that little is lost with one, and that workers are
#: busy to the end; more only of large files, whose splits would be larger than this.
_SPLITS, _MOST_SPLITS = 64, 1024
#: Without a work folder the tokens go with each.
_FEW_SPLITS = 16
_SMALLEST, _LARGEST = 1 << 20, 1 << 26

#: Forms that are tried for advice.
_TRIED = 20

#: Bytes that a form of a token takes in an index, the token itself among them.
_INDEX_ENTRY = 48


class Means(NamedTuple):
    """What there is to do the work with."""

    threads: Executor  # of this process
    executor: Executor | None  # given for the work
    memory: int  # bytes that an index may take
    work: WorkFolder | None  # where extracts wait; without one they are in memory


def forms(options: matrix.Options) -> int:
    """Return in about how many forms each token is looked for."""
    return len(options.match) + _TRIED * options.advise


def passes(bounds: Sequence[range], forms: int, memory: int) -> list[range]:
    """Return the ranges, by number, that are looked for in one pass each.

    An index of all tokens that are wanted in a pass takes ``memory`` bytes at most, as
    far as a single range allows.
    """
    limit = max(1, memory // (_INDEX_ENTRY * forms))
    begins, held = [0], 0
    for number, rows in enumerate(bounds):
        if held and held + len(rows) > limit:
            begins.append(number)
            held = 0
        held += len(rows)
    ends = [*begins[1:], len(bounds)]
    return [range(*border) for border in zip(begins, ends, strict=True)]


class SourceInRanges:
    """A source, read for all ranges of a vocabulary in as few passes as memory allows.

    A source with an index of its own, such as a store or a table, is not read ahead:
    each range takes from it what it wants.
    """

    def __init__(
        self,
        opened: Opened,
        name: str,
        vocabulary: Vocabulary,
        bounds: Sequence[range],
        options: matrix.Options,
        means: Means,
        progress: WholeProgress,
    ) -> None:
        self._reader = reader = opened.reader
        self._passes: list[tuple[range, Extracted]] = []
        if not isinstance(reader, ScannedReader):
            if means.executor is not None:
                opened.notes.append("was looked up by one process: it has an index")
            return
        if means.executor is not None and opened.address is None:
            opened.notes.append("was read by one process: no other can open it")
        self._statistics = matrix.source_statistics(reader, options.on_bad_row)
        for numbers in passes(bounds, forms(options), means.memory):
            wanted = WantedTokens.of(
                {
                    n: matrix.wanted_tokens(vocabulary, bounds[n], options)
                    for n in numbers
                }
            )
            job = _job(opened, reader, wanted, len(bounds), options, means)
            if means.work is not None:
                pass_ = f"{name}-{numbers.start}"
                folder = means.work.of_job(pass_, job.key, wanted)
                job = replace(job, folder=folder, wanted=wanted_path(folder))
            del wanted  # what scans has its own
            outcomes = _done(job, means, progress)
            self._passes.append((numbers, Extracted(reader, outcomes, len(bounds))))

    @property
    def duplicates(self) -> int | None:
        """How many later rows there are of tokens that were looked for.

        Several ranges may have looked for a token: it counts once. ``None`` where that
        is for the ranges to count.
        """
        if not self._passes:
            return None
        met: dict[bytes, int] = {}
        for _, extracted in self._passes:
            for again in extracted.met_again.values():
                met |= again
        return sum(met.values())

    def reader(self, number: int) -> Reader:
        """Return a reader of what a range wants."""
        for numbers, extracted in self._passes:
            if number in numbers:
                return extraction.RangeReader(extracted, number, self._statistics)
        return self._reader


def _job(
    opened: Opened,
    reader: ScannedReader,
    wanted: WantedTokens,
    ranges: int,
    options: matrix.Options,
    means: Means,
) -> Job:
    size = opened.size or 0
    count = _SPLITS if means.work is not None else _FEW_SPLITS
    least = max(_SMALLEST, size // _MOST_SPLITS)
    splits = reader.splits(max(least, min(_LARGEST, size // count)))
    identity = opened.identity
    if opened.address is not None:  # what a worker sees, who knows no other name
        identity = sources.open_source(opened.address).identity
    state = extraction.state_of(identity)
    here = extraction.same_file(opened.address)
    facts = [__version__, reader.format, reader.dim, options.on_bad_row, ranges, splits]
    facts += [opened.address, state, here, wanted.digest()]
    if opened.layout is not None:
        facts.append(str(opened.layout))
    return Job(
        key=json_digest(facts),
        size=opened.size,
        address=opened.address,
        state=state,
        dim=reader.dim,
        on_bad_row=options.on_bad_row,
        ranges=ranges,
        splits=tuple(splits),
        wanted=wanted,
        layout=opened.layout,
        reader=reader,
    )


def _done(job: Job, means: Means, progress: WholeProgress) -> list[Outcome]:
    """Return the outcomes of a job, of which a work folder may have some already."""
    ready = finished(job)
    for number, outcome in ready.items():
        progress.add(job.size_of(number, outcome))
    executor = means.threads
    if means.executor is not None and job.address is not None:
        executor = means.executor
    try:
        if executor is means.threads and len(job.splits) == 1 and not ready:
            outcome = scan_split(job, 0, progress.live)
            progress.add(job.size_of(0, outcome))
            return [outcome]
        return extract(job, executor, means.threads, ready, progress.add)
    finally:
        job.close()
