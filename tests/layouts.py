"""Made text files of vectors: sound ones, and ones with each fault that people write.

`sound` makes a file of a layout, `faulty` one with a fault; both know their tokens and
vectors, so that what a reader makes of the file can be judged: see `outcome`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np

from pretrained_embed import formats
from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.sources.stream import Stream

#: How numbers are written, and which numbers.
STYLES: dict[str, Callable[[Random], str]] = {
    "fixed": lambda random: f"{random.gauss(0, 0.4):.6f}",
    "shortest": lambda random: f"{random.gauss(0, 0.4):.4g}",
    "exponents": lambda random: f"{random.gauss(0, 0.4):.5e}",
    "integers": lambda random: str(random.randrange(-9, 10)),
}

#: Kinds of tokens, each with a function from the number of a row to its token.
TOKENS: dict[str, Callable[[int], str]] = {
    "word": lambda i: f"word{i}",
    "letters": lambda i: "w" + "abcdefghij"[i % 10] * (1 + i // 10),
    "other-script": lambda i: f"第{i}字",
    "integer": lambda i: str(7 * i + 3),
    "decimal": lambda i: f"{i}.5",
    "dots": lambda i: " ".join("." * (1 + i)) if i < 9 else f". . . {i}x",
    "address": lambda i: f"at name{i}@domain.com",
    "two-words": lambda i: f"new york{chr(97 + i % 26)}{i // 26 or ''}",
    "ends-in-integer": lambda i: f"Route {66 + i}",
    "ends-in-decimal": lambda i: f"costs {i}.50",
    "thousands": lambda i: f"{1 + i} 000",
    "no-break-space": lambda i: f"\u00a0{i}\u00a0x",
    "next-line": lambda i: f"\u0085{i}",
    "quoted": lambda i: f'"{i}"',
    "quotes": lambda i: '"' * (1 + i) if i < 20 else f"''{i}",
    "uri": lambda i: f"/c/en/#####_{i}",
    "label": lambda i: f"__label__{i}x",
    "nearly-base64": lambda i: f"B64:{i:04d}==",
    "comma": lambda i: f"{i},",
    "hyphen": lambda i: f"-{i}-",
    "version": lambda i: f"python 2.{i}.1",
    "sentence": lambda i: f"This is no. {i}, or is it?",
}

#: What stands between numbers, and between token and numbers.
SEPARATORS = {"space": (" ", " "), "tab": ("\t", "\t"), "tab-space": (" ", "\t")}

HEADERS: dict[str, Callable[[int, int], str]] = {
    "none": lambda rows, dim: "",
    "count-dim": lambda rows, dim: f"{rows} {dim}\n",
    "dim-count": lambda rows, dim: f"{dim} {rows}\n",
    "count": lambda rows, dim: f"{rows}\n",
}


class Layout(NamedTuple):
    """What a made file is like."""

    rows: int
    dim: int
    header: str = "none"
    style: str = "fixed"
    kind: str = "word"  # of tokens
    every: int = 1  # which row has a token of the kind; the others are words
    separator: str = "space"
    fault: str = ""


class Made(NamedTuple):
    """A made file, and what it means."""

    layout: Layout
    raw: bytes
    tokens: list[str]
    vectors: np.ndarray  # float32 (rows, dim)


def _table(layout: Layout) -> tuple[list[str], list[list[str]]]:
    random = Random(repr(layout))
    kind, word = TOKENS[layout.kind], TOKENS["letters"]
    tokens = [kind(i) if i % layout.every == 0 else word(i) for i in range(layout.rows)]
    write = STYLES[layout.style]
    numbers = [[write(random) for _ in range(layout.dim)] for _ in tokens]
    return tokens, numbers


def _meant(numbers: list[list[str]]) -> np.ndarray:
    return np.array([[float(n) for n in row] for row in numbers], np.float32)


def _joined(layout: Layout, rows: list[list[str]], between: str, before: str) -> str:
    head = HEADERS[layout.header](layout.rows, layout.dim)
    lines = [f"{token}{before}{between.join(row)}\n" for token, *row in rows]
    return head + "".join(lines)


def _as(between: str, before: str | None = None) -> Fault:
    """Return the fault of other separators."""
    first = between if before is None else before
    return lambda layout, rows: _joined(layout, rows, between, first)


def _numbers_as(write: Callable[[str], str]) -> Fault:
    """Return the fault of numbers that are written in another way."""

    def fault(layout: Layout, rows: list[list[str]]) -> str:
        written = [[token, *map(write, row)] for token, *row in rows]
        return _joined(layout, written, *SEPARATORS[layout.separator])

    return fault


def _text(change: Callable[[Layout, str], str]) -> Fault:
    """Return the fault of a sound text that was changed afterwards."""

    def fault(layout: Layout, rows: list[list[str]]) -> str:
        return change(layout, _joined(layout, rows, *SEPARATORS[layout.separator]))

    return fault


def _aligned(layout: Layout, rows: list[list[str]]) -> str:
    lines = [
        [token, *(n if n.startswith("-") else f" {n}" for n in row)]
        for token, *row in rows
    ]
    return _joined(layout, lines, " ", " ")


def _half_tabs(layout: Layout, rows: list[list[str]]) -> str:
    head = HEADERS[layout.header](layout.rows, layout.dim)
    marks = "\t", " "
    return head + "".join(marks[i % 2].join(r) + "\n" for i, r in enumerate(rows))


def _alternating(layout: Layout, rows: list[list[str]]) -> str:
    head = HEADERS[layout.header](layout.rows, layout.dim)
    lines = []
    for row in rows:
        marks = [" \t"[i % 2] for i in range(len(row) - 1)] + ["\n"]
        lines.append("".join(f + m for f, m in zip(row, marks, strict=True)))
    return head + "".join(lines)


def _column_numbers(start: int) -> Fault:
    def fault(layout: Layout, rows: list[list[str]]) -> str:
        first = [str(i) for i in range(start, start + layout.dim)]
        return _joined(layout, [["word", *first], *rows], *SEPARATORS[layout.separator])

    return fault


def _without_tokens(layout: Layout, rows: list[list[str]]) -> str:
    between, _ = SEPARATORS[layout.separator]
    head = HEADERS[layout.header](layout.rows, layout.dim)
    return head + "".join(between.join(row[1:]) + "\n" for row in rows)


def _false_header(more: int) -> Fault:
    def fault(layout: Layout, rows: list[list[str]]) -> str:
        text = _joined(
            layout._replace(header="none"), rows, *SEPARATORS[layout.separator]
        )
        return f"{layout.rows + 1} {layout.dim + more}\n{text}"

    return fault


def _short_row(layout: Layout, rows: list[list[str]]) -> str:
    cut = [*rows[:-1], rows[-1][:-1]]
    return _joined(layout, cut, *SEPARATORS[layout.separator])


def _quoted_tokens(layout: Layout, rows: list[list[str]]) -> str:
    quoted = [[f'"{token}"', *row] for token, *row in rows]
    return _joined(layout, quoted, *SEPARATORS[layout.separator])


def _in_base64(layout: Layout, rows: list[list[str]]) -> str:
    encoded = [
        ["B64:" + base64.b64encode(token.encode()).decode(), *row]
        for token, *row in rows
    ]
    text = _joined(layout._replace(header="none"), encoded, " ", " ")
    return f"{layout.rows} {layout.dim} 120\n{text}"


def _nan_in_half(layout: Layout, rows: list[list[str]]) -> str:
    spoilt = [
        [token, *row[:-1], "1.#QNAN"] if i % 2 else [token, *row]
        for i, (token, *row) in enumerate(rows)
    ]
    return _joined(layout, spoilt, *SEPARATORS[layout.separator])


#: A fault turns a layout and its rows into text.
Fault = Callable[[Layout, list[list[str]]], str]

FAULTS: dict[str, Fault] = {
    "doubled-spaces": _as("  "),
    "doubled-tabs": _as("\t\t"),
    "doubled-first": _as(" ", "  "),
    "aligned": _aligned,
    "space-then-tabs": _as("\t", " "),
    "tab-and-space": _as("\t "),
    "space-and-tab": _as(" \t"),
    "tab-and-space-first": _as(" ", "\t "),
    "comma-after-token": _as(" ", ", "),
    "semicolon-before-tab": _as("\t", ";\t"),
    "colon-after-token": _as(" ", ": "),
    "comma-space": _as(", "),
    "semicolon-space": _as("; "),
    "bar-spaces": _as(" | "),
    "comma": _as(","),
    "semicolon": _as(";"),
    "bar": _as("|"),
    "space-then-commas": _as(",", " "),
    "half-tabs": _half_tabs,
    "alternating": _alternating,
    "columns-from-0": _column_numbers(0),
    "columns-from-1": _column_numbers(1),
    "no-tokens": _without_tokens,
    "cr": _text(lambda _, text: text.replace("\n", "\r")),
    "cr-cr-lf": _text(lambda _, text: text.replace("\n", "\r\r\n")),
    "blank-end": _text(lambda _, text: text + "\n \n\n"),
    "blank-middle": _text(lambda _, text: text + "\n" + text.splitlines()[-1] + "\n"),
    "header-again": _text(
        lambda layout, text: f"{text}{layout.rows} {layout.dim}\n{text}"
    ),
    "three-integers": _text(
        lambda layout, text: f"{layout.rows} {layout.dim} 120\n{text}"
    ),
    "dim-1-less": _false_header(-1),
    "dim-1-more": _false_header(1),
    "numpy-repr": _numbers_as("np.float32({})".format),
    "brackets": _text(lambda _, text: text.replace(" ", " [", 1).replace("\n", "]\n")),
    "unicode-minus": _numbers_as(lambda number: number.replace("-", "\u2212")),
    "decimal-comma": _numbers_as(lambda number: number.replace(".", ",")),
    "nan-of-windows": _numbers_as(
        lambda number: "1.#QNAN" if number.startswith("-") else number
    ),
    "nan-in-half": _nan_in_half,
    "quoted-numbers": _numbers_as('"{}"'.format),
    "fortran": _numbers_as(lambda number: number.replace("e", "D")),
    "trailing-comma": _text(lambda _, text: text.replace("\n", ",\n")),
    "short-row": _short_row,
    "quoted-tokens": _quoted_tokens,
    "in-base64": _in_base64,
}


def faulty(layout: Layout) -> Made:
    """Make a file with the fault that the layout names."""
    tokens, numbers = _table(layout)
    rows = [[token, *row] for token, row in zip(tokens, numbers, strict=True)]
    raw = FAULTS[layout.fault](layout, rows).encode()
    if layout.fault == "quoted-tokens":  # they are kept, and a note says so
        tokens = [f'"{token}"' for token in tokens]
    return Made(layout, raw, tokens, _meant(numbers))


def sound(layout: Layout) -> Made:
    """Make a file that is well laid out."""
    tokens, numbers = _table(layout)
    rows = [[token, *row] for token, row in zip(tokens, numbers, strict=True)]
    raw = _joined(layout, rows, *SEPARATORS[layout.separator]).encode()
    return Made(layout, raw, tokens, _meant(numbers))


class Outcome(NamedTuple):
    """What a reader makes of a file."""

    result: str  # "right", "wrong" or "error"
    codes: list[str]  # of the notes, or of the error
    tokens: list[bytes]  # as they were read


def outcome(made: Made) -> Outcome:
    """Read a file, and judge what came out.

    Rows that were left out make a file wrong, as do other vectors and other tokens.
    """
    stream = Stream("made", lambda: io.BytesIO(made.raw), size=len(made.raw))
    try:
        with formats.open_reader(stream) as reader:
            blocks = list(reader.packed_blocks())
    except PretrainedEmbedError as error:
        return Outcome("error", [error.code or type(error).__name__], [])
    tokens = [token for block in blocks for token in block.tokens.split()]
    codes = list(reader.findings.codes)
    if tokens != [token.encode() for token in made.tokens]:
        return Outcome("wrong", codes, tokens)
    vectors = np.concatenate([block.vectors for block in blocks])
    same = vectors.tobytes() == made.vectors.tobytes()
    return Outcome("right" if same else "wrong", codes, tokens)


# What no reader can know: a second, slower look at the bytes, which knows none of the
# package's rules

_WHOLE = re.compile(rb"[-+]?\d+")
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MARKS = (b",", b";", b":", b"|")


def unknowable(made: Made, read: list[bytes]) -> dict[str, str]:
    """Return what no reader can know of a file, each with the code that has to tell it.

    ``read`` is the tokens as they were read. The keys are those of the closed list:
    without a header, (i) every token ends in a number after a blank, as it was meant or
    as it was read; (ii) some rows have one number more than the others; (iii) all
    fields are whole numbers; (iv) rows of one number, and two integers in line 1; (v)
    rows of two, and three integers; (vi) one row; (vii) all fields are numbers, the
    first ones distinct and none less than 0. A count alone is no header here: it does
    not say how many numbers a row has.
    """
    lines = [line.split() for line in made.raw.split(b"\n") if line.split()]
    integers = len(lines[0]) if all(map(bytes.isdigit, lines[0])) else 0
    rows = lines[1:] if integers in (1, 2, 3) and len(lines) > 1 else lines
    runs = [_run(row) for row in rows]
    found = {}
    if integers == 2 and 2 * runs.count(1) >= len(rows):
        found["(iv)"] = "assumed.first-row-of-two"
    if integers == 3 and 2 * runs.count(2) >= len(rows):
        found["(v)"] = "assumed.first-row-of-three"
    if integers in (2, 3):  # a header, or at least one that may be
        return found
    meant = [token.encode() for token in made.tokens]
    if any(tokens and all(map(_ends_in_number, tokens)) for tokens in (meant, read)):
        found["(i)"] = "assumed.first-number"
    if max(runs) == min(runs) + 1:
        found["(ii)"] = "assumed.surplus-in-token"
    if all(_WHOLE.fullmatch(field) for row in rows for field in row):
        found["(iii)"] = "assumed.whole-numbers"
    if len(rows) == 1:
        found["(vi)"] = "assumed.one-row"
    if all(_NUMBER.fullmatch(field) for row in rows for field in row):
        first = {float(row[0]) for row in rows}
        if len(first) == len(rows) and min(first) >= 0:
            found["(vii)"] = "assumed.numbers-are-tokens"
    return found


def may_be_a_row(made: Made) -> bool:
    """Whether a line of the numbers of columns may as well be a row.

    It is one where dim is below 3, and where no row has a fraction or an exponent.
    """
    _, dim = made.vectors.shape
    rows = [line.split()[-dim:] for line in made.raw.split(b"\n") if line.split()]
    whole = all(_WHOLE.fullmatch(field) for row in rows for field in row)
    return dim < 3 or whole


def ends_in_marks(made: Made) -> bool:
    """Whether all tokens end in what may be a separator: a file as of two kinds."""
    return all(token.encode().endswith(_MARKS) for token in made.tokens)


def ends_in_decimals(made: Made) -> bool:
    """Whether a header that is true stands above tokens that all end in a decimal.

    Its numbers are for the header's dim to be false: a surplus that is not whole.
    """
    ends = [token.encode().split()[1:][-1:] for token in made.tokens]
    broken = [end and not _WHOLE.fullmatch(end[0]) for end in ends]
    return made.layout.header in ("count-dim", "dim-count") and all(broken)


def _run(row: list[bytes]) -> int:
    """Return how many fields at the end of a row are numbers, but for the first."""
    numbers = [_NUMBER.fullmatch(field) is not None for field in reversed(row[1:])]
    return [*numbers, False].index(False)


def _ends_in_number(token: bytes) -> bool:
    fields = token.split()
    return len(fields) > 1 and _NUMBER.fullmatch(fields[-1]) is not None
