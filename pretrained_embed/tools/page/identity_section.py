"""What a matrix is: sources, options, how to build it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.ledger.provenance import digest_of, name_of, shown_options
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.page.elements import (
    Node,
    facts,
    paragraph,
    section,
    shown,
    table,
    tag,
    token,
)

#: Rows and numbers of each that the table of the first rows has.
ROWS, NUMBERS = 12, 6

_OF_A_SOURCE = ("title", "corpus", "language", "format", "rows", "dim", "licence")


def name_of_matrix(matrix: EmbeddingMatrix) -> str:
    """Return what to call a matrix: the names of its sources, not where they lie."""
    names = dict.fromkeys(
        shown(_last(name_of(source))) for source in matrix.source_facts
    )
    return " + ".join(names) or "a matrix"


def _last(name: str) -> str:
    """Return the last part of a path; a name of the catalog and a URL as they are."""
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
    """Return text of several lines with escapes for what cannot be seen."""
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
    """Return a value of JSON as text; ``None`` for nothing."""
    if value is None or value in ({}, []):
        return None
    if isinstance(value, list):
        return shown(", ".join(map(str, value)))
    return shown(f"{value:,}" if type(value) is int else str(value))


def rebuilding(matrix: EmbeddingMatrix) -> str | None:
    """Return code that builds the same matrix from the same source.

    ``None`` where the provenance does not tell all: of arrays of one's own, of a
    matrix that was trained or extended, or one whose options were functions.
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
