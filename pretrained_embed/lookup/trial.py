"""Forms that are tried beside a match chain, for advice."""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import BoolArray, Int64Array
from pretrained_embed.ledger.advice import Advice
from pretrained_embed.lookup.match import (
    EXACT,
    Chain,
    chain_names,
    match_chain,
    several,
)
from pretrained_embed.lookup.wanted import Rows, Texts, splits, texts_of
from pretrained_embed.vocabulary import Vocabulary

#: The forms that advice is about, the simplest first, and those of them that a source
#: which has lower case alone needs in lower case. No more than `BITS` in all.
_TRIED = match_chain(
    "exact,lower,title,upper,nfc,nfkc,strip-accents,quotes,digits-hash,digits-zero,"
    "joined,compound,unmarked,conceptnet"
)
_TRIED_IN_LOWER_CASE = match_chain(
    "nfkc,strip-accents,quotes,digits-hash,digits-zero,joined,unmarked"
)
_LOWER_COMPOUND = "lower+compound"


class Trial:
    """Forms that are tried beside a chain, on tokens that are to be looked for.

    Forms in lower case are credited only with what neither the form nor lower case
    makes by itself, and ConceptNet only with whole keys. ``parts`` gives rows to the
    parts of compounds. After that `texts` has what is to be looked for as it stands,
    with a row for each.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        chain: Chain,
        tokens: list[str],
        ids: Int64Array,
        parts: Rows,
    ) -> None:
        named = chain_names(chain)
        alone = "exact" not in named
        lowered = list(map(str.lower, tokens))
        made = {}  # by name of the form
        for form in _TRIED:
            variants = form.made(vocabulary, tokens)
            if form.name == "conceptnet":  # without /c/en/ it passes for other forms
                variants = [several(keys)[0] if keys else () for keys in variants]
            made[form.name] = texts_of(tokens, variants, same=alone or form == EXACT)
        for form in _TRIED_IN_LOWER_CASE:
            made[f"{form.name}+lower"] = _in_lower_case(made[form.name], lowered)

        capital = [i for i, text in enumerate(lowered) if text != tokens[i]]
        compounds = {
            "compound": splits(ids.tolist(), tokens, parts),
            _LOWER_COMPOUND: splits(
                ids[capital].tolist(), [lowered[i] for i in capital], parts
            ),
        }
        self._splits = {n: s for n, s in compounds.items() if n not in named}
        self.texts = Rows(parts.stop)
        self._wanted: dict[str, tuple[Int64Array, Int64Array]] = {}
        for name, (places, _, texts) in made.items():
            if name not in named and name != "compound":
                rows = np.array(self.texts.of(texts), np.int64)
                self._wanted[name] = ids[np.array(places, np.int64)], rows

    def advice(self, found: BoolArray, oov: BoolArray) -> Advice:
        """Return the advice, given which rows were found and which tokens are OOV."""
        forms = (*self._wanted, *self._splits)
        found_by = np.zeros(len(oov), np.uint32)
        for i, name in enumerate(forms):
            bit = np.uint32(1 << i)
            if name in self._wanted:
                ids, rows = self._wanted[name]
                found_by[ids[found[rows]]] |= bit
            for split in self._splits.get(name, []):
                found_by[split.ids[split.complete(found)]] |= bit
        found_by[~oov] = 0
        return Advice(forms, found_by)


def _in_lower_case(made: Texts, lowered: list[str]) -> Texts:
    """Return what was made in lower case, where that is new."""
    new = Texts([], [], [])
    for place, order, text in zip(*made, strict=True):
        if (lower := text.lower()) not in (text, lowered[place]):
            new.places.append(place)
            new.orders.append(order)
            new.texts.append(lower)
    return new
