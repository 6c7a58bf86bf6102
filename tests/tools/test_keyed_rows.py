"""Rows by key: what gensim's ``KeyedVectors`` answers, without gensim."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

pytest.importorskip("gensim", reason="gensim, the oracle, is not installed")
from gensim.models import KeyedVectors

WORDS = [f"w{number}" for number in range(300)]
VECTORS = np.random.default_rng(5).normal(size=(300, 12)).astype(np.float32)
VECTORS[17] *= 100


@pytest.fixture(scope="module")
def gensims() -> KeyedVectors:
    vectors = KeyedVectors(12)
    vectors.add_vectors(WORDS, VECTORS)
    return vectors


@pytest.fixture(params=["matrix", "npz", "text", "store"])
def keyed(request, tmp_path):
    """Return the same rows from a matrix, a mapped file, a text file and a store."""
    matrix = pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(WORDS, pad=None))
    if request.param == "matrix":
        return matrix.keyed()
    path = tmp_path / {"npz": "v.npz"}.get(request.param, "v.txt")
    matrix.save(path)
    if request.param != "store":
        return pe.load_matrix(path).keyed()
    pe.index(path, library=pe.Library(tmp_path / "cache"))
    with pe.open_vectors(path, library=pe.Library(tmp_path / "cache")) as reader:
        return pe.load_matrix(reader).keyed()


def same(ours, theirs):
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=1e-6)


@pytest.mark.parametrize(
    "asked",
    [
        {"positive": "w3"},
        {"positive": ["w3", "w7"], "negative": ["w9"]},
        {"positive": ["w3"], "negative": "w17", "topn": 3},
        {"negative": ["w3"]},
        {"positive": [("w3", 0.25), ("w40", 2.0), ("w5", -1.0)]},
        {"positive": VECTORS[8]},
        {"positive": [VECTORS[8], "w3"], "topn": 300},
        {"positive": "w3", "restrict_vocab": 50},
        {"positive": "w3", "clip_start": 100, "clip_end": 120, "topn": 500},
        {"positive": "w3", "topn": 0},
    ],
)
def test_most_similar_is_gensims(keyed, gensims, asked):
    same(keyed.most_similar(**asked), gensims.most_similar(**asked))


def test_without_topn_the_cosines_of_all_rows_are_gensims(keyed, gensims):
    ours = keyed.most_similar("w3", topn=None)

    np.testing.assert_allclose(ours, gensims.most_similar("w3", topn=None), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")  # inside
@pytest.mark.parametrize(
    "asked",
    [
        {"positive": "w3"},
        {"positive": ["w3", "w7"], "negative": ["w9"], "topn": 7},
        {"positive": ["w3"], "negative": ["w9", "w17"]},
        {"positive": [VECTORS[3] / np.linalg.norm(VECTORS[3])], "topn": 4},
    ],
)
def test_most_similar_cosmul_is_gensims(keyed, gensims, asked):
    ours, theirs = (
        vectors.most_similar_cosmul(**asked) for vectors in (keyed, gensims)
    )

    # a quotient may be large: by its size
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], rtol=1e-5)


def test_the_first_rows_alone_are_multiplied_where_these_are_asked_for(keyed):
    # gensim 4.4 takes restrict_vocab here, and looks at all rows
    found = keyed.most_similar_cosmul("w3", topn=500, restrict_vocab=20)

    assert sorted(key for key, _ in found) == sorted({*WORDS[:20]} - {"w3"})


def test_similarities_are_gensims(keyed, gensims):
    assert keyed.similarity("w3", "w9") == pytest.approx(
        float(gensims.similarity("w3", "w9")), abs=1e-6
    )
    assert keyed.n_similarity(["w3", "w17"], ["w9"]) == pytest.approx(
        float(gensims.n_similarity(["w3", "w17"], ["w9"])), abs=1e-6
    )


@pytest.mark.parametrize("start", range(0, 60, 6))
def test_what_does_not_match_is_what_gensim_says(keyed, gensims, start):
    keys = WORDS[start : start + 6]

    assert keyed.doesnt_match(keys) == gensims.doesnt_match(keys)


def test_keys_and_vectors_are_gensims(keyed, gensims):
    assert dict(keyed.key_to_index) == gensims.key_to_index
    assert list(keyed.index_to_key) == gensims.index_to_key
    assert (len(keyed), keyed.vector_size) == (len(gensims), gensims.vector_size)
    assert keyed.get_vector("w17").tobytes() == gensims.get_vector("w17").tobytes()
    np.testing.assert_allclose(
        keyed.get_vector("w17", norm=True), gensims.get_vector("w17", norm=True), 1e-6
    )
    assert keyed[["w3", "w4"]].tobytes() == gensims[["w3", "w4"]].tobytes()
    assert ("w3" in keyed, "x" in keyed) == (True, False)
    same(keyed.similar_by_vector(VECTORS[3]), gensims.similar_by_vector(VECTORS[3]))


def test_the_rows_of_a_matrix_keep_their_ids_and_padding_is_near_nothing():
    vocabulary = pe.Vocabulary({"<pad>": 0, "a": 2, "b": 5, "c": 6}, unk=None)
    vectors = np.zeros((7, 2), np.float32)
    vectors[[2, 5, 6]] = [[1, 0], [1, 1], [-1, 0]]

    keyed = pe.EmbeddingMatrix(vectors, vocabulary).keyed()

    assert keyed.get_index("b") == 5
    assert [key for key, _ in keyed.most_similar("a")] == ["b", "c"]
    assert [key for key, _ in keyed.most_similar_cosmul("a")] == ["b", "c"]
    assert keyed.index_to_key[1] is None
    assert not keyed["<pad>"].any()


def test_an_unknown_key_is_a_key_error_though_there_is_an_unk():
    vocabulary = pe.Vocabulary(["a", "b"], pad=None, unk="<unk>")
    keyed = pe.EmbeddingMatrix(np.eye(3), vocabulary).keyed()

    for ask in (keyed.get_vector, keyed.most_similar, keyed.most_similar_cosmul):
        with pytest.raises(KeyError, match="'x'"):
            ask("x")
    with pytest.raises(pe.errors.ShapeError, match=r"\(2,\); expected \(3,\)"):
        keyed.most_similar(np.float32([1, 2]))
    for ask in (keyed.most_similar, keyed.most_similar_cosmul):
        with pytest.raises(pe.errors.OptionError, match="nothing to look for"):
            ask([])


def test_keys_that_are_left_out_are_told():
    keyed = pe.EmbeddingMatrix(
        np.eye(3), pe.Vocabulary(["a", "b", "c"], pad=None)
    ).keyed()

    with pytest.warns(UserWarning, match="no keys: 'x'"):
        assert keyed.n_similarity(["a", "x"], ["a"]) == 1
    with (
        pytest.warns(UserWarning, match="'y'"),
        pytest.raises(pe.errors.OptionError, match="no key left"),
    ):
        keyed.doesnt_match(["y"])


def test_mapped_vectors_stay_mapped(tmp_path):
    pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(WORDS, pad=None)).save(tmp_path / "v.npz")

    keyed = pe.load_matrix(tmp_path / "v.npz").keyed()
    base = keyed.vectors
    while isinstance(base.base, np.ndarray):
        base = base.base

    assert not base.flags.owndata


def test_nothing_of_gensim_is_needed(tmp_path):
    path = tmp_path / "v.npz"
    pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(WORDS, pad=None)).save(path)
    program = (
        "import sys\n"
        "sys.modules['gensim'] = sys.modules['scipy'] = None\n"
        "import pretrained_embed as pe\n"
        f"keyed = pe.load_matrix({str(path)!r}).keyed()\n"
        "print(len(keyed.most_similar('w3')), keyed.doesnt_match(['w1', 'w2']))\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )

    assert run.stdout.startswith("10 w")


def test_no_near_tie_of_products_is_lost_among_blocks_of_thousands():
    """Products closer than binary32 tells, in rows that come after a floor is set."""
    rng = np.random.default_rng(4)
    rows = (1000 + rng.integers(0, 64, (150_000, 4)) * 2.0**-13).astype(np.float32)
    tokens = [f"t{number}" for number in range(len(rows))]
    keyed = pe.EmbeddingMatrix(rows, pe.Vocabulary(tokens, pad=None)).keyed()

    found = keyed.most_similar_cosmul(["t1", "t2"], ["t3"], topn=5)

    wide = rows.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1)[:, None]
    moved = (wide @ wide[1:4].T + 1) / 2
    exact = moved[:, 0] * moved[:, 1] / (moved[:, 2] + 1e-6)
    exact[1:4] = -1
    worst = min(exact[int(token[1:])] for token, _ in found)
    assert worst >= np.sort(exact)[-5] * (1 - 1e-14)


def test_nothing_may_be_none_as_in_gensim(keyed):
    key = keyed.index_to_key[0]

    assert keyed.most_similar(key, None) == keyed.most_similar(key)
    assert keyed[[]].shape == (0, keyed.vector_size)
    for nothing in (None, 3):
        with pytest.raises(pe.errors.OptionError, match="key"):
            keyed.most_similar(nothing)
