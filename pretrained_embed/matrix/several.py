"""Rows from one source or several, with their ledger.

Every source is looked up in before any row is filled, so that a row is filled only
where that is needed, and too little coverage is told of before the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.ledger.advice import Advice
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.matrix.assembly import Found, check_coverage, fill, look_up
from pretrained_embed.matrix.combine import Combination
from pretrained_embed.matrix.match import chain_names
from pretrained_embed.matrix.oov import PolicyChain
from pretrained_embed.matrix.options import Options
from pretrained_embed.vocabulary import Vocabulary


@dataclass
class Rows:
    """Finished rows, their ledger, and what came of each source."""

    vectors: Float32Array
    ledger: Ledger
    contributions: list[Contribution] = field(default_factory=list)


@dataclass
class Contribution:
    """What came of looking for tokens in one source."""

    findings: Findings
    tokens: int  # how many were looked for: all, or those not found before
    found: int

    @classmethod
    def of(cls, ledger: Ledger) -> Contribution:
        """Return what came of looking for a vocabulary."""
        coverage = Ledger(ledger.vocabulary, ledger.origin).coverage
        return cls(ledger.findings, coverage.tokens, coverage.found)


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
    vectors, ledger = look_up(vocabulary, readers[0], options)
    contributions = [Contribution.of(ledger)]
    advised = [(ledger.advice, np.arange(len(vocabulary)))]
    for number, reader in enumerate(readers[1:], 1):
        missing = ledger.missing
        if not len(missing):
            contributions.append(Contribution(Findings(), 0, 0))
            continue
        more = look_up(vocabulary.part(missing), reader, options)
        contributions.append(Contribution.of(more.ledger))
        advised.append((more.ledger.advice, missing))
        here = np.flatnonzero(more.ledger.found)
        combination.prepare(more.vectors, here, number)
        vectors[missing[here]] = more.vectors[here]
        ledger = ledger.with_rows(missing[here], more.ledger.numbered(number), here)

    empty = ledger.missing
    ledger = replace(
        ledger, advice=Advice.of_rows(advised, ledger.origin == Origin.OOV)
    )
    if not partial:
        coverage = ledger.covered(chain_names(options.match))
        check_coverage(coverage, vocabulary, readers, options)
    filler = _filler(readers, options)
    ledger = fill(vocabulary, readers[filler], Found(vectors, ledger), options).ledger
    combination.prepare(vectors, empty, filler)
    combination.prepare(vectors, np.flatnonzero(ledger.sources == 0), 0)
    made = empty[ledger.origin[empty] != Origin.OOV]  # of the pieces of a source
    ledger = ledger.with_rows(made, ledger.numbered(filler), made)
    return Rows(vectors, ledger, contributions)


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
    contributions = [Contribution.of(found.ledger) for found in each]
    has = [found.ledger.found for found in each]
    all_rows = np.arange(len(vocabulary))
    first = np.argmax(has, axis=0)  # source 0 where none has the token
    nowhere = ~np.any(has, axis=0)
    advice = Advice.of_rows([(one.ledger.advice, all_rows) for one in each], nowhere)
    if not partial:
        union = replace(_first_of(each, first), advice=advice)
        coverage = union.covered(chain_names(options.match))
        check_coverage(coverage, vocabulary, readers, options)

    for number, (reader, found) in enumerate(zip(readers, each, strict=True)):
        average = combination.how == "average"
        each[number] = fill(
            vocabulary,
            reader,
            found,
            _possible(options, reader, readers),
            number,
            left_out=~nowhere & ~has[number] if average else None,
        )
        combination.prepare(found.vectors, all_rows, number)
    vectors = combination.put_together(
        [found.vectors for found in each], [own | nowhere for own in has]
    )
    parts = tuple(
        replace(found.ledger, advice=None, findings=Findings()) for found in each
    )
    ledger = replace(_first_of(each, first), parts=parts, advice=advice)
    return Rows(vectors, ledger, contributions)


def _first_of(each: Sequence[Found], first: Int64Array) -> Ledger:
    """Return the ledger of rows each of which is that of one source, by its number."""
    ledger = Ledger.blank(each[0].ledger.vocabulary)
    for number, found in enumerate(each):
        rows = np.flatnonzero(first == number)
        ledger = ledger.with_rows(rows, found.ledger.numbered(number), rows)
    return ledger


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
