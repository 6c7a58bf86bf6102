"""The rows of a range, with their ledger.

Every source is looked up in before any row is filled, so that a row is filled only
where that is needed, and too little coverage is told of before the work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed import bits
from pretrained_embed import fill as oov
from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.bits import Loss, Stored
from pretrained_embed.build.plan import Contribution, Plan
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.ledger import Advice, Ledger, Origin
from pretrained_embed.ledger.origin import OriginArray
from pretrained_embed.lookup.search import Search
from pretrained_embed.vocabulary import Vocabulary


class Made(NamedTuple):
    """What became of a range."""

    vectors: Float32Array | Stored  # (rows, dim), in the bits of the plan's dtype
    ledger: Ledger  # of these rows
    contributions: list[Contribution]  # of each source; none where none was asked
    unfilled: Int64Array  # ids whose rows the policy "error" leaves
    loss: Loss = Loss()  # of rows that were rounded


class _Found(NamedTuple):
    """What a source has of the rows that were looked for in it."""

    rows: Int64Array  # which they are
    vectors: Float32Array  # (rows, dim); zeros where nothing was found
    ledger: Ledger  # of these rows, still to be filled


def make(
    plan: Plan,
    number: int,
    readers: Sequence[Reader],
    *,
    out: Float32Array | None = None,
    check: Callable[[Ledger], None] | None = None,
) -> Made:
    """Return the rows of a range, which depend on the plan and its number alone.

    ``readers`` are those of the sources, as far as this range needs them. ``out`` is
    float32 (rows, dim), zeros: where a hit is a row, it goes there at once, and the
    vectors that are returned are this array. ``check`` is called with the ledger before
    any row is filled.
    """
    made = _made(plan, number, readers, out, check)
    if plan.dtype == "float32" or len(made.unfilled):
        return made
    return _rounded(plan, plan.ranges[number], made)


def _rounded(plan: Plan, rows: range, made: Made) -> Made:
    """Return the rows of a range in the bits of the plan's dtype.

    Those that are kept of a matrix of that dtype have the bits they had there.
    """
    numbers = made.vectors[:]
    tokens = plan.vocabulary.packed[rows.start : rows.stop]
    stored = bits.encode(numbers, plan.dtype, tokens)
    if plan.onto is not None and plan.onto.vectors.encoding == plan.dtype:
        stored = plan.onto.put_bits(rows, stored)
        asked = plan.asked(rows) - rows.start
        loss = Loss.of(numbers[asked], stored.take(asked))
    else:
        loss = Loss.of(numbers, stored)
    return made._replace(vectors=stored, loss=loss)


def _made(
    plan: Plan,
    number: int,
    readers: Sequence[Reader],
    out: Float32Array | None,
    check: Callable[[Ledger], None] | None,
) -> Made:
    """Return the rows of a range as float32."""
    rows = plan.ranges[number]
    asked = plan.asked(rows)
    if not len(asked):
        ledger = _with_kept(plan, rows, asked, None)
        if check is not None:
            check(ledger)
        return Made(_whole(plan, rows, asked, None, out), ledger, [], asked)
    vocabulary = _part(plan, asked)
    each = _look_up(plan, vocabulary, readers, out)
    united = _united(vocabulary, each)
    if check is not None:
        check(_with_kept(plan, rows, asked, united))
    finish = _fill_gaps if plan.combination.how == "fill" else _put_together
    vectors, ledger, unfilled = finish(plan, vocabulary, readers, each, united)
    if plan.steps and not len(unfilled):
        vectors = plan.change(vectors)
    if plan.onto is not None:
        vectors = _whole(plan, rows, asked, vectors, out)
    contributions = [
        Contribution(Findings()) if found is None else Contribution.of(found.ledger)
        for found in each
    ]
    ledger = _with_kept(plan, rows, asked, ledger)
    return Made(vectors, ledger, contributions, asked[unfilled])


def locate(plan: Plan, number: int, readers: Sequence[Reader]) -> Ledger:
    """Return the ledger of a range before its rows are filled; no vector is read."""
    rows = plan.ranges[number]
    asked = plan.asked(rows)
    united = None
    if len(asked):
        vocabulary = _part(plan, asked)
        each = _look_up(plan, vocabulary, readers, None, vectors=False)
        united = _united(vocabulary, each)
    return _with_kept(plan, rows, asked, united)


def located_in(plan: Plan, reader: Reader) -> Ledger:
    """Return where one source has the tokens of a plan; no vector is read.

    Its name, format and dim are in the provenance.
    """
    _, ledger = _hits(plan, plan.vocabulary, reader, None, vectors=False)
    source = {"name": reader.name, "format": reader.format, "dim": reader.dim}
    return replace(ledger, provenance={"source": source})


def missing_in(plan: Plan, rows: Int64Array, reader: Reader) -> Int64Array:
    """Return those of some rows whose tokens a source does not have in any form."""
    if not len(rows):
        return rows
    here = _part(plan, rows)
    _, ledger = _hits(plan, here, reader, None, vectors=False, advise=False)
    return rows[ledger.missing]


def _part(plan: Plan, rows: Int64Array) -> Vocabulary:
    """Return the vocabulary of some rows, which rise."""
    vocabulary = plan.vocabulary
    return vocabulary if len(rows) == len(vocabulary) else vocabulary.part(rows)


def _whole(
    plan: Plan,
    rows: range,
    asked: Int64Array,
    vectors: Float32Array | None,
    out: Float32Array | None,
) -> Float32Array:
    """Return all rows of a range, given those that were asked for; others are kept."""
    whole = np.zeros((len(rows), plan.dim), np.float32) if out is None else out
    if vectors is None:
        whole[:] = 0.0  # a build that was killed may have left something there
    if vectors is not None:
        whole[asked - rows.start] = vectors
    if plan.onto is not None:
        plan.onto.put(rows, whole)
    return whole


def _with_kept(
    plan: Plan, rows: range, asked: Int64Array, ledger: Ledger | None
) -> Ledger:
    """Return the ledger of a range, given that of the rows asked for."""
    if plan.onto is not None:
        together = plan.sources and plan.combination.how != "fill"
        parts = len(plan.sources) if together else 0
        return plan.onto.with_rest(rows, asked - rows.start, ledger, parts)
    part = plan.vocabulary
    if len(rows) < len(part):  # without the index that making the rows may have left
        part = part.part(np.arange(rows.start, rows.stop))
    if ledger is None:
        return Ledger.blank(part)
    return ledger if ledger.vocabulary is part else ledger.with_vocabulary(part)


def _look_up(
    plan: Plan,
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    out: Float32Array | None,
    *,
    vectors: bool = True,
) -> list[_Found | None]:
    """Return what each source has: of all tokens, or of those not found before.

    ``None`` for a source that nothing is wanted of.
    """
    each: list[_Found | None] = []
    rows = np.arange(len(vocabulary))
    for number, reader in enumerate(readers):
        if not len(rows):
            each.append(None)
            continue
        here = vocabulary if len(rows) == len(vocabulary) else vocabulary.part(rows)
        place = out if plan.in_place and not number else None
        found, ledger = _hits(plan, here, reader, place, vectors=vectors)
        each.append(_Found(rows, found, ledger))
        if plan.combination.how == "fill":
            rows = rows[ledger.missing]
    return each


def _hits(
    plan: Plan,
    vocabulary: Vocabulary,
    reader: Reader,
    out: Float32Array | None,
    *,
    vectors: bool,
    advise: bool = True,
) -> tuple[Float32Array, Ledger]:
    """Return the vectors of the tokens that ``reader`` has in a form asked for."""
    advise = advise and plan.work.advise
    search = Search(vocabulary, plan.recipe.chain, advise=advise)
    if out is None or search.rows > len(out) or not vectors:
        out = np.zeros((search.rows if vectors else 0, reader.dim), np.float32)
    asked: Any = {"threads": plan.work.threads, "on_bad_row": plan.on_bad_row}
    selection = reader.select(search.index, out, progress=plan.progress, **asked)
    findings = selection.findings
    plan.limits.check_rows(findings, reader.name)
    ledger = search.hits(selection, out if vectors else None)
    notes = search.notes(selection)
    if (advise or notes) and findings.duplicates:
        # those of tokens that are only tried are among them: look for the others alone
        index = Search(vocabulary, plan.recipe.chain, respell=False).index
        own = reader.locate(index, **asked).findings
        findings = replace(findings, duplicates=own.duplicates)
    if notes:
        findings = replace(findings, notes=[*findings.notes, *notes])
    if vectors and len(out) > len(vocabulary):
        # What lies beyond are parts of compounds. `out` was made above for this search:
        # it owns its memory, and no view of it is left that could see it go.
        assert out.base is None, "the rows of a sink are not for this function to cut"
        out.resize((len(vocabulary), reader.dim), refcheck=False)
    return out, replace(ledger, findings=findings)


def _united(vocabulary: Vocabulary, each: Sequence[_Found | None]) -> Ledger:
    """Return the ledger of rows, each of the first source that has its token."""
    if len(each) == 1:
        return _there(each[0]).ledger
    ledger = Ledger.blank(vocabulary)
    advised: list[tuple[Advice | None, Int64Array]] = []
    for number, found in enumerate(each):
        if found is not None:
            new = found.ledger.found & (ledger.origin[found.rows] == Origin.OOV)
            its = np.flatnonzero(new)
            theirs = found.ledger.numbered(number)
            ledger = ledger.with_rows(found.rows[its], theirs, its)
            advised.append((found.ledger.advice, found.rows))
    advice = Advice.of_rows(advised, ledger.origin == Origin.OOV)
    return replace(ledger, advice=advice)


def _fill_gaps(
    plan: Plan,
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    each: Sequence[_Found | None],
    ledger: Ledger,
) -> tuple[Float32Array, Ledger, Int64Array]:
    """Take each row from the first source that has its token, in any form.

    What none has is filled from the first or, where that is asked for and it has no
    subword pieces, from the first that has.
    """
    vectors, prepare = _there(each[0]).vectors, plan.combination.prepare
    for number, found in enumerate(each[1:], 1):
        if found is not None:
            here = np.flatnonzero(found.ledger.found)
            prepare(found.vectors, here, number)
            vectors[found.rows[here]] = found.vectors[here]
    empty, filler = ledger.missing, _filler(plan, readers)
    origin, unfilled = _fill(
        plan, vocabulary, readers[filler], vectors, empty, ledger.origin
    )
    prepare(vectors, empty, filler)
    prepare(vectors, np.flatnonzero(ledger.sources == 0), 0)
    made = empty[origin[empty] != Origin.OOV]  # of the pieces of a source
    if len(made):
        ledger = replace(ledger, origin=origin)
        ledger = ledger.with_rows(made, ledger.numbered(filler), made)
    return vectors, ledger, unfilled


def _put_together(
    plan: Plan,
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    each: Sequence[_Found | None],
    ledger: Ledger,
) -> tuple[Float32Array, Ledger, Int64Array]:
    """Make each row of the vectors that all sources have for its token.

    A source without the token gives what fills rows from it: always where vectors are
    put side by side, but to an average only if no source has the token. Where some
    sources have subword pieces, the others are not asked for such.
    """
    found = [_there(one) for one in each]
    has = [one.ledger.found for one in found]
    nowhere = ~np.logical_or.reduce(has)
    parts: list[Ledger] = []
    unfilled = np.zeros(len(vocabulary), np.bool_)
    for number, (reader, one) in enumerate(zip(readers, found, strict=True)):
        rows = one.ledger.missing
        if plan.combination.how == "average":
            rows = rows[nowhere[rows]]
        origin, left = _fill(
            plan,
            vocabulary,
            reader,
            one.vectors,
            rows,
            one.ledger.origin,
            part=number,
            spells=reader.composes or not any(other.composes for other in readers),
        )
        unfilled[left] = True
        parts.append(replace(one.ledger, origin=origin))
        plan.combination.prepare(one.vectors, one.rows, number)
    vectors = plan.combination.put_together(
        [one.vectors for one in found], [own | nowhere for own in has]
    )
    filled = np.flatnonzero(nowhere)  # as the first source has it
    whole = ledger.with_rows(filled, parts[0].numbered(0), filled)
    parts = [replace(part, advice=None, findings=Findings()) for part in parts]
    return vectors, replace(whole, parts=tuple(parts)), np.flatnonzero(unfilled)


def _there(found: _Found | None) -> _Found:
    if found is None:
        raise ValueError("a source that all is wanted of was not looked up in")
    return found


def _fill(
    plan: Plan,
    vocabulary: Vocabulary,
    reader: Reader,
    vectors: Float32Array,
    rows: Int64Array,
    origin: OriginArray,
    *,
    part: int = 0,
    spells: bool = True,
) -> tuple[OriginArray, Int64Array]:
    """Fill rows of tokens that were not found, each by the policies for it.

    ``part`` is the place of the source among those whose vectors are put together.
    ``spells`` is false where others of these have subword pieces, and this has none.
    Returns ``origin`` as it is now, and which rows "error" leaves as they are.
    """
    if not len(rows):
        return origin, rows
    origin = origin.copy()
    lookup = oov.Lookup(
        reader.whole,
        vocabulary,
        plan.recipe.chain,
        plan.on_bad_row,
        plan.work.threads,
        plan.progress,
    )
    statistics = cache(lambda: oov.source_statistics(reader, plan.on_bad_row))
    left = [
        oov.fill(
            tuple(policy for policy in chain if spells or policy != "subword"),
            vocabulary.strings(chosen),
            chosen,
            vectors,
            origin,
            lookup=lookup,
            seed=plan.recipe.seed,
            part=part,
            statistics=statistics,
        )
        for chain, chosen in oov.by_chain(
            vocabulary, rows, plan.recipe.oov, plan.special_oov
        )
    ]
    return origin, np.sort(np.concatenate(left))


def _filler(plan: Plan, readers: Sequence[Reader]) -> int:
    """Return which source fills the rows of tokens that none has."""
    composing = [number for number, reader in enumerate(readers) if reader.composes]
    return composing[0] if composing and "subword" in plan.recipe.oov else 0
