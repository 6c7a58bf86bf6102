"""The one build: plan, scan where it is needed, make, write, join."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from pretrained_embed import __version__
from pretrained_embed.arrays import Int64Array
from pretrained_embed.bits import Loss
from pretrained_embed.build import sinks
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.build.rows import Made, locate, make
from pretrained_embed.build.sinks import PlanSink
from pretrained_embed.build.work import (
    Output,
    WholeProgress,
    Work,
    half_of_memory,
    own_threads,
)
from pretrained_embed.errors import OOVError
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.ledger import Ledger, Origin
from pretrained_embed.ledger.provenance import ROUNDING
from pretrained_embed.matrix import EmbeddingMatrix

#: Returns the sources as far as a range, by its number, wants something of them.
Readers = Callable[[int], Sequence[Reader]]

#: OOV tokens that an error names.
_NAMED = 5


def build(plan: Plan, work: Work, output: Output) -> EmbeddingMatrix:
    """Return the matrix of a plan; with a path its vectors are mapped.

    Raises what `pretrained_embed.build_matrix` does.
    """
    rows = len(plan.vocabulary)
    if output.at_once(4 * plan.dim * rows, work):
        with _alone(output), _sink(plan, output, 0) as sink:
            ledger = _rows(plan, lambda _: plan.readers, sink, _Parts(plan))
    else:
        with _scanned(plan, work, output) as (plan, readers, sink, parts):
            ledger = _rows(plan, readers, sink, parts)
    return sink.matrix(ledger)


def _rows(plan: Plan, readers: Readers, sink: PlanSink, parts: _Parts) -> Ledger:
    """Make the rows of all ranges, and return their ledger; it is written, too."""
    once = len(plan.ranges) == 1
    if plan.needs_coverage and not once:
        located = [
            locate(plan, number, readers(number)) for number in range(len(plan.ranges))
        ]
        plan.check(Ledger.join(plan.vocabulary, located))
    place = sink.place() if once else None
    unfilled: list[Int64Array] = []
    for number, rows in enumerate(plan.ranges):
        check = plan.check if once else None
        made = make(plan, number, readers(number), out=place, check=check)
        parts.add(made)
        if len(made.unfilled):
            unfilled.append(made.unfilled)
        elif not unfilled:
            if place is None:
                sink.write(rows, made.vectors, parts.ledger)
            elif made.vectors is not place:
                place[:] = made.vectors[:]  # put together, or changed, in memory
        parts.progress(4 * plan.dim * len(rows))
    ledger = parts.ledger()
    if not once:
        plan.check(ledger)
    if unfilled:
        raise _unfilled(plan, np.concatenate(unfilled))
    sink.finish(ledger)
    return ledger


def _unfilled(plan: Plan, ids: Int64Array) -> OOVError:
    shown = ", ".join(map(repr, plan.vocabulary.strings(ids[:_NAMED])))
    return OOVError(
        f"{len(ids):,} tokens are not in the source, and oov='error' leaves no way to "
        f"fill their rows: {shown}{', ...' if len(ids) > _NAMED else ''}. Add forms to "
        "match, choose another oov, or take them out of the vocabulary."
    )


class _Parts:
    """What is known of the ranges of a plan so far."""

    def __init__(
        self,
        plan: Plan,
        duplicates: Callable[[Ledger, Sequence[int]], Sequence[int]] | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.progress = progress  # told of the bytes of rows that are done
        self._plan = plan
        self._duplicates = duplicates
        self._pieces: list[Ledger] = []
        self._contributions = [Contribution(Findings()) for _ in plan.sources]
        self._loss = Loss()

    def add(self, made: Made) -> None:
        """Take what became of the range that follows."""
        self._pieces.append(made.ledger)
        self._loss = self._loss.plus(made.loss)
        if made.contributions:
            pairs = zip(self._contributions, made.contributions, strict=True)
            self._contributions = [one.plus(other) for one, other in pairs]

    def ledger(self) -> Ledger:
        """Return where the rows are from that have been made.

        Nothing is known of the others.
        """
        plan, pieces = self._plan, self._pieces
        begin = sum(map(len, pieces))
        if begin < len(plan.vocabulary):
            rest = plan.vocabulary.part(np.arange(begin, len(plan.vocabulary)))
            origin = np.full(len(rest), Origin.UNUSED, np.uint8)
            if rest.pad_id is not None:
                origin[rest.pad_id] = Origin.PAD
            pieces = [*pieces, Ledger(rest, origin)]
        contributions = self._contributions
        if self._duplicates is not None:
            whole = Ledger.join(plan.vocabulary, pieces)
            counted = [one.findings.duplicates for one in contributions]
            contributions = [
                replace(one, findings=replace(one.findings, duplicates=count))
                for one, count in zip(
                    contributions, self._duplicates(whole, counted), strict=True
                )
            ]
        provenance = plan.provenance(contributions)
        if plan.dtype != "float32":
            provenance[ROUNDING] = self._loss.facts(plan.dtype)
        facts = provenance, plan.findings(contributions)
        if len(pieces) == 1:
            return replace(pieces[0], provenance=facts[0], findings=facts[1])
        return Ledger.join(plan.vocabulary, pieces, *facts)


def _alone(output: Output) -> AbstractContextManager[object]:
    """Wait until nobody else writes to the output."""
    if output.path is None:
        return nullcontext()
    from pretrained_embed.build.work_folder import work_folder

    return work_folder(output.path)


def _sink(plan: Plan, output: Output, waiting: int) -> AbstractContextManager[PlanSink]:
    """Return what opens the sink; ``waiting`` bytes are still to wait beside it."""
    if output.path is None:
        return nullcontext(sinks.MemoryRows(plan))
    if output.files is None:
        return sinks.file_sink(plan, output, waiting)
    job = _job(plan)
    return sinks.shards_sink(plan, output, waiting, job)


@contextmanager
def _scanned(
    plan: Plan, work: Work, output: Output
) -> Iterator[tuple[Plan, Readers, PlanSink, _Parts]]:
    """Give the plan in ranges, with sources that were read for all of them."""
    from pretrained_embed.build.scan import Means, Scan, planned_passes
    from pretrained_embed.build.work_folder import work_folder

    listener, options = plan.options.progress, replace(plan.options, progress=None)
    plan = replace(plan, options=options)
    if output.path is not None or work.memory is not None:
        plan = plan.cut(output.files or 1)
    rows = len(plan.vocabulary)
    memory = work.memory or half_of_memory()
    scanned = [s for s in plan.sources if s.reader.splits() is not None]
    sizes = [source.size for source in scanned]
    written = 0 if output.path is None else 4 * plan.dim * rows
    total = None
    if None not in sizes:
        total = planned_passes(plan, memory) * sum(size or 0 for size in sizes)
        total += written
    progress = WholeProgress(listener, total)
    with ExitStack() as held:
        folder = None
        if output.path is not None:
            folder = held.enter_context(work_folder(output.path))
        waiting = 4 * rows * sum(source.reader.dim for source in scanned)
        if folder is not None:
            waiting = max(0, waiting - folder.size)
        # before anything is read: that may take hours, and this may fail
        sink = held.enter_context(_sink(plan, output, waiting))
        threads = held.enter_context(own_threads(options.threads))
        means = Means(threads, work.executor, memory, folder, progress)
        scan = Scan(plan, means)
        tell = progress.add if output.path is not None else lambda _: None
        yield plan, scan.readers, sink, _Parts(plan, scan.duplicates, tell)


def _job(plan: Plan) -> str:
    """Return what differs where the rows may be others."""
    from pretrained_embed.build.scan import same_file, state_of

    facts = [
        [
            one.provenance,
            state_of(one.identity),
            same_file(one.address, one.identity),
        ]
        for one in plan.sources
    ]
    metadata, options = _Parts(plan).ledger().metadata(), plan.options
    text: list[Any] = [facts, metadata["vocabulary"]]
    text.append(metadata["provenance"].get("options"))
    text += [options.advise, [form.name for form in options.match]]
    text += [turn.facts for turn in plan.combination.turns if turn is not None]
    if plan.onto is not None:
        text.append(metadata["provenance"]["sources"])
    if options.calls:  # what a function does is not known
        text.append(os.urandom(16).hex())
    digest = blake2b(json.dumps([__version__, *text]).encode(), digest_size=16)
    vocabulary = plan.vocabulary
    tokens = vocabulary.packed
    for array in (tokens.offsets, tokens.data, vocabulary.holes, vocabulary.counts):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
