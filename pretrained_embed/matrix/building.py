"""From a vocabulary and open sources to a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pretrained_embed.errors import ShapeError
from pretrained_embed.formats import Findings
from pretrained_embed.matrix.assembly import OpenSource, check_coverage
from pretrained_embed.matrix.combine import Combination
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.postprocess import Step, postprocess, resolve
from pretrained_embed.matrix.sample import sample
from pretrained_embed.matrix.several import Contribution, fill_gaps, put_together
from pretrained_embed.vocabulary import Vocabulary

_FILL = Combination()


def build(
    vocabulary: Vocabulary,
    sources: Sequence[OpenSource],
    options: Options,
    combination: Combination = _FILL,
    steps: Sequence[Step] = (),
    *,
    dim: int | None = None,
    partial: bool = False,
) -> EmbeddingMatrix:
    """Return the matrix of ``vocabulary`` from the vectors of open sources.

    Raises what `pretrained_embed.build_matrix` does, and `ShapeError` if the rows would
    not have ``dim`` dimensions. ``partial`` says that the vocabulary is a part of one:
    it is no error that little of it is found.
    """
    readers = [source.reader for source in sources]
    names = [reader.name for reader in readers]
    combined = combination.dim([reader.dim for reader in readers], names)
    steps, final = resolve(steps, combined)
    if dim is not None and final != dim:
        raise ShapeError(
            f"{' and '.join(names)} would give rows of {final} dimensions; those to be "
            f"kept have {dim}"
        )
    make = fill_gaps if combination.how == "fill" else put_together
    rows = make(vocabulary, readers, options, combination, partial=partial)
    vectors = rows.vectors
    if steps:
        first = sample(readers, combination, options.on_bad_row)
        vectors = postprocess(steps, first, vectors)

    vectors.flags.writeable = False  # and so need not be copied
    asked = options.facts()
    if len(sources) > 1 or combination != _FILL:
        asked |= combination.facts()
    if steps:
        asked["postprocess"] = [str(step) for step in steps]
    return EmbeddingMatrix(
        vectors,
        vocabulary,
        rows.origin,
        {**_facts(sources, rows.contributions), "options": asked},
        _findings(names, rows.contributions),
        rows.source_rows,
        rows.sources,
        rows.parts,
        rows.advice,
    )


def _facts(
    sources: Sequence[OpenSource], contributions: Sequence[Contribution]
) -> dict[str, Any]:
    """Return what the provenance says of the sources."""
    each = [
        {
            **source.provenance,
            "format": source.reader.format,
            "rows": contribution.findings.rows,
            "dim": source.reader.dim,
        }
        for source, contribution in zip(sources, contributions, strict=True)
    ]
    if len(each) == 1:
        return {"source": each[0]}
    for facts, contribution in zip(each, contributions, strict=True):
        facts["coverage"] = {"tokens": contribution.tokens, "found": contribution.found}
    return {"sources": each}


def _findings(names: Sequence[str], contributions: Sequence[Contribution]) -> Findings:
    """Return the findings of all sources, which of several are named."""
    if len(contributions) == 1:
        return contributions[0].findings
    total = Findings()
    for name, contribution in zip(names, contributions, strict=True):
        found = contribution.findings
        total.rows += found.rows
        total.bad_rows += found.bad_rows
        total.suspicious_rows += found.suspicious_rows
        total.duplicates += found.duplicates
        total.doubts += [
            doubt._replace(what=f"{name}: {doubt.what}") for doubt in found.doubts
        ]
        total.notes += [f"{name}: {note}" for note in found.notes]
    return total


def build_onto(
    old: EmbeddingMatrix,
    name: str,
    vocabulary: Vocabulary,
    sources: Sequence[OpenSource],
    options: Options,
    combination: Combination = _FILL,
    steps: Sequence[Step] = (),
) -> EmbeddingMatrix:
    """Return the matrix of ``vocabulary`` with the rows that ``old`` has, built anew.

    The rows of other tokens are as `build` would make them; without such tokens
    ``sources`` may be empty. ``name`` is that of ``old`` in the provenance.
    """
    new = old.missing(vocabulary)
    rest = None
    if new is not None:
        rest = build(
            new, sources, options, combination, steps, dim=old.dim, partial=True
        )
    joined = old.extend(vocabulary, rest, name=name)
    readers = [source.reader for source in sources]
    check_coverage(joined.coverage, vocabulary, readers, options)
    return joined
