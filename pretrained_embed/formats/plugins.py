"""Formats of other packages, found by their entry points.

A package adds a format by an entry point of the group ``pretrained_embed.formats``. Its
value is a `Format`::

    [project.entry-points."pretrained_embed.formats"]
    mine = "my_package.formats:MINE"

Entry points are only loaded if no format of this package recognises a file or has a
name. Code of others may raise any exception: here it becomes an error of ours, which
names the package. Only this module has such wide `except` clauses.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, PackedTokens, Progress
from pretrained_embed.bits import FLOATS
from pretrained_embed.errors import FormatError, PretrainedEmbedError, WriteError
from pretrained_embed.formats.blocks import AnyBlock, PackedBlock, RowStream
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.format import Announced, Format, FormatSink
from pretrained_embed.formats.reader import OnBadRow, Reader, Selection
from pretrained_embed.formats.table import Annotations, Span, Table, TablePart
from pretrained_embed.kernel import TokenIndex

GROUP = "pretrained_embed.formats"

_LONGEST = 200  # how many characters of a foreign message are shown
_WORDS = {
    "holds": ("rows", "subwords", "table"),
    "lies_in": ("file", "files", "folder"),
    "needs": ("nothing", "count", "all"),
}


@dataclass(frozen=True)
class Plugins:
    """The formats of plug-ins, and the faults of those that were left out."""

    formats: tuple[Format, ...]
    faults: tuple[str, ...]

    def told(self) -> str:
        """Return the faults as the end of a sentence, empty if there are none."""
        return "".join(f"; {fault}" for fault in self.faults)


def load(taken: Collection[str]) -> Plugins:
    """Load the formats of all installed plug-ins, sorted by name.

    ``taken`` are the names that no plug-in may have.
    """
    formats: dict[str, Format] = {}
    faults: list[str] = []
    try:
        found = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    except Exception as error:  # noqa: BLE001  (the metadata of any package)
        return Plugins((), (f"plug-ins cannot be listed: {_said(error)}",))
    for entry in found:
        try:
            value = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  (code of others)
            fault: str | None = f"it cannot be loaded: {_said(error)}"
        else:
            fault = _fault(value, [*taken, *formats])
            if fault is None:
                formats[value.name] = value
        if fault is not None:
            faults.append(f"the format {_name(entry)} is left out: {fault}")
    return Plugins(tuple(formats.values()), tuple(faults))


def _fault(value: object, taken: Collection[str]) -> str | None:
    """Return what is wrong with the value of an entry point."""
    if not isinstance(value, Format):
        return f"its entry point is no Format but {type(value).__name__}"
    for field in ("name", "title", "reader", "reads", "part", "sink"):
        if not isinstance(getattr(value, field), str):
            return f"its {field} is no str"
    for field, known in (*_WORDS.items(), ("dtypes", FLOATS), ("suffixes", None)):
        given = getattr(value, field)
        each = given if isinstance(given, tuple) else (given,)
        if not all(isinstance(one, str) for one in each):
            return f"its {field} is {type(given).__name__}"
        if known is not None and not {*each} <= {*known}:
            return f"its {field} is {given!r}; it can be {', '.join(known)}"
    if not value.name.strip() or value.name in taken:
        return f"the name {value.name!r} is empty or taken"
    if not isinstance(value.suffixes, tuple) or not isinstance(value.dtypes, tuple):
        return "its suffixes or dtypes are no tuple"
    if not all(suffix.startswith(".") for suffix in value.suffixes):
        return f"its suffixes are {value.suffixes}; each begins with a dot"
    return None


def _name(entry: EntryPoint) -> str:
    package = "" if entry.dist is None else f" of the package {entry.dist.name}"
    return f"{entry.name!r}{package}"


def _said(error: BaseException) -> str:
    """Return an exception as one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  (an exception of others)
        text = ""
    return f"{type(error).__name__}: {text}"[:_LONGEST].rstrip(": ")


@contextmanager
def guarded(format: Format, where: str, *, writes: bool = False) -> Iterator[None]:
    """Turn exceptions of a plug-in into errors of this package."""
    try:
        yield
    except PretrainedEmbedError:
        raise
    except (Exception, SystemExit) as error:
        kind = WriteError if writes else FormatError
        raise kind(
            f"{where}: the format {format.name!r} is of a plug-in, which failed: "
            f"{_said(error)}; update or remove the package that it came with"
        ) from error


def guarded_reader(reader: object, format: Format, where: str) -> Reader:
    """Return a reader of a plug-in, whose exceptions are errors of this package.

    Raises `FormatError` for an object that is no reader.
    """
    if isinstance(reader, Reader):
        with guarded(format, where):
            return _GuardedReader(reader, format, where)
    raise FormatError(
        f"{where}: the plug-in of the format {format.name!r} gave "
        f"{type(reader).__name__}, which is no Reader; update or remove its package"
    )


class _GuardedReader(Reader):
    """The reader of a plug-in. Its results are checked; it has no splits."""

    def __init__(self, inner: Reader, format: Format, where: str) -> None:
        self._inner, self._format, self._where = inner, format, where
        self.format, self.name, self.dtype = format.name, where, str(inner.dtype)
        self.dim, self.count = int(inner.dim), inner.count
        self.statistics, self.composes = inner.statistics, bool(inner.composes)
        self.facts = inner.facts
        if self.dim < 1 or not (self.count is None or isinstance(self.count, int)):
            raise ValueError(f"a table of {self.count} x {self.dim}")

    def _guarded(self) -> AbstractContextManager[None]:
        return guarded(self._format, self._where)

    @property
    def findings(self) -> Findings:
        """The findings of the last complete pass over the file."""
        with self._guarded():
            found = self._inner.findings
            if not isinstance(found, Findings):
                return _refuse("findings", found)
            return replace(found)  # a note may have been put in without a code

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows in file order. See `Reader`."""
        with self._guarded():
            blocks = self._inner.packed_blocks(
                threads=threads, on_bad_row=on_bad_row, progress=progress
            )
            yield from map(self._checked, blocks)

    def _checked(self, block: AnyBlock) -> PackedBlock:
        tokens, vectors = block
        if (
            not isinstance(tokens, PackedTokens)
            or not isinstance(vectors, np.ndarray)
            or vectors.dtype != np.float32
        ):
            raise TypeError(f"a block is {type(block).__name__}")
        if vectors.shape != (len(tokens), self.dim):
            raise ValueError(f"{len(tokens)} tokens, vectors of shape {vectors.shape}")
        return PackedBlock(tokens, vectors)

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`."""
        with self._guarded():
            found = self._inner.select(
                index, out, threads=threads, on_bad_row=on_bad_row, progress=progress
            )
            rows = max(len(out), index.row_count)
            if len(found.source_rows) != rows or len(found.ranks) != rows:
                raise ValueError(f"a selection of {len(found.source_rows)} rows")
            return found._replace(findings=replace(found.findings))

    def table(self) -> Table | None:
        """Return all rows at once. See `Reader`."""
        with self._guarded():
            return self._inner.table()

    def rows(self, progress: Progress | None = None) -> RowStream | None:
        """Return all rows, a block at a time. See `Reader`."""
        with self._guarded():
            rows = self._inner.rows(progress)
            if rows is None:
                return None
            blocks = map(self._checked, rows.blocks)
            return replace(rows, blocks=self._each(blocks))

    def _each(self, blocks: Iterator[PackedBlock]) -> Iterator[PackedBlock]:
        with self._guarded():
            yield from blocks

    def rows_in(self, span: Span) -> TablePart | None:
        """Return some consecutive rows. See `Reader`."""
        with self._guarded():
            return self._inner.rows_in(span)

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write vectors made of subword pieces. See `Reader`."""
        with self._guarded():
            return self._inner.compose(tokens, out)

    def close(self) -> None:
        """Release what the reader holds open."""
        with self._guarded():
            self._inner.close()


def _refuse(what: str, given: object) -> Any:
    raise TypeError(f"{what} is {type(given).__name__}")


@contextmanager
def guarded_sink(
    format: Format, path: str | os.PathLike[str], announced: Announced
) -> Iterator[FormatSink]:
    """Yield the sink of a plug-in, whose exceptions are errors of this package."""
    where = os.fspath(path)
    with ExitStack() as held:
        with guarded(format, where, writes=True):
            inner = held.enter_context(format.open_sink(path, announced))
        yield _GuardedSink(inner, format, where)
        with guarded(format, where, writes=True):
            held.close()


class _GuardedSink:
    """The sink of a plug-in. See `FormatSink`."""

    def __init__(self, inner: FormatSink, format: Format, where: str) -> None:
        self._inner, self._format, self._where = inner, format, where

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        with guarded(self._format, self._where, writes=True):
            self._inner.append(block)

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to all rows."""
        with guarded(self._format, self._where, writes=True):
            self._inner.finish(annotations)
