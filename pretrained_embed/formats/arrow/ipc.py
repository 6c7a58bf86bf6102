"""Arrow IPC, record batch by record batch: files (Feather) and streams.

The file is mapped; buffers that are not packed stay where they are.

https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, joined
from pretrained_embed.budget import OBJECT
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, needing_package
from pretrained_embed.formats.arrow.columns import (
    decoded,
    number_dtype,
    numbers_of,
    tokens_of,
    usual_length,
)
from pretrained_embed.formats.arrow.headers import blocks_of_file, unpacked_size
from pretrained_embed.formats.arrow.parts import (
    BLOCK_BYTES,
    Decoded,
    Decoder,
    PartedTable,
    TableFile,
)
from pretrained_embed.formats.marks import ARROW


class IpcTable(PartedTable):
    """The record batches of a file or a stream; see `PartedTable`."""

    def __init__(
        self,
        source: TableFile,
        token: str | None = None,
        vector: str | None = None,
        *,
        tokens_alone: bool = False,
    ) -> None:
        with needing_package("reading Arrow IPC"):
            import pyarrow as pa

        self.where = source.name
        mapped, self._budget = source.mapped()
        self._data = mapped.data
        self._buffer = pa.py_buffer(self._data)
        self._is_file = bytes(memoryview(self._data)[: len(ARROW)]) == ARROW
        with self._refusing():
            self._check_sizes()
            schema = self._opened(None).schema
            self._names = list(schema.names)
            self.columns = self._choose(schema, token, vector, alone=tokens_alone)
            self.dtype = number_dtype(schema, self.columns)
            self._found = self._read_tokens()
            self.dim = self.columns.dim or (0 if tokens_alone else self._usual_length())

    def tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens of all rows; see `PartedTable`."""
        return self._found

    def numbers(self, names: list[str]) -> dict[str, AnyArray]:
        """Return columns of numbers of all rows; see `PartedTable`."""
        found: dict[str, list[AnyArray]] = {name: [] for name in names}
        with self._refusing():
            for batch in self._batches(names) if names else ():
                for name in names:
                    array = _checked(batch.column(name))
                    self._budget.take(array.nbytes)
                    found[name].append(numbers_of(array, self.where))
            return {name: np.concatenate(parts) for name, parts in found.items()}

    def decoder(self, *, shares: bool = False) -> Decoder:
        """Return what yields vectors; see `PartedTable`."""
        names = list(self.columns.vectors)
        step = max(1, BLOCK_BYTES // (self.dim * self.dtype.itemsize))
        batches = _InOrder(lambda: self._batches(names))
        if self._is_file:
            file = self._opened(names)
            get: Callable[[int], Any] = file.get_batch
        else:
            get = batches.get

        def blocks(part: int) -> Generator[Decoded]:
            with self._refusing(), ExitStack() as held:
                if shares:
                    held.enter_context(self._budget.lend(self._largest))
                batch = get(part)
                start, stop = self.bounds[part : part + 2].tolist()
                if batch.num_rows != stop - start:
                    raise self._damaged(f"batch {part} has other rows than before")
                if (stop - start) * self.dim * self.dtype.itemsize > self._budget.total:
                    raise self._budget.spent()  # views may share their numbers
                arrays = [_checked(batch.column(name)) for name in names]
                for at in range(0, stop - start, step):
                    some = [array.slice(at, step) for array in arrays]
                    yield decoded(some, self.dim, self.dtype, self.where, start + at)

        return blocks

    def _refusing(self) -> AbstractContextManager[None]:
        return refusing_damage(self.where, "cannot be read as Arrow IPC")

    def _damaged(self, what: str) -> FormatError:
        return FormatError(
            f"{self.where}: {what}; the file is damaged, copy or download it again"
        )

    def _opened(self, names: list[str] | None) -> Any:
        """Return a reader of some columns, ``None`` for all."""
        from pyarrow import BufferReader, ipc

        options = ipc.IpcReadOptions(use_threads=False)
        if names is not None:
            options.included_fields = [self._names.index(name) for name in names]
        source = BufferReader(self._buffer)
        if self._is_file:
            return ipc.open_file(source, options=options)
        return ipc.open_stream(source, options=options)

    def _batches(self, names: list[str]) -> Iterator[Any]:
        opened = self._opened(names)
        if not self._is_file:
            yield from opened
            return
        for number in range(opened.num_record_batches):
            yield opened.get_batch(number)

    def _check_sizes(self) -> None:
        """Raise `FormatError` for messages that unpack to more than there may be."""
        self._largest = 0
        for metadata, body in self._messages():
            self._largest = max(self._largest, unpacked_size(metadata, body))
            if self._largest > self._budget.total:
                raise self._budget.spent()

    def _messages(self) -> Iterator[tuple[memoryview, memoryview]]:
        data = memoryview(self._data)
        if self._is_file:
            yield from blocks_of_file(data)
            return
        from pyarrow import BufferReader, ipc

        for message in ipc.MessageReader.open_stream(BufferReader(self._buffer)):
            body = memoryview(b"") if message.body is None else memoryview(message.body)
            yield memoryview(message.metadata), body

    def _read_tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens, and the rows without one; find out the bounds."""
        name, bounds = self.columns.token, [0]
        found, without = [PackedTokens.join([])], [np.empty(0, np.int64)]
        known: Any = None  # the dictionary that was checked
        for batch in self._batches([name]):
            self._budget.take(batch.num_rows * OBJECT // 2)
            array = batch.column(name)
            if getattr(array, "dictionary", None) is not None:
                if known is None or known.buffers() != array.dictionary.buffers():
                    known = _checked(array.dictionary)
                array.validate()
                _check_indices(array)
            else:
                _checked(array)
            tokens, missing = tokens_of(array, self._budget)
            self._budget.take(len(tokens.data))  # batches may share their bytes
            found.append(tokens)
            without.append(bounds[-1] + missing)
            bounds.append(bounds[-1] + len(tokens))
        self.bounds = np.array(bounds, np.int64)
        return joined(found), np.concatenate(without)

    def _usual_length(self) -> int:
        """Return the length of most lists of the first batch that has some."""
        name = self.columns.vectors[0]
        columns = (batch.column(name) for batch in self._batches([name]))
        lengths = (usual_length(_checked(column)) for column in columns)
        return next(filter(None, lengths), 1 if self.bounds[-1] else 0)


class _InOrder:
    """Record batches of a stream, asked for in ascending order, or again."""

    def __init__(self, batches: Callable[[], Iterator[Any]]) -> None:
        self._open = batches
        self._opened = batches()
        self._next = 0

    def get(self, number: int) -> Any:
        """Return a batch by its number."""
        if number < self._next:
            self._opened, self._next = self._open(), 0
        for batch in self._opened:
            self._next += 1
            if self._next > number:
                return batch
        raise ValueError(f"no batch {number}")


def _checked(array: Any) -> Any:
    """Return an array whose offsets lie within its data: Arrow does not look."""
    array.validate(full=True)
    return array


def _check_indices(array: Any) -> None:
    import pyarrow.compute as pc

    ends = pc.min_max(array.indices).as_py()
    low, high = ends["min"], ends["max"]
    if low is not None and not 0 <= low <= high < len(array.dictionary):
        raise ValueError(f"an index {low if low < 0 else high} of no word")
