"""The Embedding Projector's ``vectors.tsv``, with the tokens of its ``metadata.tsv``.

https://www.tensorflow.org/tensorboard/tensorboard_projector_plugin
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.budget import ReadOptions
from pretrained_embed.formats.reader import Reader
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.token_file import read_tokens

#: Names of columns that hold tokens.
_COLUMNS = ("token", "tokens", "word", "words", "label", "name")


def joined(numbers: Reader, path: Path, options: ReadOptions) -> TableReader:
    """Return the rows of ``numbers``, whose tokens are first numbers, with true tokens.

    These are in the file at ``path``.
    Raises `FormatError` where there are not as many tokens as rows.
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
        notes=[f"tokens from {path.name}", *numbers.findings.notes],
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
