"""The sources of a plan, read for all its ranges before the rows are made.

One pass over a source looks for the tokens of as many ranges as memory allows, split by
split; what is found waits in extracts, sorted by range. A source with an index of its
own, such as a store or a table, is not read ahead: each range takes from it what it
wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pretrained_embed import __version__
from pretrained_embed.arrays import Int64Array, PackedTokens
from pretrained_embed.build.extract import Outcome
from pretrained_embed.build.job import (
    Job,
    WantedTokens,
    same_file,
    scan_split,
    state_of,
)
from pretrained_embed.build.options import Options
from pretrained_embed.build.plan import Plan
from pretrained_embed.build.range_reader import Extracted, RangeReader
from pretrained_embed.build.rows import missing_in
from pretrained_embed.build.running import extract
from pretrained_embed.build.work import WholeProgress
from pretrained_embed.build.work_folder import WorkFolder, finished, wanted_path
from pretrained_embed.files.digests import json_digest
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats import Reader
from pretrained_embed.ledger import Ledger
from pretrained_embed.library import Library, OpenSource
from pretrained_embed.lookup.search import Search

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

#: Which rows each range looks for in a source, int64 rising.
Asked = list[Int64Array]


class Means(NamedTuple):
    """What there is to do the work with."""

    threads: Executor  # of this process
    executor: Executor | None  # given for the work
    memory: int  # bytes that an index may take
    work: WorkFolder | None  # where extracts wait; without one they are in memory
    progress: WholeProgress


def passes(wanted: Sequence[int], options: Options, memory: int) -> list[range]:
    """Return the ranges, by number, that are looked for in one pass each.

    ``wanted`` are the rows that each looks for. An index of all tokens of a pass takes
    ``memory`` bytes at most, as far as a single range allows.
    """
    forms = len(options.match) + _TRIED * options.advise
    limit = max(1, memory // (_INDEX_ENTRY * forms))
    begins, held = [0], 0
    for number, rows in enumerate(wanted):
        if held and held + rows > limit:
            begins.append(number)
            held = 0
        held += rows
    ends = [*begins[1:], len(wanted)]
    return [range(*border) for border in zip(begins, ends, strict=True)]


def planned_passes(plan: Plan, memory: int) -> int:
    """Return how often a source is read that all rows are looked for in."""
    return len(passes([*map(len, plan.ranges)], plan.options, memory))


class Scan:
    """All sources of a plan, each read where ranges want something of it."""

    def __init__(self, plan: Plan, means: Means) -> None:
        self._sources: list[_Scanned | _Indexed] = []
        asked = [plan.asked(rows) for rows in plan.ranges]
        for number, one in enumerate(plan.sources):
            source: _Scanned | _Indexed
            if _is_scanned(one):
                name = f"source-{number}"
                source = _Scanned(one, one.reader, name, plan, asked, means)
            else:
                if means.executor is not None:
                    note = "was looked up by one process: it has an index"
                    one.notes.append(note)
                source = _Indexed(plan, one.reader, asked)
            self._sources.append(source)
            behind = [o for o in plan.sources[number + 1 :] if _is_scanned(o)]
            if plan.combination.how == "fill" and behind:
                asked = [
                    missing_in(plan, rows, source.reader(place))
                    for place, rows in enumerate(asked)
                ]

    def readers(self, number: int) -> list[Reader]:
        """Return the sources as far as a range wants something of them."""
        return [source.reader(number) for source in self._sources]

    def duplicates(self, ledger: Ledger, counted: Sequence[int]) -> list[int]:
        """Return how many later rows each source has of tokens that were looked for.

        ``counted`` is what all ranges have counted, and ``ledger`` that of the rows so
        far. Several ranges may have looked for a token: it counts once.
        """
        return [
            source.duplicates(number, ledger) if count else 0
            for number, (source, count) in enumerate(
                zip(self._sources, counted, strict=True)
            )
        ]


def _is_scanned(opened: OpenSource) -> bool:
    return opened.reader.splits() is not None


class _Indexed:
    """A source that ranges look up in."""

    def __init__(self, plan: Plan, reader: Reader, asked: Asked) -> None:
        self._plan = plan
        self._reader = reader
        self._asked = asked

    def reader(self, number: int) -> Reader:
        """Return the source."""
        return self._reader

    def duplicates(self, number: int, ledger: Ledger) -> int:
        """Return how many rows it has again of all tokens that ranges looked for."""
        asked = np.concatenate(self._asked)
        if self._plan.combination.how == "fill":  # and no source before has them
            before = ledger.found & (ledger.sources < number)
            asked = asked[~before[asked]]
        part = self._plan.vocabulary.part(asked)
        selection = self._reader.locate(
            Search(part, self._plan.options.match).index,
            on_bad_row=self._plan.options.on_bad_row,
        )
        return selection.findings.duplicates


class _Scanned:
    """A source that was read for all ranges in one pass or several."""

    def __init__(
        self,
        opened: OpenSource,
        reader: Reader,
        name: str,
        plan: Plan,
        asked: Asked,
        means: Means,
    ) -> None:
        self._reader = reader
        self._passes: list[tuple[range, Extracted]] = []
        options, ranges = plan.options, len(plan.ranges)
        if means.executor is not None and opened.address is None:
            opened.notes.append("was read by one process: no other can open it")
        planned = planned_passes(plan, means.memory)
        wanted_rows = [*map(len, asked)]
        numbers_of = passes(wanted_rows, options, means.memory)
        if not any(wanted_rows):
            numbers_of = []
        if spared := planned - len(numbers_of):
            means.progress.add(spared * (opened.size or 0))
        if not numbers_of:
            return
        self._statistics = source_statistics(reader, options.on_bad_row)
        for numbers in numbers_of:
            wanted = WantedTokens.of(
                {number: _wanted(plan, asked[number]) for number in numbers}
            )
            job = _job(opened, reader, wanted, ranges, options, means)
            if means.work is not None:
                folder = means.work.of_job(f"{name}-{numbers.start}", job.key, wanted)
                job = replace(job, folder=folder, wanted=wanted_path(folder))
            del wanted  # what scans has its own
            outcomes = _done(job, means)
            self._passes.append((numbers, Extracted(reader, outcomes, ranges)))

    def reader(self, number: int) -> Reader:
        """Return a reader of what a range wants."""
        for numbers, extracted in self._passes:
            if number in numbers:
                return RangeReader(extracted, number, self._statistics)
        return self._reader

    def duplicates(self, number: int, ledger: Ledger) -> int:
        """Return how many rows it has again of all tokens that ranges looked for."""
        met: dict[bytes, int] = {}
        for _, extracted in self._passes:
            for again in extracted.met_again.values():
                met |= again
        return sum(met.values())


def _wanted(plan: Plan, rows: Int64Array) -> PackedTokens:
    """Return all that a range looks for in a source: each once."""
    if not len(rows):
        return PackedTokens.pack(())
    options = plan.options
    search = Search(plan.vocabulary.part(rows), options.match, advise=options.advise)
    if len(search.index) == len(search.texts):
        return search.texts
    return PackedTokens.pack(dict.fromkeys(search.texts.unpack()))


def _job(
    opened: OpenSource,
    reader: Reader,
    wanted: WantedTokens,
    ranges: int,
    options: Options,
    means: Means,
) -> Job:
    size = opened.size or 0
    count = _SPLITS if means.work is not None else _FEW_SPLITS
    least = max(_SMALLEST, size // _MOST_SPLITS)
    splits = reader.splits(max(least, min(_LARGEST, size // count))) or []
    identity = opened.identity
    library = opened.library or Library()
    if opened.address is not None:  # what a worker sees, who knows no other name
        identity = library.stream(opened.address).identity
    state, here = state_of(identity), same_file(opened.address)
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
        library=library,
        reader=reader,
    )


def _done(job: Job, means: Means) -> list[Outcome]:
    """Return the outcomes of a job, of which a work folder may have some already."""
    ready, progress = finished(job), means.progress
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
