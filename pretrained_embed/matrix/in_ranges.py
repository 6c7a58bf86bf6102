"""A matrix made range of rows by range, for where it does not fit the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array, PackedTokens
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.matrix.assembly import OpenSource, check_coverage
from pretrained_embed.matrix.building import findings_of, provenance_of
from pretrained_embed.matrix.match import chain_names
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.row_maker import RowMaker
from pretrained_embed.matrix.search import Search
from pretrained_embed.matrix.several import Contribution
from pretrained_embed.vocabulary import Vocabulary


def wanted_tokens(
    vocabulary: Vocabulary, bounds: range, options: Options
) -> PackedTokens:
    """Return all that is looked for, in a source, for a range of rows: each once."""
    if not _has_tokens(vocabulary, bounds):
        return PackedTokens.pack(())
    part = vocabulary.part(_ids(bounds))
    search = Search(part, options.match, advise=options.advise)
    if len(search.index) == len(search.texts):
        return search.texts
    return PackedTokens.pack(dict.fromkeys(search.texts.unpack()))


class InRanges:
    """Makes the rows of a vocabulary, some consecutive ones at a time.

    The rows are those of `pretrained_embed.build_matrix`, to the bit, and so is the
    ledger, whatever the ranges.
    """

    def __init__(self, vocabulary: Vocabulary, maker: RowMaker) -> None:
        self._vocabulary = vocabulary
        self._maker = maker
        self._pieces: dict[int, Ledger] = {}  # by the first row
        self._contributions: list[Contribution] = []

    def make(self, bounds: range, readers: Sequence[Reader]) -> Float32Array:
        """Return the rows of a range, float32 (len(bounds), dim)."""
        part = self._vocabulary.part(_ids(bounds))
        if not _has_tokens(self._vocabulary, bounds):
            self._pieces[bounds.start] = Ledger.blank(part)
            return np.zeros((len(bounds), self._maker.dim), np.float32)
        rows = self._maker.rows(part, readers, partial=True)
        # without the index of tokens that making the rows may have left behind
        again = self._vocabulary.part(_ids(bounds))
        self._pieces[bounds.start] = rows.ledger.with_vocabulary(again)
        if not self._contributions:
            self._contributions = rows.contributions
        else:
            pairs = zip(self._contributions, rows.contributions, strict=True)
            self._contributions = [_sum(*pair) for pair in pairs]
        return rows.vectors

    def ledger(
        self, sources: Sequence[OpenSource], duplicates: Sequence[int | None] = ()
    ) -> Ledger:
        """Return where the rows are from that have been made.

        ``duplicates`` are those of each source, as far as they are known: ranges that
        want the same token count those of it more than once.
        """
        maker = self._maker
        contributions = self._contributions or [
            Contribution(Findings(), 0, 0) for _ in sources
        ]
        contributions = [
            replace(one, findings=_copy(one.findings)) for one in contributions
        ]
        for one, known in zip(contributions, duplicates, strict=False):
            if known is not None:
                one.findings.duplicates = known
        pieces = [self._pieces[start] for start in sorted(self._pieces)]
        rest = range(sum(map(len, pieces)), len(self._vocabulary))
        if rest:  # not made yet
            pieces.append(_unused(self._vocabulary.part(_ids(rest))))
        return Ledger.join(
            self._vocabulary,
            pieces,
            provenance_of(sources, contributions, maker),
            findings_of(maker.names, contributions),
        )


def _unused(vocabulary: Vocabulary) -> Ledger:
    """Return the ledger of rows of which nothing is known yet."""
    origin = np.full(len(vocabulary), Origin.UNUSED, np.uint8)
    if vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD
    return Ledger(vocabulary, origin)


def check_ledger(ledger: Ledger, maker: RowMaker) -> None:
    """Raise `CoverageError` if nothing was found, or less than was asked for."""
    options = maker.options
    coverage = ledger.covered(chain_names(options.match))
    check_coverage(coverage, ledger.vocabulary, maker.readers, options)


def _has_tokens(vocabulary: Vocabulary, bounds: range) -> bool:
    """Whether there is a token to look for in a range: pad and holes are none."""
    without = np.searchsorted(vocabulary.holes, (bounds.start, bounds.stop))
    pad = vocabulary.pad_id is not None and vocabulary.pad_id in bounds
    return len(bounds) > int(np.diff(without)[0]) + pad


def _ids(bounds: range) -> Int64Array:
    return np.arange(bounds.start, bounds.stop)


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
