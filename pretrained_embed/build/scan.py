"""The sources of a plan, read for all its ranges before the rows are made.

One pass over a source looks for the tokens of as many ranges as memory allows. A pass
is a `Job`: any process can scan a split of it. What is found waits in extracts, sorted
by range. A source with an index of its own, such as a store or a table, is not read
ahead: each range takes from it what it wants.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple, cast

import numpy as np

from pretrained_embed import __version__, kernel
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
    joined,
)
from pretrained_embed.build import workers
from pretrained_embed.build.extract import (
    Extract,
    Gathering,
    Outcome,
    Pass,
    reader_of,
)
from pretrained_embed.build.placed import InPlace, Placed, PlacedRows, Places
from pretrained_embed.build.plan import Plan
from pretrained_embed.build.rows import missing_in
from pretrained_embed.build.sinks import Target
from pretrained_embed.build.work import WholeProgress
from pretrained_embed.build.work_folder import (
    VERSION,
    WorkFolder,
    cannot_write,
    read_arrays,
    write_arrays,
)
from pretrained_embed.build.workers import (
    Meter,
    Opening,
    Spent,
    Tasks,
    close,
    scatters,
    state_of,
)
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Reader
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import crc32
from pretrained_embed.formats.reader import OnBadRow, Split, SplitReport
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.ledger import Ledger
from pretrained_embed.library import OpenSource
from pretrained_embed.lookup.search import Search
from pretrained_embed.vocabulary.token_rows import cut

#: How many splits there are: enough that little is lost with one, and that workers are
#: busy to the end; more only of large files, whose splits would be larger than this.
_SPLITS, _MOST_SPLITS = 64, 1024
_SMALLEST, _LARGEST = 1 << 20, 1 << 26

#: Forms that are tried for advice.
_TRIED = 20

#: Bytes that a form of a token takes in an index, the token itself among them.
_INDEX_ENTRY = 48


class Wanted(NamedTuple):
    """What a range wants of a source: each text once for all that needs an extract.

    ``texts`` begin with those of ``placed``, rows of the pass, which are placed.
    """

    number: int
    texts: PackedTokens
    placed: Int64Array


class Means(NamedTuple):
    """The executors, the memory and the folders of a scan."""

    threads: Executor  # of this process
    executor: Executor | None  # given for the work
    memory: int  # bytes that an index may take
    work: WorkFolder | None  # where extracts wait; without one they are in memory
    shown: SafePath | None  # a folder that workers see
    progress: WholeProgress


@dataclass(frozen=True)
class Job:
    """One pass over a source, to be done split by split in any process.

    ``source`` is how to open it, and ``wanted`` the tokens, or the file they are in;
    without it they come with each task. ``folder`` is where extracts go; without one
    they are handed over. ``reader`` is the source where it is open already: it stays in
    its process, and where no other can open the source, so does the job.
    """

    key: str  # differs where anything differs that the extracts depend on
    source: Opening | None
    dim: int
    on_bad_row: OnBadRow
    ranges: int
    wanted: SafePath | list[Wanted] | None
    folder: SafePath | None = None
    places: Places | None = None  # of rows that are placed while it is scanned
    reader: Reader | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reader": None}

    def opened(
        self, wanted: list[Wanted] | None
    ) -> tuple[Reader, TokenIndex, Float32Array | None]:
        """Return the source, the index of what is wanted, and where rows are placed.

        Raises `SourceError` where the source is not what it was for the job's maker.
        """
        reader = self.reader or cast(Opening, self.source).reader()
        out = None if self.places is None else self.places.map()
        given = self.wanted if wanted is None else wanted
        each = _read(given) if isinstance(given, SafePath) else given or []
        return reader, _index(each, 0 if out is None else len(out)), out

    @property
    def without_reader(self) -> Job:
        """The same for other processes, once all of it is done."""
        return replace(self, reader=None, wanted=None)

    def finished(self, splits: int) -> dict[int, Outcome]:
        """Return the outcomes that are in the folder, whole and right."""
        outcomes = {}
        for number in range(splits) if self.folder is not None else ():
            outcome = self.outcome(number)
            if outcome and all(extract.is_whole() for extract in outcome.extracts):
                placed = self.placed(number) if outcome.placed else None
                if self.places is None or (placed and self.places.hold(placed)):
                    outcomes[number] = outcome
        return outcomes

    def outcome(self, number: int) -> Outcome | None:
        """Return what is recorded of a split, if it is of this job."""
        with suppress(OSError):
            record = self._path(number, ".json").read()
            paths = (self._path(number, f"-{i:04}.extract") for i in count())
            return Outcome.from_record(record, self.key, paths)
        return None

    def keep(self, number: int, place: int, pieces: Sequence[memoryview]) -> Extract:
        """Return an extract of a split, written if there is a folder."""
        size, crc = sum(len(piece) for piece in pieces), 0
        for piece in pieces:
            crc = crc32(piece, crc)
        if self.folder is None:
            return Extract(size, crc, data=b"".join(pieces))
        path = self._path(number, f"-{place:04}.extract")
        _write(path, pieces)
        return Extract(size, crc, path)

    def placed(self, number: int) -> Placed | None:
        """Return what a split has placed, if that is recorded."""
        return Placed.load(self.of_placed(number))

    def of_placed(self, number: int) -> SafePath:
        """Return the file that says what a split has placed."""
        return self._path(number, ".placed")

    def record(self, number: int, outcome: Outcome) -> None:
        """Note that a split need not be scanned again, if there is a folder."""
        if self.folder is not None and outcome.report.stopped_by is None:
            _write(self._path(number, ".json"), [outcome.to_record(self.key)])

    def _path(self, number: int, suffix: str) -> SafePath:
        return cast(SafePath, self.folder) / f"split-{number:06}{suffix}"


def _write(path: SafePath, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file that appears whole; it is checked if it is used later."""
    try:
        with path.replacing(durable=False) as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise cannot_write(path, error) from error


def _arrays(wanted: Iterator[Wanted]) -> Iterator[tuple[str, AnyArray]]:
    for number, texts, placed in wanted:
        yield f"{number} data", texts.data
        yield f"{number} offsets", texts.offsets
        yield f"{number} placed", placed


def _read(path: SafePath) -> list[Wanted]:
    """Return what all ranges want, as it was written for workers."""
    try:
        _, arrays = read_arrays(path)
    except (OSError, FormatError) as error:
        raise SourceError(
            f"{path}: the tokens that this build looks for cannot be read: "
            f"{error}. Every worker needs the folder that the output is in."
        ) from error
    return [
        Wanted(
            int(number),
            PackedTokens(arrays[f"{number} data"], arrays[f"{number} offsets"]),
            arrays[f"{number} placed"],
        )
        for number in (name.split()[0] for name in arrays if name.endswith(" data"))
    ]


def _index(wanted: Sequence[Wanted], rows: int) -> TokenIndex:
    """Return the index of all that is wanted.

    Its rows are those that are placed, so many, and behind them the ranges.
    """
    each = [np.empty(0, np.int64)]
    for number, texts, placed in wanted:
        each += placed, np.full(len(texts) - len(placed), rows + number)
    every = np.concatenate(each)
    texts = joined([one.texts for one in wanted])
    return kernel.TokenIndex(texts, every, np.zeros(len(every), np.uint8))


def scan_split(
    job: Job,
    number: int,
    split: Split,
    wanted: list[Wanted] | None = None,
    attempt: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Scan a split for the tokens that are wanted, and return what was found.

    With a folder the extracts are written there and then, once they are all there, a
    record of the outcome: whoever finds it need not scan the split again. Without one
    they are in what is returned. A process that should place rows, and cannot, scans
    nothing. Raises what reading the source raises, and `WriteError`.
    """
    meter = Meter()  # before the index is made, which takes its time
    places = job.places
    if places is not None and not places.here:
        return Outcome(SplitReport(), [])
    key = job.key if places is None else f"{job.key} {places.word.decode()}"
    reader, index, out = workers.opened("scan", key, lambda: job.opened(wanted))
    scan = reader.scan(split, index, job.on_bad_row)
    gathering = Gathering(index, job.ranges, job.dim, out)
    extracts: list[Extract] = []

    def close_extract() -> None:
        if pieces := gathering.extract():
            extracts.append(job.keep(number, len(extracts), pieces))

    with nullcontext() if places is None else places.passing():
        for found in scan.run(progress):
            if gathering.is_full_for(found):
                close_extract()
            gathering.add(found)
    close_extract()
    report = scan.report()
    meter.read = max(0, report.read - split.begin)
    meter.written = sum(extract.size for extract in extracts)
    if placing := gathering.placing:
        size = placing.placed().save(job.of_placed(number))
        meter.written += size + placing.written
    outcome = Outcome(report, extracts, meter.spent(), placing is not None)
    job.record(number, outcome)
    return outcome


#: Returns which rows a range looks for in a source, int64 rising.
Asked = Callable[[int], Int64Array]


def passes(plan: Plan, wanted: Sequence[int], memory: int) -> list[range]:
    """Return the ranges, by number, that are looked for in one pass each.

    ``wanted`` are the rows that each looks for. An index of all tokens of a pass takes
    ``memory`` bytes at most, as far as a single range allows.
    """
    forms = len(plan.recipe.chain) + _TRIED * plan.work.advise
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
    return len(passes(plan, [*map(len, plan.ranges)], memory))


class Left(NamedTuple):
    """What is left of a pass for any process.

    Its ranges, its job, and the numbers of its splits; where it has placed rows, also
    the job that looked for torn ones, if there was one, and the splits it looked at.
    """

    numbers: range
    job: Job
    splits: Sequence[int]
    again: Job | None = None
    among: Sequence[int] = ()

    @property
    def in_place(self) -> SafePath:
        """The file of the rows that are in their places."""
        return cast(SafePath, self.job.folder) / "in-place"


def pass_again(reader: Reader, left: Left, ranges: Sequence[range]) -> Pass:
    """Return a pass by what its job has left in the folder; raises `SourceError`.

    ``ranges`` are those of the plan.
    """
    job = left.job

    def there(job: Job, numbers: Sequence[int]) -> dict[int, Outcome]:
        outcomes = {number: job.outcome(number) for number in numbers}
        if None in outcomes.values():
            raise SourceError(
                f"{job.folder}: what was found in {reader.name} is not there; "
                "every worker needs the folder of the output, at the same place"
            )
        return cast(dict[int, Outcome], outcomes)

    outcomes = [*there(job, left.splits).values()]
    again = {} if left.again is None else there(left.again, left.among)
    in_place = None
    if job.places is not None:
        in_place = InPlace.load(left.in_place, job.places, ranges)
    about = reader, left.numbers, job.ranges, job.on_bad_row
    return Pass(*about, outcomes, in_place, again)


class Scan:
    """All sources of a plan, each read where ranges want something of it."""

    def __init__(self, plan: Plan, means: Means, target: Target | None = None) -> None:
        self._plan, self._means = plan, means
        self._target = target  # in which hits of the first source are placed
        self._later: dict[bytes, int] = {}  # hits, after the first, of rows in place
        self.passes: list[list[Pass]] = []  # over each source
        self.left: list[list[Left]] = []  # the same for other processes
        self.spent: list[Spent] = []
        self._asked: list[Asked] = []  # of each source

        def every(place: int) -> Int64Array:
            return plan.asked(plan.ranges[place])

        asked: Asked = every
        for number, source in enumerate(plan.sources):
            self._asked.append(asked)
            self.left.append([])
            self.passes.append([])
            if _is_scanned(source):
                self._scan(number, source, asked)
            behind = plan.sources[number + 1 :]
            if plan.combination.how == "fill" and any(map(_is_scanned, behind)):
                reader, found = source.reader, self.passes[number]
                left = [
                    missing_in(plan, asked(place), reader_of(reader, found, place))
                    for place in range(len(plan.ranges))
                ]
                asked = left.__getitem__

    def first_pass(self, number: int) -> Pass | None:
        """Return the pass over the first source that looked for a range."""
        each = self.passes[0] if self.passes else []
        return next((found for found in each if number in found.numbers), None)

    def readers(self, number: int) -> list[Reader]:
        """Return the sources as far as a range wants something of them."""
        return readers_of(self._plan, self.passes, number)

    def duplicates(
        self, ledger: Ledger, counted: Sequence[int], met: Sequence[Mapping[bytes, int]]
    ) -> list[int]:
        """Return how many later rows each source has of tokens that were looked for.

        ``counted`` is what all ranges have counted, ``met`` how often each token of a
        source that was scanned is met again, and ``ledger`` that of all rows. Several
        ranges may have looked for a token: it counts once.
        """
        return [
            self._in_index(number, ledger)
            if count and not self.passes[number]
            else sum((met[number] if number else {**self._later, **met[0]}).values())
            for number, count in enumerate(counted)
        ]

    def _in_index(self, number: int, ledger: Ledger) -> int:
        """Return how many rows a source with an index has again of what was asked."""
        plan, asked = self._plan, self._asked[number]
        rows = np.concatenate([asked(place) for place in range(len(plan.ranges))])
        if plan.combination.how == "fill":  # and no source before has them
            before = ledger.found & (ledger.sources < number)
            rows = rows[~before[rows]]
        index = Search(plan.vocabulary.part(rows), plan.recipe.chain).index
        reader = plan.sources[number].reader
        selection = reader.locate(index, on_bad_row=plan.on_bad_row)
        return selection.findings.duplicates

    def _scan(self, number: int, source: OpenSource, asked: Asked) -> None:
        """Read a source in one pass or several, and keep what each has found."""
        plan, means, ranges = self._plan, self._means, len(self._plan.ranges)
        if means.executor is not None and source.address is None:
            what = "was read by one process: no other can open it"
            source.notes.append(Note("build.one-process", what))
        wanted = [len(asked(place)) for place in range(ranges)]
        numbers_of = passes(plan, wanted, means.memory) if any(wanted) else []
        if spared := planned_passes(plan, means.memory) - len(numbers_of):
            means.progress.add(spared * (source.size or 0))
        for numbers in numbers_of:
            self._read(number, source, numbers, asked)

    def _read(
        self, number: int, source: OpenSource, numbers: range, asked: Asked
    ) -> None:
        """Read a source for some of the ranges."""
        plan, progress, rows = self._plan, self._means.progress, None
        if self._target is not None and number == 0 and numbers:
            last = plan.ranges[numbers[-1]]
            rows = range(plan.ranges[numbers.start].start, last.stop)
        name = f"source-{number}-{numbers.start}"
        every = (_wanted(plan, n, asked(n), rows) for n in numbers)
        with self._job(source, name, every, rows) as (job, splits, more):
            done = self._done(job, splits, more, source.size, progress)
        outcomes = [*done.values()]
        self.spent += [outcome.spent for outcome in outcomes]
        if job.places is not None and not all(one.placed for one in outcomes):
            self._target = None  # a worker of another machine has come
            progress.add(-sum(_size(splits, n, done, source.size) for n in done))
            self._read(number, source, numbers, asked)
            return
        about = source.reader, numbers, len(plan.ranges), plan.on_bad_row
        found = Pass(*about, outcomes)
        left = Left(numbers, job.without_reader, range(len(splits)))
        if job.places is not None:
            rows_placed = self._joined(job, job.places, found, outcomes)
            left, again = self._put_right(source, left, rows_placed)
            rows_placed.in_place(plan.ranges).save(left.in_place)
            in_place = InPlace.load(left.in_place, job.places, plan.ranges)
            found = Pass(*about, outcomes, in_place, again)
        self.passes[number].append(found)
        self.left[number].append(left)

    def _joined(
        self, job: Job, places: Places, found: Pass, outcomes: Sequence[Outcome]
    ) -> PlacedRows:
        """Return what all splits of a job have placed."""
        rows, vocabulary = PlacedRows(places), self._plan.vocabulary
        for split in range(len(outcomes)):
            placed = job.placed(split)
            if placed is None:
                raise SourceError(
                    f"{job.of_placed(split)}: what this build has placed cannot be "
                    "read; run the build again"
                )
            rows.add(split, placed, found.firsts[split])
        later = rows.later()
        ids = np.array([*later], np.int64)
        texts = vocabulary.token_rows.part(ids).packed.split()
        self._later |= dict(zip(texts, later.values(), strict=True))
        return rows

    def _put_right(
        self, source: OpenSource, left: Left, rows: PlacedRows
    ) -> tuple[Left, dict[int, Outcome]]:
        """Look for torn rows once more, and return what was found, by split."""
        plan, numbers, torn = self._plan, left.numbers, rows.torn
        if not len(torn):
            return left, {}
        rows.places.say(b"")
        cuts = [
            np.searchsorted(torn, (plan.ranges[n].start, plan.ranges[n].stop))
            for n in numbers
        ]
        none = np.empty(0, np.int64)
        wanted = (
            Wanted(n, plan.vocabulary.token_rows.part(torn[slice(*cut)]).packed, none)
            for n, cut in zip(numbers, cuts, strict=True)
        )
        quiet = WholeProgress(None, None)
        name = f"again-0-{numbers.start}"
        with self._job(source, name, wanted, None) as (job, splits, more):
            among = rows.splits_with_torn
            again = self._done(job, splits, more, source.size, quiet, among)
        self.spent += [outcome.spent for outcome in again.values()]
        return left._replace(again=job.without_reader, among=among), again

    @contextmanager
    def _job(
        self,
        source: OpenSource,
        name: str,
        wanted: Iterator[Wanted],
        rows: range | None,
    ) -> Iterator[tuple[Job, list[Split], Any]]:
        """Give the job of a pass, its splits, and what goes with each task.

        ``rows`` are those of the output that are placed by it, if there are any.
        """
        plan, means = self._plan, self._means
        reader, on_bad_row = source.reader, plan.on_bad_row
        size = source.size or 0
        least = max(_SMALLEST, size // _MOST_SPLITS)
        splits = reader.splits(max(least, min(_LARGEST, size // _SPLITS))) or []
        opening = Opening.of(source)
        executor = means.executor if opening is not None else None
        shown, held, more = means.shown, None, None
        digest = os.urandom(16).hex()
        if means.work is not None or not (executor is None or scatters(executor)):
            folder = shown if means.work is None else means.work.path
            assert folder is not None
            held = folder / "wanted"
            try:
                digest = write_arrays(held, _arrays(wanted))
            except OSError as error:
                raise cannot_write(held, error) from error
        facts = [
            __version__,
            VERSION,
            reader.format,
            reader.dim,
            on_bad_row,
            len(plan.ranges),
        ]
        facts += [splits, opening and opening.facts, digest, rows is not None]
        if opening is None:
            facts.append(state_of(source.identity))
        key = json_digest(facts)
        job = Job(key, opening, reader.dim, on_bad_row, len(plan.ranges), held)
        if means.work is not None and held is not None:
            folder = means.work.of_job(name, key)
            held.replace(folder / "wanted")
            job = replace(job, folder=folder, wanted=folder / "wanted")
            if rows is not None:
                gate = None if executor is None else folder / "gate"
                word = os.urandom(16).hex().encode()
                target = cast(Target, self._target)
                places = Places(target, rows, workers.machine(), gate, word)
                places.say(word)
                job = replace(job, places=places)
        elif held is None:
            given = [*wanted]
            if executor is None:
                job = replace(job, wanted=given)
            else:
                client: Any = getattr(executor, "_client", None)
                more = client.scatter([given], broadcast=True, hash=False)[0]
        if executor is None:
            job = replace(job, reader=reader)
        yield job, splits, more
        if held is not None:
            (held if job.folder is None else job.folder / "wanted").remove()
        close("scan")

    def _done(
        self,
        job: Job,
        splits: list[Split],
        more: Any,
        size: int | None,
        progress: WholeProgress,
        among: Sequence[int] | None = None,
    ) -> dict[int, Outcome]:
        """Return the outcomes of a job, of which a work folder may have some already.

        They are those of all splits, or of those ``among`` them. Behind a split that
        was stopped by a bad row, or by a worker that cannot place rows, there are none.
        """
        means, outcomes = self._means, job.finished(len(splits))

        def done(number: int, outcome: Outcome) -> bool:
            outcomes[number] = outcome
            progress.add(_size(splits, number, outcomes, size))
            cannot = job.places is not None and not outcome.placed
            return cannot or outcome.report.stopped_by is not None

        for number in outcomes:
            progress.add(_size(splits, number, outcomes, size))
        among = range(len(splits)) if among is None else among
        left = [number for number in among if number not in outcomes]
        if job.reader is not None and len(splits) == 1 and left:
            done(0, scan_split(job, 0, splits[0], progress=progress.live))
            return outcomes

        def name(number: int) -> str:
            begin, end = splits[number].begin, splits[number].end
            where = None if job.source is None else job.source.address
            return f"{where}, bytes {begin:,} to {end:,}"

        def call(number: int, attempt: int) -> tuple[Any, ...]:
            return scan_split, job, number, splits[number], more, attempt

        executor = means.threads if job.reader is not None else means.executor
        tasks = Tasks(call, name, done)
        tasks.run(left, executor or means.threads, means.threads)
        stopped = [n for n in outcomes if outcomes[n].report.stopped_by is not None]
        end = min(stopped, default=len(splits) - 1)
        return {n: outcomes[n] for n in among if n in outcomes and n <= end}


def _size(
    splits: Sequence[Split],
    number: int,
    outcomes: Mapping[int, Outcome],
    size: int | None,
) -> int:
    """Return the bytes of a split, given the size of the source where it is known."""
    if len(splits) == 1:
        return size or outcomes[number].report.read
    return splits[number].end - splits[number].begin


def _is_scanned(opened: OpenSource) -> bool:
    return opened.reader.splits() is not None


def _wanted(plan: Plan, number: int, asked: Int64Array, placed: range | None) -> Wanted:
    """Return all that a range looks for in a source.

    ``placed`` are the rows of the pass, if it places any.
    """
    none = np.empty(0, np.int64)
    if not len(asked):
        return Wanted(number, PackedTokens.pack(()), none)
    vocabulary, chain = plan.vocabulary.part(asked), plan.recipe.chain
    search = Search(vocabulary, chain, advise=plan.work.advise)
    texts, rows, ranks = search.wanted
    if placed is None:
        if len(search.index) < len(texts):
            texts = PackedTokens.pack(dict.fromkeys(texts.unpack()))
        return Wanted(number, texts, none)
    own = (ranks == 0) & (rows < len(vocabulary))
    rows = asked[rows[own]] - placed.start
    if own.all():
        return Wanted(number, texts, rows)
    first, others = (
        cut(texts.data, texts.offsets[:-1][chosen], texts.offsets[1:][chosen])
        for chosen in (own, ~own)
    )
    others = PackedTokens.pack(dict.fromkeys(others.unpack()))
    return Wanted(number, joined([first, others]), rows)


def readers_of(
    plan: Plan, passes: Sequence[Sequence[Pass]], number: int
) -> list[Reader]:
    """Return the sources of a plan as a range sees them, after passes over each."""
    return [
        reader_of(reader, found, number)
        for reader, found in zip(plan.readers, passes, strict=True)
    ]
