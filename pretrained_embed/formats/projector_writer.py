"""Folders for TensorBoard's Embedding Projector.

::

    vectors.tsv            a row a line, numbers separated by tabs
    metadata.tsv           a token a line, without a header, as one column has none
    projector_config.pbtxt which belongs to which, for a log folder of TensorBoard

The two tables load in https://projector.tensorflow.org too.
https://www.tensorflow.org/tensorboard/tensorboard_projector_plugin
"""

from __future__ import annotations

import os

import numpy as np

from pretrained_embed.errors import WriteError, brief
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.row_stream import RowStream
from pretrained_embed.formats.table import refuse_holes
from pretrained_embed.formats.text.decimals import NUMBERS, rows_of_decimals

_CONFIG = """embeddings {
  tensor_name: "vectors"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""
# What JavaScript trims from both ends of a line.
_BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def write_rows(path: str | os.PathLike[str], rows: RowStream) -> None:
    """Write a new folder.

    Raises `WriteError` naming the token that the projector would show as another, or
    not at all, or whose vector has a number that it cannot read (``nan``, ``inf``).
    """
    refuse_holes(rows.arrays, "the projector")
    step = max(1, NUMBERS // rows.dim)
    with new_folder(path) as folder:
        (folder / "projector_config.pbtxt").write_text(_CONFIG, "ascii")
        with (
            (folder / "vectors.tsv").open("wb") as numbers,
            (folder / "metadata.tsv").open("wb") as labels,
        ):
            for tokens, vectors in rows.blocks:
                finite = np.logical_and.reduce(np.isfinite(vectors), axis=1)
                for row, token in enumerate(tokens.unpack()):
                    _check(token, bool(finite[row]))
                labels.write(b"".join(token + b"\n" for token in tokens.split()))
                for start in range(0, len(tokens), step):
                    lines = rows_of_decimals(vectors[start : start + step], b"\t")
                    numbers.write(b"\n".join([*lines, b""]))


def _check(token: str, is_finite: bool) -> None:
    if not token.strip(_BLANKS):
        problem = "is blank, and the projector skips blank lines"
    elif "\t" in token or "\n" in token:
        problem = "holds a tab or a line end"
    elif token != token.strip(_BLANKS):
        problem = "begins or ends with a blank, which the projector drops"
    elif any("\udc80" <= character <= "\udcff" for character in token):
        problem = "is not UTF-8"
    elif not is_finite:
        problem = "has a vector that is not finite"
    else:
        return
    raise WriteError(
        f"token {brief(token)} {problem}. Leave it out, or write .npz, .h5 or "
        ".safetensors instead."
    )
