"""The lines of Python that build a matrix again, from its provenance."""

from __future__ import annotations

from typing import Any

from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.matrix import EmbeddingMatrix


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
