"""The tokens of a model's rows, from the files of its tokenizer.

Looked for beside the model, the first that there is:

- ``tokenizer.json``, which has all tokens: ``{"model": {"vocab": ...}, "added_tokens":
  [{"id": ID, "content": TOKEN}, ...]}``, the vocab an object from token to id, or
  ``[token, score]`` pairs in the order of ids (Unigram);
- ``vocab.json``, an object from token to id;
- ``vocab.txt``, one token a line in the order of ids;
- ``whitespacetokenizer_config.json`` of sentence-transformers: ``"vocab"`` is a list.

To the last three belong ``added_tokens.json``, an object from token to id, and
``"added_tokens_decoder"`` of ``tokenizer_config.json``. Tokens are given as they are
spelled there, with the marks of their tokenizer: ``##ing``, ``▁the``, ``Ġthe``. Tables
are often wider than their tokenizer, padded to a multiple of 64 or so; rows that no
token has are holes.

https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.budget import ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats.hugging_face.embedding_tensor import EmbeddingTensor
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import json_object
from pretrained_embed.formats.marks import CONFIG
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.token_file import (
    SIBLINGS,
    find_tokens,
    fitted,
    of_tokenizer,
    padding,
    read_tokens,
)

FILES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "whitespacetokenizer_config.json",
)

_ADDED, _SETTINGS = "added_tokens.json", "tokenizer_config.json"


def find_file(folder: Path) -> Path | None:
    """Return the file of a folder that has the tokens, if there is one."""
    paths = (folder / name for name in FILES)
    return next((path for path in paths if path.is_file()), None)


def tokens_beside(
    format: str,
    stream: ByteStream,
    embedding: EmbeddingTensor,
    layout: KnownLayout | None,
) -> TableReader:
    """Return a reader of a table whose tokens are in a file that lies beside it.

    That is the file that the source names, else one with the name of the table's, as
    of ``vectors.pt`` ``vectors.tokens``, else one of `FILES`. Raises `FormatError`
    where there is none, and where tokens and rows do not belong together.
    """
    path = stream.tokens_path
    stem = Path(stream.name).stem if stream.path is None else stream.path.stem
    siblings = [stem + suffix for suffix in SIBLINGS]
    if path is None and stream.path is not None:
        folder = stream.path.parent
        if not any((folder / sibling).is_file() for sibling in siblings):
            path = find_file(folder)
            if path is not None:
                return model_reader(
                    format, stream, embedding, path, bare=True, layout=layout
                )
    path = find_tokens(stream, siblings)
    read = read_tokens(path, stream.read_options)
    tokens, holes, notes = fitted(read, path, embedding.rows, stream, layout)
    return TableReader(
        format,
        stream.name,
        tokens,
        embedding.rows,
        arrays=holes,
        notes=[*embedding.notes, *notes],
    )


def model_reader(
    format: str,
    stream: ByteStream,
    embedding: EmbeddingTensor,
    path: Path,
    *,
    bare: bool = False,
    layout: KnownLayout | None = None,
) -> TableReader:
    """Return a reader of a model's rows, whose tokens are in one of `FILES`.

    A ``bare`` file of tensors may have lain beside another model's tokens: rows behind
    the last token's have to be padding, see `padding`. Raises `FormatError` where they
    are not, where the file of tokens is damaged, or has tokens beyond the rows.
    """
    name, rows = stream.name, embedding.rows.shape[0]
    tokens = [b""] * rows
    hole = np.ones(rows, np.bool_)
    replaced = 0
    for id, token in _pairs(path, stream.read_options):
        if type(id) is not int or id < 0:
            raise FormatError(f"{path}: token {brief(token)} has no id but {brief(id)}")
        if id >= rows:
            raise FormatError(
                f"{path}: token {brief(token)} has id {id:,}, but {name} has {rows:,} "
                "rows; the tokenizer is not that of the model, or the model was not "
                "resized when tokens were added"
            )
        try:
            raw = token.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise FormatError(f"{path}: token {id:,} is half a character") from error
        replaced += not hole[id] and tokens[id] != raw
        tokens[id], hole[id] = raw, False
    notes = [*embedding.notes, f"tokens from {path.name}"]
    if bare:
        count = int(np.flatnonzero(~hole)[-1]) + 1 if not hole.all() else 0
        declared = _declared_rows(path.parent)
        notes += padding(count, path, embedding.rows, name, layout, declared)
    if replaced:
        notes.append(f"{replaced:,} tokens gave their rows to added ones")
    return TableReader(
        format,
        name,
        PackedTokens.join(tokens),
        embedding.rows,
        arrays={HOLES: np.flatnonzero(hole)} if hole.any() else {},
        notes=notes,
    )


def _declared_rows(folder: Path) -> int | None:
    """Return how many rows the config of a model gives its table, if it does."""
    path = folder / CONFIG
    config = json_object(path) if path.is_file() else {}
    parts = (config, config.get("text_config"))
    sizes = [part.get("vocab_size") for part in parts if isinstance(part, dict)]
    return next((size for size in sizes if type(size) is int), None)


def _pairs(path: Path, options: ReadOptions) -> Iterator[tuple[Any, str]]:
    """Yield ids and tokens, those that were added last."""
    if path.name == "tokenizer.json":
        yield from ((id, t) for t, id in of_tokenizer(json_object(path), path).items())
        return
    if path.name == "vocab.json":
        yield from ((id, token) for token, id in json_object(path).items())
    else:
        yield from enumerate(_listed(path, options))
    yield from _added(path.parent)


def _listed(path: Path, options: ReadOptions) -> list[str]:
    if path.suffix != ".json":
        return read_tokens(path, options).unpack()
    tokens = json_object(path).get("vocab")
    if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
        raise FormatError(f"{path}: 'vocab' is no list of strings")
    return tokens


def _added(folder: Path) -> Iterator[tuple[Any, str]]:
    """Yield what a tokenizer got after its vocabulary was made."""
    if (folder / _ADDED).is_file():
        yield from ((id, t) for t, id in json_object(folder / _ADDED).items())
    if (folder / _SETTINGS).is_file():
        path = folder / _SETTINGS
        with refusing_damage(str(path), "cannot read its added_tokens_decoder"):
            decoder = dict(json_object(path).get("added_tokens_decoder", {}))
            added = [(int(id), str(t["content"])) for id, t in decoder.items()]
        yield from added
