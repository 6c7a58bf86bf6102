"""Forms under which a token is looked for, in the order asked for.

All forms of all tokens go into one index, each with its place in the order as its
rank, so one pass over the source serves the whole chain: of the rows that would do,
the lowest rank wins, then the first in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress
from typing import cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.matrix.origin import Origin
from pretrained_embed.vocabulary import Vocabulary

#: Names of the forms, with what they do to a token and how the ledger records them.
FORMS: dict[str, tuple[Callable[[str], str], Origin]] = {
    "exact": (str, Origin.EXACT),
    "lower": (str.lower, Origin.LOWER),
}


def match_chain(match: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the forms; raises `OptionError` for an unknown one."""
    chain = tuple(match.split(",") if isinstance(match, str) else match)
    for form in chain:
        if form not in FORMS:
            raise OptionError(
                f"unknown form {form!r} in match; known: {', '.join(FORMS)}"
                f"{suggestion(str(form), FORMS)}"
            )
    if not chain or len(set(chain)) < len(chain):
        raise OptionError(f"match is {chain!r}; name each form once, and one at least")
    return chain


def wanted_tokens(vocabulary: Vocabulary, chain: tuple[str, ...]) -> TokenIndex:
    """Return the index of every form of every token that is looked for.

    The pad row is not looked for. The unk token is looked for as it stands alone: a
    word of the source that only resembles it is just a word. A form that leaves a
    token as it is counts as exact, if that is asked for too.
    """
    looked_for = np.ones(len(vocabulary), np.bool_)
    looked_for[vocabulary.holes] = False
    if vocabulary.pad_id is not None:
        looked_for[vocabulary.pad_id] = False
    ids = np.flatnonzero(looked_for)
    tokens = cast(list[str], list(compress(vocabulary.tokens, looked_for.tolist())))
    unk, alone = vocabulary.unk_id, "exact" not in chain
    keys, rows, ranks = [], [], []
    for rank, form in enumerate(chain):
        change, _ = FORMS[form]
        if form == "exact":
            forms, chosen = tokens, ids
        else:
            pairs = [
                (changed, id)
                for token, id in zip(tokens, ids.tolist(), strict=True)
                if (alone if (changed := change(token)) == token else id != unk)
            ]
            forms = [changed for changed, _ in pairs]
            chosen = np.array([id for _, id in pairs], np.int64)
        keys += forms
        rows.append(chosen)
        ranks.append(np.full(len(chosen), rank, np.uint8))
    return kernel.TokenIndex(keys, np.concatenate(rows), np.concatenate(ranks))
