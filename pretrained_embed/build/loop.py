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
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from pretrained_embed import __version__
from pretrained_embed.arrays import AnyArray, Int64Array
from pretrained_embed.bits import SCALES, Loss, Stored
from pretrained_embed.build import opening
from pretrained_embed.build.executors import Meter, Share, Tasks, shared
from pretrained_embed.build.opening import Opening, same_file, state_of
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.build.ranges import (
    NO_PART,
    RECORD,
    Order,
    Part,
    Target,
    finish,
    finish_elsewhere,
    locate_elsewhere,
    record_of,
    save_plan,
)
from pretrained_embed.build.rows import locate, make
from pretrained_embed.build.scan import Means, Scan, planned_passes, scatters
from pretrained_embed.build.sinks import Rows, rows_of
from pretrained_embed.build.work import (
    Output,
    WholeProgress,
    Work,
    half_of_memory,
    own_threads,
)
from pretrained_embed.build.work_folder import WorkFolder, work_folder
from pretrained_embed.errors import OOVError, WriteError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Findings
from pretrained_embed.ledger import Advice, Ledger
from pretrained_embed.ledger.ledger import codes_of
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import ROUNDING
from pretrained_embed.matrix import EmbeddingMatrix

#: OOV tokens that an error names.
_NAMED = 5

#: How many workers are asked whether they see what they have to see.
_LOOKS = 2


def build(plan: Plan, work: Work, output: Output) -> EmbeddingMatrix:
    """Return the matrix of a plan; with a path its vectors are mapped.

    Raises what `pretrained_embed.build_matrix` does.
    """
    size = 4 * plan.dim * len(plan.vocabulary)
    meter, shares = Meter(time.process_time), list[Share]()
    with ExitStack() as held:
        if output.at_once(size, work):
            if output.path is not None:  # wait until nobody else writes to it
                held.enter_context(work_folder(output.path))
            with rows_of(plan, output, 0, None, "") as rows:
                ledger = _at_once(plan, rows)
            meter.read = sum(source.size or 0 for source in plan.sources)
            meter.written = 0 if output.path is None else size
        else:
            folder = None
            if output.path is not None:
                folder = held.enter_context(work_folder(output.path))
            threads = held.enter_context(own_threads(plan.options.threads))
            rows, ledger, shares = _Ranges(plan, work, output, folder, threads).built()
    if work.report is not None:
        work.report(shared(meter.share(), shares))
    return rows.matrix(ledger)


def _at_once(plan: Plan, rows: Rows) -> Ledger:
    """Make all rows in one go."""
    place = rows.place()
    made = make(plan, 0, plan.readers, out=place, check=plan.check)
    found = _contributions(plan, [made.contributions])
    provenance = _provenance(plan, found, made.loss)
    ledger = replace(made.ledger, provenance=provenance, findings=plan.findings(found))
    if len(made.unfilled):
        raise _unfilled(plan, made.unfilled)
    if place is None:
        rows.keeper.write(plan.ranges[0], made.vectors)
    elif made.vectors is not place:
        place[:] = made.vectors[:]  # put together, or changed, in memory
    scales = made.vectors.scales if isinstance(made.vectors, Stored) else None
    rows.finish(ledger, (), scales)
    return ledger


def _provenance(
    plan: Plan, found: Sequence[Contribution], loss: Loss
) -> dict[str, Any]:
    """Return how to make the same rows again, and what rounding did to them."""
    provenance = plan.provenance(found)
    if plan.dtype != "float32":
        provenance[ROUNDING] = loss.facts(plan.dtype)
    return provenance


def _contributions(
    plan: Plan, parts: Sequence[Sequence[Contribution]]
) -> list[Contribution]:
    """Return what came of each source in all parts."""
    total = [Contribution(Findings()) for _ in plan.sources]
    for part in filter(None, parts):
        total = [one.plus(other) for one, other in zip(total, part, strict=True)]
    return total


def _unfilled(plan: Plan, ids: Int64Array) -> OOVError:
    shown = ", ".join(map(repr, plan.vocabulary.strings(ids[:_NAMED])))
    return OOVError(
        f"{len(ids):,} tokens are not in the source, and oov='error' leaves no way to "
        f"fill their rows: {shown}{', ...' if len(ids) > _NAMED else ''}. Add forms to "
        "match, choose another oov, or take them out of the vocabulary."
    )


class _Ranges:
    """A build whose rows are made range by range, here or by workers."""

    def __init__(
        self,
        plan: Plan,
        work: Work,
        output: Output,
        folder: WorkFolder | None,
        threads: Executor,
    ) -> None:
        listener = plan.options.progress
        plan = replace(plan, options=replace(plan.options, progress=None))
        if output.path is not None or work.memory is not None:
            plan = plan.cut(output.files or 1, plan.step())
        self._plan, self._work, self._output = plan, work, output
        self._folder, self._threads = folder, threads
        self._memory = work.memory or half_of_memory()
        self._scanned = [s for s in plan.sources if s.reader.splits() is not None]
        self._progress = WholeProgress(listener, self._total())
        self._shares: list[Share] = []

    def _total(self) -> int | None:
        """Return the bytes that are to be read and made, where they are known."""
        sizes = [source.size for source in self._scanned]
        if None in sizes:
            return None
        total = planned_passes(self._plan, self._memory) * sum(s or 0 for s in sizes)
        rows = len(self._plan.vocabulary)
        return total + (4 * self._plan.dim * rows if self._folder else 0)

    def built(self) -> tuple[Rows, Ledger, list[Share]]:
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
            rows = held.enter_context(
                rows_of(plan, self._output, waiting, growing, key)
            )
            shown = None if folder is None else folder.path
            if shown is None and self._work.executor is not None:
                # beside nothing, in a folder of this machine
                name = held.enter_context(tempfile.TemporaryDirectory())
                shown = SafePath.at(name, WriteError, "remove the link")
            openings = [Opening.of(source) for source in plan.sources]
            elsewhere = self._work.executor is not None and self._look(shown, openings)
            executor = self._work.executor if elsewhere else None
            means = Means(
                *(self._threads, self._work.executor, self._memory),
                *(folder, shown, self._progress),
            )
            scan = Scan(plan, means)
            self._shares += scan.shares
            order = None
            if folder is not None and executor is not None:
                order = self._order(cast(SafePath, records), rows, scan, openings)
            ranges = range(len(plan.ranges))
            if plan.needs_coverage:
                located = Joined(plan)
                if order is None:
                    for number in ranges:
                        seen = scan.readers(number)
                        found = locate(plan, number, seen)
                        located.add(number, Part.of(found, seen, None))
                else:
                    self._run(locate_elsewhere, order, located.add)
                plan.check(located.ledger(scan))
            joined = Joined(plan)

            def done(number: int, part: Part) -> None:
                joined.add(number, part)
                self._shares.append(part.share)
                if folder is not None:
                    self._progress.add(4 * plan.dim * len(plan.ranges[number]))

            if order is not None:
                self._run(finish_elsewhere, order, done)
            else:
                for number in ranges:
                    record = None if records is None else record_of(records, number)
                    done(
                        number, finish(plan, number, scan.readers, rows.keeper, record)
                    )
            ledger = joined.ledger(scan)
            plan.check(ledger)
            if len(unfilled := joined.unfilled()):
                raise _unfilled(plan, unfilled)
            rows.finish(ledger, joined.parts, joined.scales)
        return rows, ledger, self._shares

    def _run(
        self,
        do: Callable[[Order, int, int], Part],
        order: Order,
        done: Callable[[int, Part], None],
    ) -> None:
        """Have workers do something with all ranges."""

        def going_on(number: int, part: Part) -> bool:
            done(number, part)
            return False

        tasks = Tasks[Part](
            lambda number, attempt: (do, order, number, attempt),
            lambda number: f"rows {self._plan.ranges[number]}",
            going_on,
        )
        executor = cast(Executor, self._work.executor)
        tasks.run(range(len(self._plan.ranges)), executor, self._threads)

    def _look(self, shown: SafePath | None, openings: Sequence[Opening | None]) -> bool:
        """Ask some workers whether they see what they need; whether they make rows.

        Raises `SourceError` where one does not.
        """
        executor, plan = cast(Executor, self._work.executor), self._plan
        if shown is not None and self._folder is None and scatters(executor):
            shown = None  # nothing goes there
        known = tuple(one for one in openings if one is not None)
        text = "" if shown is None else opening.mark(shown)
        tasks = Tasks[None](
            lambda number, attempt: (opening.look, shown, text, known, number, attempt),
            lambda number: "a look at what workers see",
            lambda number, result: False,
        )
        tasks.run(range(_LOOKS), executor, self._threads)
        if plan.options.calls:
            try:
                executor.submit(_nothing, plan.options.recipe).result()
            except (pickle.PicklingError, AttributeError, TypeError):
                plan.sources[0].notes.append(
                    "rows were made by one process: no other can be sent a function "
                    "of the recipe; one that stands in a module can be"
                )
                return False
            except RuntimeError:  # it is broken, or was shut down; see `Tasks`
                pass
        return len(known) == len(openings)

    def _order(
        self,
        records: SafePath,
        rows: Rows,
        scan: Scan,
        openings: Sequence[Opening | None],
    ) -> Order:
        """Return what workers need, of which the large things are in the folder."""
        plan = self._plan
        save_plan(plan, records)
        threads = self._work.threads or 1
        return Order(
            os.urandom(16).hex(),
            records,
            plan.options.recipe,
            plan.options.limits,
            Work(threads, advise=plan.options.advise),
            tuple(one for one in openings if one is not None),
            tuple(scan.passes),
            plan.steps,
            plan.dim,
            (self._output.files or 1, plan.step()),
            cast(Target, rows.keeper),
        )


def _nothing(_: object) -> None:
    """Do nothing: what was given has come here."""


@contextmanager
def _records(folder: WorkFolder, key: str) -> Iterator[SafePath]:
    """Give the folder of what becomes of ranges; it stays if something did."""
    made = folder.of_job("rows", key)
    try:
        yield made
    except BaseException:
        if not any(child.name.startswith(RECORD) for child in made.children()):
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


class Joined:
    """What is known of the ranges of a plan, which come in any order."""

    def __init__(self, plan: Plan) -> None:
        self.parts: list[Part] = [NO_PART] * len(plan.ranges)  # without arrays
        self._plan = plan
        self._blank = codes_of(plan.vocabulary, Origin.OOV)
        self._arrays: dict[str, AnyArray] = {}
        self._advice: dict[int, Advice] = {}

    def add(self, number: int, part: Part) -> None:
        """Take what became of a range."""
        rows = self._plan.ranges[number]
        place = slice(rows.start, rows.stop)
        for name, array in part.arrays.items():
            if name == "advice":
                self._advice[number] = Advice(part.forms or (), array)
                continue
            if name not in self._arrays:
                self._arrays[name] = self._of_all(name, array)
            self._arrays[name][..., place] = array
        self.parts[number] = replace(part, arrays={})

    def _of_all(self, name: str, array: AnyArray) -> AnyArray:
        """Return an array for all rows; a range without a token may lack its own."""
        shape = (*array.shape[:-1], len(self._blank))
        if name == SCALES:
            return np.zeros(shape, array.dtype)
        if name.endswith("rows") or name == "sources":
            return np.full(shape, -1, array.dtype)
        return np.broadcast_to(self._blank, shape).copy()

    def unfilled(self) -> Int64Array:
        """Return the ids of rows that are left as they are."""
        return np.concatenate([part.unfilled for part in self.parts])

    def ledger(self, scan: Scan) -> Ledger:
        """Return that of all rows. What was added is not added to any more."""
        plan, arrays = self._plan, self._arrays
        for array in arrays.values():
            array.flags.writeable = False  # and so need not be copied
        advised = [
            (advice, np.arange(plan.ranges[number].start, plan.ranges[number].stop))
            for number, advice in sorted(self._advice.items())
        ]
        ledger = Ledger.from_arrays(plan.vocabulary, arrays)
        if advised:
            every = np.ones(len(ledger), np.bool_)
            ledger = replace(ledger, advice=Advice.of_rows(advised, every))
        found = _contributions(plan, [part.contributions for part in self.parts])
        met: list[dict[bytes, int]] = [{} for _ in plan.sources]
        for part in self.parts:
            for whole, its in zip(met, part.met, strict=False):
                whole |= its
        counted = [one.findings.duplicates for one in found]
        counts = scan.duplicates(ledger, counted, met)
        found = [
            replace(one, findings=replace(one.findings, duplicates=count))
            for one, count in zip(found, counts, strict=True)
        ]
        loss = Loss.sum(part.loss for part in self.parts)
        provenance = _provenance(plan, found, loss)
        return replace(ledger, provenance=provenance, findings=plan.findings(found))

    @property
    def scales(self) -> AnyArray | None:
        """Those of all rows, where the dtype has such."""
        return self._arrays.get(SCALES)


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
    vocabulary, options = plan.vocabulary, plan.options
    text: list[Any] = [sources, Ledger.blank(vocabulary).metadata()["vocabulary"]]
    text += [told.get("options"), options.advise, options.on_bad_row]
    text += [[form.name for form in options.match], plan.step(), output.files]
    text.append(None if output.path is None else output.path.suffix)
    text += [turn.facts for turn in plan.combination.turns if turn is not None]
    if plan.onto is not None:
        text.append(told["sources"])
    if options.calls:  # what a function does is not known
        text.append(os.urandom(16).hex())
    digest = blake2b(json.dumps([__version__, *text]).encode(), digest_size=16)
    tokens = vocabulary.packed
    for array in (tokens.offsets, tokens.data, vocabulary.holes, vocabulary.counts):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
