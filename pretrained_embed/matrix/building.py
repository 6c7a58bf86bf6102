"""From a vocabulary and open sources to a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pretrained_embed.formats import Findings
from pretrained_embed.matrix.assembly import OpenSource, check_coverage
from pretrained_embed.matrix.combine import Combination
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.postprocess import Step
from pretrained_embed.matrix.row_maker import FILL, RowMaker
from pretrained_embed.matrix.several import Contribution
from pretrained_embed.vocabulary import Vocabulary


def build(
    vocabulary: Vocabulary,
    sources: Sequence[OpenSource],
    options: Options,
    combination: Combination = FILL,
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
    maker = RowMaker([s.reader for s in sources], options, combination, steps)
    if dim is not None:
        maker.check_dim(dim)
    rows = maker.rows(vocabulary, partial=partial)
    rows.vectors.flags.writeable = False  # and so need not be copied
    ledger = replace(
        rows.ledger,
        provenance=provenance_of(sources, rows.contributions, maker),
        findings=findings_of(maker.names, rows.contributions),
    )
    return EmbeddingMatrix(rows.vectors, ledger)


def provenance_of(
    sources: Sequence[OpenSource],
    contributions: Sequence[Contribution],
    maker: RowMaker,
) -> dict[str, Any]:
    """Return how to make the same rows again."""
    asked = maker.options.facts()
    if len(sources) > 1 or maker.combination != FILL:
        asked |= maker.combination.facts()
    if maker.steps:
        asked["postprocess"] = [str(step) for step in maker.steps]
    return {**_facts(sources, contributions), "options": asked}


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


def findings_of(
    names: Sequence[str], contributions: Sequence[Contribution]
) -> Findings:
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
    combination: Combination = FILL,
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
