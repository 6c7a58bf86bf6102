"""CSV: fields between commas, semicolons or tabs, that may stand in quotes (RFC 4180).

The first line has the names of the columns, where its fields cannot be those of a row.
The tokens are the only column of text, else the first; the vectors are all columns of
numbers, or one whose fields are lists: ``"[0.1, 0.2]"``, ``[0.1 0.2]``.

Text with plain tabs is text, and stays so: `formats.text`. With tabs this is CSV where
line 1 has the names of columns, or quotes stand around numbers. No number or token is
read in two ways, for text is never asked about a file that is CSV.

https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

from pretrained_embed import kernel
from pretrained_embed.arrays import Progress
from pretrained_embed.errors import FormatError, OptionError, brief
from pretrained_embed.formats.columns import Column, Holds, choose
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import KnownLayout, with_columns
from pretrained_embed.formats.reader import HEAD_SIZE, ByteStream
from pretrained_embed.formats.records.reader import (
    BadRecordError,
    Record,
    RecordReader,
    check_count,
)

NAME = "csv"

_DELIMITERS = ",;\t"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 24
_SAMPLE = 200  # rows by which a layout is found out
_REMEDY = "name them: FILE#token=COLUMN,vector=COLUMN"
_LIST = re.compile(r"\s*\[?([^\[\]]*)\]?\s*", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;]+")
#: Columns of whole numbers that are no part of a vector.
_NOT_OF_VECTORS = frozenset(
    ("", "id", "index", "count", "counts", "freq", "frequency", "rank", "unnamed: 0")
)
#: Whole numbers, and those that are rather the parts of one with a decimal comma.
_WHOLE, _IN_PARTS = re.compile(r"[-+]?\d+"), re.compile(r"-0$|[-+]?0\d")
#: What stands above a column of tokens, where line 1 numbers the others.
_LABELS = frozenset(("", "word", "token", "words", "tokens", "index", "id", "key"))

#: Of fields of these alone `float` thinks as the kernel does.
_PLAIN = b"0123456789+-.eE,"
_SHOWN = 40


class CsvLayout(NamedTuple):
    """How a file is laid out."""

    delimiter: str
    header: bool
    width: int
    token: int
    vectors: list[int]
    lists: bool
    dim: int
    notes: list[Note]


def open_reader(
    stream: ByteStream, layout: KnownLayout | None = None
) -> CsvReader | None:
    """Return a reader, or ``None`` where the first lines are no CSV.

    Raises `FormatError` where they are, and no column has the tokens or the vectors.
    """
    known = with_columns(layout, stream)
    if known.separator is not None:
        return None  # with a separator that was told it is text
    found = _find_layout(stream, known)
    if found is None and stream.fragment is not None:
        raise FormatError(f"{stream.name}: its lines are no CSV, so it has no columns")
    return None if found is None else CsvReader(stream, found)


class CsvReader(RecordReader):
    """Reads the records of a CSV file."""

    def __init__(self, stream: ByteStream, layout: CsvLayout) -> None:
        super().__init__(stream, NAME, layout.dim, layout.notes)
        self.layout = layout

    def records(self, progress: Progress | None) -> Iterator[Record | BadRecordError]:
        """Yield all records. See `RecordReader`."""
        layout, size = self.layout, self._stream.size
        with self._stream.open() as file:
            lines = _DecodedLines(file, self.name)
            rows = csv.reader(lines, delimiter=layout.delimiter, strict=True)
            if layout.header:
                next(rows, None)
            line = rows.line_num + 1
            for number, fields in enumerate(rows):
                if fields or self.layout.width == 1:
                    yield self._record(fields, line)
                line = rows.line_num + 1
                if progress is not None and not number % 4096:
                    progress(lines.read, size)
            if progress is not None:
                progress(lines.read, lines.read if size is None else size)

    def _record(self, fields: list[str], line: int) -> Record | BadRecordError:
        layout = self.layout
        if len(fields) != layout.width:
            code = "text.short-row" if len(fields) < layout.width else "text.long-row"
            what = f"{len(fields):,} fields, {layout.width:,} expected"
            return BadRecordError(what, code, line)

        if not fields[layout.token]:
            return BadRecordError("no token", "text.row-without-token", line)

        def numbers() -> list[float]:
            if layout.lists:
                return _numbers_of_list(fields[layout.vectors[0]], layout.dim)
            return _numbers_of([fields[place] for place in layout.vectors])

        return Record(
            line, fields[layout.token].encode("utf-8", "surrogateescape"), numbers
        )


class _DecodedLines:
    """The lines of a file as text; bytes that are no UTF-8 are kept."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.read = 0
        self._file = file
        self._where = where
        self._lines = self._split()

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def _split(self) -> Iterator[str]:
        rest, first = b"", True
        while piece := self._file.read(_CHUNK):
            self.read += len(piece)
            if first:
                piece, first = piece.removeprefix(_BOM), False
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            if len(rest) > _LONGEST_LINE:
                raise FormatError(
                    f"{self._where}: a line has more than {_LONGEST_LINE >> 20} MiB; "
                    "it is no CSV, or damaged"
                )
            for line in lines:
                yield line.decode("utf-8", "surrogateescape") + "\n"
        if rest:
            yield rest.decode("utf-8", "surrogateescape")


def _find_layout(stream: ByteStream, known: KnownLayout) -> CsvLayout | None:
    head = stream.head(HEAD_SIZE)
    for delimiter in _DELIMITERS:
        rows = _sample(head, delimiter, whole=len(head) < HEAD_SIZE)
        marked = _is_quoted(head) or _has_names(rows) or _has_lists(rows)
        if delimiter == "\t" and not marked:
            continue  # text reads it, or says what is wrong
        if rows and (found := _layout_of(rows, delimiter, stream.name, known)):
            return found
    return None


def _sample(head: bytes, delimiter: str, *, whole: bool) -> list[list[str]]:
    """Return the first records, or none where they are not CSV with this delimiter."""
    text = head.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if not whole:
        lines.pop()
    lines = [f"{line}\n" for line in lines]
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        rows = [row for row in islice(reader, _SAMPLE) if row]
    except csv.Error:
        return []
    widths = Counter(map(len, rows))
    width, often = max(widths.items(), key=lambda item: item[1], default=(0, 0))
    if width < 2 or 2 * often <= len(rows) or len(rows[0]) != width:
        return []
    if any(_is_spaced(row) or _cuts_list(row) for row in rows):
        return []
    return [row for row in rows if len(row) == width]


def _is_quoted(head: bytes) -> bool:
    """Whether quotes stand around the last field of the first line, a number."""
    first = head.partition(b"\n")[0].rstrip(b"\r")
    return re.search(rb'\t"[-+0-9.eE]+"$', first) is not None


def _has_names(rows: list[list[str]]) -> bool:
    """Whether the fields of line 1 are names, and those below are numbers."""
    if len(rows) < 2 or any(map(_is_number, rows[0][1:])):
        return False
    return len({*rows[0]}) == len(rows[0]) and any(map(_is_number, rows[1]))


def _has_lists(rows: list[list[str]]) -> bool:
    """Whether brackets stand around the last fields, which are lists of numbers."""
    last = [row[-1] for row in rows[1:] or rows]
    return bool(last) and all(f[:1] == "[" and f[-1:] == "]" for f in last)


def _is_spaced(row: list[str]) -> bool:
    """Whether blanks stand beside separators."""
    return any(f != f.strip(" \t") and _is_number(f.strip(" \t")) for f in row[1:])


def _cuts_list(row: list[str]) -> bool:
    """Whether separators stand within brackets that no quotes keep together."""
    return any("[" in f and "]" not in f for f in row) and row[-1][-1:] == "]"


def _holds_numbers(rows: list[list[str]]) -> bool:
    """Whether most first fields are a token, a blank and a number."""
    ends = [re.split("[ \t]", row[0])[1:][-1:] for row in rows]
    return 2 * sum(bool(end) and _is_number(end[0]) for end in ends) > len(rows)


def _layout_of(
    rows: list[list[str]], delimiter: str, where: str, known: KnownLayout
) -> CsvLayout | None:
    below = rows[1:] or rows
    kinds = _kinds(below)
    if not any(kind in ("floats", "whole", "lists") for kind in kinds):
        return None
    header = known.header
    if header is None:
        header = _is_header(rows, kinds)
    if header and len(rows) == 1:
        return None
    if not header and any(
        kind == "lists" and "[" not in below[0][place]
        for place, kind in enumerate(kinds)
    ):
        return None  # of tokens with a comma, or of numbers with decimal commas
    if not header and _holds_numbers(rows):
        return None
    if not header and (known.token is not None or known.vector is not None):
        raise OptionError(
            f"{where}: line 1 has no names of columns, so none can be named"
        )
    names = rows[0] if header else [f"field {place + 1}" for place in range(len(kinds))]
    numbers = "text" not in kinds
    if numbers:  # as in text, the first are the tokens
        kinds[0] = "text"
    columns = [
        Column(name, _held(name, kind, [row[place] for row in below], header=header))
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    if known.vector is None and not {"floats", "lists"} & {c.holds for c in columns}:
        return None  # a table of words and their counts
    chosen = choose(
        columns, where, token=known.token, vector=known.vector, remedy=_REMEDY
    )
    token = 0 if chosen.token is None else chosen.token
    if token and not header:
        return None  # only names tell that tokens stand behind their numbers
    dim = len(chosen.vectors)
    if chosen.listed:
        lengths = Counter(len(_fields_of(row[chosen.vectors[0]])) for row in below)
        dim = max(lengths.items(), key=lambda item: item[1])[0]
    if known.dim not in (None, dim):
        raise FormatError(
            f"{where}: the layout says dim={known.dim}, and rows have {dim} numbers",
            code="text.layout-differs",
        )
    vectors = [row[place] for row in below for place in chosen.vectors]
    whole = not header and all(map(_WHOLE.fullmatch, vectors))
    if whole and delimiter == "," and any(map(_IN_PARTS.match, vectors)):
        raise FormatError(
            f"{where}: the numbers have decimal commas, and commas separate the "
            "fields; write points",
            code="text.bad-number",
        )
    notes: list[Note] = [*chosen.notes]
    if numbers:
        what = (
            "all fields are numbers, and the first of each row is taken for its token"
        )
        notes.append(Note("assumed.numbers-are-tokens", what))
    if header and _numbers_columns(rows[0]):
        what = "line 1 numbers the columns, and was left out"
        notes.append(Note("text.column-numbers", what))
    return CsvLayout(
        delimiter, header, len(kinds), token, chosen.vectors, chosen.listed, dim, notes
    )


def _kinds(rows: list[list[str]]) -> list[Holds]:
    """Return what most fields of each column are that are not empty."""
    kinds: list[Holds] = []
    for place in range(len(rows[0])):
        cells = [row[place] for row in rows if row[place]]
        # most tokens may be numbers, too
        most = len(cells) * (0.5 if place else 0.9)
        if sum(map(_is_number, cells)) > most:
            kinds.append("floats")
        else:
            lists = sum(map(_is_list, cells)) > most
            kinds.append("lists" if lists else "text")
    return kinds


def _held(name: str, kind: Holds, cells: list[str], *, header: bool) -> Holds:
    """Return what a column holds; ids and counts are no numbers of vectors."""
    if kind != "floats" or not header:
        return kind
    whole = all(cell.isascii() and cell.isdigit() for cell in cells)
    return "whole" if whole and name.lower() in _NOT_OF_VECTORS else kind


def _is_header(rows: list[list[str]], kinds: list[Holds]) -> bool:
    """Whether line 1 has names of columns where the others have numbers."""
    if len(rows) < 2:
        return False
    numeric = [place for place, kind in enumerate(kinds) if kind != "text"]
    first = rows[0]
    named = [p for p in numeric if not (_is_number(first[p]) or _is_list(first[p]))]
    if numeric and len(named) == len(numeric):
        return len({*first}) == len(first)
    return "lists" not in kinds and _numbers_columns(first)


def _numbers_columns(row: list[str]) -> bool:
    """Whether fields are 0, 1, 2, ... or 1, 2, 3, ..., and the others are names."""
    numbers = [field.removesuffix(".0") for field in row if _is_number(field)]
    others = {field.lower() for field in row if not _is_number(field)}
    if not numbers or numbers[0] not in ("0", "1") or others.isdisjoint(_LABELS):
        return False
    begin = int(numbers[0])
    return numbers == [str(begin + place) for place in range(len(numbers))]


def _is_list(cell: str) -> bool:
    fields = [field for field in _fields_of(cell) if field != "..."]
    bracketed = cell.lstrip()[:1] == "[" or len(fields) > 1
    return bool(fields) and bracketed and all(map(_is_number, fields[:4]))


def _fields_of(cell: str) -> list[str]:
    """Return the numbers of a list in a field, as text."""
    inside = _LIST.fullmatch(cell)
    return [] if inside is None else [f for f in _BETWEEN.split(inside[1]) if f]


def _numbers_of_list(cell: str, dim: int) -> list[float]:
    fields = _fields_of(cell)
    if not fields:
        raise BadRecordError(f"no list of numbers: {brief(cell)}")
    if "..." in fields:
        raise BadRecordError(
            "numpy has left out numbers (...) when it printed the list; write "
            "json.dumps(vector.tolist())"
        )
    check_count(len(fields), dim)
    return _numbers_of(fields)


def _numbers_of(fields: Sequence[str]) -> list[float]:
    """Return the numbers that fields are; raises `BadRecordError` naming one."""
    joined = ",".join(fields).encode("utf-8", "surrogateescape")
    if not joined.translate(None, _PLAIN):
        try:
            return [*map(float, fields)]
        except ValueError:
            pass  # one of them is none: which, is told below
    return [_number(field, place) for place, field in enumerate(fields, 1)]


def _number(field: str, place: int) -> float:
    found = _parsed(field)
    if found is None:
        raise BadRecordError(f"number {place:,} of the vector is {field[:_SHOWN]!r}")
    return found


def _is_number(field: str) -> bool:
    """Whether a field is a number."""
    return _parsed(field) is not None


def _parsed(field: str) -> float | None:
    return kernel.number(field.strip(" ").encode("utf-8", "surrogateescape"))
