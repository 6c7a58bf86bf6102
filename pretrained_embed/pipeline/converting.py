"""From any vectors that can be read to any format that can be written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pretrained_embed import formats, sources
from pretrained_embed.errors import OptionError
from pretrained_embed.formats import HOLES, Block, Findings, Reader, RowStream, writing
from pretrained_embed.formats.reader import OnBadRow, Progress
from pretrained_embed.formats.row_stream import Dtype
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.pipeline.building import versions
from pretrained_embed.pipeline.opening import Folder
from pretrained_embed.sources import Source
from pretrained_embed.vocabulary import Vocabulary


@dataclass(frozen=True)
class Conversion:
    """What `convert` has done.

    ``duplicates`` counts the rows whose token stood in an earlier one, of those that
    were asked for; they were written too, unless ``dropped``. ``missing`` are the
    tokens that were asked for and are not in the source. ``findings`` is what reading
    the source found, ``notes`` what did not go into the new file.
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


def convert(
    source: Source,
    out: str | os.PathLike[str],
    *,
    format: str | None = None,
    vocab: Vocabulary | Iterable[str] | Mapping[str, int] | None = None,
    dtype: Dtype = "float32",
    drop_duplicates: bool = False,
    on_bad_row: OnBadRow = "error",
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write the vectors of ``source`` to ``out`` in another format.

    ``source``, ``cache_dir``, ``offline`` and ``catalog`` are as in `open_vectors`; the
    source itself is read, never a store of it. ``format`` is one of
    `WRITABLE_FORMATS`, by default as the suffix of ``out`` says. All rows are written,
    in their order: with ``vocab`` those of its tokens only, with ``drop_duplicates``
    the first of each token only. ``on_bad_row="skip"`` leaves malformed rows out and
    counts them. ``dtype`` is what vectors are kept as, where the format can hold it.

    Vectors pass through memory a block at a time, whatever their number; the tokens
    stay in it. ``progress`` is called with bytes done, and bytes in all or ``None``, in
    one or two passes.

    What is written reads back as it was read, or `WriteError` says which token or row
    stops it; ``out`` appears whole or not at all. Raises `OptionError` for a format or
    dtype that there is none of, and where ``out`` would take the place of the source;
    else as `open_vectors` and `Reader.blocks` do.
    """
    format = writing.choose(out, format)
    writing.check_dtype(dtype, format)
    vocabulary = None if vocab is None else Vocabulary.of(vocab)
    stream = sources.open_source(
        source, cache_dir=cache_dir, offline=offline, catalog=catalog, progress=progress
    )
    _check_place(out, source, stream.path)
    with formats.open_reader(stream) as reader:
        passing = _Passing(vocabulary, drop=drop_duplicates)
        whole = writing.holds_all(format) and not passing.chooses
        if whole and isinstance(reader, TableReader):
            rows = reader.rows(progress)
        else:
            blocks = reader.blocks(on_bad_row=on_bad_row, progress=progress)
            rows = RowStream(reader.dim, blocks)
        provenance = {"source": dict(stream.provenance), "versions": versions()}
        rows = replace(
            rows,
            blocks=passing.through(rows),
            dtype=dtype,
            metadata=rows.metadata or {"provenance": provenance},
        )
        formats.write_rows(out, rows, format=format, progress=progress)
        return Conversion(
            path=Path(out),
            format=format,
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
    out: str | os.PathLike[str], source: Source, opened: Path | None
) -> None:
    """Raise `OptionError` where the new file would take the place of what is read."""
    read = [] if opened is None else [opened]
    if isinstance(source, str | bytes | os.PathLike):
        words = os.path.expanduser(os.fsdecode(source))  # noqa: PTH111  (a name may begin with ~)
        parts = words.split("#")  # archive.zip#member, or a file of such a name
        read += [Path("#".join(parts[:end])) for end in range(1, len(parts) + 1)]
    target = Path(os.path.realpath(out))
    for path in read:
        if not (target.exists() and path.exists()):
            continue
        if target.samefile(path) or (
            path.is_dir() and path.resolve() in target.parents
        ):
            raise OptionError(
                f"{os.fspath(out)!r} would take the place of what is read; name "
                "another file"
            )


def _notes(reader: Reader, rows: RowStream) -> list[str]:
    notes = []
    if rows.dtype == "float16":
        notes.append("numbers were rounded to float16")
    if isinstance(reader, TableReader) and not rows.arrays and reader.rows().arrays:
        notes.append(
            "tokens and vectors were taken; what else the source says of its rows was "
            "left behind"
        )
    return notes


class _Passing:
    """Lets the rows through that were asked for, and counts them."""

    def __init__(self, vocabulary: Vocabulary | None, *, drop: bool) -> None:
        self.rows = 0
        self.duplicates = 0
        self._seen: set[str] = set()
        self._drop = drop
        self._wanted: set[str] | None = None
        self._pad = None
        if vocabulary is not None:
            self._wanted = {token for token in vocabulary.tokens if token is not None}
            self._pad = vocabulary.pad_token

    @property
    def chooses(self) -> bool:
        """Whether it may leave rows out."""
        return self._drop or self._wanted is not None

    def through(self, rows: RowStream) -> Iterator[Block]:
        """Yield the rows that pass."""
        listed = rows.arrays.get(HOLES)
        holes = set() if listed is None else set(listed.tolist())
        for block in rows.blocks:
            passed = self._chosen(block) if self.chooses else block
            if not self._drop:
                self._count(passed.tokens, holes)
            self.rows += len(passed.tokens)
            if passed.tokens:
                yield passed

    def missing(self) -> list[str]:
        """Return the tokens that were asked for and did not come; a pad is none."""
        return sorted((self._wanted or set()) - self._seen - {self._pad})

    def _chosen(self, block: Block) -> Block:
        rows = []
        for row, token in enumerate(block.tokens):
            if self._wanted is not None and token not in self._wanted:
                continue
            if self._drop and token in self._seen:
                self.duplicates += 1
                continue
            if self._drop:
                self._seen.add(token)
            rows.append(row)
        return Block([block.tokens[row] for row in rows], block.vectors[rows])

    def _count(self, tokens: list[str], holes: set[int]) -> None:
        if holes:
            rows = enumerate(tokens, self.rows)
            tokens = [token for row, token in rows if row not in holes]
        before = len(self._seen)
        self._seen.update(tokens)
        self.duplicates += before + len(tokens) - len(self._seen)
