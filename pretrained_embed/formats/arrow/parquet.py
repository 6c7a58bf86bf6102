"""Parquet files, row group by row group.

The file is mapped; of one on another machine only the bytes are asked for that are
needed. What the headers of pages say is compared with the budget of the file before
pyarrow makes anything of them: see `headers`.

https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, joined
from pretrained_embed.budget import OBJECT
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, TruncatedError, needing_package
from pretrained_embed.formats.arrow.columns import (
    decoded,
    number_dtype,
    numbers_of,
    tokens_of,
    usual_length,
)
from pretrained_embed.formats.arrow.headers import DELTA_LENGTHS, DELTA_STRINGS, pages
from pretrained_embed.formats.arrow.parts import (
    BLOCK_BYTES,
    Decoded,
    Decoder,
    FileBytes,
    PartedTable,
    TableFile,
)

_MAGIC = b"PAR1"
#: Bytes of one call in which strings are unfolded that refer to the ones before.
_UNFOLDED = 1 << 26
#: How many times larger a block is whose numbers come from a column each.
_BLOCK_OF_COLUMNS = 4
#: Rows whose tokens are taken from the budget at first, and checked by what is read.
_TOKEN = OBJECT // 2
#: Rows of which the usual length of a list is found out.
_SAMPLE = 1024


class _Chunk(NamedTuple):
    """Where a column of a row group lies in the file."""

    start: int
    size: int


class ParquetTable(PartedTable):
    """The row groups of a file; see `PartedTable`."""

    def __init__(
        self,
        source: TableFile,
        token: str | None = None,
        vector: str | None = None,
        *,
        tokens_alone: bool = False,
    ) -> None:
        with needing_package("reading Parquet"):
            import pyarrow.parquet  # noqa: F401  (whether it is there)

        self.where, self._source = source.name, source
        try:
            self._content, self.budget = source.open()
            self._open(token, vector, tokens_alone=tokens_alone)
        except BaseException:
            source.close()
            raise

    def _open(
        self, token: str | None, vector: str | None, *, tokens_alone: bool
    ) -> None:
        self._check_ends()
        with self.refusing():
            file = self._file(self._content)
            self._metadata, schema = file.metadata, file.schema_arrow
            self.columns = self._choose(schema, token, vector, alone=tokens_alone)
            self._paths: dict[str, list[int]] = {}  # a name may be there twice
            for number in range(self._metadata.num_columns):
                path = self._metadata.schema.column(number).path
                self._paths.setdefault(path, []).append(number)
            self._leaves = [self._leaf(name) for name in self.columns.names]
            rows = [
                self._metadata.row_group(group).num_rows
                for group in range(self._metadata.num_row_groups)
            ]
            if min(rows, default=0) < 0:
                raise self.damaged("a row group has fewer rows than none")
            self.bounds: Int64Array = np.cumsum([0, *rows])
            self._chunks = self._find_chunks()
            self.dtype = number_dtype(schema, self.columns)
            self.dim = self.columns.dim or (0 if tokens_alone else self._dim())

    def refusing(self) -> AbstractContextManager[None]:
        """Turn what pyarrow raises into our error."""
        return refusing_damage(self.where, "cannot be read as Parquet")

    def damaged(self, what: str) -> FormatError:
        """Return the error for a file whose parts cannot be as they say."""
        return FormatError(
            f"{self.where}: {what}; the file is damaged, copy or download it again"
        )

    def tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens of all rows; see `PartedTable`."""
        found, without = [PackedTokens.join([])], [np.empty(0, np.int64)]
        with self.refusing():
            file = self._file(self._content, read_dictionary=[self.columns.token])
            for group in range(len(self.bounds) - 1):
                start = int(self.bounds[group])
                for array in self._token_arrays(file, group):
                    packed, missing = tokens_of(array, self.budget)
                    found.append(packed)
                    without.append(start + missing)
                    start += len(packed)
        return joined(found), np.concatenate(without)

    def _token_arrays(self, file: Any, group: int) -> Iterator[Any]:
        """Yield the tokens of a row group; what is made of them is in the budget."""
        if not self._chunks[group]:
            return
        self.budget.take(int(np.diff(self.bounds)[group]) * _TOKEN)
        longest, unfolds, plain = 1, False, False
        for page in pages(self._view(group, 0), self.where):
            self.budget.take(page.size)
            longest = max(longest, page.size)
            unfolds |= page.encoding == DELTA_STRINGS
            plain |= page.encoding == DELTA_LENGTHS
        name = self.columns.token
        if not unfolds:
            file = self._file(self._content) if plain else file
            yield from file.read_row_group(group, columns=[name]).column(name).chunks
            return
        rows = max(1, min(1 << 16, _UNFOLDED // longest))
        for batch in self._file(self._content).iter_batches(rows, [group], [name]):
            array = batch.column(name)
            self.budget.take(array.nbytes)
            yield array

    def numbers(self, names: list[str]) -> dict[str, AnyArray]:
        """Return columns of numbers of all rows; see `PartedTable`."""
        with self.refusing():
            for name in names:
                leaf = self._leaf(name)
                for group in range(len(self.bounds) - 1):
                    start, size = _chunk(self._metadata.row_group(group).column(leaf))
                    view = self._content.view(start, size)
                    for page in pages(view, self.where):
                        self.budget.take(page.size + 8 * page.values)
            read = self._file(self._content).read(names)
            return {name: numbers_of(read.column(name), self.where) for name in names}

    def decoder(self, *, shares: bool = False) -> Decoder:
        """Return what yields vectors; see `PartedTable`."""
        content = self._source.again(self._content)
        names = list(self.columns.vectors)
        size = BLOCK_BYTES if self.columns.lists else _BLOCK_OF_COLUMNS * BLOCK_BYTES
        rows = max(1, size // (self.dim * self.dtype.itemsize))

        def blocks(group: int) -> Generator[Decoded]:
            with self.refusing(), ExitStack() as held:
                start, stop = self.bounds[group : group + 2].tolist()
                if not self._chunks[group]:
                    return
                need = sum(
                    self._check_pages(content, group, 1 + place)
                    for place in range(len(names))
                )
                if shares:
                    held.enter_context(self.budget.lend(need))
                file = self._file(content, metadata=self._metadata)
                for batch in file.iter_batches(
                    rows, [group], names, use_threads=not self.columns.lists
                ):
                    arrays = [batch.column(name) for name in names]
                    found = decoded(arrays, self.dim, self.dtype, self.where, start)
                    start += len(found[0])
                    yield found
                if start != stop:
                    raise self.damaged(f"row group {group} has other rows than it says")

        return blocks

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def _file(self, content: FileBytes, **options: Any) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(
            content.opened(),
            pre_buffer=False,
            page_checksum_verification=True,
            **options,
        )

    def _check_ends(self) -> None:
        size = self._content.size
        if bytes(self._content.view(max(0, size - 4), min(4, size))) != _MAGIC:
            raise TruncatedError(
                f"{self.where}: {size:,} bytes that do not end as a Parquet file does; "
                "its end is missing, copy or download it again"
            )

    def _find_chunks(self) -> list[list[_Chunk]]:
        """Return where the columns lie, row group by row group; no two overlap."""
        chunks = [
            [
                _chunk(self._metadata.row_group(group).column(leaf))
                for leaf in self._leaves
            ]
            if rows
            else []
            for group, rows in enumerate(np.diff(self.bounds).tolist())
        ]
        end = len(_MAGIC)
        for start, size in sorted(chunk for group in chunks for chunk in group):
            if start < end or size < 0 or start + size > self._content.size:
                raise self.damaged(
                    f"a column at byte {start:,} of {size:,} bytes overlaps another, "
                    "or does not lie within the file"
                )
            end = start + size
        return chunks

    def _view(
        self, group: int, place: int, content: FileBytes | None = None
    ) -> memoryview:
        start, size = self._chunks[group][place]
        return (content or self._content).view(start, size)

    def _check_pages(self, content: FileBytes, group: int, place: int) -> int:
        """Return how much memory the pages of a column ask for while they are read.

        Raises `FormatError` where that is more than there may be.
        """
        values = largest = 0
        for page in pages(self._view(group, place, content), self.where):
            values += page.values
            largest = max(largest, page.size)
            if max(largest, values * self.dtype.itemsize) > self.budget.total:
                raise self.budget.spent()
        return largest + values * self.dtype.itemsize

    def _leaf(self, name: str) -> int:
        """Return which column of the file has a column of the table."""
        found = self._paths.get(name, [])
        found = found or [
            number
            for path, numbers in self._paths.items()
            if path.startswith(f"{name}.")
            for number in numbers
        ]
        if len(found) != 1:
            raise FormatError(
                f"{self.where}: {len(found)} columns of the file belong to {name!r}; "
                "expected one"
            )
        return found[0]

    def _dim(self) -> int:
        """Return the length of the lists: as the counts say, or as most have it."""
        counts = [
            (group.column(self._leaves[1]).num_values, group.num_rows)
            for group in map(self._metadata.row_group, range(len(self._chunks)))
            if group.num_rows
        ]
        if not counts:
            return 0
        dim = int(counts[0][0] // counts[0][1])
        if dim and all(values == dim * rows for values, rows in counts):
            return dim
        name = self.columns.vectors[0]
        for group in np.flatnonzero(np.diff(self.bounds)).tolist():
            self._check_pages(self._content, group, 1)
            file = self._file(self._content)
            for batch in file.iter_batches(_SAMPLE, [group], [name]):
                if dim := usual_length(batch.column(name)):
                    return dim
        return 1  # no row has a vector, as is told with the first


def _chunk(column: Any) -> _Chunk:
    """Return where a column chunk lies, as pyarrow finds it."""
    start = column.data_page_offset
    dictionary = column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    return _Chunk(start, column.total_compressed_size)
