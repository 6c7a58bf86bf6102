"""Coverage reports as files: Markdown for people, JSON and CSV for programs.

Markdown and JSON describe the whole vocabulary; CSV has a line for every row, in order
of id. All are UTF-8; in CSV, tokens that are not UTF-8 keep their bytes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any

from pretrained_embed.errors import OptionError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.ledger.coverage import Coverage, percent
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import (
    ROUNDING,
    name_of,
    options_of,
    rounding_of,
)
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.files.tables import GUARDED_TOKEN, guarded


def write_report(
    path: str | os.PathLike[str],
    *,
    spreadsheet: bool,
    lines: Callable[[], Iterable[str]],
    facts: Callable[[], dict[str, Any]],
    cells: Callable[[], Iterable[Sequence[object]]],
) -> None:
    """Write a report in the form of the suffix; only one of the callables is used.

    ``lines`` returns the lines of Markdown, ``facts`` the JSON values, ``cells`` the
    lines of CSV with their head. See `EmbeddingMatrix.save_report` for the rest.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in Coverage.REPORT_SUFFIXES:
        raise OptionError(
            f"{os.fspath(path)!r} is no name of a report; it ends in one of "
            f"{' '.join(Coverage.REPORT_SUFFIXES)}"
        )
    if spreadsheet and suffix != ".csv":
        raise OptionError(f"spreadsheet is for a report in .csv, not in {suffix}")
    if suffix == ".csv":
        text = _csv(cells(), spreadsheet)
    elif suffix == ".json":
        text = json.dumps(facts(), indent=2) + "\n"
    else:
        text = "\n".join(lines())
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def report_rows(
    ledger: Ledger,
    shape: tuple[int, int],
    path: str | os.PathLike[str],
    *,
    spreadsheet: bool,
) -> None:
    """Write the report on the rows of a matrix of shape (rows, dim)."""
    write_report(
        path,
        spreadsheet=spreadsheet,
        lines=lambda: _lines_of_rows(ledger, shape),
        facts=lambda: {
            "shape": list(shape),
            "provenance": ledger.provenance,
            "rounding": ledger.provenance.get(ROUNDING),
            "coverage": ledger.coverage.to_dict(),
        },
        cells=lambda: _cells_of_rows(ledger),
    )


def _cells_of_rows(ledger: Ledger) -> Iterator[Sequence[object]]:
    yield "id", "token", "count", "origin", "form", "source", "source_row", "advice"
    names = [name_of(source) for source in ledger.source_facts]
    match, advice = ledger.match, ledger.advice
    columns = zip(
        token_cells(ledger.vocabulary),
        ledger.origin.tolist(),
        ledger.sources.tolist(),
        ledger.source_rows.tolist(),
        strict=True,
    )
    for id, (cells, number, source, row) in enumerate(columns):
        origin = Origin(number)
        yield (
            *cells,
            "found" if origin.found else origin.label(),
            origin.label(match) if origin.found else "",
            names[source] if 0 <= source < len(names) else "",
            "" if row < 0 else row,
            "" if advice is None else " ".join(advice.forms_for(id)),
        )


def token_cells(vocabulary: Vocabulary) -> Iterator[list[object]]:
    """Yield the id, the token, empty for a hole, and the count of each row."""
    counts = repeat("") if vocabulary.counts is None else vocabulary.counts.tolist()
    return map(list, zip(count(), vocabulary.packed, counts, strict=False))


def _csv(rows: Iterable[Sequence[object]], spreadsheet: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # with the CR LF of RFC 4180
    for number, cells in enumerate(rows):
        if spreadsheet:
            cells = [guarded(one) if isinstance(one, str) else one for one in cells]
            if not number:
                cells[1] = GUARDED_TOKEN
        writer.writerow(cells)
    return text.getvalue()


def _lines_of_rows(ledger: Ledger, shape: tuple[int, int]) -> Iterator[str]:
    """Yield the lines of a report on the rows of a matrix of shape (rows, dim)."""
    rows, dim = shape
    yield "# Coverage"
    yield ""
    yield f"A matrix of {rows:,} rows of {dim} dimensions."
    yield ""
    yield from markdown_table(
        ("source", "format", "rows", "dim"),
        (
            (
                plain(name_of(source)),
                *(source.get(key) for key in ("format", "rows", "dim")),
            )
            for source in ledger.source_facts
        ),
    )
    yield from markdown_table(("option", "value"), _options(ledger))
    if rounding := rounding_of(ledger.provenance):
        yield "## Rounding"
        yield ""
        yield "How far rows moved when they were rounded to the dtype of the matrix:"
        yield ""
        yield from markdown_table(
            ("", "mean", "worst"),
            ((what, f"{mean:.6f}", f"{worst:.6f}") for what, mean, worst in rounding),
        )
    yield from coverage_lines(ledger.coverage, "##")


def _options(ledger: Ledger) -> Iterator[tuple[str, str]]:
    for name, value in options_of(ledger.provenance).items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield plain(name), plain(text)


def coverage_lines(coverage: Coverage, level: str) -> Iterator[str]:
    """Yield the lines of Markdown on a coverage, below headings such as ``##``."""
    counted = coverage.occurrences is not None
    yield f"{level} Found"
    yield ""
    share, of_text = coverage.percentages
    found = f"Of {coverage.tokens:,} tokens, {coverage.found:,} were found ({share})"
    yield f"{found}, which make up {of_text} of the text." if of_text else f"{found}."
    yield ""
    yield from markdown_table(
        ("form", "tokens"),
        ((plain(form), tokens) for form, tokens in coverage.by_origin.items()),
    )
    if coverage.bands:
        yield f"{level} By frequency"
        yield ""
        yield from markdown_table(
            ("occurrences", "tokens", "found", "share"),
            (
                (
                    f"{band.low:,}" + (f" to {band.high:,}" * (band.high > band.low)),
                    *(band.tokens, band.found, percent(band.found / band.tokens)),
                )
                for band in coverage.bands
            ),
        )
    if coverage.advice:
        yield f"{level} What would find more"
        yield ""
        yield coverage.advice_text()
        yield ""
        yield from markdown_table(
            ("form", "tokens", *(["occurrences"] * counted), "beyond those above"),
            (
                (
                    code(each.form),
                    each.tokens,
                    *([each.occurrences] * counted),
                    each.more,
                )
                for each in coverage.advice
            ),
        )
    if coverage.missing:
        first = "The most frequent" if counted else "The first"
        yield f"{level} Not found"
        yield ""
        yield f"{first} {len(coverage.missing):,} of {coverage.oov:,} OOV tokens:"
        yield ""
        yield from markdown_table(
            ("token", *(["occurrences"] * counted), "would be found by"),
            (
                (
                    code(repr(each.token)),
                    *([each.occurrences] * counted),
                    ", ".join(map(code, each.found_by)),
                )
                for each in coverage.missing
            ),
        )


def found_cells(coverage: Coverage) -> tuple[str, str, str]:
    """Return how many tokens were found, their share, and that of the text."""
    return (f"{coverage.found:,}", *coverage.percentages)


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[object]]
) -> Iterator[str]:
    """Yield a table of Markdown and an empty line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def plain(text: str) -> str:
    """Return text without markup and without ends of lines or cells."""
    return re.sub(r"([\\`*\[<&|])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return text as code that is valid in a table."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    inside = f" {text} " if text[:1] == "`" or text[-1:] == "`" else text
    return f"{fence}{' '.join(inside.splitlines())}{fence}".replace("|", "\\|")
