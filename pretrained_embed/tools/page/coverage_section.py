"""How much of a vocabulary was found, as a picture, and what would find more."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from pretrained_embed.ledger import Coverage, Origin
from pretrained_embed.ledger.coverage import percent
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.page.elements import (
    Node,
    bar,
    code,
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
    """Return the section on what was found, by form and by frequency."""
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
    """Return the section on what was not found, with the form that would find it."""
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
    """Return a table of bars: the tokens that each form found, and the OOV ones."""
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
    """Return how often the tokens occur that each form found, and the others."""
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
