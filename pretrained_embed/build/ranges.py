"""A range of rows, made and written at its place: by this process, or by a worker.

What a range needs is in an `Order`, of which a task carries some kilobytes; all that is
large is in a folder that the workers see. What it leaves is a `RangePart`; those of all
ranges are `Joined`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens
from pretrained_embed.bits import SCALES, Loss, Stored
from pretrained_embed.build.combine import Turn
from pretrained_embed.build.extract import Pass, RangeReader
from pretrained_embed.build.limits import Limits
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.build.rows import Made, locate, make
from pretrained_embed.build.scan import Left, Scan, pass_again, readers_of
from pretrained_embed.build.sinks import Keeper, Target, Written
from pretrained_embed.build.work import Work
from pretrained_embed.build.work_folder import (
    cannot_write,
    chosen,
    read_arrays,
    write_arrays,
)
from pretrained_embed.build.workers import NOTHING, Meter, Opening, Spent, opened
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.formats.local import crc32
from pretrained_embed.ledger import Advice, Ledger
from pretrained_embed.ledger.kept import Onto
from pretrained_embed.ledger.ledger import asked_of, codes_of
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.saved import vocabulary_of
from pretrained_embed.library import OpenSource
from pretrained_embed.recipe import Recipe
from pretrained_embed.vocabulary import TokenRows


@dataclass(frozen=True)
class RangePart:
    """What became of a range: all but its rows, which are at their place."""

    arrays: Mapping[str, AnyArray]  # of its ledger
    forms: tuple[str, ...] | None  # of the advice, if there is any
    contributions: tuple[Contribution, ...]  # of each source; none where none was asked
    unfilled: Int64Array  # ids whose rows the policy "error" leaves
    met: tuple[Mapping[bytes, int], ...]  # of each source, see `RangeReader`
    loss: Loss
    written: Written | None = Written()  # noqa: RUF009  (a tuple); None: nobody looked
    spent: Spent = NOTHING

    @classmethod
    def of(cls, ledger: Ledger, readers: Sequence[Reader], made: Made | None) -> Self:
        """Return the part of a range that was made, or only located."""
        arrays = ledger.arrays()
        for name in ("counts", "holes"):  # of the vocabulary
            arrays.pop(name, None)
        rows = None if made is None else made.vectors
        if isinstance(rows, Stored) and rows.scales is not None:
            arrays[SCALES] = rows.scales
        advice = ledger.advice
        return cls(
            arrays,
            None if advice is None else advice.forms,
            () if made is None else tuple(made.contributions),
            np.empty(0, np.int64) if made is None else made.unfilled,
            tuple(getattr(reader, "met_again", {}) for reader in readers),
            Loss() if made is None else made.loss,
        )

    def save(self, path: SafePath) -> None:
        """Write it to a file that `load` reads; raises `OSError`."""
        told = [
            [one.findings.to_dict(), one.tokens, one.found]
            for one in self.contributions
        ]
        met = [{token.hex(): n for token, n in each.items()} for each in self.met]
        facts = [self.forms, told, met, self.loss, self.written]
        write_arrays(path, [*self.arrays.items(), ("unfilled", self.unfilled)], facts)

    @classmethod
    def load(cls, path: SafePath) -> Self | None:
        """Return what `save` wrote; ``None`` for what is not there, or damaged."""
        try:
            (forms, told, met, loss, (crc, digests)), arrays = read_arrays(path)
        except (OSError, FormatError):
            return None
        return cls(
            {name: array for name, array in arrays.items() if name != "unfilled"},
            None if forms is None else tuple(forms),
            tuple(Contribution(Findings.from_dict(f), t, n) for f, t, n in told),
            arrays["unfilled"],
            tuple({bytes.fromhex(k): n for k, n in each.items()} for each in met),
            Loss(*loss),
            Written(crc, tuple(digests)),
        )


def finish(
    plan: Plan,
    number: int,
    readers: Callable[[int], Sequence[Reader]],
    keeper: Keeper,
    record: SafePath | None = None,
    meter: Meter | None = None,
) -> RangePart:
    """Make the rows of a range and write them at their place, unless they are there.

    That is so where the ``record`` of an earlier build of this job says so, and the
    bytes have its checksum. ``meter`` measures what was done for it before.
    """
    rows, meter = plan.ranges[number], meter or Meter()
    known = None if record is None else RangePart.load(record)
    there = None if known is None or known.written is None else known.written.crc32
    if known is not None and there is not None and keeper.crc32(rows) == there:
        return known
    seen = readers(number)
    place = seen[0].place if seen and isinstance(seen[0], RangeReader) else None
    made = make(plan, number, seen, out=place)
    part = RangePart.of(made.ledger, seen, made)
    if not len(made.unfilled):
        if place is None:
            written = keeper.write(rows, made.vectors)
            meter.written = int(made.vectors.nbytes)
        else:  # they are there
            written = Written(crc32(place.data))
        meter.read = sum(getattr(reader, "bytes_read", 0) for reader in seen)
        part = replace(part, written=written, spent=meter.spent())
        if record is not None:
            try:
                part.save(record)
            except OSError as error:
                raise cannot_write(record, error) from error
    return part


#: What the names of files begin with that say what became of a range.
RECORD = "range-"

NO_PART = RangePart({}, None, (), np.empty(0, np.int64), (), Loss())


def record_of(folder: SafePath, number: int) -> SafePath:
    """Return the file that says what became of a range."""
    return folder / f"{RECORD}{number:06}"


class Joined:
    """What is known of the ranges of a plan, which come in any order."""

    def __init__(self, plan: Plan) -> None:
        self._parts: list[RangePart] = [NO_PART] * len(plan.ranges)  # without arrays
        self._plan = plan
        self._blank = codes_of(plan.vocabulary, Origin.OOV)
        self._asked = asked_of(plan.vocabulary, self._blank)
        self._arrays: dict[str, AnyArray] = {}
        self._advice: dict[int, Advice] = {}

    def add(self, number: int, part: RangePart) -> None:
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
        self._parts[number] = replace(part, arrays={})

    def add_in_place(self, number: int, found: Pass | None) -> bool:
        """Take a range whose tokens a pass has all put into their places.

        Returns whether it is one: then there is nothing else to do for it.
        """
        plan, rows = self._plan, self._plan.ranges[number]
        if found is None or found.in_place is None or plan.work.advise:
            return False
        origin = self._blank[rows.start : rows.stop].copy()
        source_rows = np.array(found.in_place.of(number))
        wanted = origin == Origin.OOV
        if not wanted.any() or (source_rows[wanted] < 0).any():
            return False
        plan.limits.check_rows(found.findings, found.reader.name)
        origin[wanted] = Origin.EXACT
        if not wanted.all():  # a build that was killed may have left something there
            found.in_place.map(number)[~wanted] = 0.0
        asked = int(np.count_nonzero(self._asked[rows.start : rows.stop]))
        others = [Contribution(Findings()) for _ in plan.sources[1:]]
        sources = np.where(wanted, np.int16(0), np.int16(-1))
        part = replace(
            NO_PART,
            arrays={"origin": origin, "sources": sources, "source_rows": source_rows},
            contributions=(Contribution(found.findings, asked, asked), *others),
            written=None,
        )
        self.add(number, part)
        return True

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
        return np.concatenate([part.unfilled for part in self._parts])

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
        found = plan.together([part.contributions for part in self._parts])
        met: list[dict[bytes, int]] = [{} for _ in plan.sources]
        for part in self._parts:
            for whole, its in zip(met, part.met, strict=False):
                whole |= its
        counted = [one.findings.duplicates for one in found]
        counts = scan.duplicates(ledger, counted, met)
        found = [
            replace(one, findings=replace(one.findings, duplicates=count))
            for one, count in zip(found, counts, strict=True)
        ]
        loss = Loss.sum(part.loss for part in self._parts)
        return plan.told(ledger, found, loss)

    @property
    def written(self) -> list[Written | None]:
        """What is known of the bytes of the ranges, in order."""
        return [part.written for part in self._parts]

    @property
    def scales(self) -> AnyArray | None:
        """Those of all rows, where the dtype has such."""
        return self._arrays.get(SCALES)


@dataclass(frozen=True)
class Order:
    """All that a worker needs to make ranges of a plan.

    The large things are in ``folder``: the vocabulary, what was fitted, the rows that
    are kept; there it says what became of ranges. ``left`` is what
    passes over each source left.
    """

    key: str
    folder: SafePath
    recipe: Recipe
    limits: Limits
    work: Work  # as a worker does it
    sources: tuple[Opening, ...]
    left: tuple[tuple[Left, ...], ...]
    cut: tuple[int, int]  # how many files, and rows of a range
    target: Target

    def opened(self) -> tuple[Plan, Callable[[int], Sequence[Reader]]]:
        """Return the plan, and its sources as ranges see them.

        Raises `SourceError` where this process does not see what the other saw.
        """
        try:
            plan = _plan(self)
        except (OSError, FormatError) as error:
            raise SourceError(
                f"{self.folder}: cannot be read: {error}. Every worker needs the "
                "folder that the output is in, at the same place"
            ) from error
        passes = [
            [pass_again(reader, left, plan.ranges) for left in each]
            for reader, each in zip(plan.readers, self.left, strict=True)
        ]
        return plan, lambda number: readers_of(plan, passes, number)


def finish_elsewhere(order: Order, number: int, attempt: int) -> RangePart:
    """Do `finish` in any process."""
    meter = Meter()
    plan, readers = opened("ranges", order.key, order.opened)
    record = record_of(order.folder, number)
    return finish(plan, number, readers, order.target, record, meter)


def locate_elsewhere(order: Order, number: int, attempt: int) -> RangePart:
    """Return the part of a range before its rows are filled; no vector is read."""
    plan, readers = opened("ranges", order.key, order.opened)
    seen = readers(number)
    return RangePart.of(locate(plan, number, seen), seen, None)


_PLAN = "plan"


def save_plan(plan: Plan, folder: SafePath) -> None:
    """Write all that is large of a plan into a folder; raises `WriteError`."""
    vocabulary, onto = plan.vocabulary, plan.onto
    packed = vocabulary.packed
    arrays = {"data": packed.data, "offsets": packed.offsets, "holes": vocabulary.holes}
    if vocabulary.counts is not None:
        arrays["counts"] = vocabulary.counts
    for number, turn in enumerate(plan.combination.turns):
        if turn is not None:
            arrays[f"turn {number}"] = turn.map
    if plan.steps:
        fits = plan.change.arrays()
        arrays |= {f"step {name}": array for name, array in fits.items()}
    metadata = Ledger.blank(vocabulary).metadata()["vocabulary"]
    facts: dict[str, Any] = {
        "vocabulary": metadata,
        "turns": len(plan.combination.turns),
    }
    if onto is not None:
        kept = RangePart.of(onto.ledger, (), None)
        arrays |= {f"onto {name}": array for name, array in kept.arrays.items()}
        arrays |= {"missing": onto.missing, "kept": onto.vectors.values[:]}
        if onto.vectors.scales is not None:
            arrays["scales"] = onto.vectors.scales
        said = onto.vectors.encoding, onto.vectors.dim
        facts["onto"] = [kept.forms, onto.more_forms, *said]
    path = folder / _PLAN
    try:
        write_arrays(path, arrays.items(), facts)
    except OSError as error:
        raise cannot_write(path, error) from error


def _plan(order: Order) -> Plan:
    """Return the plan again, its sources open."""
    facts, arrays = read_arrays(order.folder / _PLAN, mapped=True)
    rows = TokenRows(PackedTokens(arrays["data"], arrays["offsets"]), arrays["holes"])
    vocabulary = vocabulary_of(facts["vocabulary"], rows, arrays, whole=True)
    turns = tuple(
        Turn(arrays[f"turn {n}"], "", 0, 0.0) if f"turn {n}" in arrays else None
        for n in range(facts["turns"])
    )
    onto = None
    if "onto" in facts:
        forms, more, dtype, dim = facts["onto"]
        onto = Onto(
            Stored(dtype, arrays["kept"], arrays.get("scales"), dim),
            Ledger.from_arrays(vocabulary, chosen(arrays, "onto "), forms),
            arrays["missing"],
            tuple(more),
            {},
        )
    plan = Plan.of(vocabulary, order.recipe, limits=order.limits, work=order.work)
    return plan.with_sources(
        [OpenSource(source.reader(), {}, []) for source in order.sources],
        onto,
        turned=turns,
        learned=chosen(arrays, "step "),
    ).cut(*order.cut)
