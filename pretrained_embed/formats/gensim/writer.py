"""Writing gensim's own files of ``KeyedVectors``, with gensim itself.

``NAME.kv`` is a pickle; vectors of more than some megabytes are in
``NAME.kv.vectors.npy`` beside it. Only tokens and vectors are written.

https://radimrehurek.com/gensim/models/keyedvectors.html
"""

from __future__ import annotations

import os

from pretrained_embed.errors import MissingPackageError, WriteError, brief
from pretrained_embed.files.replacement import replacing_with_others
from pretrained_embed.formats.table import Table, check_table, refuse_holes


def write_table(path: str | os.PathLike[str], table: Table) -> None:
    """Write tokens and vectors; the rows keep their order.

    Raises `WriteError` naming the token that stands there twice, and where there are
    rows without a token; `MissingPackageError` without gensim.
    """
    check_table(table)
    refuse_holes(table.arrays, "gensim")
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise MissingPackageError(
            f"writing {os.fspath(path)} needs gensim: pip install gensim"
        ) from error
    rows, dim = table.vectors.shape
    vectors = KeyedVectors(dim, dtype=table.vectors.dtype.type)
    vectors.index_to_key = table.tokens.unpack()
    for row, token in enumerate(vectors.index_to_key):
        if vectors.key_to_index.setdefault(token, row) != row:
            raise WriteError(
                f"token {brief(token)} stands there twice: gensim keeps one row of a "
                "token. Drop the later row, or write .npz, .h5 or .safetensors instead."
            )
    vectors.vectors = table.vectors
    vectors.next_index = rows
    vectors.lifecycle_events = None  # else the time, and a path of this machine
    with replacing_with_others(path) as temporary:
        vectors.save(str(temporary))
