"""Writing word2vec binary files that read back as they are.

The grammar is that of `reader`. As gensim does it, no LF follows a vector.
"""

from __future__ import annotations

import os

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, WriteError, brief
from pretrained_embed.files.replacement import replacing
from pretrained_embed.formats.reader import HEAD_SIZE
from pretrained_embed.formats.row_stream import RowStream
from pretrained_embed.formats.table import refuse_holes
from pretrained_embed.formats.text import layout as text_layout
from pretrained_embed.formats.word2vec import layout as word2vec_layout

_DTYPE = "<f4"
_INSTEAD = "Write .npz, .h5 or .safetensors instead."


def write_rows(path: str | os.PathLike[str], rows: RowStream) -> None:
    """Write tokens and vectors; what else there is is not written.

    Raises `WriteError` naming the token that would not read back, and where there are
    rows without a token.
    """
    refuse_holes(rows.arrays, "word2vec binary")
    with replacing(path) as file:
        file.write(b"%d %d\n" % (rows.count or 0, rows.dim))
        for tokens, vectors in rows.blocks:
            _check(tokens)
            numbers = np.ascontiguousarray(vectors, _DTYPE)
            written: list[bytes | memoryview] = []
            for token, vector in zip(tokens.split(), numbers, strict=True):
                written += token, b" ", vector.data
            file.write(b"".join(written))
        file.seek(0)
        if not _recognised(file.read(HEAD_SIZE)):
            raise WriteError(
                f"these rows would be taken for text or for other numbers. {_INSTEAD}"
            )


def _recognised(head: bytes) -> bool:
    """Whether a reader will see what it is: it has only the first rows to tell by.

    Few and short rows can be those of text, or of other numbers, by chance.
    """
    try:
        text = text_layout.find_layout(head, whole=len(head) < HEAD_SIZE, name="text")
    except FormatError:
        return False
    layout = word2vec_layout.find_layout(head)
    if text is not None or layout is None or not word2vec_layout.is_binary(head):
        return False
    return layout.dtype == _DTYPE


def _check(tokens: PackedTokens) -> None:
    data, begins = tokens.data, tokens.offsets[:-1]
    bad = np.diff(tokens.offsets) == 0
    bad[~bad] = data[begins[~bad]] == ord("\n")
    spaces = np.flatnonzero(data == ord(" "))
    bad[np.searchsorted(begins, spaces, "right") - 1] = True
    if bad.any():
        raise WriteError(
            f"token {brief(tokens[int(bad.argmax())])} is empty, holds a space or "
            "begins with a line end: word2vec binary cannot hold it so that it reads "
            f"back. {_INSTEAD}"
        )
