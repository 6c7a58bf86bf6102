"""One pass over a source that looks up all forms of all tokens.

All forms go into one index, with their positions in the chain as ranks. Of the matching
rows of the source, the one with the lowest rank is used, then the first in the file.

A pass may also look up parts of compounds, whose vectors are averaged later, and forms
for advice, which are only located. They get rows after those of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import ne
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    BoolArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    UInt8Array,
    joined,
)
from pretrained_embed.errors import OptionError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import Selection
from pretrained_embed.ledger.coverage import Advice
from pretrained_embed.ledger.ledger import Ledger, asked_of, codes_of
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.lookup.match import (
    EXACT,
    Chain,
    MatchForm,
    chain_names,
    match_chain,
    several,
)
from pretrained_embed.lookup.match_text import Variants, parts
from pretrained_embed.vocabulary import Vocabulary

#: How many ranks an index has.
RANKS = 128

#: How many numbers are averaged at a time.
_BLOCK_NUMBERS = 1 << 20


class RowNumbers(dict[str, int]):
    """Gives each new token the next row."""

    def __init__(self, first: int) -> None:
        self._first = first

    def of(self, tokens: Iterable[str]) -> list[int]:
        """Return the rows of tokens, in their order."""
        first = self._first
        return [self.setdefault(token, first + len(self)) for token in tokens]

    def rows(self) -> Int64Array:
        """Return all rows, in order."""
        return np.arange(self._first, self.stop)

    @property
    def stop(self) -> int:
        """The row for the next new token."""
        return self._first + len(self)


class Texts(NamedTuple):
    """The texts that a form has looked up, one entry for each."""

    places: list[int]  # of the tokens
    orders: list[int]  # of the texts among those that one token is changed to
    texts: list[str]


def texts_of(
    tokens: Sequence[str], made: Sequence[Variants], *, same: bool = False
) -> Texts:
    """Return the texts that a form made of tokens; a token may have none.

    A text equal to its token is left out, unless ``same``.
    """
    places, orders, texts = [], [], []
    all_places = range(len(tokens))
    for place in all_places if same else compress(all_places, map(ne, made, tokens)):
        for order, text in enumerate(several(made[place])):
            if text and (same or text != tokens[place]):
                places.append(place)
                orders.append(order)
                texts.append(text)
    return Texts(places, orders, texts)


class Wanted(NamedTuple):
    """A part of the index of a pass."""

    texts: PackedTokens
    rows: Int64Array  # of each text
    ranks: UInt8Array  # the same

    @classmethod
    def as_they_stand(cls, texts: PackedTokens, rows: Int64Array, rank: int) -> Wanted:
        """Return texts with their rows and one rank for all."""
        return cls(texts, rows, np.full(len(rows), rank, np.uint8))


class Compounds(NamedTuple):
    """Tokens with the same number of parts each, and the rows of the parts."""

    ids: Int64Array  # (tokens,)
    parts: Int64Array  # (tokens, parts of each)

    def complete(self, found: BoolArray) -> BoolArray:
        """Return which tokens have all their parts among the found rows."""
        there: BoolArray = np.logical_and.reduce(found[self.parts], axis=1)
        return there


def compounds_of(
    ids: Iterable[int], made: Iterable[Variants], rows: RowNumbers
) -> list[Compounds]:
    """Return the tokens that have parts; the parts get rows from ``rows``."""
    groups: dict[tuple[int, int], tuple[list[int], list[list[int]]]] = {}
    for id, variants in zip(ids, made, strict=True):
        for order, variant in enumerate(several(variants)):
            if words := parts(variant):
                chosen, of_each = groups.setdefault((order, len(words)), ([], []))
                chosen.append(id)
                of_each.append(rows.of(words))
    return [
        Compounds(np.array(chosen, np.int64), np.array(of_each, np.int64))
        for _, (chosen, of_each) in sorted(groups.items())
    ]


#: The forms for advice, the simplest first, and those of them that a lower-case source
#: needs in lower case. At most `BITS` in all.
_TRIED = match_chain(
    "exact,lower,title,upper,nfc,nfkc,strip-accents,quotes,digits-hash,digits-zero,"
    "joined,compound,unmarked,conceptnet"
)
_TRIED_IN_LOWER_CASE = match_chain(
    "nfkc,strip-accents,quotes,digits-hash,digits-zero,joined,unmarked"
)
_LOWER_COMPOUND = "lower+compound"


class Trial:
    """Forms that are tried beside a chain, for advice.

    A lower-case form counts only where neither the form nor lower case alone finds the
    token, and ConceptNet only for full keys. ``parts`` gives rows to the parts of
    compounds. After that `texts` has the texts to look up unchanged, with a row for
    each.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        chain: Chain,
        tokens: list[str],
        ids: Int64Array,
        parts: RowNumbers,
    ) -> None:
        named = chain_names(chain)
        alone = "exact" not in named
        lowered = list(map(str.lower, tokens))
        made = {}  # by name of the form
        for form in _TRIED:
            variants = form.made(vocabulary, tokens)
            if form.name == "conceptnet":  # without /c/en/ it is like another form
                variants = [several(keys)[0] if keys else () for keys in variants]
            made[form.name] = texts_of(tokens, variants, same=alone or form == EXACT)
        for form in _TRIED_IN_LOWER_CASE:
            made[f"{form.name}+lower"] = _in_lower_case(made[form.name], lowered)

        capital = [i for i, text in enumerate(lowered) if text != tokens[i]]
        compounds = {
            "compound": compounds_of(ids.tolist(), tokens, parts),
            _LOWER_COMPOUND: compounds_of(
                ids[capital].tolist(), [lowered[i] for i in capital], parts
            ),
        }
        self._splits = {n: s for n, s in compounds.items() if n not in named}
        self.texts = RowNumbers(parts.stop)
        self._wanted: dict[str, tuple[Int64Array, Int64Array]] = {}
        for name, (places, _, texts) in made.items():
            if name not in named and name != "compound":
                rows = np.array(self.texts.of(texts), np.int64)
                self._wanted[name] = ids[np.array(places, np.int64)], rows

    def advice(self, found: BoolArray, oov: BoolArray) -> Advice:
        """Return the advice, given the found rows and the OOV tokens."""
        forms = (*self._wanted, *self._splits)
        found_by = np.zeros(len(oov), np.uint32)
        for i, name in enumerate(forms):
            bit = np.uint32(1 << i)
            if name in self._wanted:
                ids, rows = self._wanted[name]
                found_by[ids[found[rows]]] |= bit
            for group in self._splits.get(name, []):
                found_by[group.ids[group.complete(found)]] |= bit
        found_by[~oov] = 0
        return Advice(forms, found_by)


def _in_lower_case(made: Texts, lowered: list[str]) -> Texts:
    """Return the results of a form on lower-cased tokens, where they are new."""
    new = Texts([], [], [])
    for place, order, text in zip(*made, strict=True):
        if (lower := text.lower()) not in (text, lowered[place]):
            new.places.append(place)
            new.orders.append(order)
            new.texts.append(lower)
    return new


#: For how many integers other spellings are looked up.
_RESPELLED = 1000
_WIDTH = 20  # the digits of the longest int64, and one more


class Respelled:
    """Other spellings of integers, which do not match: ``007``, ``7.0``.

    They are looked up for up to 1,000 of the wanted numbers, to report them if a source
    has them. No token gets their vector.
    """

    def __init__(self, numbers: Int64Array, first_row: int) -> None:
        step = max(1, len(numbers) // _RESPELLED)
        self.texts = RowNumbers(first_row)
        for number in numbers[::step][:_RESPELLED].tolist():
            sign, digits = "-" * (number < 0), str(abs(number))
            padded = range(len(digits) + 1, _WIDTH + 1)
            self.texts.of(sign + digits.zfill(width) for width in padded)
            self.texts.of([f"{number}.0", f" {number}", f"+{number}"])

    def note(self, found: BoolArray) -> Note | None:
        """Return the note for the rows that were found."""
        names = [name for name, row in self.texts.items() if found[row]]
        if not names:
            return None
        plain = int(float(names[0]))
        return Note(
            "tokens.numbers-spelled",
            f"the source has tokens such as {names[0]!r}, which are not the number "
            f"{plain}: whole numbers are matched as they are written, without zeros in "
            "front, +, blanks or a fraction. A form of one's own tries them, as "
            f'match=["exact", lambda token: token.zfill({len(names[0])})]',
        )


class Search:
    """The texts that are looked up in a source, and the results.

    The pad token is not looked up. Other special tokens are looked up only unchanged,
    since a similar word of the source is a different token. A form that does not change
    a token counts as exact, if the chain has that. Parts of compounds are looked up by
    the whole chain, and unchanged.

    ``wanted`` has all texts to look up; a text may be there twice. ``index`` is for
    `Reader.select`, with an array of ``rows`` rows: those of the vocabulary, then those
    of parts. With an array without rows, tokens are only located. With the chain
    "exact" alone, no ``str`` objects are made. Raises `OptionError` if a form gives a
    token more variants than there are ranks.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        chain: Chain,
        *,
        advise: bool = False,
        respell: bool = True,
    ) -> None:
        self._vocabulary, self._blank = vocabulary, codes_of(vocabulary, Origin.OOV)
        asked = asked_of(vocabulary, self._blank)
        changed = advise or chain != (EXACT,)
        ids = np.flatnonzero(asked if changed else asked[:0])  # the input of forms
        tokens = vocabulary.strings(ids)
        parts = RowNumbers(len(vocabulary))
        self._splits = {
            form: compounds_of(ids.tolist(), form.made(vocabulary, tokens), parts)
            for form in chain
            if form.splits
        }
        self.rows = parts.stop
        self._trial = Trial(vocabulary, chain, tokens, ids, parts) if advise else None
        self._respelled = None
        if respell and vocabulary.numbers is not None and chain == (EXACT,):
            rows = np.flatnonzero(asked)
            stop = parts.stop if self._trial is None else self._trial.texts.stop
            self._respelled = Respelled(vocabulary.numbers[rows], stop)

        tokens += parts
        every = np.concatenate([ids, parts.rows()])
        wanted: list[Wanted] = []
        self._forms: list[MatchForm] = []  # by rank
        for form in chain:
            rank, ranks = len(self._forms), 1
            if form != EXACT and not form.splits:
                made = form.made(vocabulary, tokens)
                texts = texts_of(tokens, made, same=EXACT not in chain)
                orders = np.array(texts.orders, np.int64)
                rows = every[np.array(texts.places, np.int64)]
                packed = PackedTokens.pack(texts.texts)
                wanted.append(Wanted(packed, rows, (rank + orders).astype(np.uint8)))
                ranks = int(orders.max(initial=0)) + 1
            self._forms += [form] * ranks
        alone = np.flatnonzero(self._blank == Origin.OOV)
        if EXACT not in chain:
            alone = alone[~asked[alone]]
            self._forms.append(EXACT)
        if len(self._forms) > RANKS:
            raise OptionError(
                f"match gives one token more than {RANKS} forms; name fewer, or return "
                "fewer from a callable"
            )
        exact = self._forms.index(EXACT)
        packed = vocabulary.token_rows.part(alone).packed
        wanted.append(Wanted.as_they_stand(packed, alone, exact))
        if parts:
            packed = PackedTokens.pack(parts)
            wanted.append(Wanted.as_they_stand(packed, parts.rows(), exact))
        if self._trial is not None:
            packed, tried = PackedTokens.pack(self._trial.texts), self._trial.texts
            wanted.append(Wanted.as_they_stand(packed, tried.rows(), 0))
        if self._respelled is not None:
            respelled = self._respelled.texts
            packed = PackedTokens.pack(respelled)
            wanted.append(Wanted.as_they_stand(packed, respelled.rows(), 0))
        all_texts, all_rows, all_ranks = zip(*wanted, strict=True)
        self.wanted = Wanted(joined(all_texts), _joined(all_rows), _joined(all_ranks))
        self.index = kernel.TokenIndex(*self.wanted)

    def notes(self, selection: Selection) -> list[Note]:
        """Return the notes on tokens that were found but do not match."""
        if self._respelled is None:
            return []
        note = self._respelled.note(selection.source_rows >= 0)
        return [] if note is None else [note]

    def hits(self, selection: Selection, out: Float32Array | None = None) -> Ledger:
        """Return the results of a selection by `index`.

        Rows of compounds in ``out``, the array that the selection was written to, are
        filled with the means of their parts.
        """
        rows, told = len(self._blank), len(selection.source_rows)
        all_rows = np.full(max(self.rows, told), -1)  # nothing needs the last
        all_rows[:told] = selection.source_rows
        found, source_rows = all_rows >= 0, all_rows[:rows]
        ranks = np.full(rows, RANKS, np.uint8)
        ranks[:told] = np.where(found[:told], selection.ranks, RANKS)[:rows]
        for form, groups in self._splits.items():
            rank = self._forms.index(form)
            for group in groups:
                won = group.complete(found) & (rank < ranks[group.ids])
                ids = group.ids[won]
                ranks[ids] = rank
                source_rows[ids] = -1
                if out is not None:
                    _average(out, ids, group.parts[won])
        codes = np.full(RANKS + 1, Origin.OOV, np.uint8)
        codes[: len(self._forms)] = [form.code for form in self._forms]
        origin = np.where(self._blank == Origin.OOV, codes[ranks], self._blank)
        sources = np.where(origin >= Origin.EXACT, np.int16(0), np.int16(-1))
        advice = None
        if self._trial is not None:
            advice = self._trial.advice(found, origin == Origin.OOV)
        for array in (origin, source_rows, sources):  # so that it need not be copied
            array.flags.writeable = False
        return Ledger(
            self._vocabulary,
            origin,
            source_rows=source_rows,
            sources=sources,
            advice=advice,
        )


def _joined(arrays: Sequence[AnyArray]) -> AnyArray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _average(out: Float32Array, rows: Int64Array, parts: Int64Array) -> None:
    """Write the means of parts into rows; they are summed in binary64, part by part."""
    step = max(1, _BLOCK_NUMBERS // out.shape[1])
    for start in range(0, len(rows), step):
        chosen = parts[start : start + step]
        total = np.zeros((len(chosen), out.shape[1]))
        for column in chosen.T:
            total += out[column]
        out[rows[start : start + step]] = total / parts.shape[1]
