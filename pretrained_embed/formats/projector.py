"""Folders for TensorBoard's Embedding Projector.

::

    vectors.tsv            one row a line, numbers separated by tabs
    metadata.tsv           one token a line, without a header for one column
    projector_config.pbtxt the names of both, for a log folder of TensorBoard

The two tables load in https://projector.tensorflow.org too.
https://www.tensorflow.org/tensorboard/tensorboard_projector_plugin
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import WriteError, brief
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.reader import Reader
from pretrained_embed.formats.table import Annotations
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.tokens import read_tokens
from pretrained_embed.formats.text.decimals import NUMBERS, rows_of_decimals

_CONFIG = """embeddings {
  tensor_name: "vectors"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""
#: Names of columns with tokens.
_COLUMNS = ("token", "tokens", "word", "words", "label", "name")
# The characters that JavaScript trims at both ends of a line.
_BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[ProjectorSink]:
    """Yield a sink for a new folder."""
    with new_folder(path) as folder:
        (folder / "projector_config.pbtxt").write_text(_CONFIG, "ascii")
        with (
            (folder / "vectors.tsv").open("wb") as numbers,
            (folder / "metadata.tsv").open("wb") as labels,
        ):
            yield ProjectorSink(numbers, labels)


class ProjectorSink:
    """Takes rows as lines of two open files; see `FormatSink`.

    Raises `WriteError`, which names the token, for a token that the projector would
    change or not show, and for a number that it cannot read (``nan``, ``inf``).
    """

    def __init__(self, numbers: BinaryIO, labels: BinaryIO) -> None:
        self._numbers = numbers
        self._labels = labels

    def append(self, block: PackedBlock) -> None:
        """Write rows after the earlier ones."""
        tokens, vectors = block
        finite = np.logical_and.reduce(np.isfinite(vectors), axis=1)
        for row, token in enumerate(tokens.unpack()):
            _check(token, bool(finite[row]))
        self._labels.write(b"".join(token + b"\n" for token in tokens.split()))
        step = max(1, NUMBERS // vectors.shape[1])
        for start in range(0, len(tokens), step):
            lines = rows_of_decimals(vectors[start : start + step], b"\t")
            self._numbers.write(b"\n".join([*lines, b""]))

    def finish(self, annotations: Annotations) -> None:
        """Write nothing: the format has no place for arrays and metadata."""


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


def joined(numbers: Reader, path: Path, options: ReadOptions) -> TableReader:
    """Return the rows of ``numbers``, whose tokens are numbers, with tokens.

    The tokens are in the file at ``path``. Raises `FormatError` if the numbers of
    tokens and rows differ.
    """
    first, vectors = [], []
    for block in numbers.packed_blocks():
        first += [kernel.number(token) for token in block.tokens.split()]
        vectors.append(block.vectors)
    column = np.array(first, np.float32)[:, None]
    return TableReader(
        numbers.format,
        numbers.name,
        _tokens(read_tokens(path, options)),
        np.hstack([column, np.concatenate(vectors)]),
        notes=[
            Note("tokens.from", f"tokens from {path.name}"),
            *numbers.findings.notes,
        ],
    )


def _tokens(packed: PackedTokens) -> PackedTokens:
    """Return the tokens: one column without a header, or one of several with names."""
    lines = packed.split()
    if not lines or b"\t" not in lines[0]:
        return PackedTokens.join(lines)
    names = lines[0].decode("utf-8", "replace").lower().split("\t")
    column = next((names.index(name) for name in _COLUMNS if name in names), 0)
    rows = [line.split(b"\t") for line in lines[1:]]
    return PackedTokens.join(
        [row[column] if column < len(row) else b"" for row in rows]
    )
