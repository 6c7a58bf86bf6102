"""Writing text files of vectors that read back as they are.

The grammar is that of `layout`: a header (word2vec) or none (GloVe), then a row a
line. Numbers are the shortest decimals that read back as the same binary32. A text file
holds tokens and vectors alone; what else there is is not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, WriteError, brief
from pretrained_embed.files.replacement import replacing
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.parallel import run_in_order, thread_count
from pretrained_embed.formats.reader import HEAD_SIZE
from pretrained_embed.formats.table import Annotations
from pretrained_embed.formats.text.decimals import NUMBERS, rows_of_decimals
from pretrained_embed.formats.text.layout import find_layout

_BOM = b"\xef\xbb\xbf"
_SEPARATORS = np.isin(np.arange(256), list(b" \t\n"))  # whether a byte is one


@contextmanager
def open_sink(path: str | os.PathLike[str], announced: Announced) -> Iterator[TextSink]:
    """Give a sink of word2vec text, or of GloVe's, which has no header.

    Raises `WriteError` for what only a header makes clear: vectors of one number, and
    a byte order mark that begins the first token.
    """
    header = announced.format == "word2vec"
    if announced.dim == 1 and not header:
        raise WriteError(
            "text of one column without a header can be taken for a header; "
            "write it with a header (word2vec)"
        )
    with replacing(path) as file:
        if header:
            file.write(b"%d %d\n" % (announced.rows or 0, announced.dim))
        yield TextSink(file, announced.dim, header=header)


class TextSink:
    """Takes rows as lines of an open file; see `FormatSink`.

    Raises `WriteError` naming the token that would not read back.
    """

    def __init__(self, file: BinaryIO, dim: int, *, header: bool) -> None:
        self._file = file
        self._dim = dim
        self._header = header

    def append(self, block: PackedBlock) -> None:
        """Write rows behind those before."""
        if not _are_plain(block.tokens):
            for token in block.tokens.split():
                _check_token(token)
        for lines in _lines(block):
            self._file.write(lines)

    def finish(self, annotations: Annotations) -> None:
        """See that a reader finds the layout; what else there is is not written."""
        self._file.seek(0)
        if not self._header and self._file.read(len(_BOM)) == _BOM:
            raise WriteError(
                "the first token begins with a byte order mark, which would be taken "
                "for the file's; write it with a header (word2vec)"
            )
        _check_layout(self._file, self._dim, header=self._header)


def _lines(block: PackedBlock) -> Iterator[bytes]:
    """Yield the lines of a block, some at a time; several threads work ahead."""
    tokens, vectors = block.tokens.split(), block.vectors
    step = max(1, NUMBERS // vectors.shape[1])

    def work(part: int) -> bytes:
        some = slice(part * step, (part + 1) * step)
        numbers = rows_of_decimals(vectors[some], b" ")
        lines = zip(tokens[some], numbers, strict=True)
        return b"".join([b"%b %b\n" % line for line in lines])

    return run_in_order(work, -(-len(tokens) // step), thread_count(None))


def _are_plain(tokens: PackedTokens) -> bool:
    """Whether no token is empty or holds what separates fields and lines."""
    filled = bool(np.diff(tokens.offsets).all())
    return filled and not _SEPARATORS[tokens.data].any()


def _check_token(raw: bytes) -> None:
    last = raw.replace(b"\t", b" ").rpartition(b" ")
    if not raw:
        problem = "is empty"
    elif b"\n" in raw:
        problem = "holds a line end"
    elif last[1] and kernel.number(last[2]) is not None:
        problem = "ends in a number after a blank, as if its row were one value longer"
    else:
        return
    token = raw.decode("utf-8", "surrogateescape")
    raise WriteError(
        f"token {brief(token)} {problem}: text cannot hold it so that it reads back. "
        "Write .npz, .h5 or .safetensors instead."
    )


def _check_layout(file: BinaryIO, dim: int, *, header: bool) -> None:
    """Find the layout as a reader will: it is guessed from the first rows."""
    file.seek(0)
    head = file.read(HEAD_SIZE)
    try:
        layout = find_layout(head, whole=len(head) < HEAD_SIZE, name="text")
    except FormatError:
        layout = None
    if (
        layout is None
        or layout.base64
        or (
            (layout.dim, layout.separator, layout.delimiter, layout.header is not None)
            != (dim, b" ", b" ", header)
        )
    ):
        raise WriteError(
            "the first rows, such as one of a megabyte, do not show how they are laid "
            "out; text cannot hold them so that they read back. Write .npz, .h5 or "
            ".safetensors instead."
        )
