"""Reports of coverage as files: Markdown for people, JSON and CSV for programs.

Markdown and JSON tell of the whole vocabulary; CSV has a line for every row of it, in
order of id. All are UTF-8; tokens that are not have their bytes in CSV as they were.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any, Protocol

from pretrained_embed.errors import OptionError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.ledger.comparison import Comparison
from pretrained_embed.ledger.coverage import Coverage, percent
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import name_of, options_of
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.files.report import GUARDED_TOKEN, guarded

REPORT_SUFFIXES = (".md", ".json", ".csv")


class Vectors(Protocol):
    """A matrix, of which a report says what its ledger does."""

    @property
    def ledger(self) -> Ledger:
        """Where its rows come from."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, dim)."""


def write_report(
    subject: Vectors | Comparison,
    path: str | os.PathLike[str],
    *,
    spreadsheet: bool = False,
) -> None:
    """Write how a vocabulary is covered, in the form that the suffix names.

    ``subject`` is an `EmbeddingMatrix`, or what `coverage` returns.

    ``.md`` and ``.json``: the source, the options, coverage by type, by occurrence and
    by frequency, the most frequent OOV tokens, and the forms that would find them where
    advice was asked for. ``.csv``: a line for each token, with its id, its count, the
    form that was found, the source and its row. Tokens are there to the byte, so a
    spreadsheet has to be told, when it imports the file, that all columns are text; or
    else with ``spreadsheet`` cells that it would run as a formula have an apostrophe in
    front. Either is read again as a vocabulary, ``kind="report"``.

    The file appears whole or not at all. Raises `OptionError` for another suffix, and
    `WriteError` where the system refuses.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in REPORT_SUFFIXES:
        raise OptionError(
            f"{os.fspath(path)!r} is no name of a report; it ends in one of "
            f"{' '.join(REPORT_SUFFIXES)}"
        )
    if spreadsheet and suffix != ".csv":
        raise OptionError(f"spreadsheet is for a report in .csv, not in {suffix}")
    if suffix == ".csv":
        rows = (
            _compared_rows(subject)
            if isinstance(subject, Comparison)
            else _rows_of(subject.ledger)
        )
        text = _csv(rows, spreadsheet)
    elif isinstance(subject, Comparison):
        text = _of_comparison(subject, suffix)
    else:
        text = _of_rows(subject.ledger, subject.shape, suffix)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


# The rows of one matrix


def _of_rows(ledger: Ledger, shape: tuple[int, int], suffix: str) -> str:
    if suffix == ".md":
        return "\n".join(_markdown_of_rows(ledger, shape))
    return _json(
        {
            "shape": list(shape),
            "provenance": ledger.provenance,
            "coverage": ledger.coverage.to_dict(),
        }
    )


def _rows_of(ledger: Ledger) -> Iterator[Sequence[object]]:
    yield "id", "token", "count", "origin", "form", "source", "source_row", "advice"
    names = [name_of(source) for source in ledger.source_facts]
    match, advice = ledger.match, ledger.advice
    columns = zip(
        _token_cells(ledger.vocabulary),
        ledger.origin.tolist(),
        ledger.sources.tolist(),
        ledger.source_rows.tolist(),
        strict=True,
    )
    for id, (cells, code, source, row) in enumerate(columns):
        origin = Origin(code)
        yield (
            *cells,
            "found" if origin.found else origin.label(),
            origin.label(match) if origin.found else "",
            names[source] if 0 <= source < len(names) else "",
            "" if row < 0 else row,
            "" if advice is None else " ".join(advice.forms_for(id)),
        )


# Several sources


def _of_comparison(comparison: Comparison, suffix: str) -> str:
    if suffix == ".md":
        return "\n".join(_markdown_of_comparison(comparison))
    return _json(comparison.to_dict())


def _compared_rows(comparison: Comparison) -> Iterator[Sequence[object]]:
    names = [source.source for source in comparison.sources]
    yield (
        *("id", "token", "count"),
        *(head for name in names for head in (f"form: {name}", f"row: {name}")),
    )
    columns = zip(
        *(
            zip(each.origin.tolist(), each.source_rows.tolist(), strict=True)
            for each in comparison.located
        ),
        strict=True,
    )
    for cells, places in zip(_token_cells(comparison.vocabulary), columns, strict=True):
        for code, row in places:
            cells += [Origin(code).label(comparison.match), "" if row < 0 else row]
        yield cells


# Both


def _token_cells(vocabulary: Vocabulary) -> Iterator[list[object]]:
    """Yield the id, the token, empty for a hole, and the count of each row."""
    counts = repeat("") if vocabulary.counts is None else vocabulary.counts.tolist()
    return map(list, zip(count(), vocabulary.packed, counts, strict=False))


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2) + "\n"


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


# Markdown


def _markdown_of_rows(ledger: Ledger, shape: tuple[int, int]) -> Iterator[str]:
    """Yield the lines of a report on the rows of a matrix of shape (rows, dim)."""
    rows, dim = shape
    yield "# Coverage"
    yield ""
    yield f"A matrix of {rows:,} rows of {dim} dimensions."
    yield ""
    yield from _table(
        ("source", "format", "rows", "dim"),
        (
            (
                _plain(name_of(source)),
                *(source.get(key) for key in ("format", "rows", "dim")),
            )
            for source in ledger.source_facts
        ),
    )
    yield from _table(("option", "value"), _options(ledger))
    yield from _coverage_lines(ledger.coverage, "##")


def _options(ledger: Ledger) -> Iterator[tuple[str, str]]:
    for name, value in options_of(ledger.provenance).items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield _plain(name), _plain(text)


def _markdown_of_comparison(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a report on several sources."""
    yield "# Coverage of a vocabulary by several sources"
    yield ""
    yield f"Match: {', '.join(map(_plain, comparison.match))}."
    yield ""
    yield from _table(
        ("source", "format", "rows", "dim", "found", "of the tokens", "of the text"),
        (
            (
                *(_plain(source.source), source.format, source.rows, source.dim),
                *_found_cells(source.coverage),
            )
            for source in comparison.sources
        ),
    )
    cells = _found_cells(comparison.together)
    yield f"Together they have {cells[0]} tokens ({cells[1]})."
    yield ""
    for source in comparison.sources:
        yield f"## {_code(source.source)}"
        yield ""
        for tokens, what in (
            (source.only_here, "Only here"),
            (source.only_not_here, "In all others"),
        ):
            if tokens and len(comparison.sources) > 1:
                yield f"{what}: {', '.join(map(_code, map(repr, tokens)))}."
                yield ""
        yield from _coverage_lines(source.coverage, "###")


def _coverage_lines(coverage: Coverage, level: str) -> Iterator[str]:
    counted = coverage.occurrences is not None
    yield f"{level} Found"
    yield ""
    share, of_text = coverage.percentages
    found = f"Of {coverage.tokens:,} tokens, {coverage.found:,} were found ({share})"
    yield f"{found}, which make up {of_text} of the text." if of_text else f"{found}."
    yield ""
    yield from _table(
        ("form", "tokens"),
        ((_plain(form), tokens) for form, tokens in coverage.by_origin.items()),
    )
    if coverage.bands:
        yield f"{level} By frequency"
        yield ""
        yield from _table(
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
        yield from _table(
            ("form", "tokens", *(["occurrences"] * counted), "beyond those above"),
            (
                (
                    _code(each.form),
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
        yield from _table(
            ("token", *(["occurrences"] * counted), "would be found by"),
            (
                (
                    _code(repr(each.token)),
                    *([each.occurrences] * counted),
                    ", ".join(map(_code, each.found_by)),
                )
                for each in coverage.missing
            ),
        )


def _found_cells(coverage: Coverage) -> tuple[str, str, str]:
    return (f"{coverage.found:,}", *coverage.percentages)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a table of Markdown and an empty line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _plain(text: str) -> str:
    """Return text none of which is markup, nor ends a line or a cell."""
    return re.sub(r"([\\`*\[<&|])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return text as code that a table can hold."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    inside = f" {text} " if text[:1] == "`" or text[-1:] == "`" else text
    return f"{fence}{' '.join(inside.splitlines())}{fence}".replace("|", "\\|")
