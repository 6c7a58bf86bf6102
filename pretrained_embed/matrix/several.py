"""Rows from one source or several, with their ledger.

Every source is looked up in before any row is filled, so that a row is filled only
where that is needed, and too little coverage is told of before the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pretrained_embed.arrays import Float32Array, Int16Array, Int64Array
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.assembly import Found, check_coverage, fill, look_up
from pretrained_embed.matrix.combine import Combination
from pretrained_embed.matrix.coverage import measure
from pretrained_embed.matrix.match import chain_names
from pretrained_embed.matrix.oov import PolicyChain
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.origin import Origin, OriginArray, Part
from pretrained_embed.matrix.part import part_of
from pretrained_embed.vocabulary import Vocabulary


@dataclass
class Rows:
    """Finished rows, their ledger, and what reading each source found."""

    vectors: Float32Array
    origin: OriginArray
    source_rows: Int64Array
    sources: Int16Array
    parts: list[Part] = field(default_factory=list)
    contributions: list[Contribution] = field(default_factory=list)
    advice: Advice | None = None


@dataclass
class Contribution:
    """What came of looking for tokens in one source."""

    findings: Findings
    tokens: int  # how many were looked for: all, or those not found before
    found: int

    @classmethod
    def of(cls, vocabulary: Vocabulary, found: Found) -> Contribution:
        """Return what came of looking for a vocabulary."""
        coverage = measure(vocabulary, found.origin)
        return cls(found.findings, coverage.tokens, coverage.found)


def fill_gaps(
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    options: Options,
    combination: Combination,
    *,
    partial: bool,
) -> Rows:
    """Take each row from the first source that has its token, in any form.

    All forms are looked for in a source before the next source is. What none has is
    filled from the first or, where that is asked for and it has no subword pieces, from
    the first that has.
    """
    found = look_up(vocabulary, readers[0], options)
    contributions = [Contribution.of(vocabulary, found)]
    advised = [(found.advice, np.arange(len(vocabulary)))]
    sources = np.where(found.origin >= Origin.EXACT, 0, -1).astype(np.int16)
    for number, reader in enumerate(readers[1:], 1):
        missing = np.flatnonzero(found.origin == Origin.OOV)
        if not len(missing):
            contributions.append(Contribution(Findings(), 0, 0))
            continue
        rest = part_of(vocabulary, missing)
        more = look_up(rest, reader, options)
        contributions.append(Contribution.of(rest, more))
        advised.append((more.advice, missing))
        here = np.flatnonzero(more.origin >= Origin.EXACT)
        combination.prepare(more.vectors, here, number)
        rows = missing[here]
        found.vectors[rows] = more.vectors[here]
        found.origin[rows] = more.origin[here]
        found.source_rows[rows] = more.source_rows[here]
        sources[rows] = number

    empty = found.origin == Origin.OOV
    advice = Advice.of_rows(advised, empty)
    if not partial:
        coverage = measure(vocabulary, found.origin, chain_names(options.match), advice)
        check_coverage(coverage, vocabulary, readers, options)
    filler = _filler(readers, options)
    fill(vocabulary, readers[filler], found, options)
    combination.prepare(found.vectors, np.flatnonzero(empty), filler)
    combination.prepare(found.vectors, np.flatnonzero(sources == 0), 0)
    sources[empty & (found.origin != Origin.OOV)] = filler  # made of its pieces
    return Rows(
        found.vectors,
        found.origin,
        found.source_rows,
        sources,
        contributions=contributions,
        advice=advice,
    )


def put_together(
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    options: Options,
    combination: Combination,
    *,
    partial: bool,
) -> Rows:
    """Make each row of the vectors that all sources have for its token.

    A source without the token gives what fills rows from it: always where vectors are
    put side by side, but to an average only if no source has the token. Where some
    sources have subword pieces, the others are not asked for such.
    """
    each = [look_up(vocabulary, reader, options) for reader in readers]
    contributions = [Contribution.of(vocabulary, found) for found in each]
    has = [found.origin >= Origin.EXACT for found in each]
    all_rows = np.arange(len(vocabulary))
    first = np.argmax(has, axis=0), all_rows  # source 0 where none has the token
    nowhere = ~np.any(has, axis=0)
    advice = Advice.of_rows([(found.advice, all_rows) for found in each], nowhere)
    if not partial:
        union = np.stack([found.origin for found in each])[first]
        coverage = measure(vocabulary, union, chain_names(options.match), advice)
        check_coverage(coverage, vocabulary, readers, options)

    for number, (reader, found) in enumerate(zip(readers, each, strict=True)):
        left_out = ~nowhere & ~has[number] & (combination.how == "average")
        found.origin[left_out] = Origin.UNUSED  # so that it is not filled
        fill(vocabulary, reader, found, _possible(options, reader, readers), number)
        found.origin[left_out] = Origin.OOV
        combination.prepare(found.vectors, all_rows, number)
    vectors = combination.put_together(
        [found.vectors for found in each], [own | nowhere for own in has]
    )
    origin = np.stack([found.origin for found in each])[first]
    return Rows(
        vectors,
        origin,
        np.stack([found.source_rows for found in each])[first],
        np.where(origin > Origin.OOV, first[0], -1).astype(np.int16),
        [Part(found.origin, found.source_rows) for found in each],
        contributions,
        advice,
    )


def _filler(readers: Sequence[Reader], options: Options) -> int:
    """Return which source fills the rows of tokens that none has."""
    if "subword" in options.oov:
        composing = [number for number, r in enumerate(readers) if r.composes]
        return composing[0] if composing else 0
    return 0


def _possible(options: Options, reader: Reader, readers: Sequence[Reader]) -> Options:
    """Return the options without "subword", if others have such pieces but not this."""
    if reader.composes or not any(other.composes for other in readers):
        return options

    def without(chain: PolicyChain) -> PolicyChain:
        return tuple(policy for policy in chain if policy != "subword")

    special = {token: without(chain) for token, chain in options.special_oov.items()}
    return replace(options, oov=without(options.oov), special_oov=special)
