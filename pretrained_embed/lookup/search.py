"""One pass over a source for all forms of all tokens.

All forms go into one index, each with its place in the chain as its rank: of the rows
of the source that would do, the lowest rank wins, then the first in the file.
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array, PackedTokens
from pretrained_embed.formats.reader import Selection
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.lookup.match import EXACT, Chain, Form
from pretrained_embed.lookup.trial import Trial
from pretrained_embed.lookup.wanted import RANKS, Rows, Wanted, splits, texts_of
from pretrained_embed.vocabulary import Vocabulary

#: How many numbers are averaged at a time.
_BLOCK_NUMBERS = 1 << 20


class Search:
    """What is looked for in a source, and what came of it.

    The pad token is not looked for. The other special tokens are as they stand alone: a
    word of the source that only resembles one is just a word. A form that leaves a
    token as it is counts as exact, if that is asked for, too. The parts of compounds
    are looked for by the whole chain, and as they stand.

    ``texts`` is all that is looked for, some of it more than once. ``index`` is for
    `Reader.select`, with an array of ``rows`` rows: those of the
    vocabulary, then those of parts. With an array of no rows tokens are only located.
    Where tokens are looked for as they stand alone, no ``str`` is made of them.

    Raises `OptionError` where a form gives a token more variants than there are ranks.
    """

    def __init__(
        self, vocabulary: Vocabulary, chain: Chain, *, advise: bool = False
    ) -> None:
        self._vocabulary = vocabulary
        known, special = _looked_for(vocabulary)
        changed = known & ~special  # what forms are made of
        if chain == (EXACT,) and not advise:
            changed[:] = False
        ids = np.flatnonzero(changed)
        tokens = vocabulary.strings(ids)
        parts = Rows(len(vocabulary))
        self._splits = {
            form: splits(ids.tolist(), form.made(vocabulary, tokens), parts)
            for form in chain
            if form.splits
        }
        self.rows = parts.stop
        self._trial = Trial(vocabulary, chain, tokens, ids, parts) if advise else None

        wanted = Wanted()
        tokens += parts
        self._forms = _want_forms(
            wanted, vocabulary, chain, tokens, np.concatenate([ids, parts.rows()])
        )
        alone = np.flatnonzero(known if EXACT in chain else known & special)
        if EXACT not in chain:
            self._forms.append(EXACT)
        exact = self._forms.index(EXACT)
        wanted.add(vocabulary.token_rows.part(alone).packed, alone, exact)
        if parts:
            wanted.add(PackedTokens.pack(parts), parts.rows(), exact)
        if self._trial is not None:
            texts = self._trial.texts
            wanted.add(PackedTokens.pack(texts), texts.rows(), 0)
        self.texts = wanted.texts()
        self.index = wanted.index()

    def hits(self, selection: Selection, out: Float32Array | None = None) -> Ledger:
        """Return what a selection by `index` has found, still to be filled.

        Rows of compounds in ``out``, the array that the selection was written to, are
        filled with the means of their parts.
        """
        rows, told = len(self._vocabulary), len(selection.source_rows)
        all_rows = np.full(max(self.rows, told), -1)  # nothing is wanted for the last
        all_rows[:told] = selection.source_rows
        found, source_rows = all_rows >= 0, all_rows[:rows]
        ranks = np.full(len(all_rows), RANKS)
        ranks[:told] = np.where(found[:told], selection.ranks, RANKS)
        ranks = ranks[:rows]
        for form, of_form in self._splits.items():
            rank = self._forms.index(form)
            for split in of_form:
                won = split.complete(found) & (rank < ranks[split.ids])
                ids = split.ids[won]
                ranks[ids] = rank
                source_rows[ids] = -1
                if out is not None:
                    _average(out, ids, split.parts[won])
        codes = np.full(RANKS + 1, Origin.OOV, np.uint8)
        codes[: len(self._forms)] = [form.code for form in self._forms]
        origin = np.where(ranks < RANKS, codes[ranks], Origin.OOV).astype(np.uint8)
        origin[self._vocabulary.holes] = Origin.UNUSED
        if self._vocabulary.pad_id is not None:
            origin[self._vocabulary.pad_id] = Origin.PAD
        advice = None
        if self._trial is not None:
            advice = self._trial.advice(found, origin == Origin.OOV)
        return Ledger(
            self._vocabulary,
            origin,
            source_rows=source_rows,
            sources=np.where(origin >= Origin.EXACT, 0, -1),
            advice=advice,
        )


def _want_forms(
    wanted: Wanted,
    vocabulary: Vocabulary,
    chain: Chain,
    tokens: list[str],
    rows: Int64Array,
) -> list[Form]:
    """Add forms of tokens to what is wanted, and return the form of each rank.

    Tokens as they stand have a rank, too, and are for the caller to add.
    """
    by_rank: list[Form] = []
    exact = EXACT in chain
    for form in chain:
        rank, ranks = len(by_rank), 1
        if form != EXACT and not form.splits:
            texts = texts_of(tokens, form.made(vocabulary, tokens), same=not exact)
            ranks = wanted.add_texts(texts, rows, rank)
        by_rank += [form] * ranks
    return by_rank


def _looked_for(vocabulary: Vocabulary) -> tuple[BoolArray, BoolArray]:
    """Return which ids have a token that is looked for, and which are special."""
    known = np.ones(len(vocabulary), np.bool_)
    known[vocabulary.holes] = False
    if vocabulary.pad_id is not None:
        known[vocabulary.pad_id] = False
    special = np.zeros(len(vocabulary), np.bool_)
    special[[vocabulary[token] for token in vocabulary.special_tokens.values()]] = True
    return known, special


def _average(out: Float32Array, rows: Int64Array, parts: Int64Array) -> None:
    """Put the means of parts into rows; they are taken in binary64, part by part."""
    step = max(1, _BLOCK_NUMBERS // out.shape[1])
    for start in range(0, len(rows), step):
        chosen = parts[start : start + step]
        total = np.zeros((len(chosen), out.shape[1]))
        for column in chosen.T:
            total += out[column]
        out[rows[start : start + step]] = total / parts.shape[1]
