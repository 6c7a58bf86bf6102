"""The lines of Python that build a matrix again, from its provenance."""

from __future__ import annotations

from typing import Any

from pretrained_embed.matrix import EmbeddingMatrix

#: Of a call, what is not worth a line.
_DEFAULTS = {"match": ["exact"], "special_oov": {}, "on_bad_row": "error"}
_AT_REST: tuple[Any, ...] = (None, False, [])


def rebuilding(matrix: EmbeddingMatrix) -> str | None:
    """Return code that builds the same matrix from the same source.

    ``None`` where the provenance does not tell all: of arrays of one's own, of a
    matrix that was trained or extended, or one whose options were functions.
    """
    options = matrix.provenance.get("options")
    sources = matrix.source_facts
    if not isinstance(options, dict) or not sources:
        return None
    if any("provenance" in source or "source" not in source for source in sources):
        return None
    if "callable" in str(options) or not all(map(str.isidentifier, options)):
        return None
    names: Any = [source["source"] for source in sources]
    asked = {
        name: value
        for name, value in options.items()
        if name != "version" and value not in _AT_REST and _DEFAULTS.get(name) != value
    }
    if matrix.findings.bad_rows:
        asked["on_bad_row"] = "skip"
    lines = [repr(names[0]) if len(names) == 1 else repr(names)]
    lines += [f"{name}={value!r}" for name, value in asked.items()]
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
