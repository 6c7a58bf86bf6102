"""What there is to say of a matrix and of a file of vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pretrained_embed import EmbeddingMatrix
from pretrained_embed.cli.output import plural
from pretrained_embed.formats import Findings
from pretrained_embed.ledger import Origin, rounding_of


def remarks(findings: Findings) -> Iterator[str]:
    """Yield what was remarkable about a file, a line each."""
    for note in findings.notes:
        yield f"Note: {note}."
    if findings.duplicates:
        again = plural(findings.duplicates, "row repeats", "rows repeat")
        yield f"Note: {again} a token; the first row of a token counts."
    if findings.bad_rows:
        bad = plural(findings.bad_rows, "malformed row was", "malformed rows were")
        yield f"Warning: {bad} left out."
    if findings.suspicious_rows:
        doubtful = plural(findings.suspicious_rows, "row looks", "rows look")
        yield f"Warning: {doubtful} one value too long; read as they stand."
    for doubt in findings.doubts:
        place = f"row {doubt.row:,}" if doubt.line is None else f"line {doubt.line:,}"
        yield f"  {place}: {doubt.what}"
    if hidden := findings.bad_rows + findings.suspicious_rows - len(findings.doubts):
        yield f"  and {hidden:,} more"


def layout_notes(findings: Findings) -> list[str]:
    """Return the remarks on how a file is laid out: those that have a code."""
    coded = zip(findings.notes, findings.note_codes, strict=True)
    return [note for note, code in coded if code is not None]


def rounding(matrix: EmbeddingMatrix) -> Iterator[str]:
    """Yield how far the rows moved when they were rounded, a line."""
    told = [
        f"{what} {mean:.6f} in the mean, {worst:.6f} at worst"
        for what, mean, worst in rounding_of(matrix.provenance)
    ]
    if told:
        yield f"Note: rounded to {matrix.dtype}: {'; '.join(told)}."


def matrix_facts(matrix: EmbeddingMatrix) -> dict[str, Any]:
    """Return what there is to know of a matrix as JSON can hold it."""
    codes, counts = np.unique(matrix.origin, return_counts=True)
    origins: Counter[str] = Counter()  # two functions may have one name
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        origins[Origin(code).label(matrix.match)] += count
    return {
        "shape": list(matrix.shape),
        "dtype": matrix.dtype,
        "coverage": matrix.coverage.to_dict(),
        "origins": origins,
        "provenance": matrix.provenance,
        "findings": matrix.findings.facts,
    }


def shares(matrix: EmbeddingMatrix) -> Iterator[str]:
    """Yield how many tokens each of several sources had, a line each."""
    for source in matrix.source_facts:
        coverage = source.get("coverage")
        if isinstance(coverage, dict):
            share = f"{coverage.get('found')} of {coverage.get('tokens')} tokens"
            yield f"  {source_name(source)}: {share} looked for there."


def source_name(source: Mapping[str, Any]) -> str | None:
    """Return the name of a source in the catalog, or else that of its file."""
    name = source.get("source") or source.get("name")
    return None if name is None else str(name)
