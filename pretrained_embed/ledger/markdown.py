"""Coverage as Markdown, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pretrained_embed.ledger.comparison import Comparison
from pretrained_embed.ledger.coverage import Coverage, percent
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.provenance import name_of, options_of


def of_rows(ledger: Ledger, shape: tuple[int, int]) -> Iterator[str]:
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


def of_comparison(comparison: Comparison) -> Iterator[str]:
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
