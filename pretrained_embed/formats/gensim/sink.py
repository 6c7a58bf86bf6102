"""Writing gensim's own files of ``KeyedVectors``, with gensim itself.

``NAME.kv`` is a pickle; vectors of more than some megabytes are in
``NAME.kv.vectors.npy`` beside it. Only tokens and vectors are written.

https://radimrehurek.com/gensim/models/keyedvectors.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pretrained_embed.errors import MissingPackageError, WriteError, brief
from pretrained_embed.files.replacement import replacing_with_others
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.sink import Spool
from pretrained_embed.formats.table import Annotations


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[GensimSink]:
    """Give a sink whose files take their places at the end.

    Raises `MissingPackageError` without gensim.
    """
    try:
        import gensim.models  # noqa: F401  (before any row comes)
    except ImportError as error:
        raise MissingPackageError(
            f"writing {os.fspath(path)} needs gensim: pip install gensim"
        ) from error
    with (
        replacing_with_others(path) as temporary,
        Spool(temporary.parent, announced.dim, announced.dtype) as spool,
    ):
        yield GensimSink(spool, temporary)


class GensimSink:
    """Takes rows in their order; see `FormatSink`."""

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool = spool
        self._path = path

    def append(self, block: PackedBlock) -> None:
        """Keep rows until all of them are there."""
        self._spool.append(block)

    def finish(self, annotations: Annotations) -> None:
        """Write the file; `WriteError` names the token that stands there twice."""
        from gensim.models import KeyedVectors

        table = self._spool.table({}, {})
        rows, dim = table.vectors.shape
        vectors = KeyedVectors(dim, dtype=table.vectors.dtype.type)
        vectors.index_to_key = table.tokens.unpack()
        for row, token in enumerate(vectors.index_to_key):
            if vectors.key_to_index.setdefault(token, row) != row:
                raise WriteError(
                    f"token {brief(token)} stands there twice: gensim keeps one row of "
                    "a token. Drop the later row, or write .npz, .h5 or .safetensors "
                    "instead."
                )
        vectors.vectors = table.vectors
        vectors.next_index = rows
        vectors.lifecycle_events = None  # else the time, and a path of this machine
        vectors.save(str(self._path))
