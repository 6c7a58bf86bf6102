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
from typing import Any

from pretrained_embed.errors import OptionError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.matrix import coverage_markdown as markdown
from pretrained_embed.matrix.comparison import Comparison
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.origin import Origin
from pretrained_embed.matrix.provenance import name_of, sources_of
from pretrained_embed.vocabulary import Vocabulary

REPORT_SUFFIXES = (".md", ".json", ".csv")


def write_report(
    subject: EmbeddingMatrix | Comparison, path: str | os.PathLike[str]
) -> None:
    """Write how a vocabulary is covered, in the form that the suffix names.

    ``.md`` and ``.json``: the source, the options, coverage by type, by occurrence and
    by frequency, the most frequent OOV tokens, and the forms that would find them where
    advice was asked for. ``.csv``: a line for each token, with its id, its count, the
    form that was found, the source and its row.

    The file appears whole or not at all. Raises `OptionError` for another suffix, and
    `WriteError` where the system refuses.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in REPORT_SUFFIXES:
        raise OptionError(
            f"{os.fspath(path)!r} is no name of a report; it ends in one of "
            f"{' '.join(REPORT_SUFFIXES)}"
        )
    if isinstance(subject, Comparison):
        text = _of_comparison(subject, suffix)
    else:
        text = _of_matrix(subject, suffix)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


# One matrix


def _of_matrix(matrix: EmbeddingMatrix, suffix: str) -> str:
    if suffix == ".md":
        return "\n".join(markdown.of_matrix(matrix))
    if suffix == ".csv":
        return _csv(_matrix_rows(matrix))
    return _json(
        {
            "shape": list(matrix.shape),
            "provenance": matrix.provenance,
            "coverage": matrix.coverage.to_dict(),
        }
    )


def _matrix_rows(matrix: EmbeddingMatrix) -> Iterator[Sequence[object]]:
    yield "id", "token", "count", "origin", "form", "source", "source_row", "advice"
    names = [name_of(source) for source in sources_of(matrix.provenance)]
    columns = zip(
        matrix.origin.tolist(),
        matrix.sources.tolist(),
        matrix.source_rows.tolist(),
        strict=True,
    )
    advice = matrix.advice
    rows = zip(_token_cells(matrix.vocabulary), columns, strict=True)
    for id, (cells, (code, source, row)) in enumerate(rows):
        origin = Origin(code)
        yield (
            *cells,
            "found" if origin.found else origin.label(),
            origin.label(matrix.match) if origin.found else "",
            names[source] if 0 <= source < len(names) else "",
            "" if row < 0 else row,
            "" if advice is None else " ".join(advice.forms_for(id)),
        )


# Several sources


def _of_comparison(comparison: Comparison, suffix: str) -> str:
    if suffix == ".md":
        return "\n".join(markdown.of_comparison(comparison))
    if suffix == ".csv":
        return _csv(_compared_rows(comparison))
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


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)  # with the CR LF of RFC 4180
    return text.getvalue()
