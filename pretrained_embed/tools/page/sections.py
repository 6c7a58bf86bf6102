"""The sections of a page: coverage, norms and values, warnings, rows, sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from pretrained_embed.arrays import Float64Array, FloatArray, Int64Array
from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.ledger import Coverage, Origin
from pretrained_embed.ledger.coverage import percent
from pretrained_embed.ledger.provenance import digest_of, name_of, shown_options
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.page.elements import (
    Node,
    bar,
    code,
    facts,
    paragraph,
    section,
    shown,
    table,
    tag,
    token,
)

#: How many OOV tokens are listed.
LISTED = 50


def coverage_section(matrix: EmbeddingMatrix) -> Element:
    """Return the section on coverage, by form and by frequency."""
    coverage = matrix.coverage
    made = ", ".join(
        f"{n:,} were filled from {name}" for name, n in coverage.made_of.items()
    )
    return section(
        "coverage",
        "Coverage",
        paragraph(
            f"Of {coverage.tokens:,} tokens, {coverage.found:,} were found in the "
            f"source ({percent(coverage.ratio)})",
            *_of_the_text(coverage),
            ". Special tokens do not count.",
            f" Of the other rows, {made}." if made else None,
        ),
        _forms(matrix, coverage),
        _bands(coverage),
    )


def oov_section(matrix: EmbeddingMatrix) -> Element:
    """Return the section on OOV tokens, with the form that would find each."""
    coverage, advised = matrix.coverage, matrix.advice is not None
    counted = coverage.occurrences is not None
    listed = coverage.missing[:LISTED]
    if not listed:
        return section("oov", "Not found", paragraph("Every token was found."))
    first = "most frequent" if counted else "first"
    rows: list[list[Node]] = [
        [
            token(each.token),
            *([f"{each.occurrences or 0:,}"] * counted),
            *([_forms_of(each.found_by)] * advised),
        ]
        for each in listed
    ]
    return section(
        "oov",
        "Not found",
        _advice(coverage, advised),
        table(
            f"The {first} {len(listed):,} of {coverage.oov:,} OOV tokens",
            [
                "token",
                *(["occurrences"] * counted),
                *(["would be found by"] * advised),
            ],
            rows,
            numbers=[1] if counted else [],
        ),
    )


def _of_the_text(coverage: Coverage) -> Iterator[Node]:
    if of_text := coverage.percentages[1]:
        yield ", which make up "
        yield tag("strong", of_text)
        yield " of the text"


def _forms(matrix: EmbeddingMatrix, coverage: Coverage) -> Element:
    """Return a table with bars: the tokens found by each form, and the OOV ones."""
    counts = matrix.vocabulary.counts
    weights = _occurrences(matrix) if counts is not None else {}
    rows: list[list[Node]] = []
    for name, tokens in (*coverage.by_origin.items(), ("not found", coverage.oov)):
        share = tokens / max(coverage.tokens, 1)
        cells: list[Node] = [shown(name), f"{tokens:,}", percent(share), bar(share)]
        if coverage.occurrences is not None:
            of_text = weights.get(name, 0) / max(coverage.occurrences, 1)
            cells += [percent(of_text), bar(of_text)]
        rows.append(cells)
    weighed = ["of the text", ""] if coverage.occurrences is not None else []
    return table(
        "By form: what of a token was found in the source",
        ["form", "tokens", "of the tokens", "", *weighed],
        rows,
        numbers=[1, 2, 4],
        wide=True,
    )


def _occurrences(matrix: EmbeddingMatrix) -> dict[str, int]:
    """Return how often the tokens of each form, and the OOV ones, occur."""
    vocabulary, origin = matrix.vocabulary, matrix.origin
    counts = vocabulary.counts
    assert counts is not None
    looked_for = origin >= Origin.OOV
    looked_for[[vocabulary[t] for t in vocabulary.special_tokens.values()]] = False
    total: dict[str, int] = {}
    for number in np.unique(origin[looked_for]).tolist():
        form = Origin(number)
        name = form.label(matrix.match) if form.found else "not found"
        here = int(counts[looked_for & (origin == number)].sum())
        total[name] = total.get(name, 0) + here
    return total


def _bands(coverage: Coverage) -> Element:
    if not coverage.bands:
        return paragraph(
            "The vocabulary has no counts, so nothing can be said by frequency.",
            class_="remark",
        )
    return table(
        "By frequency: how many of the tokens that occur so often were found",
        ["occurrences", "tokens", "found", "share", ""],
        [
            [
                f"{band.low:,}" + (f" to {band.high:,}" * (band.high > band.low)),
                f"{band.tokens:,}",
                f"{band.found:,}",
                percent(band.found / band.tokens),
                bar(band.found / band.tokens),
            ]
            for band in reversed(coverage.bands)
        ],
        numbers=[1, 2, 3],
        wide=True,
    )


def _advice(coverage: Coverage, advised: bool) -> Element:
    if not advised:
        return paragraph(
            "Which forms would find more was not asked for when the matrix was built; ",
            code("build_matrix(..., work=pe.Work(advise=True))"),
            " finds that out in the same pass, and a matrix built so says it here.",
            class_="remark",
        )
    if not coverage.advice:
        return paragraph("No form that is known would find more.", class_="remark")
    rows: list[list[Node]] = [
        [code(shown(each.form)), f"{each.tokens:,}", f"{each.more:,}"]
        for each in coverage.advice
    ]
    return table(
        "What to add to the match chain",
        ["form", "would find", "beyond those above"],
        rows,
        numbers=[1, 2],
    )


def _forms_of(forms: tuple[str, ...]) -> Node:
    if not forms:
        return tag("span", "none", class_="remark")
    pieces: list[Node] = []
    for form in forms:
        pieces += [", " if pieces else None, code(shown(form))]
    return tag("span", *pieces)


#: How many rows and numbers the table of the first rows has.
ROWS, NUMBERS = 12, 6

_OF_A_SOURCE = ("title", "corpus", "language", "format", "rows", "dim", "licence")


def name_of_matrix(matrix: EmbeddingMatrix) -> str:
    """Return a name for a matrix: the names of its sources, without folders."""
    names = dict.fromkeys(
        shown(_last(name_of(source))) for source in matrix.source_facts
    )
    return " + ".join(names) or "a matrix"


def _last(name: str) -> str:
    """Return the last part of a path; names of the catalog and URLs are unchanged."""
    return name if "://" in name else name.replace("\\", "/").rpartition("/")[2] or name


def identity_section(matrix: EmbeddingMatrix) -> Element:
    """Return the section on sources, options and versions."""
    code = rebuilding(matrix)
    again: list[Node] = [tag("h3", "Build it again")]
    if code is None:
        again.append(
            paragraph(
                "The provenance does not tell of one call that would build this matrix "
                "again; what it does tell is below."
            )
        )
    else:
        again += [tag("pre", tag("code", shown_lines(code)), tabindex="0")]
    provenance = json.dumps(matrix.provenance, indent=2)
    return section(
        "identity",
        "What it is",
        *_sources(matrix),
        tag("h3", "How it was built"),
        facts(_built(matrix)),
        *again,
        tag(
            "details",
            tag("summary", "The whole provenance, as JSON"),
            tag("pre", tag("code", provenance), tabindex="0"),
        ),
    )


def rows_section(matrix: EmbeddingMatrix) -> Element:
    """Return the section with the first rows: index, token, vector."""
    shape = f"({len(matrix):,}, {matrix.dim})"
    count = min(matrix.dim, NUMBERS)
    rest = ["…"] if matrix.dim > count else []
    rows: list[list[Node]] = []
    for id, text in enumerate(matrix.vocabulary.tokens[:ROWS]):
        values = [f"{value:.4g}" for value in matrix.vectors[id, :count].tolist()]
        how = "no token; zeros" if text is None else matrix.explain(text).how
        name = "" if text is None else token(text)
        rows.append([str(id), name, *values, *rest, shown(how)])
    return section(
        "rows",
        "The first rows",
        table(
            f"The first {len(rows)} rows of the table, of shape {shape}",
            ["id", "token", *map(str, range(count)), *rest, "how the row was filled"],
            rows,
            numbers=[0, *range(2, 2 + count)],
        ),
    )


def shown_lines(text: str) -> str:
    """Return text of several lines with escapes for invisible characters."""
    return "\n".join(map(shown, text.split("\n")))


def _sources(matrix: EmbeddingMatrix) -> Iterator[Node]:
    for source in matrix.source_facts:
        yield tag("h3", "Source: ", tag("span", shown(name_of(source))))
        pairs: list[tuple[str, Node]] = [
            (name, _words(source.get(name))) for name in _OF_A_SOURCE
        ]
        digest = digest_of(source)
        yield facts(
            [
                *pairs,
                ("citation", _words(source.get("citation"))),
                ("digest", None if digest is None else tag("code", shown(digest))),
            ]
        )


def _built(matrix: EmbeddingMatrix) -> Iterator[tuple[str, Node]]:
    vocabulary = matrix.vocabulary
    yield "shape", f"{len(matrix):,} rows × {matrix.dim} dimensions, float32"
    for name, text, id in (
        ("pad token", vocabulary.pad_token, vocabulary.pad_id),
        ("unk token", vocabulary.unk_token, vocabulary.unk_id),
    ):
        yield (
            name,
            "none" if text is None else tag("span", token(text), f", row {id:,}"),
        )
    for option, value in shown_options(matrix.provenance).items():
        yield shown(option), _words(value)
    versions = matrix.provenance.get("versions")
    if isinstance(versions, dict):
        yield "versions", _words(", ".join(f"{k} {v}" for k, v in versions.items()))


def _words(value: Any) -> str | None:
    """Return a JSON value as text; ``None`` for an empty one."""
    if value is None or value in ({}, []):
        return None
    if isinstance(value, list):
        return shown(", ".join(map(str, value)))
    return shown(f"{value:,}" if type(value) is int else str(value))


def rebuilding(matrix: EmbeddingMatrix) -> str | None:
    """Return code that builds the same matrix from the same source.

    ``None`` if the provenance is not complete: for a user's own arrays, a trained or
    extended matrix, or functions as options.
    """
    sources = matrix.source_facts
    if "trained_from" in matrix.provenance or not sources:
        return None
    if any("provenance" in source or "source" not in source for source in sources):
        return None
    try:
        recipe = matrix.recipe
    except PretrainedEmbedError:
        return None
    names: Any = [source["source"] for source in sources]
    lines = [repr(names[0]) if len(names) == 1 else repr(names), f"recipe=pe.{recipe}"]
    if matrix.findings.bad_rows:
        lines.append(f"limits=pe.Limits(bad_rows={matrix.findings.bad_rows})")
    return "\n".join(
        [
            "import pretrained_embed as pe",
            "",
            'vocabulary = pe.load_matrix("MATRIX").vocabulary  # or make it anew',
            "matrix = pe.build_matrix(",
            "    vocabulary,",
            *(f"    {line}," for line in lines),
            ")",
        ]
    )


_BINS = 48
#: At most this many numbers are in the histogram of values, from rows at equal
#: distances.
_VALUES = 4_000_000
#: The quantiles in a summary.
_QUANTILES = (("least", 0.0), ("5 %", 0.05), ("median", 0.5), ("95 %", 0.95))


def norms_of(matrix: EmbeddingMatrix) -> Float64Array:
    """Return the length of each row, (rows,); NaN or infinite if a number is."""
    norms = np.empty(len(matrix))
    step = max(1, (1 << 20) // matrix.dim)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(matrix), step):
            rows = matrix.vectors[start : start + step].astype(np.float64)
            norms[start : start + step] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return norms


def numbers_section(matrix: EmbeddingMatrix, norms: Float64Array) -> Element:
    """Return the section with the histograms of norms and values."""
    rows = np.flatnonzero(matrix.origin > Origin.PAD)
    step = max(1, len(rows) * matrix.dim // _VALUES)
    values = matrix.vectors[rows[::step]].ravel()
    return section(
        "numbers",
        "Norms and values",
        paragraph("Of all rows but those of padding and of ids without a token."),
        tag(
            "div",
            _histogram("Norms", "rows, by the length of their vector", norms[rows]),
            _histogram("Values", "numbers, by what they are", values),
            class_="pair",
        ),
    )


def warnings_section(matrix: EmbeddingMatrix, norms: Float64Array) -> Element:
    """Return the section on possible problems."""
    remarks = [*_of_source(matrix), *_of_rows(matrix, norms)]
    if not remarks:
        return section(
            "warnings",
            "Duplicates and warnings",
            paragraph("Nothing to remark: no row was malformed, doubtful or repeated."),
        )
    items = [tag("li", remark) for remark in remarks]
    return section("warnings", "Duplicates and warnings", tag("ul", *items))


def _histogram(title: str, what: str, numbers: FloatArray) -> Element:
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    heading = tag("figcaption", tag("strong", title), f": {what}")
    if not len(finite):
        return tag("figure", heading, paragraph("There are none.", class_="remark"))
    low, high = float(finite.min()), float(finite.max())
    # too close together for bins
    narrow = high - low <= 1e-6 * max(abs(low), abs(high))
    around = max(abs(low), abs(high), 1.0) * 0.01 if narrow else 0.0
    counts, _ = np.histogram(finite, _BINS, (low - around, high + around))
    tallest = int(counts.max())
    bars = [
        tag(
            "rect",
            class_="filled",
            x=f"{100 * i / _BINS:.3f}%",
            width=f"{88 / _BINS:.3f}%",
            y=f"{100 - 100 * count / tallest:.2f}%",
            height=f"{100 * count / tallest:.2f}%",
        )
        for i, count in enumerate(counts.tolist())
    ]
    ends = [tag("span", f"{end:.4g}") for end in (low - around, high + around)]
    label = f"Histogram of {len(finite):,} {what}, from {low:.4g} to {high:.4g}"
    known: list[tuple[str, Node]] = [
        (name, f"{float(np.quantile(finite, share)):.4g}")
        for name, share in (*_QUANTILES, ("greatest", 1.0))
    ]
    known.append(("mean", f"{float(finite.mean()):.4g}"))
    return tag(
        "figure",
        heading,
        tag("svg", *bars, class_="histogram", role="img", aria_label=label),
        tag("div", *ends, class_="axis", aria_hidden="true"),
        facts(known),
    )


def _of_source(matrix: EmbeddingMatrix) -> Iterator[str]:
    """Yield the findings of the sources."""
    findings = matrix.findings
    for note in findings.notes:
        yield f"{shown(note)}."
    if findings.duplicates:
        yield (
            f"Rows of the source that repeat a token: {findings.duplicates:,}; the "
            "first row of a token counts."
        )
    if findings.bad_rows:
        yield f"Malformed rows of the source, left out: {findings.bad_rows:,}."
    if findings.suspicious_rows:
        yield (
            "Rows of the source that look one value too long, read as they stand: "
            f"{findings.suspicious_rows:,}."
        )
    for doubt in findings.doubts:
        place = f"Row {doubt.row:,}" if doubt.line is None else f"Line {doubt.line:,}"
        yield f"{place}: {shown(doubt.what)}."


def _of_rows(matrix: EmbeddingMatrix, norms: Float64Array) -> Iterator[str]:
    """Yield the findings about the rows."""
    tokens = matrix.origin > Origin.PAD
    not_finite = int(np.count_nonzero(tokens & ~np.isfinite(norms)))
    zeros = int(np.count_nonzero(tokens & (norms == 0)))
    holes = len(matrix.vocabulary.holes)
    if not_finite:
        yield f"Rows with a number that is none, or infinite: {not_finite:,}."
    if zeros:
        yield f"Rows of zeros beside padding, near to no other: {zeros:,}."
    if holes:
        yield f"Ids without a token, whose rows are zeros: {holes:,}."
    again = _repeated(matrix, np.flatnonzero(tokens & np.isfinite(norms) & (norms > 0)))
    if again:
        yield (
            f"Rows that are, to the bit, the vector of an earlier row: {again:,}; such "
            "as tokens that were found in one form."
        )


def _repeated(matrix: EmbeddingMatrix, rows: Int64Array) -> int:
    """Return how many rows repeat the vector of an earlier row."""
    seen = {matrix.vectors[row].tobytes() for row in rows.tolist()}
    return len(rows) - len(seen)
