"""Which array of another writer's file has the vectors, and which the tokens.

Names tell, in whatever group they are. Where none does, the only matrix of numbers is
the vectors and the only row of strings the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from pretrained_embed.errors import FormatError

#: Names that vectors and tokens have, the most telling first.
VECTORS = (
    *("vectors", "embeddings", "embedding", "matrix", "weights", "weight"),
    *("syn0", "emb", "data", "block0_values"),  # the last is of pandas
)
TOKENS = (
    *("tokens", "words", "vocab", "vocabulary", "index_to_key", "index2word"),
    *("token", "word", "keys", "labels", "index", "axis1"),  # the last is of pandas
)


class ArrayForm(NamedTuple):
    """What is known of an array before it is read."""

    shape: tuple[int, ...]
    strings: bool


class Pair(NamedTuple):
    """The arrays of a file that are read, and a note on those that are not."""

    vectors: str
    tokens: str
    notes: list[str]


def pick_pair(
    names: Collection[str],
    form: Callable[[str], ArrayForm],
    where: str,
    kind: str,
    hint: str = "",
) -> Pair:
    """Choose among the arrays of a file; ``kind`` is what its format calls an array.

    Raises `FormatError` that lists what there is, and ends in the ``hint``.
    """
    forms = {name: form(name) for name in sorted(names)}

    def pick(known: tuple[str, ...], what: str, dims: int) -> str:
        named = [n for end in known for n in forms if n.rpartition("/")[2] == end]
        fitting = [
            name
            for name, form in forms.items()
            if len(form.shape) == dims and form.strings == (dims == 1)
        ]
        chosen = [name for name in named if name in fitting]
        if not chosen:  # else what is named so, whoever reads it is told what it is
            chosen = fitting if len(fitting) == 1 else named
        if not chosen:
            raise FormatError(
                f"{where}: no {kind} of {what}; it holds {list(forms)[:10]}, and "
                f"{what} are looked for under {', '.join(known)}{hint}"
            )
        return chosen[0]

    vectors, tokens = pick(VECTORS, "vectors", 2), pick(TOKENS, "tokens", 1)
    left = sorted({*names} - {vectors, tokens})
    notes = [f"{kind}s left out: {', '.join(left[:10])}"] if left else []
    return Pair(vectors, tokens, notes)
