"""Files that are often given as a vocabulary by mistake, found by their beginning.

They are files of vectors (vocabulary and source were swapped), counts after a blank,
tables, lines that end in blanks, and binary files. A file of vectors may have
gigabytes, so only its first bytes are checked, before the rest is read.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from pretrained_embed.errors import VocabularyError, brief

#: How many bytes are checked, and at most how many lines of them.
HEAD_SIZE, _LINES = 1 << 18, 200

#: The beginning of a coverage report as CSV, plain and guarded.
REPORT = (b"id,token,count,", b"id,guarded token,count,")

#: A line with this many integers is a vector; of other numbers two are enough.
_WHOLE = 8
#: With this many lines that end in numbers, the numbers are counts, in any order.
_MANY = 10

_UNPACK = "unpack it first, as in: {} | pretrained-embed build --vocab -"
_COLUMN = (
    "take the column of its tokens, as in Vocabulary.of(pandas.{}({{!r}})[COLUMN])"
)
_TABLE = "a column of it is read where no other kind is asked for: {!r}, or FILE#COLUMN"
_VECTORS = "it holds vectors: give it as the source (--source), not as the vocabulary"
_MATRIX = (
    "if a matrix was saved in it, its vocabulary is load_matrix({!r}).vocabulary; if "
    "it holds vectors, give it as the source (--source)"
)
_LIST = "give a UTF-8 text file with one token a line, JSON, or a tokenizer's file"


class _Kind(NamedTuple):
    """Files that begin with ``magic``: their kind, and a remedy."""

    magic: bytes
    what: str
    remedy: str = _LIST


_PICKLE = (
    "which is never run: open it where it was made, and write its tokens down, one a "
    "line"
)
_KINDS = (
    *(_Kind(bytes((0x80, n)), "a pickle", _PICKLE) for n in (2, 3, 4, 5)),
    *(_Kind(start, "a pickle", _PICKLE) for start in (b"]q\0", b"}q\0")),
    _Kind(b"PK\x05\x06", "an empty zip archive"),
    _Kind(
        b"PK\x03\x04",
        "a zip archive",
        "unpack it, and give the file in it; .npz, .pt and .xlsx are such, too: "
        + _MATRIX,
    ),
    _Kind(b"\x1f\x8b", "compressed with gzip", _UNPACK.format("gzip -dc {!r}")),
    _Kind(b"BZh", "compressed with bzip2", _UNPACK.format("bzip2 -dc {!r}")),
    _Kind(b"\xfd7zXZ\x00", "compressed with xz", _UNPACK.format("xz -dc {!r}")),
    _Kind(
        b"\x28\xb5\x2f\xfd",
        "compressed with Zstandard",
        _UNPACK.format("zstd -dc {!r}"),
    ),
    _Kind(b"\x04\x22\x4d\x18", "compressed with LZ4", _UNPACK.format("lz4 -dc {!r}")),
    _Kind(b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and give the file in it"),
    _Kind(b"\x89HDF\r\n\x1a\n", "an HDF5 file", _MATRIX),
    _Kind(
        b"\x93NUMPY",
        "a NumPy array",
        "an array (n,) of whole numbers is read; if it holds tokens, "
        "Vocabulary.of(numpy.load({0!r})) takes them; "
        + _MATRIX.replace("{!r}", "{0!r}"),
    ),
    _Kind(b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    _Kind(b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    _Kind(b"PAR1", "a Parquet file", _TABLE),
    _Kind(b"ARROW1", "an Arrow file", _TABLE),
    _Kind(b"FEA1", "a Feather file", _COLUMN.format("read_feather")),
    _Kind(b"SQLite format 3\0", "an SQLite database (as .magnitude is)", _VECTORS),
    _Kind(b"FiFu", "a finalfusion file", _VECTORS),
    _Kind(b"\xba\x16\x4f\x2f", "a model of fastText", _VECTORS),
    _Kind(b"GGUF", "a GGUF model"),
    _Kind(b"%PDF", "a PDF"),
)

#: The beginnings of pickles in text form: of a list, a dict, a Counter, any object.
_TEXT_PICKLE = re.compile(rb"(?:\([ld]p\d+\n|c(?:collections|copy_reg)\n\w+\n[pq(])")

_NUMBER = rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?:nan|inf)"
_IS_NUMBER = re.compile(_NUMBER, re.IGNORECASE)
_SHAPE = re.compile(rb"[ \t]*([0-9]{1,12})[ \t]+([0-9]{1,7})[ \t]*\r?")
_BETWEEN = re.compile(rb"[ \t,;|]+")
_TAB_COUNT = re.compile(rb".+\t[0-9]+\r?")
_BLANK_COUNT = re.compile(rb"([^\t]*[^ \t]) +([0-9]{1,18})[ \t]*\r?")
_COUNT_FIRST = re.compile(rb" *[0-9]{1,18} [^ ].*")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_JSON = re.compile(rb"\s*(?:\{\s*\"|\[\s*\"|\{\s*\}|\[\s*\])")
_GENSIM = re.compile(rb"[0-9]+\t.+\t[0-9]+")
_SCORE = re.compile(rb".+\t(?:-[0-9.e-]+|0)")
#: Usual names of columns of tokens.
_NAMES = frozenset(("token", "tokens", "word", "words", "term", "vocab", "vocabulary"))
_SEPARATORS = {b",": "commas", b";": "semicolons", b"\t": "tabs"}


def check_bytes(head: bytes, name: str) -> None:
    """Raise `VocabularyError` if the first bytes are not those of a vocabulary."""
    if _TEXT_PICKLE.match(head):
        raise _not_a_vocabulary(name, "a pickle", _PICKLE)
    text = _is_text(head)
    for magic, what, remedy in _KINDS:
        if head.startswith(magic) and not text:  # a token may begin with PAR1 or BZh
            raise _not_a_vocabulary(name, what, remedy.format(name))
    if head[257:262] == b"ustar":
        raise _not_a_vocabulary(
            name, "a tar archive", "unpack it, and give the file in it"
        )
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        raise _not_a_vocabulary(name, "a safetensors file", _MATRIX.format(name))
    first, _, rest = head.partition(b"\n")
    if _SHAPE.fullmatch(first) and _CONTROL.search(rest):
        raise _not_a_vocabulary(name, "a binary file of word2vec", _VECTORS)


def may_be_read(head: bytes) -> bool:
    """Return whether the rest may be read: text, or a model of SentencePiece."""
    return head.startswith(b"\n") or _utf8(head)


def _is_text(head: bytes) -> bool:
    return _utf8(head) and not _CONTROL.search(head)


def _utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8; the last character may be incomplete."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start > len(data) - 4 and error.reason == "unexpected end of data"
    return True


def _not_a_vocabulary(name: str, what: str, remedy: str) -> VocabularyError:
    return VocabularyError(f"{name} is {what}, not a vocabulary: {remedy}")


def check_lines(head: bytes, name: str, *, whole: bool) -> None:
    """Raise `VocabularyError` if the lines of a text are not one token each.

    With ``whole``, ``head`` is the whole file; else its last line may be incomplete.
    """
    if name.lower().endswith(".json") or _JSON.match(head) or head.startswith(b"\n"):
        return  # JSON, or a model of SentencePiece
    if head.startswith(REPORT):
        return
    lines = head.split(b"\n")
    if not lines[-1] or (not whole and len(lines) > 1):
        del lines[-1]
    lines = [line.removesuffix(b"\r") for line in lines[:_LINES]]
    # other bytes that are not UTF-8 are reported with their line
    others = (_counts, _trailing_blanks, _table) if _utf8(head) else ()
    for found in (_vectors, *others):
        for what in found(lines, name):
            raise VocabularyError(
                f'{name}: {what}; kind="text" (--vocab-kind text) takes each line as '
                "a token as it is"
            )


def _vectors(lines: Sequence[bytes], name: str) -> Iterator[str]:
    """Yield the error if most lines are a token and the same number of numbers."""
    shape = _SHAPE.fullmatch(lines[0]) if lines else None
    rows = lines[1:] if shape and len(lines) > 1 else lines
    found = [_numbers(row) for row in rows]
    if not found:
        return
    dim = Counter(count for count, _ in found).most_common(1)[0][0]
    alike = [real for count, real in found if count >= dim]
    if 2 * len(alike) <= len(rows):
        return
    told = shape is not None and _tells(shape, len(rows), dim)
    real = 4 * sum(alike) >= len(alike)  # rows may be of integers only
    if told or dim >= _WHOLE or (dim > 1 and real):
        number = len(lines) - len(rows) + 1
        token = _BETWEEN.split(rows[0].strip())[0].decode("utf-8", "replace")
        cut = "cut -f1" if b"\t" in rows[0] else "cut -d' ' -f1"
        cut += f" {name}" if number == 1 else ""
        cut = cut if number == 1 else f"tail -n +2 {name} | {cut}"
        yield (
            f"it holds vectors: line {number} is {brief(token)} and {dim} "
            f"number{'s' if dim > 1 else ''}. Give it as the source (--source), and "
            "the vocabulary as --vocab; were the two swapped? Its tokens alone are a "
            f"vocabulary: {cut} > tokens.txt"
        )


def _tells(shape: re.Match[bytes], rows: int, dim: int) -> bool:
    """Return whether a first line of two numbers is the shape of the rows after it."""
    count, width = sorted((int(shape[1]), int(shape[2])), key=lambda n: n == dim)
    return width == dim > 0 and count >= rows


def _numbers(line: bytes) -> tuple[int, bool]:
    """Return how many numbers a line ends in, and whether one of them is no integer."""
    count, real = 0, False
    fields = _BETWEEN.split(line.strip())
    for field in reversed(fields[1:]):
        if not _IS_NUMBER.fullmatch(field):
            break
        count += 1
        real = real or not field.lstrip(b"+-").isdigit()
    return count, real


def _counts(lines: Sequence[bytes], name: str) -> Iterator[str]:
    """Yield the error if all lines are a token, a blank and a count.

    Phrases may also end in numbers (``route 66``, ``in 1999``). A few numbers are taken
    for counts only if they descend and no token is there twice.
    """
    if len(lines) < 2:
        return
    found = [match for line in lines if (match := _BLANK_COUNT.fullmatch(line))]
    counts = [int(match[2]) for match in found]
    many = len(lines) >= _MANY
    falling = len(lines) > 2 and all(a >= b for a, b in pairwise(counts))
    falling = falling and counts[:1] > counts[-1:]
    distinct = len({match[1] for match in found}) == len(lines)
    if len(found) == len(lines) and counts == [*range(len(lines))] and many:
        yield (
            "the lines are TOKEN ID with a blank between; where the ids are in order, "
            f"the tokens alone are the vocabulary: cut -d' ' -f1 {name} > tokens.txt"
        )
    if len(found) == len(lines) and distinct and (falling or many):
        yield (
            "the lines are TOKEN COUNT with a blank between, as GloVe's vocab_count "
            'writes them; kind="counts" (--vocab-kind counts) reads them'
        )
    if all(map(_COUNT_FIRST.fullmatch, lines)) and lines[0].startswith(b"  "):
        yield (
            "the lines are COUNT TOKEN, as uniq -c writes them; turn them round: "
            f"""awk -v OFS='\\t' '{{print $2, $1}}' {name} > counts.txt"""
        )


def _trailing_blanks(lines: Sequence[bytes], name: str) -> Iterator[str]:
    """Yield the error if most lines end in a blank or a tab."""
    ending = [line for line in lines if len(line) > 1 and line[-1:] in (b" ", b"\t")]
    if len(ending) > 1 and 2 * len(ending) > len(lines):
        yield (
            f"line {lines.index(ending[0]) + 1} is "
            f"{brief(ending[0].decode('utf-8', 'replace'))}: lines end in blanks, "
            "which would belong to the tokens; take them off: "
            f"sed 's/[[:blank:]]*$//' {name} > tokens.txt"
        )


def _table(lines: Sequence[bytes], name: str) -> Iterator[str]:
    """Yield the error if all lines have the same number of separators of a table."""
    if len(lines) < 3:  # they may still be tokens
        return
    texts = [line.decode("utf-8", "replace") for line in lines]
    for separator, called in _SEPARATORS.items():
        try:
            rows = list(csv.reader(texts, delimiter=separator.decode()))
        except csv.Error:
            continue
        widths = set(map(len, rows))
        if len(widths) > 1 or min(widths) < 2 or not all(lines):
            continue
        column = _column(rows)
        if separator != b"\t" and (column is None or not _columns(texts, rows)):
            continue
        if separator == b"\t" and (
            _TAB_COUNT.fullmatch(lines[0])  # counts
            or all(map(_SCORE.fullmatch, lines))  # of SentencePiece
            or all(map(_GENSIM.fullmatch, lines))
        ):
            continue
        cut = "" if separator == b"\t" else f"-d'{separator.decode()}' "
        yield (
            f"the lines have columns with {called} between (line 1 is "
            f"{brief(texts[0])}); take the column of the "
            f"tokens, as in: cut {cut}-f{(column or 0) + 1} {name} | "
            "pretrained-embed build --vocab - (tail -n +2 leaves a line of names out), "
            "or in Python "
            "Vocabulary.of(pandas.read_csv(path)[COLUMN]). Where line 1 has names, "
            f"{name}#COLUMN names one"
        )


def _column(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the first column that has more than numbers below its first line."""
    for place, values in enumerate(zip(*rows[1:], strict=True)):
        if not all(map(_is_number, values)):
            return place
    return None


def _columns(texts: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether commas or semicolons separate columns, and are not in tokens.

    They do if fields are quoted, if a column has only numbers, or if the first line has
    the usual name of a column. Tokens may have such characters too: ``1,000``,
    ``&amp;``, ``Paris, Texas``.
    """
    quoted = all(text.startswith('"') for text in texts)
    numbers = any(
        all(map(_is_number, values)) for values in zip(*rows[1:], strict=True)
    )
    return quoted or numbers or not _NAMES.isdisjoint(map(str.lower, rows[0]))


def _is_number(text: str) -> bool:
    return _IS_NUMBER.fullmatch(text.strip().encode()) is not None
