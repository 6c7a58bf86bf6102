"""A range of rows, made and written at its place: by this process, or by a worker.

What a range needs is in an `Order`, of which a task carries some kilobytes; all that is
large is in a folder that the workers see. What it leaves is a `Part`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from pretrained_embed.arrays import AnyArray, Float32Array, Int64Array, PackedTokens
from pretrained_embed.bits import SCALES, Dtype, Loss, Stored, row_bytes
from pretrained_embed.build import columns, opening
from pretrained_embed.build.combine import Combination
from pretrained_embed.build.executors import NOTHING, Meter, Share
from pretrained_embed.build.limits import Limits
from pretrained_embed.build.opening import Opening
from pretrained_embed.build.options import Options
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.build.postprocess import Changes
from pretrained_embed.build.rows import Made, locate, make
from pretrained_embed.build.scan import Pass, ScannedSource
from pretrained_embed.build.turning import Turn
from pretrained_embed.build.work import Work
from pretrained_embed.build.work_folder import cannot_write
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.replacement import writing
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.formats.safetensors.sink import HEADER
from pretrained_embed.formats.sharded.index import file_name
from pretrained_embed.formats.sharded.row_digests import RowDigests
from pretrained_embed.formats.table import bounds, write_array
from pretrained_embed.ledger import Ledger
from pretrained_embed.ledger.kept import Onto
from pretrained_embed.ledger.saved import vocabulary_of
from pretrained_embed.library import OpenSource
from pretrained_embed.recipe import Recipe, Step
from pretrained_embed.vocabulary import TokenRows

_PIECE = 1 << 22

#: Finished rows, (rows, dim).
Rows = Float32Array | Stored


@dataclass(frozen=True)
class Target:
    """Where the rows of a matrix lie, in files that grow in a folder.

    ``name`` is that of the one file, in which they begin at byte ``begin``; without it
    they are in ``files`` shards, whose rows have a digest each ``block``.
    """

    folder: str
    rows: int
    dim: int
    name: str = ""
    begin: int = HEADER
    files: int = 1
    block: int = 0
    dtype: Dtype = "float32"

    @property
    def row_bytes(self) -> int:
        """How many bytes a row has."""
        return row_bytes(self.dtype, self.dim)

    def place(self, rows: range) -> tuple[Path, int]:
        """Return the file that has a range of rows, and where in it they begin."""
        folder = Path(self.folder)
        if self.name:
            return folder / self.name, self.begin + self.row_bytes * rows.start
        number = ((rows.start + 1) * self.files - 1) // self.rows
        first = rows.start - bounds(self.rows, self.files)[number][0]
        return folder / file_name(number, self.files), HEADER + self.row_bytes * first

    def write(self, rows: range, vectors: Rows) -> tuple[int, tuple[str, ...]]:
        """Write rows at their place; return their CRC-32, and their digests."""
        raw = vectors.checked() if isinstance(vectors, Stored) else vectors
        path, begin = self.place(rows)
        with writing(path), path.open("r+b", buffering=0) as file:
            file.seek(begin)
            write_array(file, raw)
        digests: tuple[str, ...] = ()
        if self.block:
            state = RowDigests(self.block)
            state.update(raw)
            digests = state.finish()
        kind = raw.dtype.newbyteorder("<")
        return zlib.crc32(np.ascontiguousarray(raw, kind).data), digests

    def crc32(self, rows: range) -> int | None:
        """Return the CRC-32 of what lies there; ``None`` where that is too little."""
        path, begin = self.place(rows)
        crc, left = 0, self.row_bytes * len(rows)
        with suppress(OSError), path.open("rb", buffering=0) as file:
            file.seek(begin)
            while left and (piece := file.read(min(left, _PIECE))):
                crc, left = zlib.crc32(piece, crc), left - len(piece)
            return None if left else crc
        return None


class Keeper(Protocol):
    """What rows are written to: a `Target`, or memory."""

    def write(self, rows: range, vectors: Rows) -> tuple[int, tuple[str, ...]]:
        """Write rows at their place; return their CRC-32, and their digests."""

    def crc32(self, rows: range) -> int | None:
        """Return the CRC-32 of what lies there; ``None`` where that is too little."""


@dataclass(frozen=True)
class Part:
    """What became of a range: all but its rows, which are at their place."""

    arrays: Mapping[str, AnyArray]  # of its ledger
    forms: tuple[str, ...] | None  # of the advice, if there is any
    contributions: tuple[Contribution, ...]  # of each source; none where none was asked
    unfilled: Int64Array  # ids whose rows the policy "error" leaves
    met: tuple[Mapping[bytes, int], ...]  # of each source, see `RangeReader`
    crc32: int = 0
    digests: tuple[str, ...] = ()
    share: Share = NOTHING
    loss: Loss = Loss()  # noqa: RUF009  (a tuple)

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
            loss=Loss() if made is None else made.loss,
        )

    def save(self, path: SafePath) -> None:
        """Write it to a file that `load` reads; raises `OSError`."""
        told = [
            [one.findings.to_dict(), one.tokens, one.found]
            for one in self.contributions
        ]
        met = [{token.hex(): n for token, n in each.items()} for each in self.met]
        facts = [self.forms, told, met, self.crc32, self.digests, self.loss]
        columns.write(path, [*self.arrays.items(), ("unfilled", self.unfilled)], facts)

    @classmethod
    def load(cls, path: SafePath) -> Self | None:
        """Return what `save` wrote; ``None`` for what is not there, or damaged."""
        try:
            (forms, told, met, crc32, digests, loss), arrays = columns.read(path)
        except (OSError, FormatError):
            return None
        return cls(
            {name: array for name, array in arrays.items() if name != "unfilled"},
            None if forms is None else tuple(forms),
            tuple(Contribution(Findings.from_dict(f), t, n) for f, t, n in told),
            arrays["unfilled"],
            tuple({bytes.fromhex(k): n for k, n in each.items()} for each in met),
            crc32,
            tuple(digests),
            loss=Loss(*loss),
        )


def finish(
    plan: Plan,
    number: int,
    readers: Callable[[int], Sequence[Reader]],
    target: Keeper,
    record: SafePath | None = None,
    meter: Meter | None = None,
) -> Part:
    """Make the rows of a range and write them at their place, unless they are there.

    That is so where the ``record`` of an earlier build of this job says so, and the
    bytes have its checksum. ``meter`` measures what was done for it before.
    """
    rows, meter = plan.ranges[number], meter or Meter()
    known = None if record is None else Part.load(record)
    if known is not None and target.crc32(rows) == known.crc32:
        return known
    seen = readers(number)
    made = make(plan, number, seen)
    part = Part.of(made.ledger, seen, made)
    if not len(made.unfilled):
        crc32, digests = target.write(rows, made.vectors)
        meter.read = sum(getattr(reader, "bytes_read", 0) for reader in seen)
        meter.written = int(made.vectors.nbytes)
        part = replace(part, crc32=crc32, digests=digests, share=meter.share())
        if record is not None:
            try:
                part.save(record)
            except OSError as error:
                raise cannot_write(record, error) from error
    return part


#: What the names of files begin with that say what became of a range.
RECORD = "range-"

NO_PART = Part({}, None, (), np.empty(0, np.int64), ())


def record_of(folder: SafePath, number: int) -> SafePath:
    """Return the file that says what became of a range."""
    return folder / f"{RECORD}{number:06}"


@dataclass(frozen=True)
class Order:
    """All that a worker needs to make ranges of a plan.

    The large things are in ``folder``: the vocabulary, what was fitted, the rows that
    are kept; there it says what became of ranges. ``passes`` are those over each
    source.
    """

    key: str
    folder: SafePath
    recipe: Recipe
    limits: Limits
    work: Work  # as a worker does it
    sources: tuple[Opening, ...]
    passes: tuple[tuple[Pass, ...], ...]
    steps: tuple[Step, ...]
    dim: int
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
        seen = [
            ScannedSource(
                reader, [(one.numbers, one.extracted(reader)) for one in each]
            )
            for reader, each in zip(plan.readers, self.passes, strict=True)
        ]
        return plan, lambda number: [source.reader(number) for source in seen]


def finish_elsewhere(order: Order, number: int, attempt: int) -> Part:
    """Do `finish` in any process."""
    meter = Meter()
    plan, readers = opening.opened("ranges", order.key, order.opened)
    record = record_of(order.folder, number)
    return finish(plan, number, readers, order.target, record, meter)


def locate_elsewhere(order: Order, number: int, attempt: int) -> Part:
    """Return the part of a range before its rows are filled; no vector is read."""
    plan, readers = opening.opened("ranges", order.key, order.opened)
    seen = readers(number)
    return Part.of(locate(plan, number, seen), seen, None)


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
        kept = Part.of(onto.ledger, (), None)
        arrays |= {f"onto {name}": array for name, array in kept.arrays.items()}
        arrays |= {"missing": onto.missing, "kept": onto.vectors.values[:]}
        if onto.vectors.scales is not None:
            arrays["scales"] = onto.vectors.scales
        said = onto.vectors.encoding, onto.vectors.dim
        facts["onto"] = [kept.forms, onto.more_forms, *said]
    path = folder / _PLAN
    try:
        columns.write(path, arrays.items(), facts)
    except OSError as error:
        raise cannot_write(path, error) from error


def _plan(order: Order) -> Plan:
    """Return the plan again, its sources open."""
    facts, arrays = columns.read(order.folder / _PLAN, mapped=True)
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
            Ledger.from_arrays(vocabulary, columns.chosen(arrays, "onto "), forms),
            arrays["missing"],
            tuple(more),
            {},
        )
    plan = Plan(
        vocabulary,
        tuple(OpenSource(source.reader(), {}, []) for source in order.sources),
        Options.of(order.recipe, vocabulary, limits=order.limits, work=order.work),
        replace(Combination.of(order.recipe), turns=turns),
        order.steps,
        order.dim,
        onto,
        (),
        Changes.of(order.steps, columns.chosen(arrays, "step ")),
    )
    return plan.cut(*order.cut)
