"""The one build: plan, scan where it is needed, make, write, join."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from pretrained_embed import __version__
from pretrained_embed.arrays import Int64Array
from pretrained_embed.bits import Stored
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.build.ranges import (
    RECORD,
    Joined,
    Order,
    RangePart,
    finish,
    finish_elsewhere,
    locate_elsewhere,
    record_of,
    save_plan,
)
from pretrained_embed.build.rows import locate, make
from pretrained_embed.build.scan import Means, Scan, planned_passes
from pretrained_embed.build.sinks import FileRows, RowSink, Target, sink_of
from pretrained_embed.build.work import (
    Output,
    WholeProgress,
    Work,
    half_of_memory,
    own_threads,
)
from pretrained_embed.build.work_folder import VERSION, WorkFolder, work_folder
from pretrained_embed.build.workers import (
    Meter,
    Opening,
    Spent,
    Tasks,
    by_worker,
    look,
    machine,
    mark,
    same_file,
    scatters,
    state_of,
)
from pretrained_embed.errors import OOVError, WriteError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Findings
from pretrained_embed.formats.findings import Note
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix

#: OOV tokens that an error names.
_NAMED = 5

#: How many workers are asked whether they see what they have to see.
_LOOKS = 2


def build(plan: Plan, output: Output) -> EmbeddingMatrix:
    """Return the matrix of a plan; with a path its vectors are mapped.

    Raises what `pretrained_embed.build_matrix` does.
    """
    size = 4 * plan.dim * len(plan.vocabulary)
    meter, tasks, work = Meter(time.process_time), list[Spent](), plan.work
    with ExitStack() as held:
        if output.at_once(size, work):
            if output.path is not None:  # wait until nobody else writes to it
                held.enter_context(work_folder(output.path))
            with sink_of(plan, output, 0, None, "") as sink:
                ledger = _at_once(plan, sink)
            meter.read = sum(source.size or 0 for source in plan.sources)
            meter.written = 0 if output.path is None else size
        else:
            folder = None
            if output.path is not None:
                folder = held.enter_context(work_folder(output.path))
            threads = held.enter_context(own_threads(work.threads))
            sink, ledger, tasks = _Ranges(plan, output, folder, threads).built()
    if work.report is not None:
        work.report(by_worker(meter.spent(), tasks))
    return sink.matrix(ledger)


def _at_once(plan: Plan, sink: RowSink) -> Ledger:
    """Make all rows in one go."""
    place = sink.place()
    made = make(plan, 0, plan.readers, out=place, check=plan.check)
    found = plan.together([made.contributions])
    ledger = plan.told(made.ledger, found, made.loss)
    _check_filled(plan, made.unfilled)
    if place is None:
        sink.keeper.write(plan.ranges[0], made.vectors)
    elif made.vectors is not place:
        place[:] = made.vectors[:]  # put together, or changed, in memory
    scales = made.vectors.scales if isinstance(made.vectors, Stored) else None
    sink.finish(ledger, (), scales)
    return ledger


def _check_filled(plan: Plan, ids: Int64Array) -> None:
    """Raise `OOVError` for rows that are left as they are."""
    if not len(ids):
        return
    shown = ", ".join(map(repr, plan.vocabulary.strings(ids[:_NAMED])))
    raise OOVError(
        f"{len(ids):,} tokens are not in the source, and oov='error' leaves no way to "
        f"fill their rows: {shown}{', ...' if len(ids) > _NAMED else ''}. Add forms to "
        "match, choose another oov, or take them out of the vocabulary."
    )


class _Ranges:
    """A build whose rows are made range by range, here or by workers."""

    def __init__(
        self, plan: Plan, output: Output, folder: WorkFolder | None, threads: Executor
    ) -> None:
        listener, work = plan.progress, plan.work
        plan = replace(plan, progress=None)
        if output.path is not None or work.memory is not None:
            plan = plan.cut(output.files or 1, plan.step())
        self._plan, self._output = plan, output
        self._folder, self._threads = folder, threads
        self._executor = work.executor
        self._memory = work.memory or half_of_memory()
        self._scanned = [s for s in plan.sources if s.reader.splits() is not None]
        self._progress = WholeProgress(listener, self._total())
        self._tasks: list[Spent] = []

    def _total(self) -> int | None:
        """Return the bytes that are to be read and made, where they are known."""
        sizes = [source.size for source in self._scanned]
        if None in sizes:
            return None
        total = planned_passes(self._plan, self._memory) * sum(s or 0 for s in sizes)
        rows = len(self._plan.vocabulary)
        return total + (4 * self._plan.dim * rows if self._folder else 0)

    def _made(self, number: int) -> None:
        """Tell that the rows of a range are made."""
        if self._folder is not None:
            self._progress.add(4 * self._plan.dim * len(self._plan.ranges[number]))

    def built(self) -> tuple[RowSink, Ledger, list[Spent]]:
        """Return the rows, which have their names, their ledger, and who did what."""
        plan, folder = self._plan, self._folder
        waiting = 4 * len(plan.vocabulary) * sum(s.reader.dim for s in self._scanned)
        if folder is not None:
            waiting = max(0, waiting - folder.size)
        key = "" if folder is None else _job(plan, self._output)
        with ExitStack() as held:
            records = growing = None
            if folder is not None:
                records = held.enter_context(_records(folder, key))
                growing = held.enter_context(_growing(records, self._output))
            # before anything is read: that may take hours, and this may fail
            sink = held.enter_context(
                sink_of(plan, self._output, waiting, growing, key)
            )
            shown = None if folder is None else folder.path
            if shown is None and self._executor is not None:
                # beside nothing, in a folder of this machine
                name = held.enter_context(tempfile.TemporaryDirectory())
                shown = SafePath.at(name, WriteError, "remove the link")
            openings = [Opening.of(source) for source in plan.sources]
            target = sink.mapped if isinstance(sink, FileRows) else None
            if not self._output.in_memory(4 * plan.dim * len(plan.vocabulary)):
                target = None
            elsewhere = False
            if self._executor is not None:
                elsewhere, near = self._look(shown, openings)
                target = target if near else None
            means = Means(
                *(self._threads, self._executor, self._memory),
                *(folder, shown, self._progress),
            )
            scan = Scan(plan, means, target)
            self._tasks += scan.spent

            @cache
            def order() -> Order | None:
                if records is None or not elsewhere:
                    return None
                return self._order(records, cast(Target, sink.keeper), scan, openings)

            def done(number: int, part: RangePart) -> None:
                joined.add(number, part)
                self._tasks.append(part.spent)
                self._made(number)

            def made(number: int) -> RangePart:
                record = None if records is None else record_of(records, number)
                return finish(plan, number, scan.readers, sink.keeper, record)

            def located(number: int) -> RangePart:
                seen = scan.readers(number)
                return RangePart.of(locate(plan, number, seen), seen, None)

            def left() -> list[int]:
                every = range(len(plan.ranges))
                there = scan.first_pass
                return [n for n in every if not joined.add_in_place(n, there(n))]

            joined = Joined(plan)
            numbers = left()
            if plan.needs_coverage:
                self._run(numbers, located, locate_elsewhere, order, joined.add)
                plan.check(joined.ledger(scan))
                joined = Joined(plan)
                numbers = left()
            for number in {*range(len(plan.ranges))} - {*numbers}:
                self._made(number)
            self._run(numbers, made, finish_elsewhere, order, done)
            ledger = joined.ledger(scan)
            plan.check(ledger)
            _check_filled(plan, joined.unfilled())
            sink.finish(ledger, joined.written, joined.scales)
        return sink, ledger, self._tasks

    def _run(
        self,
        numbers: Sequence[int],
        here: Callable[[int], RangePart],
        elsewhere: Callable[[Order, int, int], RangePart],
        ordered: Callable[[], Order | None],
        done: Callable[[int, RangePart], None],
    ) -> None:
        """Do something with some ranges: here, or with an order by workers."""
        order = ordered() if numbers else None
        if order is None:
            for number in numbers:
                done(number, here(number))
            return

        def going_on(number: int, part: RangePart) -> bool:
            done(number, part)
            return False

        tasks = Tasks[RangePart](
            lambda number, attempt: (elsewhere, order, number, attempt),
            lambda number: f"rows {self._plan.ranges[number]}",
            going_on,
        )
        tasks.run(numbers, cast(Executor, self._executor), self._threads)

    def _look(
        self, shown: SafePath | None, openings: Sequence[Opening | None]
    ) -> tuple[bool, bool]:
        """Ask some workers whether they see what they need.

        Returns whether they make rows, and whether those asked are of this machine.
        Raises `SourceError` where one does not see it.
        """
        machines: set[str] = set()

        def told(_: int, where: str) -> bool:
            machines.add(where)
            return False

        executor, plan = cast(Executor, self._executor), self._plan
        if shown is not None and self._folder is None and scatters(executor):
            shown = None  # nothing goes there
        known = tuple(one for one in openings if one is not None)
        text = "" if shown is None else mark(shown)
        tasks = Tasks[str](
            lambda number, attempt: (look, shown, text, known, number, attempt),
            lambda number: "a look at what workers see",
            told,
        )
        tasks.run(range(_LOOKS), executor, self._threads)
        near = machines == {machine()} != {""}
        if plan.calls:
            try:
                executor.submit(_nothing, plan.recipe).result()
            except (pickle.PicklingError, AttributeError, TypeError):
                what = (
                    "rows were made by one process: no other can be sent a function "
                    "of the recipe; one that stands in a module can be"
                )
                plan.sources[0].notes.append(Note("build.one-process", what))
                return False, near
            except RuntimeError:  # it is broken, or was shut down; see `Tasks`
                pass
        return len(known) == len(openings), near

    def _order(
        self,
        records: SafePath,
        target: Target,
        scan: Scan,
        openings: Sequence[Opening | None],
    ) -> Order:
        """Return what workers need, of which the large things are in the folder."""
        plan = self._plan
        save_plan(plan, records)
        return Order(
            os.urandom(16).hex(),
            records,
            plan.recipe,
            plan.limits,
            Work(plan.work.threads or 1, advise=plan.work.advise),
            tuple(one for one in openings if one is not None),
            tuple(map(tuple, scan.left)),
            (self._output.files or 1, plan.step()),
            target,
        )


def _nothing(_: object) -> None:
    """Do nothing: what was given has come here."""


@contextmanager
def _records(folder: WorkFolder, key: str) -> Iterator[SafePath]:
    """Give the folder of what becomes of ranges; it stays if something did.

    So it does if a scan has placed rows in what grows there.
    """
    made = folder.of_job("rows", key)
    try:
        yield made
    except BaseException:
        ranges = any(child.name.startswith(RECORD) for child in made.children())
        if not ranges and not folder.has_placed:
            made.remove_folder()
        raise


@contextmanager
def _growing(records: SafePath, output: Output) -> Iterator[SafePath | None]:
    """Give the folder in which an output grows; ``None`` where a file cannot.

    It has to be on the disk of the output, which may be a link to another.
    """
    made = (records / "files").make()
    target = Path(os.path.realpath(cast(Path, output.path)))
    there = target if target.is_dir() else target.parent
    if not there.is_dir() or there.stat().st_dev == made.checked().stat().st_dev:
        yield made
    elif output.files is None:
        yield None
    else:
        beside = SafePath.at(there, WriteError, "remove the link") / ".rows"
        yield beside.make()
        beside.remove_folder()


def _job(plan: Plan, output: Output) -> str:
    """Return what differs where the rows may be others, or lie elsewhere."""
    sources = [
        [
            one.provenance,
            state_of(one.identity),
            same_file(one.address, one.identity),
        ]
        for one in plan.sources
    ]
    told = plan.provenance([Contribution(Findings())] * len(plan.sources))
    vocabulary = plan.vocabulary
    text: list[Any] = [sources, Ledger.blank(vocabulary).metadata()["vocabulary"]]
    text += [told.get("options"), plan.work.advise, plan.on_bad_row]
    text += [[form.name for form in plan.recipe.chain], plan.step(), output.files]
    text.append(None if output.path is None else output.path.suffix)
    text += [turn.facts for turn in plan.combination.turns if turn is not None]
    if plan.onto is not None:
        text.append(told["sources"])
    if plan.calls:  # what a function does is not known
        text.append(os.urandom(16).hex())
    digest = blake2b(json.dumps([__version__, VERSION, *text]).encode(), digest_size=16)
    tokens = vocabulary.packed
    for array in (tokens.offsets, tokens.data, vocabulary.holes, vocabulary.counts):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
