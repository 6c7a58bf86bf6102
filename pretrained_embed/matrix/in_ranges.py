"""A matrix made range of rows by range, for where it does not fit the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pretrained_embed.formats import Findings, Reader
from pretrained_embed.formats.reader import Float32Array
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.assembly import OpenSource, check_coverage
from pretrained_embed.matrix.building import findings_of, provenance_of
from pretrained_embed.matrix.coverage import measure
from pretrained_embed.matrix.ledger import Ledger
from pretrained_embed.matrix.match import EXACT, chain_names
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.origin import Origin, Part
from pretrained_embed.matrix.part import part_of
from pretrained_embed.matrix.row_maker import RowMaker
from pretrained_embed.matrix.search import Search
from pretrained_embed.matrix.several import Contribution, Rows
from pretrained_embed.packed_tokens import PackedTokens
from pretrained_embed.vocabulary import Vocabulary

Int64Array = npt.NDArray[np.int64]


def wanted_tokens(
    vocabulary: Vocabulary, bounds: range, options: Options
) -> PackedTokens:
    """Return all that is looked for, in a source, for a range of rows."""
    ids = _ids_in(vocabulary, bounds)
    if options.match == (EXACT,) and not options.advise:
        return PackedTokens.pack(str(vocabulary.tokens[id]) for id in ids.tolist())
    if not len(ids):
        return PackedTokens.pack(())
    search = Search(part_of(vocabulary, ids), options.match, advise=options.advise)
    return PackedTokens.pack(dict.fromkeys(search.texts))


class InRanges:
    """Makes the rows of a vocabulary, some consecutive ones at a time.

    The rows are those of `pretrained_embed.build_matrix`, to the bit, and so is the
    ledger, whatever the ranges.
    """

    def __init__(self, vocabulary: Vocabulary, maker: RowMaker) -> None:
        rows = len(vocabulary)
        self._vocabulary = vocabulary
        self._maker = maker
        self._origin = np.full(rows, Origin.UNUSED, np.uint8)
        self._source_rows = np.full(rows, -1)
        self._sources = np.full(rows, -1, np.int16)
        self._parts: list[Part] = []
        self._advice: list[tuple[Advice | None, Int64Array]] = []
        self._contributions: list[Contribution] = []
        if vocabulary.pad_id is not None:
            self._origin[vocabulary.pad_id] = Origin.PAD

    def make(self, bounds: range, readers: Sequence[Reader]) -> Float32Array:
        """Return the rows of a range, float32 (len(bounds), dim)."""
        block = np.zeros((len(bounds), self._maker.dim), np.float32)
        ids = _ids_in(self._vocabulary, bounds)
        if len(ids):
            part = part_of(self._vocabulary, ids)
            rows = self._maker.rows(part, readers, partial=True)
            block[ids - bounds.start] = rows.vectors
            self._record(ids, rows)
        return block

    def _record(self, ids: Int64Array, rows: Rows) -> None:
        self._origin[ids] = rows.origin
        self._source_rows[ids] = rows.source_rows
        self._sources[ids] = rows.sources
        if not self._parts:
            self._parts = [
                Part(self._origin_of_rows_without(), np.full(len(self._origin), -1))
                for _ in rows.parts
            ]
        for whole, part in zip(self._parts, rows.parts, strict=True):
            whole.origin[ids] = part.origin
            whole.source_rows[ids] = part.source_rows
        self._advice.append((rows.advice, ids))
        if not self._contributions:
            self._contributions = rows.contributions
        else:
            pairs = zip(self._contributions, rows.contributions, strict=True)
            self._contributions = [_sum(*pair) for pair in pairs]

    def _origin_of_rows_without(self) -> npt.NDArray[np.uint8]:
        """Return what a ledger has of rows that have no token to look for."""
        return np.where(self._origin == Origin.PAD, Origin.PAD, Origin.UNUSED).astype(
            np.uint8
        )

    def ledger(self, sources: Sequence[OpenSource]) -> Ledger:
        """Return where the rows are from that have been made."""
        maker = self._maker
        advice = Advice.of_rows(self._advice, np.ones(len(self._origin), np.bool_))
        contributions = self._contributions or [
            Contribution(Findings(), 0, 0) for _ in sources
        ]
        return Ledger(
            self._vocabulary,
            self._origin,
            self._source_rows,
            self._sources,
            self._parts,
            advice,
            provenance_of(sources, contributions, maker),
            _copy(findings_of(maker.names, contributions)),
        )


def check_ledger(ledger: Ledger, maker: RowMaker) -> None:
    """Raise `CoverageError` if nothing was found, or less than was asked for."""
    options = maker.options
    names = chain_names(options.match)
    coverage = measure(ledger.vocabulary, ledger.origin, names, ledger.advice)
    check_coverage(coverage, ledger.vocabulary, maker.readers, options)


def _ids_in(vocabulary: Vocabulary, bounds: range) -> Int64Array:
    """Return the rows of a range that a token has, but for the pad row."""
    ids = np.arange(bounds.start, bounds.stop)
    ids = ids[ids != (-1 if vocabulary.pad_id is None else vocabulary.pad_id)]
    return np.setdiff1d(ids, vocabulary.holes, assume_unique=True)


def _copy(findings: Findings) -> Findings:
    """Return findings that may be added to; those of a range are used again."""
    return replace(findings, doubts=[*findings.doubts], notes=[*findings.notes])


def _sum(one: Contribution, other: Contribution) -> Contribution:
    """Return what came of looking for both of two parts in one source.

    A pass over the source finds the same both times, but for duplicates, and none was
    made for a part of which nothing was missing.
    """
    found = one.findings if one.findings.rows else other.findings
    duplicates = one.findings.duplicates + other.findings.duplicates
    return Contribution(
        replace(found, duplicates=duplicates),
        one.tokens + other.tokens,
        one.found + other.found,
    )
