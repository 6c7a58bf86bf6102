"""Conversion from any readable vectors to any writable format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pretrained_embed as pe
from pretrained_embed import formats, former_names
from pretrained_embed.arrays import AnyProgress, PackedTokens, listener
from pretrained_embed.bits import DTYPES, MATRIX, Dtype, check_dtype
from pretrained_embed.errors import BY_LIMITS, OptionError, left_out
from pretrained_embed.files.reading import exists
from pretrained_embed.files.replacement import resolved
from pretrained_embed.formats import (
    HOLES,
    AnyLayout,
    Findings,
    PackedBlock,
    Reader,
    RowStream,
    sink,
)
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.library import Given, Library
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    ``duplicates`` counts the selected rows with the token of an earlier one; they were
    written too, unless ``dropped``. ``missing`` are the tokens of ``vocab`` that the
    source lacks. ``findings`` are those of the source, ``notes`` name what the new file
    does not have.

    Examples
    --------
    >>> convert("vectors.txt", "vectors.npz").rows  # doctest: +SKIP
    400000
    """

    path: Path
    format: str
    source: str
    source_format: str
    rows: int
    dim: int
    dtype: Dtype
    duplicates: int
    dropped: bool
    missing: list[str]
    findings: Findings
    notes: list[str]


#: Former keywords of `convert`, and the present ones.
_FORMER = {**former_names.BAD_ROWS, **former_names.LIBRARY}


@left_out(BY_LIMITS)
def convert(
    source: Given,
    out: str | os.PathLike[str],
    *,
    format: str | None = None,
    vocab: AnyVocabulary | None = None,
    layout: AnyLayout = None,
    dtype: Dtype = "float32",
    drop_duplicates: bool = False,
    limit: int | None = None,
    limits: pe.Limits | None = None,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Conversion:
    """Write the vectors of a source in another format.

    The source itself is read, never a store of it. All rows are written, in their
    order. The new file reads back with the same values, or `WriteError` names the token
    or row that prevents it. It appears whole or not at all. One block of vectors is in
    memory at a time, and all tokens.

    Parameters
    ----------
    source, layout, library
        As in `open_vectors`.
    out : path
        The file to write.
    format : str, optional
        One of ``WRITABLE_FORMATS``; by default the suffix of ``out`` names it.
    vocab : Vocabulary or iterable of str, optional
        Write only the rows of these tokens.
    dtype : str, optional
        The dtype of the new vectors, if the format can hold it: "float32", "float64",
        or another one of `EmbeddingMatrix.astype`. If this package wrote the source in
        that dtype and all rows are written, the bits are copied.
    drop_duplicates : bool, default False
        Write only the first row of each token.
    limit : int, optional
        Write at most this many rows, the first ones; later blocks are not read.
    limits : Limits, optional
        ``Limits(bad_rows=...)`` says how many malformed rows may be left out; they are
        counted. By default the first is an error.
    progress : callable of (bytes, bytes in all or None), True or None
        Called in one or two passes.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Conversion
        What was written.

    Raises
    ------
    OptionError
        For an unknown format or dtype, for limits on the coverage, and if ``out`` would
        replace the source.
    WriteError
        If the format cannot hold a row, or the file cannot be written.

    Examples
    --------
    >>> convert("vectors.txt", "vectors.npz")  # doctest: +SKIP
    """
    former_names.refuse(former, _FORMER, convert)
    library, progress = Library.of(library), listener(progress)
    chosen = sink.choose(out, format)
    dtype = check_dtype(dtype, DTYPES)
    chosen.check_dtype(dtype)
    limits = pe.Limits.of_rows(limits, "convert")
    if limit is not None and limit < 1:
        raise OptionError(f"limit is {limit}; give the number of rows, from 1 on")
    if not (vocab is None or isinstance(vocab, Vocabulary)):
        vocab = Vocabulary.of(vocab, pad=None)
    opened = library.opened_once(source, layout=layout, progress=progress)
    with opened.reader as reader:
        _check_place(out, source, opened.paths)
        passing = RowFilter(vocab, drop=drop_duplicates, limit=limit)
        whole = chosen.whole and not passing.chooses
        if limits.on_bad_row == "skip":
            reader.find_faults()  # if there are bad rows, `rows` has no number
        rows = reader.rows(progress) if whole else None
        if rows is None:
            blocks = reader.packed_blocks(
                on_bad_row=limits.on_bad_row, progress=progress
            )
            rows = RowStream(reader.dim, _bounded(blocks, reader, limits))
        provenance = {"source": opened.provenance, "versions": pe.versions()}
        rows = replace(
            rows,
            blocks=passing.through(rows),
            dtype=dtype,
            metadata=rows.metadata or {"provenance": provenance},
        )
        formats.write_rows(out, rows, format=chosen.name, progress=progress)
        return Conversion(
            path=Path(out),
            format=chosen.name,
            source=reader.name,
            source_format=reader.format,
            rows=passing.rows,
            dim=reader.dim,
            dtype=dtype,
            duplicates=passing.duplicates,
            dropped=drop_duplicates,
            missing=passing.missing(),
            findings=reader.findings,
            notes=_notes(reader, rows),
        )


def _check_place(
    out: str | os.PathLike[str], source: Given, opened: Sequence[Path]
) -> None:
    """Raise `OptionError` if the new file would replace the source."""
    read = [*opened]
    if isinstance(source, str | bytes | os.PathLike):
        words = os.path.expanduser(os.fsdecode(source))  # noqa: PTH111  (a name may begin with ~)
        parts = words.split("#")  # archive.zip#member, or a file of such a name
        read += [Path("#".join(parts[:end])) for end in range(1, len(parts) + 1)]
    target = resolved(os.fspath(out))
    for path in read:
        if not (exists(target) and exists(path)):
            continue
        if target.samefile(path) or (
            path.is_dir() and path.resolve() in target.parents
        ):
            raise OptionError(
                f"{os.fspath(out)!r} would take the place of what is read; name "
                "another file"
            )


def _bounded(
    blocks: Iterable[PackedBlock], reader: Reader, limits: pe.Limits
) -> Iterator[PackedBlock]:
    """Yield the blocks; at their end raise `RowError` for too many malformed rows."""
    yield from blocks
    limits.check_rows(reader.findings, reader.name)


def _notes(reader: Reader, rows: RowStream) -> list[str]:
    notes = []
    if rows.dtype in MATRIX[1:] and rows.dtype != reader.dtype:
        notes.append(f"numbers were rounded to {rows.dtype}")
    kept = reader.rows()
    if kept is not None and kept.arrays and not rows.arrays:
        notes.append(
            "tokens and vectors were taken; what else the source says of its rows was "
            "left behind"
        )
    return notes


class RowFilter:
    """Passes the selected rows on, and counts them.

    With a ``vocabulary`` they are the rows of its tokens except the pad, and with
    ``drop`` the first row of each token; at most ``limit``. The tokens are kept in
    memory.
    """

    def __init__(
        self, vocabulary: Vocabulary | None, *, drop: bool, limit: int | None = None
    ) -> None:
        self.rows = 0
        self._limit = limit
        self.duplicates = 0
        self._seen: set[bytes] = set()
        self._drop = drop
        self._wanted: set[bytes] | None = None
        if vocabulary is not None:
            pad = vocabulary.pad_token
            tokens = [t for t in vocabulary.tokens if t is not None and t != pad]
            self._wanted = set(PackedTokens.pack(tokens).split())

    @property
    def chooses(self) -> bool:
        """Whether rows may be left out."""
        return self._drop or self._wanted is not None or self._limit is not None

    def through(self, rows: RowStream) -> Iterator[AnyBlock]:
        """Yield the selected rows."""
        listed = rows.arrays.get(HOLES)
        holes = set() if listed is None else set(listed.tolist())
        for block in rows.blocks:
            passed = block
            if self.chooses and isinstance(block, PackedBlock):
                passed = self._chosen(block)
            if not self._drop:
                self._count(passed.tokens.split(), holes)
            self.rows += len(passed.tokens)
            if len(passed.tokens):
                yield passed
            if self._left == 0:
                return

    @property
    def _left(self) -> int | None:
        """Return how many rows may still be written; ``None`` for any number."""
        return None if self._limit is None else self._limit - self.rows

    def missing(self) -> list[str]:
        """Return the tokens of the vocabulary that the source lacks."""
        left = (self._wanted or set()) - self._seen
        return sorted(PackedTokens.join(list(left)).unpack())

    def _chosen(self, block: PackedBlock) -> PackedBlock:
        rows: list[int] = []
        chosen: list[bytes] = []
        for row, token in enumerate(block.tokens.split()):
            if len(rows) == self._left:
                break
            if self._wanted is not None and token not in self._wanted:
                continue
            if self._drop and token in self._seen:
                self.duplicates += 1
                continue
            if self._drop:
                self._seen.add(token)
            rows.append(row)
            chosen.append(token)
        return PackedBlock(PackedTokens.join(chosen), block.vectors[rows])

    def _count(self, tokens: list[bytes], holes: set[int]) -> None:
        if holes:
            rows = enumerate(tokens, self.rows)
            tokens = [token for row, token in rows if row not in holes]
        before = len(self._seen)
        self._seen.update(tokens)
        self.duplicates += before + len(tokens) - len(self._seen)
