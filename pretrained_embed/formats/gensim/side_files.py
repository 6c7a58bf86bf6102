"""Files of one array that gensim keeps beside a model: who gives one means the model.

Their names are in `reader`; `arrays` reads them.
"""

from __future__ import annotations

import re

from pretrained_embed.errors import FormatError
from pretrained_embed.files.reading import is_file
from pretrained_embed.formats.reader import ByteStream

#: The name of the model, and that of the array.
_PART = re.compile(
    r"(?P<model>.+?)(\.wv|\.docvecs|\.dv|\.trainables)?\.(vectors\w*|syn[01]\w*)\.np[yz]"
)
_PACKED = ("", ".gz", ".bz2")  # what the name of the model may go on with


def refuse_part(stream: ByteStream) -> None:
    """Raise `FormatError` for an array that gensim keeps beside a model, by its name.

    The message names the model, which has the tokens.
    """
    name = stream.name if stream.path is None else stream.path.name
    found = _PART.fullmatch(name.rpartition("/")[2])
    if found is None:
        return
    beside = stream.path and next(
        (
            path
            for suffix in _PACKED
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
