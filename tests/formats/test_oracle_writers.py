"""Folders and files of other programs, opened by those programs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from tables import stream_of

from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import WriteError
from pretrained_embed.formats import Table

TOKENS = ["the", "cat", "don't", "über", "a\0b", "👍"]
VECTORS = np.random.default_rng(1).normal(size=(len(TOKENS), 4)).astype(np.float32)


def table(tokens: list[str] = TOKENS, vectors: np.ndarray = VECTORS) -> Table:
    return Table(PackedTokens.pack(tokens), vectors, {}, {})


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a package is not there that is too large for every run."""
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None,
        reason=f"needs {package}: pip install torch sentence-transformers model2vec, "
        "then pytest tests/formats/test_oracle_writers.py",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "static"
    formats.write_table(path, table(), format="sentence-transformers")
    return path


@pytest.mark.parametrize("dim", [4, 1_800_000])
def test_gensim_loads_its_own_format(tmp_path, dim):
    """Many numbers lie in a file of their own beside the pickle."""
    vectors = np.resize(VECTORS, (len(TOKENS), dim))

    formats.write_table(tmp_path / "vectors.kv", table(vectors=vectors))
    loaded = KeyedVectors.load(str(tmp_path / "vectors.kv"), mmap="r")
    back = formats.read_table(stream_of(tmp_path / "vectors.kv"))

    assert back.tokens.unpack() == TOKENS
    assert back.vectors.tobytes() == vectors.tobytes()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["vectors.kv", "vectors.kv.vectors.npy"][: 1 if dim == 4 else 2]
    assert loaded.index_to_key == TOKENS
    assert loaded.key_to_index["cat"] == 1
    assert loaded.vectors.dtype == np.float32
    assert loaded.vectors.tobytes() == vectors.tobytes()


def test_vectors_can_be_added_to_what_gensim_loads(tmp_path):
    formats.write_table(tmp_path / "vectors.kv", table())

    loaded = KeyedVectors.load(str(tmp_path / "vectors.kv"))
    loaded.add_vectors(["new"], np.ones((1, 4), np.float32))

    assert loaded.index_to_key == [*TOKENS, "new"]
    assert loaded["new"].tolist() == [1, 1, 1, 1]
    assert loaded["über"].tobytes() == VECTORS[3].tobytes()


def test_a_file_of_gensim_names_nothing_of_this_machine(tmp_path):
    formats.write_table(tmp_path / "vectors.kv", table())

    assert str(tmp_path).encode() not in (tmp_path / "vectors.kv").read_bytes()


def test_a_static_embedding_has_the_files_that_its_loaders_look_for(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (module,) = json.loads((folder / "modules.json").read_text("utf-8"))

    assert sorted(path.name for path in folder.iterdir()) == [
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
    ]
    assert module["path"] == ""
    assert module["type"].endswith(".StaticEmbedding")
    assert tokenizer["pre_tokenizer"] == {"type": "WhitespaceSplit"}
    vocab = tokenizer["model"]["vocab"]
    assert vocab == {t: row for row, t in enumerate([*TOKENS, "[UNK]"])}
    assert tokenizer["model"]["unk_token"] == "[UNK]"


def test_the_row_added_for_unk_is_zeros_and_is_not_read_back(folder):
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")["embedding.weight"]
    back = formats.read_table(stream_of(folder))

    assert weights[:-1].tobytes() == VECTORS.tobytes()
    assert not weights[-1].any()
    assert back.tokens.unpack() == TOKENS
    assert back.vectors.tobytes() == VECTORS.tobytes()


@pytest.mark.parametrize("unk", ["[UNK]", "<unk>"])
def test_a_row_that_there_is_for_unk_serves(tmp_path, unk):
    tokens = [*TOKENS[:-1], unk]

    formats.write_table(tmp_path / "s", table(tokens), format="sentence-transformers")

    model = json.loads((tmp_path / "s" / "tokenizer.json").read_text("utf-8"))["model"]
    assert model["unk_token"] == unk
    assert len(model["vocab"]) == len(tokens)
    assert formats.read_table(stream_of(tmp_path / "s")).tokens.unpack() == tokens


@needs("sentence_transformers")
@pytest.mark.filterwarnings("ignore")  # of other people's packages
def test_sentence_transformers_loads_a_static_embedding(folder):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    alone = model.encode(TOKENS)
    pair, unknown = model.encode(["the cat", "nowhere"])

    assert alone.tobytes() == VECTORS.tobytes()
    np.testing.assert_allclose(pair, VECTORS[:2].mean(axis=0), rtol=1e-6)
    assert not unknown.any()


@needs("model2vec")
@pytest.mark.filterwarnings("ignore")  # of other people's packages
def test_model2vec_loads_a_static_embedding(folder):
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(str(folder))

    np.testing.assert_allclose(model.encode(TOKENS), VECTORS, rtol=1e-6)
    np.testing.assert_allclose(
        model.encode(["the nowhere cat"])[0], VECTORS[:2].mean(axis=0), rtol=1e-6
    )


def test_tables_of_the_projector_are_as_documented(tmp_path):
    """A token a line without a header, as one column has none; numbers by tabs."""
    path = tmp_path / "projector"

    formats.write_table(path, table(), format="projector")

    labels = (path / "metadata.tsv").read_text("utf-8").split("\n")
    numbers = (path / "vectors.tsv").read_text("ascii").split("\n")
    config = (path / "projector_config.pbtxt").read_text("ascii")
    assert labels == [*TOKENS, ""]
    assert numbers.pop() == ""
    back = np.array([[float(n) for n in row.split("\t")] for row in numbers])
    assert back.astype(np.float32).tobytes() == VECTORS.tobytes()
    for name in ("vectors.tsv", "metadata.tsv"):
        assert f'_path: "{name}"' in config


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_projector_gets_no_number_that_it_cannot_read(tmp_path, bad):
    vectors = VECTORS.copy()
    vectors[1, 0] = bad

    with pytest.raises(WriteError, match="'cat'"):
        formats.write_table(tmp_path / "p", table(vectors=vectors), format="projector")
