"""Writing text files of vectors that read back as they are.

The grammar is that of `text_layout`: a header, then a row a line. Numbers are the
shortest decimals that read back as the same binary32. A text file holds tokens and
vectors alone; what else a table has is not written.
"""

from __future__ import annotations

import os

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import WriteError
from pretrained_embed.formats.atomic import replacing
from pretrained_embed.formats.reader import Float32Array
from pretrained_embed.formats.table import Table, check_table, refuse_holes

_BLOCK_ROWS = 512
_BOM = b"\xef\xbb\xbf"


def write_table(
    path: str | os.PathLike[str], table: Table, *, header: bool = True
) -> None:
    """Write word2vec text, or with ``header=False`` GloVe text.

    Raises `WriteError` naming the token that would not read back, and for a table
    that has rows without a token, or no header and one column.
    """
    check_table(table)
    refuse_holes(table, "text")
    rows, dim = table.vectors.shape
    if not header and table.tokens[:1].data.tobytes().startswith(_BOM):
        raise WriteError(
            "the first token begins with a byte order mark, which would be taken for "
            "the file's; write it with a header"
        )
    if not header and dim == 1:
        raise WriteError(
            "text of one column without a header can be taken for a header; "
            "write it with a header"
        )
    with replacing(path) as file:
        if header:
            file.write(b"%d %d\n" % (rows, dim))
        for start in range(0, rows, _BLOCK_ROWS):
            tokens = table.tokens[start : start + _BLOCK_ROWS].unpack()
            vectors = table.vectors[start : start + _BLOCK_ROWS]
            for token, numbers in zip(tokens, _numbers(vectors), strict=True):
                raw = token.encode("utf-8", "surrogateescape")
                _check_token(raw, token)
                file.write(b"%s %s\n" % (raw, " ".join(numbers).encode("ascii")))


def _numbers(vectors: Float32Array) -> list[list[str]]:
    """Return the numbers as text that reads back to the bit."""
    texts = vectors.astype("U32")  # numpy writes the shortest that is this binary32
    # Reading goes through binary64, so the shortest might round the other way. None is
    # known to; one that did would be written as the binary64 it is.
    back = texts.astype(np.float64).astype(np.float32)
    wrong = ~((back == vectors) | (np.isnan(back) & np.isnan(vectors)))
    for i, j in np.argwhere(wrong).tolist():
        texts[i, j] = repr(float(vectors[i, j]))
    rows: list[list[str]] = texts.tolist()
    return rows


def _check_token(raw: bytes, token: str) -> None:
    last = raw.replace(b"\t", b" ").rpartition(b" ")
    if not raw:
        problem = "is empty"
    elif b"\n" in raw:
        problem = "holds a line end"
    elif last[1] and kernel.number(last[2]) is not None:
        problem = "ends in a number after a blank, as if its row were one value longer"
    else:
        return
    raise WriteError(
        f"token {token!r} {problem}: text cannot hold it so that it reads back. "
        "Write .npz, .h5 or .safetensors instead."
    )
