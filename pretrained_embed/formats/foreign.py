"""Which arrays of a file of another program have the vectors and the tokens.

They are recognised by name, in any group. Without a known name, the only matrix of
numbers has the vectors and the only row of strings the tokens. The tokens of an array
that gensim keeps beside a model are in the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from pretrained_embed.errors import FormatError
from pretrained_embed.files.reading import is_file
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import ByteStream

#: Names of vectors and tokens, the most specific first.
VECTORS = (
    *("vectors", "embeddings", "embedding", "matrix", "weights", "weight"),
    *("syn0", "emb", "data", "block0_values"),  # the last is of pandas
)
TOKENS = (
    *("tokens", "words", "vocab", "vocabulary", "index_to_key", "index2word"),
    *("token", "word", "keys", "labels", "index", "axis1"),  # the last is of pandas
)

#: Compressions of a gensim pickle; its other files are .npz.
PACKED = (".gz", ".bz2")
#: The name of the model, and that of the array.
_BESIDE = re.compile(
    r"(?P<model>.+?)(\.wv|\.docvecs|\.dv|\.trainables)?\.(vectors\w*|syn[01]\w*)\.np[yz]"
)


class ArrayForm(NamedTuple):
    """The facts about an array before it is read."""

    shape: tuple[int, ...]
    strings: bool


class Pair(NamedTuple):
    """The arrays of a file that are read, and a note on the others."""

    vectors: str
    tokens: str
    notes: list[Note]


def pick_pair(
    names: Collection[str],
    form: Callable[[str], ArrayForm],
    where: str,
    kind: str,
    hint: str = "",
) -> Pair:
    """Choose among the arrays of a file; ``kind`` is the format's word for an array.

    Raises `FormatError`, which lists the arrays and ends with the ``hint``.
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
        if not chosen:  # otherwise the reader reports an array of this name
            chosen = fitting if len(fitting) == 1 else named
        if not chosen:
            raise FormatError(
                f"{where}: no {kind} of {what}; it holds {list(forms)[:10]}, and "
                f"{what} are looked for under {', '.join(known)}{hint}"
            )
        return chosen[0]

    vectors, tokens = pick(VECTORS, "vectors", 2), pick(TOKENS, "tokens", 1)
    left = sorted({*names} - {vectors, tokens})
    what = f"{kind}s left out: {', '.join(left[:10])}"
    notes = [Note("file.left-out", what)] if left else []
    return Pair(vectors, tokens, notes)


def refuse_part(stream: ByteStream) -> None:
    """Raise `FormatError` for an array that gensim keeps beside a model.

    The message names the model, which has the tokens.
    """
    name = stream.name if stream.path is None else stream.path.name
    found = _BESIDE.fullmatch(name.rpartition("/")[2])
    if found is None:
        return
    beside = stream.path and next(
        (
            path
            for suffix in ("", *PACKED)
            if is_file(path := stream.path.with_name(found["model"] + suffix))
        ),
        None,
    )
    if beside:
        raise FormatError(
            f"{stream.name} is a part of {beside.name}, which gensim saved beside it "
            f"and which has the tokens: give {str(beside)!r} instead"
        )
    raise FormatError(
        f"{stream.name} is a part of a model, as gensim saves it, and has no tokens: "
        f"put {found['model']!r}, which gensim wrote with it, beside it, and give that "
        "instead"
    )
