"""Norms and values as histograms, and what is remarkable about rows."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from pretrained_embed.arrays import Float64Array, FloatArray, Int64Array
from pretrained_embed.ledger import Origin
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.page.elements import (
    Node,
    facts,
    paragraph,
    section,
    shown,
    tag,
)

_BINS = 48
#: Numbers looked at for the histogram of values, at most: rows at equal distances.
_VALUES = 4_000_000
#: Shares of the rows that have less, of which a summary tells.
_QUANTILES = (("least", 0.0), ("5 %", 0.05), ("median", 0.5), ("95 %", 0.95))


def norms_of(matrix: EmbeddingMatrix) -> Float64Array:
    """Return the length of each row, (rows,); NaN or infinite where a number is."""
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
    """Return the section on what to look at twice."""
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
    narrow = high - low <= 1e-6 * max(abs(low), abs(high))  # too near for bins
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
    """Yield what reading the sources found beside vectors."""
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
    """Yield what is remarkable about the rows themselves."""
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
    """Return how many rows have the vector of an earlier one."""
    seen = {matrix.vectors[row].tobytes() for row in rows.tolist()}
    return len(rows) - len(seen)
