"""Reports of coverage as files: Markdown for people, JSON and CSV for programs.

Markdown and JSON tell of the whole vocabulary; CSV has a line for every row of it, in
order of id. All are UTF-8; tokens that are not have their bytes in CSV as they were.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any, Protocol

from pretrained_embed.errors import OptionError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.ledger import markdown
from pretrained_embed.ledger.comparison import Comparison
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import name_of
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
        return "\n".join(markdown.of_rows(ledger, shape))
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
        return "\n".join(markdown.of_comparison(comparison))
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
