"""Objects in memory, each against its own library, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.formats import objects

TOKENS = ["the", "café", "b", "New York"]
VECTORS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def gensim_model(kind, **options):
    from gensim import models

    return getattr(models, kind)(
        [TOKENS] * 4, vector_size=4, min_count=1, workers=1, **options
    )


def keyed_vectors():
    from gensim.models import KeyedVectors

    made = KeyedVectors(3)
    made.add_vectors(TOKENS, VECTORS)
    return made


def frame(**columns):
    import pandas

    return pandas.DataFrame(columns or VECTORS, index=None if columns else TOKENS)


def pandas_arrow(tokens="large_string", vectors="list"):
    import pandas
    import pyarrow as pa

    types = {
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int8(), pa.string()),
        "list": pa.list_(pa.float32()),
        "fixed": pa.list_(pa.float32(), 3),
    }
    return frame(
        word=pandas.Series(TOKENS, dtype=pandas.ArrowDtype(types[tokens])),
        vec=pandas.Series(VECTORS.tolist(), dtype=pandas.ArrowDtype(types[vectors])),
    )


def categories():
    import pandas

    return frame(word=pandas.Categorical(TOKENS), vec=list(VECTORS))


def with_tokens_in_a_column():
    made = frame().reset_index(drop=True)
    made.insert(1, "word", TOKENS)
    return made


def polars_frame(kind="String", vectors="Array"):
    import polars as pl

    made = pl.DataFrame({"word": TOKENS, "vec": VECTORS})
    made = made.with_columns(pl.col("word").cast(getattr(pl, kind)))
    if vectors == "List":
        made = made.with_columns(pl.col("vec").cast(pl.List(pl.Float32)))
    return made


def arrow_table():
    import pyarrow as pa

    return pa.table({"word": TOKENS, "vec": VECTORS.tolist()}).cast(
        pa.schema({"word": pa.string(), "vec": pa.list_(pa.float32())})
    )


def torch_layer(kind="Embedding", dtype="float32"):
    import torch

    layer = getattr(torch.nn, kind).from_pretrained(torch.tensor(VECTORS))
    return layer.to(getattr(torch, dtype))


def jax_array():
    import jax.numpy

    return jax.numpy.array(VECTORS)


def nnx_layer():
    from flax import nnx

    layer = nnx.Embed(4, 3, rngs=nnx.Rngs(0))
    layer.embedding[...] = jax_array()
    return layer


def equinox_layer():
    import equinox

    return equinox.nn.Embedding(weight=jax_array())


def tokenizer():
    from tokenizers import Tokenizer, models

    ids = {token: id for id, token in enumerate(TOKENS)}
    return Tokenizer(models.WordLevel(ids, unk_token="the"))


def chunks(table):
    import pyarrow as pa

    return pa.concat_tables([table.slice(2), table.slice(0, 2)])


#: How each is made; all have the same four rows.
SAME = {
    "mapping of arrays": lambda: dict(zip(TOKENS, VECTORS, strict=True)),
    "mapping of lists": lambda: dict(zip(TOKENS, VECTORS.tolist(), strict=True)),
    "list and array": lambda: (TOKENS, VECTORS),
    "array and array": lambda: (np.array(TOKENS), VECTORS),
    "objects and array": lambda: (np.array(TOKENS, object), VECTORS),
    "bytes and array": lambda: ([token.encode() for token in TOKENS], VECTORS),
    "list and lists": lambda: (TOKENS, VECTORS.tolist()),
    "vocabulary and array": lambda: (pe.Vocabulary(TOKENS, pad=None), VECTORS),
    "index and array": lambda: (frame().index, frame().to_numpy()),
    "matrix": lambda: pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(TOKENS, pad=None)),
    "KeyedVectors": keyed_vectors,
    "DataFrame by its index": frame,
    "DataFrame with a column of tokens": with_tokens_in_a_column,
    "DataFrame of lists": lambda: frame(word=TOKENS, vec=list(VECTORS)),
    "DataFrame of Float32": lambda: frame().astype("Float32"),
    "DataFrame of Arrow": pandas_arrow,
    "DataFrame of Arrow, fixed": lambda: pandas_arrow("dictionary", "fixed"),
    "DataFrame of categories": categories,
    "Series": lambda: frame(vec=list(VECTORS)).set_axis(TOKENS)["vec"],
    "polars": polars_frame,
    "polars, lists": lambda: polars_frame(vectors="List"),
    "polars, categories": lambda: polars_frame("Categorical"),
    "pyarrow": arrow_table,
    "pyarrow, chunks": lambda: chunks(arrow_table()),
    "RecordBatch": lambda: arrow_table().to_batches()[0],
    "list and layer of PyTorch": lambda: (TOKENS, torch_layer()),
    "list and tensor": lambda: (TOKENS, torch_layer().weight),
    "list and array of JAX": lambda: (TOKENS, jax_array()),
    "list and layer of Flax": lambda: (TOKENS, nnx_layer()),
    "list and layer of Equinox": lambda: (TOKENS, equinox_layer()),
    "tokenizer and layer": lambda: (tokenizer(), torch_layer("EmbeddingBag")),
}


@pytest.mark.parametrize("given", SAME)
def test_the_rows_are_those_of_the_object_to_the_bit(given):
    matrix = pe.build_matrix([*TOKENS, "missing"], SAME[given](), oov="zeros")

    for token, vector in zip(TOKENS, VECTORS, strict=True):
        assert matrix[token].tobytes() == vector.tobytes()
    assert not matrix["missing"].any()
    assert matrix.coverage.found == 4


@pytest.mark.parametrize("kind", ["Word2Vec", "FastText", "Doc2Vec"])
def test_a_model_of_gensim_is_read_as_its_file_is(kind, tmp_path):
    if kind == "Doc2Vec":
        from gensim.models.doc2vec import Doc2Vec, TaggedDocument

        texts = [TaggedDocument(TOKENS, [str(number)]) for number in range(4)]
        model = Doc2Vec(texts, vector_size=4, min_count=1, workers=1)
    else:
        options = {"bucket": 50} if kind == "FastText" else {}
        model = gensim_model(kind, **options)
    model.save(str(tmp_path / "m.model"))
    words = [*TOKENS, "New Yorker"]
    oov = "subword,error" if kind == "FastText" else "zeros"

    built = pe.build_matrix(words, model, oov=oov)
    again = pe.build_matrix(words, model.wv, oov=oov)
    filed = pe.build_matrix(words, tmp_path / "m.model", oov=oov)

    assert built.vectors.tobytes() == filed.vectors.tobytes()
    assert again.vectors.tobytes() == filed.vectors.tobytes()
    known = words if kind == "FastText" else TOKENS
    for word in known:
        assert built[word].tobytes() == model.wv[word].tobytes()


def test_keys_that_gensim_made_of_duplicates_are_holes():
    vectors = keyed_vectors()
    vectors.index_to_key[1] = None

    with pe.open_vectors(vectors) as reader:
        (block,) = reader.blocks()

    assert block.tokens == ["the", "b", "New York"]
    assert np.array_equal(block.vectors, VECTORS[[0, 2, 3]])


def test_numbers_of_documents_are_their_digits():
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(3)
    vectors.add_vectors([7, 8, 9, 1000], VECTORS)

    built = pe.build_matrix(["8", "1000", "007"], vectors, oov="zeros")

    assert np.array_equal(built["1000"], VECTORS[3])
    assert not built["007"].any()
    assert "numbers" in str(built.findings.notes)


def test_halves_of_the_brain_are_read():
    import jax.numpy
    import torch

    rounded = torch.tensor(VECTORS).bfloat16().float().numpy()
    for table in (
        torch_layer(dtype="bfloat16"),
        jax.numpy.array(VECTORS, jax.numpy.bfloat16),
    ):
        built = pe.build_matrix(TOKENS, (TOKENS, table))
        assert np.array_equal(built.vectors[1:], rounded)
        assert "stored as bfloat16" in str(built.findings.notes)


def test_a_model_of_transformers_with_its_tokenizer(tmp_path):
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    config = BertConfig(
        vocab_size=8,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
    )
    model = BertModel(config)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer())
    model.save_pretrained(tmp_path)
    fast.save_pretrained(tmp_path)

    built = pe.build_matrix(TOKENS, (fast, model))

    table = model.embeddings.word_embeddings.weight.detach().numpy()
    assert np.array_equal(built.vectors[1:], table[:4])
    filed = pe.build_matrix(TOKENS, tmp_path)
    assert built.vectors.tobytes() == filed.vectors.tobytes()
    assert pe.open_vectors((fast, model)).count == 8  # four have no token


def test_static_models_are_read_as_their_folders_are(tmp_path):
    from model2vec import StaticModel
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = StaticEmbedding(tokenizer(), embedding_weights=VECTORS)
    weighted = StaticModel(
        VECTORS[:2],
        tokenizer(),
        weights=np.array([1.0, 2.0, 0.5, 3.0], np.float32),
        token_mapping=np.array([0, 1, 1, 0]),
    )
    (tmp_path / "static").mkdir()
    static.save(str(tmp_path / "static"))
    weighted.save_pretrained(tmp_path / "weighted")
    for given, folder in (
        (static, "static"),
        (SentenceTransformer(modules=[static], device="cpu"), "static"),
        (weighted, "weighted"),
        (StaticModel(VECTORS, tokenizer()), None),
    ):
        built = pe.build_matrix(TOKENS, given)
        if folder is not None:
            filed = pe.build_matrix(TOKENS, tmp_path / folder)
            assert built.vectors.tobytes() == filed.vectors.tobytes()
        else:
            assert np.array_equal(built.vectors[1:], VECTORS)


def test_word_embeddings_of_sentence_transformers():
    from sentence_transformers.sentence_transformer.modules import WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import (
        WhitespaceTokenizer,
    )

    made = WordEmbeddings(WhitespaceTokenizer(TOKENS), VECTORS)

    assert np.array_equal(pe.build_matrix(TOKENS, made).vectors[1:], VECTORS)


def test_a_data_set_and_a_relation():
    import duckdb
    from datasets import Dataset

    table = arrow_table()
    for given in (Dataset(table), duckdb.from_arrow(table)):
        assert np.array_equal(pe.build_matrix(TOKENS, given).vectors[1:], VECTORS)


def test_a_layer_of_keras():
    """In a process of its own, for a process has one backend."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import numpy as np, keras, test_kinds as these\n"
        "pe, tokens = these.pe, these.TOKENS\n"
        "layer = keras.layers.Embedding(4, 3)\n"
        "try: pe.build_matrix(tokens, (tokens, layer))\n"
        "except pe.errors.FormatError as error: assert 'build' in str(error)\n"
        "layer.build(); layer.set_weights([these.VECTORS])\n"
        "built = pe.build_matrix(tokens, (tokens, layer))\n"
        "assert (built.vectors[1:] == these.VECTORS).all()\n"
        "words = keras.layers.StringLookup(vocabulary=tokens) \n"
        "wide = np.vstack([np.zeros((1, 3), 'f4'), these.VECTORS])\n"
        "built = pe.build_matrix(tokens, (words, wide))\n"
        "assert (built.vectors[1:] == these.VECTORS).all()\n"
        "layer.quantize('int8')\n"
        "try: pe.build_matrix(tokens, (tokens, layer))\n"
        "except pe.errors.FormatError as error: assert 'quantised' in str(error)\n"
        "else: raise AssertionError\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()


def test_shards_are_sources(tmp_path):
    matrix = pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(TOKENS, pad=None))
    matrix.save(tmp_path / "m.npz")
    shard = pe.load_matrix(tmp_path / "m.npz", rows=slice(1, 3))

    built = pe.build_matrix(TOKENS, shard, oov="zeros")

    assert built.coverage.found == 2
    assert np.array_equal(built.vectors[2:4], VECTORS[1:3])


def test_a_matrix_in_memory_is_what_its_file_is(tmp_path):
    made = pe.build_matrix([*TOKENS, "x"], (TOKENS, VECTORS), oov="normal", seed=3)
    made.save(tmp_path / "m.npz")

    built = pe.build_matrix(["x", "the"], made)
    filed = pe.build_matrix(["x", "the"], tmp_path / "m.npz")

    assert built.vectors.tobytes() == filed.vectors.tobytes()
    assert pe.load_matrix(made).provenance == made.provenance


def test_every_kind_is_told_without_an_import():
    """Of a process that has only what this package needs."""
    program = (
        "import sys, pretrained_embed as pe\n"
        "from pretrained_embed.formats import objects\n"
        "before = set(sys.modules)\n"
        "class Frame: shape = (2, 2)\n"
        "for value in (3, Frame(), {'a': [1.0]}, (['a'], [[1.0]]), object()):\n"
        "    objects.find(value)\n"
        "pe.build_matrix(['a'], {'a': [1.0]})\n"
        "heavy = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "heavy &= {'torch', 'pandas', 'polars', 'pyarrow', 'gensim', 'keras', 'jax'}\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert done.returncode == 0, done.stderr.decode()


def test_the_documentation_has_the_table_of_kinds():
    page = Path(pe.__file__).parent.parent / "docs" / "reference" / "formats.md"
    assert f"\n\n{objects.table_of_kinds()}\n\n" in page.read_text("utf-8")
