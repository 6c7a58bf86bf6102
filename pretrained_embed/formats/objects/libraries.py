"""Objects of libraries of word vectors and models: gensim, spaCy, static models."""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import USUAL
from pretrained_embed.errors import FormatError, OptionError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.gensim.fasttext import BucketRows
from pretrained_embed.formats.objects.classes import is_a, named
from pretrained_embed.formats.objects.held import Held
from pretrained_embed.formats.objects.python import of_parts
from pretrained_embed.formats.objects.tokens import packed_list, tokens_of
from pretrained_embed.formats.objects.vectors import of_array
from pretrained_embed.formats.spacy import reader as spacy
from pretrained_embed.formats.spacy.keys import KeyRows
from pretrained_embed.formats.subwords.readers import SubwordTableReader
from pretrained_embed.formats.table import HOLES, Rows
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import shared_rows


def of_matrix(value: Any, name: str) -> Held:
    """Open an `EmbeddingMatrix`, as its file is opened: with its ledger."""
    table = value.table()
    reader = TableReader(
        "matrix",
        name,
        table.tokens,
        table.vectors,
        arrays=table.arrays,
        metadata=table.metadata,
    )
    return Held(reader, table.tokens, [table.vectors])


def of_shard(value: Any, name: str) -> Held:
    """Open an `EmbeddingShard`: its rows and their tokens."""
    arrays: dict[str, AnyArray] = {HOLES: value.holes} if len(value.holes) else {}
    tokens = value.packed_tokens
    reader = TableReader("matrix", name, tokens, value.vectors, arrays=arrays)
    return Held(reader, tokens, [value.vectors])


def of_gensim(value: Any, name: str) -> Held:
    """Open ``KeyedVectors``, or the words of a model; FastText's with its subwords.

    Keys that are ``None``, which gensim makes of duplicates, are holes.
    """
    vectors = getattr(value, "wv", value)
    tokens, missing, notes = packed_list(vectors.index_to_key, name)
    rows, _, more = of_array(vectors.vectors[: len(tokens)], name)
    arrays: dict[str, AnyArray] = {HOLES: missing} if len(missing) else {}
    buckets = None
    if getattr(vectors, "bucket", 0):
        if getattr(vectors, "compatible_hash", True):
            table = vectors.vectors_ngrams
            buckets = BucketRows(table, vectors.min_n, vectors.max_n)
        else:
            what = (
                "its n-grams are hashed as gensim before 3.8 did, so that no other "
                "tokens can be made of them"
            )
            notes.append(Note("tokens.no-subwords", what))
    reader = SubwordTableReader(
        "gensim",
        name,
        tokens,
        rows,
        compose=None if buckets is None else buckets.compose,
        facts={"model": type(value).__name__},
        arrays=arrays,
        notes=[*notes, *more],
    )
    pieces: list[Rows] = [] if buckets is None else [buckets.table]
    return Held(reader, tokens, [rows, *pieces])


def of_spacy(value: Any, name: str) -> Held:
    """Open the vectors of a ``Vocab``, or of a pipeline, as its folder is opened."""
    vocab = value.vocab if is_a(value, "spacy.Language") else value
    vectors = vocab.vectors
    data = vectors.data
    data = np.asarray(data.get() if hasattr(data, "get") else data)  # on a GPU: cupy
    if not data.size:
        raise FormatError(
            f"{name}: this pipeline of spaCy has no vectors; those whose names end in "
            "_md or _lg have"
        )
    if str(vectors.mode).rpartition(".")[2] == "floret":
        settings = ("minn", "maxn", "hash_count", "hash_seed", "bow", "eow")
        config = {name: getattr(vectors, name) for name in settings}
        reader = spacy.floret_reader(name, data, config)
        return Held(reader, PackedTokens.join([]), [data])
    keys = KeyRows(
        np.fromiter(vectors.key2row.keys(), np.uint64),
        np.fromiter(vectors.key2row.values(), np.uint64),
    )
    strings = list(vocab.strings)
    size = sum(map(len, strings)) + data.nbytes
    budget = USUAL.budget_of(name, size)
    table = spacy.table_reader("spacy", name, data, keys, strings, budget)
    return Held(table, table.tokens, [table.stored])


def of_model2vec(value: Any, name: str) -> Held:
    """Open a ``StaticModel``, as its folder is opened: rows times their weights."""
    array = np.asarray(value.embedding)
    notes = of_array(array, name)[2]
    rows, more = shared_rows(array, value.token_mapping, value.weights, name)
    listed = tokens_of(value.tokenizer, rows.shape[0], name)
    reader = TableReader(
        "model2vec",
        name,
        listed.packed,
        rows,
        arrays=listed.arrays,
        notes=[*listed.notes, *notes, *more],
    )
    return Held(reader, listed.packed, [rows])


def of_static(value: Any, name: str) -> Held:
    """Open a ``StaticEmbedding`` or ``WordEmbeddings`` of sentence-transformers."""
    if is_a(value, "sentence_transformers.WordEmbeddings"):
        tokens = list(value.tokenizer.get_vocab())
        return of_parts("sentence-transformers", name, tokens, value.emb_layer)
    parts = value.tokenizer, value.embedding
    return of_parts("sentence-transformers", name, *parts)


def of_sentence_transformer(value: Any, name: str) -> Held:
    """Open a ``SentenceTransformer`` whose first part has a vector for each token."""
    first = value[0]
    kinds = "StaticEmbedding", "WordEmbeddings"
    if is_a(first, *(f"sentence_transformers.{kind}" for kind in kinds)):
        return of_static(first, name)
    raise OptionError(
        f"{name}: its first part is a {named(first)}, whose vectors depend on the "
        "whole text. The input embedding of its language model is given as "
        "(model.tokenizer, model[0].auto_model)"
    )
