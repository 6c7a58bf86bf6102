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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import WriteError, brief
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.blocks import AnyBlock, PackedBlock
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.safetensors.sink import SafetensorsSink
from pretrained_embed.formats.sink import Spool, block_of, stream_of
from pretrained_embed.formats.table import HOLES, Annotations

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


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[FolderSink]:
    """Give a sink whose folder is a new one."""
    with (
        new_folder(path) as folder,
        Spool(folder.parent, announced.dim, announced.dtype) as spool,
    ):
        yield FolderSink(folder, spool, announced)


class FolderSink:
    """Takes rows, which are written with their tokenizer; see `FormatSink`."""

    def __init__(self, folder: Path, spool: Spool, announced: Announced) -> None:
        self._folder = folder
        self._spool = spool
        self._announced = announced

    def append(self, block: AnyBlock) -> None:
        """Keep rows until all of them are there."""
        self._spool.append(block)

    def finish(self, annotations: Annotations) -> None:
        """Write the files.

        Raises `WriteError` naming the token that the tokenizer cannot have: one that
        is empty, holds white space, is not UTF-8 or stands there twice.
        """
        ids = _ids(annotations)
        rows, (_, dim, dtype, *_) = len(annotations.tokens), self._announced
        if (unk := _unk_among(ids)) is None:  # a row behind those of the table
            ids[unk := _UNK[0]] = rows
            zeros = PackedBlock(
                PackedTokens.pack(_UNK[:1]), np.zeros((1, dim), np.float32)
            )
            self._spool.append(block_of(zeros, dtype))
        table = self._spool.table({}, {})
        with (self._folder / "model.safetensors").open("xb") as file:
            sink = SafetensorsSink(
                file, (len(table.tokens), dim), dtype, known=annotations, own=rows
            )
            for block in stream_of(table).blocks:
                sink.append(block)
            sink.finish(annotations)
        for name, content in (
            ("modules.json", _MODULES),
            ("config_sentence_transformers.json", _CONFIG),
            ("tokenizer.json", _tokenizer(ids, unk)),
        ):
            text = json.dumps(content, ensure_ascii=False)
            (self._folder / name).write_bytes(text.encode("utf-8"))


def _ids(annotations: Annotations) -> dict[str, int]:
    """Return the id of each token; rows without one have none."""
    holes = set(annotations.arrays.get(HOLES, np.empty(0, np.int64)).tolist())
    ids: dict[str, int] = {}
    for row, token in enumerate(annotations.tokens):
        if row not in holes:
            _check_token(token, ids)
            ids[token] = row
    return ids


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
