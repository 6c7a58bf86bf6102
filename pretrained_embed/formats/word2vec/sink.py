"""Writing word2vec binary files that read back as they are.

The grammar is that of `reader`. As gensim does it, no LF follows a vector.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, WriteError, brief
from pretrained_embed.files.replacement import replacing
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.reader import HEAD_SIZE
from pretrained_embed.formats.table import Annotations
from pretrained_embed.formats.text import layout as text_layout
from pretrained_embed.formats.word2vec import layout as word2vec_layout

_DTYPE = "<f4"
_INSTEAD = "Write .npz, .h5 or .safetensors instead."


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[BinarySink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    with replacing(path) as file:
        file.write(b"%d %d\n" % (announced.rows or 0, announced.dim))
        yield BinarySink(file)


class BinarySink:
    """Takes rows behind the header of an open file; see `FormatSink`.

    Raises `WriteError` naming the token that would not read back.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def append(self, block: PackedBlock) -> None:
        """Write rows behind those before."""
        _check(block.tokens)
        numbers = np.ascontiguousarray(block.vectors, _DTYPE)
        written: list[bytes | memoryview] = []
        for token, vector in zip(block.tokens.split(), numbers, strict=True):
            written += token, b" ", vector.data
        self._file.write(b"".join(written))

    def finish(self, annotations: Annotations) -> None:
        """See that a reader knows the file; what else there is is not written."""
        self._file.seek(0)
        if not _recognised(self._file.read(HEAD_SIZE)):
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
    layout = word2vec_layout.find_layout(head, whole=len(head) < HEAD_SIZE)
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
