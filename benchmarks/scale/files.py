"""Large files of vectors, and vocabularies of their tokens, made row by row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from math import gcd
from pathlib import Path

from benchmarks.data import Files

#: Columns of the file whose rows are many.
NARROW = 8

#: Rows are drawn in steps of this, modulo their number: each once, in no order of use.
_STEP = 12_345_701


def narrow(files: Files, rows: int) -> Path:
    """So many rows of GloVe text, the first columns alone, tokens told apart.

    Each copy of GloVe's tokens has a suffix of its own, but for the first.
    """
    glove = files.glove()

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(islice(_narrow_rows(glove), rows))

    return files.made(f"narrow-{rows}.{NARROW}d.txt", write)


def wanted(files: Files, rows: int, tokens: int) -> Path:
    """So many tokens of `narrow`, a line each, spread over the file and in no order."""
    glove = files.glove()

    def write(path: Path) -> None:
        if gcd(_STEP, rows) > 1:
            raise SystemExit(f"{rows:,} rows cannot be drawn in steps of {_STEP:,}")
        with glove.open("rb") as lines:
            first = [line.partition(b" ")[0] for line in lines]
        places = (place * _STEP % rows for place in range(tokens))
        pairs = (divmod(place, len(first)) for place in places)
        with path.open("wb") as file:
            file.writelines(b"%b%b\n" % (first[i], _suffix(copy)) for copy, i in pairs)

    return files.made(f"narrow-{rows}.{tokens}.tokens.txt", write)


def first(files: Files, path: Path, tokens: int | None = None) -> Path:
    """The first tokens of a text file, so many or all, a line each."""

    def write(listed: Path) -> None:
        with path.open("rb") as lines, listed.open("wb") as file:
            heads = (line.partition(b" ")[0] + b"\n" for line in lines)
            file.writelines(islice(heads, tokens))

    return files.made(f"{path.stem}.{tokens or 'all'}.tokens.txt", write)


def _narrow_rows(glove: Path) -> Iterator[bytes]:
    with glove.open("rb") as lines:
        cut = [line.rstrip(b"\n").split(b" ")[: NARROW + 1] for line in lines]
    rows = [(fields[0], b" " + b" ".join(fields[1:]) + b"\n") for fields in cut]
    for copy in count():
        suffix = _suffix(copy)
        for token, numbers in rows:
            yield token + suffix + numbers


def _suffix(copy: int) -> bytes:
    return b"~%d" % copy if copy else b""
