"""The steps of a build: looking up, seeing whether enough was found, filling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array
from pretrained_embed.errors import CoverageError
from pretrained_embed.formats import Reader
from pretrained_embed.formats.bad_rows import check_bad_rows
from pretrained_embed.ledger.coverage import Coverage, percent
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.matrix import oov
from pretrained_embed.matrix.nothing_found import nothing_found
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.search import Search, own_findings
from pretrained_embed.vocabulary import Vocabulary


class OpenSource(NamedTuple):
    """A source to build from."""

    reader: Reader
    provenance: dict[str, Any]  # what is known of it


class Found(NamedTuple):
    """What a source has of a vocabulary, still to be filled."""

    vectors: Float32Array  # (rows, dim); zeros where nothing was found
    ledger: Ledger  # with what was found in the source


def look_up(vocabulary: Vocabulary, reader: Reader, options: Options) -> Found:
    """Return the vectors of the tokens that ``reader`` has in a form asked for."""
    search = Search(vocabulary, options.match, advise=options.advise)
    vectors = np.zeros((search.rows, reader.dim), np.float32)
    selection = reader.select(
        search.index,
        vectors,
        threads=options.threads,
        on_bad_row=options.on_bad_row,
        progress=options.progress,
    )
    check_bad_rows(selection.findings, options.max_bad_rows, reader.name)
    ledger = search.hits(selection, vectors)
    # what lies beyond are parts of compounds, and nothing else refers to them
    vectors.resize((len(vocabulary), reader.dim), refcheck=False)
    findings = own_findings(selection.findings, vocabulary, reader, options)
    return Found(vectors, replace(ledger, findings=findings))


def check_coverage(
    coverage: Coverage,
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    options: Options,
) -> None:
    """Raise `CoverageError` if nothing was found, or less than was asked for."""
    composing = "subword" in options.oov and any(r.composes for r in readers)
    if readers and coverage.tokens and not coverage.found and not composing:
        raise nothing_found(vocabulary, readers, options, coverage)
    if coverage.ratio < options.min_coverage:
        raise CoverageError(
            f"{percent(coverage.ratio)} of the tokens were found, "
            f"{percent(options.min_coverage)} are asked for. {coverage}"
        )
    share = coverage.occurrences_ratio
    if share is not None and share < options.min_token_coverage:
        raise CoverageError(
            f"the tokens found make up {percent(share)} of the text, "
            f"{percent(options.min_token_coverage)} are asked for. {coverage}"
        )


def fill(
    vocabulary: Vocabulary,
    reader: Reader,
    found: Found,
    options: Options,
    part: int = 0,
    left_out: BoolArray | None = None,
) -> Found:
    """Fill the rows of tokens that were not found, each by the policies for it.

    ``part`` is the place of the source among those whose vectors are put together.
    Rows that are ``left_out``, bool (rows,), stay as they are.
    """
    lookup = oov.Lookup(
        reader.whole,
        vocabulary,
        options.match,
        options.on_bad_row,
        options.threads,
        options.progress,
    )
    statistics = cache(lambda: oov.source_statistics(reader, options.on_bad_row))
    rows = found.ledger.missing
    if left_out is not None:
        rows = rows[~left_out[rows]]
    origin = found.ledger.origin.copy()
    for chain, chosen in oov.by_chain(
        vocabulary, rows, options.oov, options.special_oov
    ):
        oov.fill(
            chain,
            vocabulary.strings(chosen),
            chosen,
            found.vectors,
            origin,
            lookup=lookup,
            seed=options.seed,
            part=part,
            statistics=statistics,
        )
    return Found(found.vectors, replace(found.ledger, origin=origin))
