"""Folders that sentence-transformers and model2vec load as static embeddings.

::

    modules.json                       one module, a StaticEmbedding, in this folder
    config_sentence_transformers.json  by which model2vec knows such a folder
    model.safetensors                  as `safetensors` writes it: embedding.weight, ...
    tokenizer.json                     splits at white space; token i has row i

The tokenizer gives words that it does not know an unk token, so there has to be a row
for it: that of ``[UNK]`` or ``<unk>``, else a row of zeros behind all others, which our
own reader leaves out. model2vec leaves unk out of its means, too.

https://sbert.net/docs/package_reference/sentence_transformer/models.html
https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import WriteError, brief
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.reader import PackedBlock
from pretrained_embed.formats.row_stream import RowStream, spooled
from pretrained_embed.formats.safetensors import reader as safetensors
from pretrained_embed.formats.table import HOLES

_UNK = ("[UNK]", "<unk>")
# What Unicode calls white space, and the tokenizer splits at.
_WHITE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_MODULES = [
    {
        "idx": 0,
        "name": "0",
        "path": "",
        "type": "sentence_transformers.models.StaticEmbedding",
    }
]
_CONFIG = {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"}


def write_rows(path: str | os.PathLike[str], rows: RowStream) -> None:
    """Write a new folder.

    Raises `WriteError` naming the token that the tokenizer cannot have: one that is
    empty, holds white space, is not UTF-8 or stands there twice.
    """
    ids: dict[str, int] = {}
    with new_folder(path) as folder:
        table = spooled(_collecting(rows, ids), folder.parent)
        own, unk = table, _unk_among(ids)
        if unk is None:
            last = len(table.tokens) - 1
            own = table._replace(
                tokens=table.tokens[:last], vectors=table.vectors[:last]
            )
            ids[unk := _UNK[0]] = last
        safetensors.write_table(
            folder / "model.safetensors", own, vectors=table.vectors
        )
        for name, content in (
            ("modules.json", _MODULES),
            ("config_sentence_transformers.json", _CONFIG),
            ("tokenizer.json", _tokenizer(ids, unk)),
        ):
            text = json.dumps(content, ensure_ascii=False)
            (folder / name).write_bytes(text.encode("utf-8"))


def _collecting(rows: RowStream, ids: dict[str, int]) -> RowStream:
    """Give the rows on, and one of zeros where none is that of unk; fill ``ids``."""
    holes = set(rows.arrays.get(HOLES, np.empty(0, np.int64)).tolist())

    def blocks() -> Iterator[PackedBlock]:
        row = 0
        for block in rows.blocks:
            for token in block.tokens.unpack():
                if row not in holes:
                    _check_token(token, ids)
                    ids[token] = row
                row += 1
            yield block
        if ids and _unk_among(ids) is None:
            zeros = np.zeros((1, rows.dim), np.float32)
            yield PackedBlock(PackedTokens.pack(_UNK[:1]), zeros)

    return replace(rows, blocks=blocks(), count=None)


def _unk_among(ids: Mapping[str, int]) -> str | None:
    return next((unk for unk in _UNK if unk in ids), None)


def _check_token(token: str, ids: dict[str, int]) -> None:
    if not token:
        problem = "is empty"
    elif _WHITE.search(token):
        problem = "holds white space, at which the tokenizer splits"
    elif any("\udc80" <= character <= "\udcff" for character in token):
        problem = "is not UTF-8"
    elif token in ids:
        problem = "stands there twice"
    else:
        return
    raise WriteError(
        f"token {brief(token)} {problem}: the tokenizer of a static embedding cannot "
        "have it. Leave it out, or write .npz, .h5 or .safetensors instead."
    )


def _tokenizer(ids: dict[str, int], unk: str) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": unk},
    }
