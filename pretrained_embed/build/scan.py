"""The sources of a plan, read for all its ranges before the rows are made.

One pass over a source looks for the tokens of as many ranges as memory allows. A pass
is a `Job`: any process can scan a split of it. What is found waits in extracts, sorted
by range. A source with an index of its own, such as a store or a table, is not read
ahead: each range takes from it what it wants.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from pretrained_embed import __version__, formats, kernel
from pretrained_embed.arrays import (
    AnyArray,
    Int64Array,
    PackedTokens,
    Progress,
    joined,
)
from pretrained_embed.build.extract import (
    Extract,
    Extracted,
    Gathering,
    Outcome,
    RangeReader,
)
from pretrained_embed.build.options import Options
from pretrained_embed.build.plan import Plan
from pretrained_embed.build.rows import missing_in
from pretrained_embed.build.work import WholeProgress
from pretrained_embed.build.work_folder import WorkFolder, cannot_write
from pretrained_embed.errors import PretrainedEmbedError, SourceError, WorkerError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats import KnownLayout, Reader
from pretrained_embed.formats.reader import OnBadRow, Split
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.ledger import Ledger
from pretrained_embed.library import Library, OpenSource
from pretrained_embed.lookup.search import Search
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import rereadable

#: How many splits there are: enough that little is lost with one, and that workers are
#: busy to the end; more only of large files, whose splits would be larger than this.
_SPLITS, _MOST_SPLITS = 64, 1024
#: Without a work folder the tokens go with each.
_FEW_SPLITS = 16
_SMALLEST, _LARGEST = 1 << 20, 1 << 26

#: How often a split is tried before its failure is that of the build.
_TRIES = 3
#: Splits that an executor is given ahead.
_AHEAD = 256

#: Forms that are tried for advice.
_TRIED = 20

#: Bytes that a form of a token takes in an index, the token itself among them.
_INDEX_ENTRY = 48

_RUN = "run"


@dataclass(frozen=True)
class WantedTokens:
    """What is looked for in one pass over a source.

    ``ranges`` is int64 (len(tokens),), rising: which range wants the token. A token
    that several ranges want stands there once for each.
    """

    tokens: PackedTokens
    ranges: Int64Array

    @classmethod
    def of(cls, by_range: dict[int, PackedTokens]) -> WantedTokens:
        """Return what ranges want, given by their numbers, which rise."""
        counts = [len(tokens) for tokens in by_range.values()]
        numbers = np.fromiter(by_range, np.int64, len(by_range))
        return cls(joined(list(by_range.values())), np.repeat(numbers, counts))

    def index(self) -> kernel.TokenIndex:
        """Return the index whose rows are the ranges."""
        ranks = np.zeros(len(self.ranges), np.uint8)
        return kernel.TokenIndex(self.tokens, self.ranges, ranks)

    def digest(self) -> str:
        """Return what differs where something else is wanted."""
        digest = blake2b(digest_size=16)
        for array in self._arrays():
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: SafePath) -> None:
        """Write to a file that `load` reads; raises `OSError`."""
        with path.replacing() as file:
            for array in self._arrays():
                np.lib.format.write_array(file, array, allow_pickle=False)

    @classmethod
    def load(cls, path: SafePath) -> WantedTokens:
        """Read what `save` wrote; raises `OSError`, `ValueError` for other bytes."""
        with path.open() as file:
            data, offsets, ranges = (
                np.lib.format.read_array(file, allow_pickle=False) for _ in range(3)
            )
        return cls(PackedTokens(data, offsets, where=str(path)), ranges)

    def _arrays(self) -> Iterator[AnyArray]:
        yield from (self.tokens.data, self.tokens.offsets, self.ranges)


@dataclass(frozen=True)
class Job:
    """One pass over a source, to be done split by split in any process.

    ``address`` is what ``library`` opens the source by, and ``state`` what is known of
    its bytes; ``wanted`` the tokens, or the file they are saved in. ``folder``
    is where extracts go; without one they are handed over. ``reader`` is the source
    where it is open already: it stays in its process, and without an address so does
    the job.
    """

    key: str  # differs where anything differs that the extracts depend on
    size: int | None  # bytes of the source, where they are known
    address: str | None
    state: dict[str, Any]
    dim: int
    on_bad_row: OnBadRow
    ranges: int
    splits: tuple[Split, ...]
    wanted: WantedTokens | SafePath
    folder: SafePath | None = None
    layout: KnownLayout | None = None  # of the source, as it was given
    library: Library = field(default=Library(), compare=False)  # how it is read
    reader: Reader | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reader": None}

    def saved_in(self, folder: SafePath) -> Job:
        """Return the same with all it needs in a folder; raises `WriteError`."""
        wanted = folder / "wanted.npy"
        try:
            self._tokens().save(wanted)
        except OSError as error:
            raise cannot_write(wanted, error) from error
        return replace(self, folder=folder, wanted=wanted)

    def opened(self) -> tuple[Reader, TokenIndex]:
        """Return the source and the index, which are kept until another job comes.

        Raises `SourceError` where the source is not what it was for the job's maker.
        """
        with _lock:
            if self.key not in _opened:
                _opened.clear()  # first: each may take much memory
                reader = self.reader or self._open()
                _opened[self.key] = reader, self._tokens().index()
            return _opened[self.key]

    def close(self) -> None:
        """Let go of what was kept."""
        with _lock:
            _opened.pop(self.key, None)

    def size_of(self, number: int, outcome: Outcome) -> int:
        """Return how many bytes a split has, which was scanned with this outcome."""
        if len(self.splits) == 1:
            return self.size or outcome.report.read
        return self.splits[number].end - self.splits[number].begin

    def finished(self) -> dict[int, Outcome]:
        """Return the outcomes that are in the folder, whole and right."""
        outcomes: dict[int, Outcome] = {}
        for number in range(len(self.splits)) if self.folder is not None else ():
            with suppress(OSError):
                record = self._path(number, ".json").read()
                paths = (self._path(number, f"-{i:04}.extract") for i in count())
                outcome = Outcome.from_record(record, self.key, paths)
                if outcome and all(extract.is_whole() for extract in outcome.extracts):
                    outcomes[number] = outcome
        return outcomes

    def keep(self, number: int, place: int, pieces: Sequence[memoryview]) -> Extract:
        """Return an extract of a split, written if there is a folder."""
        size, crc = sum(len(piece) for piece in pieces), 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
        if self.folder is None:
            return Extract(size, crc, data=b"".join(pieces))
        path = self._path(number, f"-{place:04}.extract")
        _write(path, pieces)
        return Extract(size, crc, path)

    def record(self, number: int, outcome: Outcome) -> None:
        """Note that a split need not be scanned again, if there is a folder."""
        if self.folder is not None and outcome.report.stopped_by is None:
            _write(self._path(number, ".json"), [outcome.to_record(self.key)])

    def _path(self, number: int, suffix: str) -> SafePath:
        return cast(SafePath, self.folder) / f"split-{number:06}{suffix}"

    def _tokens(self) -> WantedTokens:
        if isinstance(self.wanted, WantedTokens):
            return self.wanted
        try:
            return WantedTokens.load(self.wanted)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{self.wanted}: the tokens that this build looks for cannot be read: "
                f"{error}. Every worker needs the folder that the output is in."
            ) from error

    def _open(self) -> Reader:
        stream = rereadable(self.library.stream(cast(str, self.address)))
        reader = formats.open_reader(stream, self.layout)
        same = _RUN in self.state or state_of(stream.identity) == self.state
        if reader.splits() is None or stream.size != self.size or not same:
            raise SourceError(
                f"{self.address}: not the bytes that this build began with; every "
                "worker needs the same file at the same place, which nobody changes"
            )
        return reader


#: The source and the index of the last job that this process has worked on. There is
#: one at most, by the key of its job; threads of a process share it under the lock.
_opened: dict[str, tuple[Reader, TokenIndex]] = {}
_lock = threading.Lock()


def _write(path: SafePath, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file that appears whole; it is checked if it is used later."""
    try:
        with path.replacing() as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise cannot_write(path, error) from error


def state_of(identity: Identity | None) -> dict[str, Any]:
    """Return what tells the bytes of a source from others.

    Where nothing does, it is something that no other source and no later run has.
    """
    state = {} if identity is None else identity.telling()
    return state or {_RUN: os.urandom(16).hex()}


def same_file(address: str | None, identity: Identity | None) -> list[Any]:
    """Return what differs, at this place, where a local file was written to."""
    if identity is not None and identity.in_parts:
        mark = identity.mark()
        return [] if mark is None else [*(mark.state or ())]
    for path in (address, (address or "").rpartition("#")[0]):
        with suppress(OSError, ValueError):
            if path:
                status = Path(path).stat()
                return [status.st_size, status.st_mtime_ns, status.st_ino]
    return []


def scan_split(job: Job, number: int, progress: Progress | None = None) -> Outcome:
    """Scan a split for the tokens that are wanted, and return what was found.

    With a folder the extracts are written there and then, once they are all there, a
    record of the outcome: whoever finds it need not scan the split again. Without one
    they are in what is returned. Raises what reading the source raises, and
    `WriteError`.
    """
    reader, index = job.opened()
    scan = reader.scan(job.splits[number], index, job.on_bad_row)
    gathering = Gathering(index, job.ranges, job.dim)
    extracts: list[Extract] = []

    def close() -> None:
        if pieces := gathering.extract():
            extracts.append(job.keep(number, len(extracts), pieces))

    for found in scan.run(progress):
        if gathering.is_full_for(found):
            close()
        gathering.add(found)
    close()
    outcome = Outcome(scan.report(), extracts)
    job.record(number, outcome)
    return outcome


def scan_again(job: Job, number: int, attempt: int) -> Outcome:
    """Scan a split as `scan_split` does.

    ``attempt`` tells the calls apart for executors that give equal calls one result.
    """
    return scan_split(job, number)


def scan_all(
    job: Job,
    executor: Executor,
    threads: Executor,
    finished: dict[int, Outcome],
    tell: Callable[[int], None],
) -> list[Outcome]:
    """Return the outcomes of all splits in order; ``finished`` ones are not done again.

    A split that fails, or whose worker dies, is tried again, and where the executor
    itself breaks the rest is done by ``threads`` of this process. Behind a split that
    was stopped by a bad row there are no more. ``tell`` is called with the bytes of
    each split that is done. Raises what scanning raises where that lies in the source
    itself, and `WorkerError` for a split that fails again and again.
    """
    end = len(job.splits)  # no split from here on is needed
    waiting = [n for n in reversed(range(end)) if n not in finished]
    running: dict[Future[Outcome], int] = {}
    failed: Counter[int] = Counter()
    outcomes = dict(finished)
    try:
        while waiting or running:
            while waiting and len(running) < _AHEAD:
                task = partial(scan_again, job, waiting[-1], failed.total())
                try:
                    future = executor.submit(task)
                except RuntimeError:  # it is broken, or was shut down
                    executor = threads
                    future = executor.submit(task)
                running[future] = waiting.pop()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                error = _error(future)
                if error is None:
                    outcome = outcomes[number] = future.result()
                    tell(job.size_of(number, outcome))
                    if outcome.report.stopped_by is not None:
                        end = min(end, number + 1)
                        waiting = [n for n in waiting if n < end]
                        behind = [f for f, n in running.items() if n >= end]
                        for other in filter(Future.cancel, behind):
                            del running[other]
                elif number < end:
                    if isinstance(error, BrokenExecutor):
                        executor = threads
                    else:
                        failed[number] += 1
                        _check_failure(job, number, error, failed[number])
                    waiting.append(number)
    finally:  # so that nothing goes on if this fails
        for future in running:
            future.cancel()
    return [outcomes[number] for number in range(end)]


def _error(future: Future[Outcome]) -> BaseException | None:
    """Return why a future has no result; ``None`` if it has one."""
    if future.cancelled():
        return CancelledError("the executor dropped it")
    return future.exception()


def _check_failure(job: Job, number: int, error: BaseException, times: int) -> None:
    """Raise unless a split that failed for the so-manieth time is tried again."""
    ours = isinstance(error, PretrainedEmbedError)
    if ours and (times == _TRIES or not isinstance(error, SourceError)):
        raise error
    if times == _TRIES:
        split = job.splits[number]
        raise WorkerError(
            f"{job.address}, bytes {split.begin:,} to {split.end:,}: scanning failed "
            f"{_TRIES} times, at last with {type(error).__name__}: {error}. What is "
            "finished is used when the build is run again."
        ) from error


#: Which rows each range looks for in a source, int64 rising.
Asked = list[Int64Array]


class Means(NamedTuple):
    """The executors, the memory and the folder of a scan."""

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
            del wanted  # what scans has its own
            if means.work is not None:
                name_of_pass = f"{name}-{numbers.start}"
                job = job.saved_in(means.work.of_job(name_of_pass, job.key))
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
    state, here = state_of(identity), same_file(opened.address, identity)
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
    ready, progress = job.finished(), means.progress
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
        return scan_all(job, executor, means.threads, ready, progress.add)
    finally:
        job.close()
