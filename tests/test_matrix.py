from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pretrained_embed as pe

VECTORS = np.array([[0, 0], [1, 2], [3, 4]], np.float32)


@pytest.fixture
def matrix() -> pe.EmbeddingMatrix:
    return pe.EmbeddingMatrix(VECTORS, pe.Vocabulary(["see", "you"]))


def test_arrays_of_ones_own_count_as_found(matrix):
    assert [pe.ledger.Origin(code).name for code in matrix.origin] == [
        "PAD",
        "EXACT",
        "EXACT",
    ]
    assert matrix.source_rows.tolist() == [-1, -1, -1]
    assert (matrix.shape, matrix.dim, len(matrix)) == ((3, 2), 2, 3)
    assert matrix.pad_id == 0
    assert matrix.coverage.ratio == 1.0
    assert repr(matrix) == "<EmbeddingMatrix 3 x 2: 2 of 2 tokens found>"
    assert matrix.provenance == {}


# Its array


def test_numpy_sees_the_vectors_themselves(matrix):
    assert np.asarray(matrix) is matrix.vectors
    assert np.array(matrix).tolist() == VECTORS.tolist()
    assert np.array(matrix) is not matrix.vectors
    assert np.array(matrix).flags.writeable
    assert np.asarray(matrix, np.float64).dtype == np.float64


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="copy= came with numpy 2"
)
def test_a_conversion_that_may_not_copy_is_refused(matrix):
    assert np.asarray(matrix, copy=False) is matrix.vectors
    with pytest.raises(ValueError, match="copy"):
        np.asarray(matrix, np.float64, copy=False)


@pytest.mark.parametrize("name", ["vectors", "origin", "source_rows"])
def test_its_arrays_cannot_be_written_to(matrix, name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(matrix, name)[0] = 1


def test_the_arrays_that_were_given_stay_the_callers():
    given = VECTORS.copy()
    origin = np.array([1, 16, 16], np.uint8)

    matrix = pe.EmbeddingMatrix(given, pe.Vocabulary(["see", "you"]), origin)
    given[1] = 9
    origin[:] = 0

    assert matrix.vectors.tolist() == VECTORS.tolist()
    assert matrix.origin.tolist() == [1, 16, 16]


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS.astype(np.float64),
        np.asfortranarray(VECTORS),
        VECTORS.astype(">f4"),
        VECTORS.tolist(),
        np.repeat(VECTORS, 2, axis=1)[:, ::2],
    ],
)
def test_any_numbers_become_float32_in_row_order(vectors):
    matrix = pe.EmbeddingMatrix(vectors, pe.Vocabulary(["see", "you"]))

    assert matrix.vectors.dtype == np.dtype("=f4")
    assert matrix.vectors.flags.c_contiguous
    assert matrix.vectors.tobytes() == VECTORS.tobytes()


@pytest.mark.parametrize(
    "copied",
    [
        lambda matrix: pickle.loads(pickle.dumps(matrix)),  # noqa: S301  (our own)
        copy.deepcopy,
        copy.copy,
    ],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_copy_is_whole_and_as_immutable(matrix, copied):
    matrix.provenance["seed"] = 0

    other = copied(matrix)

    assert other.vectors.tobytes() == matrix.vectors.tobytes()
    assert other.vocabulary.tokens == matrix.vocabulary.tokens
    assert other.provenance == matrix.provenance
    assert other.coverage == matrix.coverage
    for name in ("vectors", "origin", "source_rows"):
        assert not getattr(other, name).flags.writeable
    assert np.asarray(other) is other.vectors


# What does not fit


@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (3,), (3, 2, 1)])
def test_vectors_of_another_shape_are_refused(shape):
    with pytest.raises(
        pe.errors.ShapeError, match=r"a vocabulary of 3; expected \(3, dim\)"
    ):
        pe.EmbeddingMatrix(np.zeros(shape), pe.Vocabulary(["see", "you"]))


@pytest.mark.parametrize("name", ["origin", "source_rows"])
def test_a_ledger_of_another_length_is_refused(name):
    with pytest.raises(pe.errors.ShapeError, match=f"{name} of shape"):
        pe.EmbeddingMatrix(
            VECTORS, pe.Vocabulary(["see", "you"]), **{name: np.zeros(2, int)}
        )


def test_a_pad_row_that_is_not_zeros_is_refused():
    with pytest.raises(
        pe.errors.VocabularyError, match="row 0, of the pad token '<pad>'"
    ):
        pe.EmbeddingMatrix(np.ones((3, 2)), pe.Vocabulary(["see", "you"]))


# Looking up


def test_a_token_gives_its_vector(matrix):
    assert matrix["you"].tolist() == [3, 4]
    with pytest.raises(pe.errors.UnknownTokenError, match="'me'"):
        matrix["me"]
    with pytest.raises(KeyError):
        matrix["me"]


@pytest.mark.parametrize("ids", [2, [2, 0], [[1], [2]], [], np.uint8(1), [[], []]])
def test_ids_of_any_shape_give_vectors_of_that_shape(matrix, ids):
    found = matrix.lookup(ids)

    assert found.shape == (*np.shape(ids), 2)
    assert found.dtype == np.float32
    assert found.tolist() == VECTORS[np.array(ids, int)].tolist()


@pytest.mark.parametrize("ids", [-1, [0, 3], [[0], [-3]], np.uint64(2**63)])
def test_an_id_that_is_no_row_is_refused(matrix, ids):
    with pytest.raises(
        pe.errors.VocabularyError,
        match=r"^id (-1|3|-3|9\d*8) is no row; rows go from 0 to 2",
    ):
        matrix.lookup(ids)


@pytest.mark.parametrize("ids", [1.0, [True, False, True], "see", [2**70], None])
def test_ids_that_are_no_whole_numbers_are_refused(matrix, ids):
    with pytest.raises(pe.errors.VocabularyError, match="whole numbers are needed"):
        matrix.lookup(ids)


def test_texts_are_encoded_and_looked_up(matrix):
    found = matrix.encode_lookup(["you see", "see"], max_length=3)

    assert found.tolist() == [[[3, 4], [1, 2], [0, 0]], [[1, 2], [0, 0], [0, 0]]]
    cut = matrix.encode_lookup(["you see"], max_length=1, truncate="left")
    assert cut.tolist() == [[[1, 2]]]
    with pytest.raises(pe.errors.UnknownTokenError, match="'me'"):
        matrix.encode_lookup(["me"])


# Coverage


def covered(found, sought, *, pad="<pad>", unk=None, counts=None) -> pe.Coverage:
    vocabulary = pe.Vocabulary(sought, pad=pad, unk=unk, counts=counts)
    codes = {
        None: pe.ledger.Origin.OOV,
        "exact": pe.ledger.Origin.EXACT,
        "lower": pe.ledger.Origin.LOWER,
    }
    origin = [codes[found.get(token)] for token in vocabulary.tokens]
    if pad is not None:
        origin[0] = pe.ledger.Origin.PAD
    vectors = np.zeros((len(vocabulary), 1))
    return pe.EmbeddingMatrix(vectors, vocabulary, origin).coverage


def test_coverage_counts_what_was_looked_for():
    coverage = covered({"a": "exact", "B": "lower", "<unk>": "exact"}, ["a", "B", "c"])
    special = covered({"a": "exact", "<unk>": "exact"}, ["a", "c"], unk="<unk>")

    assert (coverage.tokens, coverage.found, coverage.oov) == (3, 2, 1)
    assert coverage.by_origin == {"exact": 1, "lower": 1}
    assert (special.tokens, special.found) == (2, 1)
    assert str(coverage) == (
        "Found 2 of 3 tokens (66.7 %): 1 exact, 1 lower. 1 is OOV. First of them: 'c'."
    )


def test_coverage_weighs_tokens_by_their_counts():
    counts = {"a": 98, "b": 1, "c": 2, "<pad>": 500}

    coverage = covered({"a": "exact"}, ["b", "a", "c"], counts=counts)

    assert (coverage.occurrences, coverage.occurrences_found) == (101, 98)
    assert coverage.occurrences_ratio == 98 / 101
    assert coverage.oov_examples == ("c", "b")
    assert str(coverage) == (
        "Found 1 of 3 tokens (33.3 %), which make up 97.0 % of the text. 2 are OOV. "
        "Most frequent of them: 'c', 'b'."
    )
    assert [each["token"] for each in coverage.to_dict()["missing"]] == ["c", "b"]
    assert coverage.to_dict()["ratio"] == 1 / 3


def test_coverage_names_ten_of_many():
    coverage = covered({}, [f"w{number}" for number in range(2_000)])

    assert coverage.oov_examples == tuple(f"w{number}" for number in range(10))
    assert str(coverage).endswith("'w9', ...")
    assert "2,000 are OOV" in str(coverage)
    assert coverage.occurrences_ratio is None


@pytest.mark.parametrize(
    ("found", "of", "text"),
    [
        (2_000, 2_000, "(100.0 %)"),
        (1_999, 2_000, "(over 99.9 %)"),
        (1, 3_000, "(under 0.1 %)"),
        (0, 5, "(0.0 %)"),
        (1, 3, "(33.3 %)"),
    ],
)
def test_all_and_none_are_said_only_where_they_are_exact(found, of, text):
    tokens = [f"w{number}" for number in range(of)]

    assert text in str(covered(dict.fromkeys(tokens[:found], "exact"), tokens))


def test_a_vocabulary_of_nothing_but_pad_is_covered():
    assert covered({}, ["<pad>"]).ratio == 1.0


def test_it_holds_tokens_as_a_mapping_holds_keys():
    vocabulary = pe.Vocabulary({"cat": 2, "the": 1})
    matrix = pe.EmbeddingMatrix([[0, 0], [1, 2], [3, 4]], vocabulary)

    assert "cat" in matrix
    assert "dog" not in matrix
    assert 1 not in matrix
    assert ["cat"] not in matrix
    assert list(matrix) == ["<pad>", "the", "cat"]
    assert {token: matrix[token].tolist() for token in matrix}["cat"] == [3, 4]


def test_iteration_leaves_out_rows_that_no_token_has():
    matrix = pe.EmbeddingMatrix(np.zeros((4, 2)), pe.Vocabulary({"a": 1, "b": 3}))

    assert list(matrix) == ["<pad>", "a", "b"]
    assert len(matrix) == 4


@pytest.mark.parametrize("wrong", [1, np.int64(1), slice(2), ["the"], None])
def test_a_row_is_asked_for_by_token_and_ids_are_looked_up(wrong):
    matrix = pe.EmbeddingMatrix([[0, 0], [1, 2]], pe.Vocabulary(["the"]))

    with pytest.raises(KeyError, match=r"matrix.lookup\(ids\) gives vectors of ids"):
        matrix[wrong]
