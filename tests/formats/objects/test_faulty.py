"""Objects that are faulty, or hold their numbers in some other way."""

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    RowError,
    VocabularyError,
)

TOKENS = ["a", "b", "c"]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4) + 1


def built(source, **options):
    return pe.build_matrix(pe.Vocabulary(TOKENS, pad=None), source, **options)


STORED = {
    "float64": VECTORS.astype(np.float64) + 1e-12,
    "float16": VECTORS.astype(np.float16),
    "int8": VECTORS.astype(np.int8),
    "uint16": VECTORS.astype(np.uint16),
    "big-endian": VECTORS.astype(">f4"),
    "column by column": np.asfortranarray(VECTORS),
    "every other": np.repeat(VECTORS, 2, axis=0)[::2],
    "backwards": VECTORS[::-1].copy()[::-1],
    "transposed": VECTORS.T.copy().T,
    "not aligned": np.frombuffer(b"x" + VECTORS.tobytes(), np.uint8)[1:]
    .view(np.float32)
    .reshape(3, 4),
}


@pytest.mark.parametrize("stored", STORED)
def test_numbers_are_read_as_they_are_stored(stored):
    array = STORED[stored]
    array.flags.writeable = False

    for given in ((TOKENS, array), dict(zip(TOKENS, array, strict=True))):
        assert np.array_equal(built(given).vectors, array.astype(np.float32))


def test_an_array_is_not_copied_and_is_kept_alive():
    array = VECTORS.copy()
    reader = pe.open_vectors((TOKENS, array))

    assert np.shares_memory(reader.stored, array)
    assert np.shares_memory(reader.table().vectors, array)
    kept = reader.stored
    del array
    assert np.array_equal(kept, VECTORS)


def test_a_frame_that_was_made_of_an_array_is_not_copied():
    import pandas

    array = np.random.default_rng(0).random((50, 4), np.float32)
    frame = pandas.DataFrame(array, copy=False)
    frame.index = [f"t{row}" for row in range(50)]

    assert np.shares_memory(pe.open_vectors(frame).stored, array)


def test_not_a_number_is_read_as_from_files():
    array = VECTORS.copy()
    array[1, 2] = np.nan
    array[2, 0] = np.inf

    found = built((TOKENS, array)).vectors

    assert np.array_equal(found, array, equal_nan=True)
    assert not pe.examine((TOKENS, array)).healthy


def test_the_first_of_equal_tokens_wins_and_they_are_counted():
    found = built((["a", "b", "a"], VECTORS), oov="zeros")

    assert np.array_equal(found["a"], VECTORS[0])
    assert found.findings.duplicates == 1


RAGGED = {
    "mapping": lambda bad: {"a": [1.0, 2.0], "b": bad, "c": [3.0, 4.0]},
    "pair": lambda bad: (TOKENS, [[1.0, 2.0], bad, [3.0, 4.0]]),
}


@pytest.mark.parametrize(
    "bad", [None, [1.0], [1.0, None], ["x", "y"], "xy", [[1], [2]]]
)
@pytest.mark.parametrize("kind", RAGGED)
def test_a_row_that_is_none_is_malformed(kind, bad):
    source = RAGGED[kind](bad)

    with pytest.raises(RowError, match=r"row 1: .*Mend it, or give limits=") as caught:
        built(source)
    assert "memory" in str(caught.value)

    limits = pe.Limits(bad_rows=1)
    found = built(source, limits=limits, oov="zeros")
    assert found.findings.bad_rows == 1
    assert found["c"].tolist() == [3.0, 4.0]
    assert not found["b"].any()
    with pytest.raises(RowError, match="1 of 3"):
        built(source, limits=pe.Limits(bad_rows=0.3))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_token_makes_a_row_malformed(missing):
    with pytest.raises(RowError, match="row 1: no token"):
        built((["a", missing, "c"], VECTORS))
    import pandas

    frame = pandas.DataFrame({"w": ["a", missing, "c"], "v": list(VECTORS)})
    with pytest.raises(RowError, match="row 1: no token"):
        built(frame)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ((TOKENS[:2], VECTORS), FormatError, "2 tokens for 3 vectors"),
        ((TOKENS, VECTORS[:2]), FormatError, "3 tokens for 2 vectors"),
        ((TOKENS, VECTORS[:, :0]), FormatError, "shape"),
        (([], VECTORS[:0]), FormatError, "shape"),
        ((TOKENS, VECTORS.astype(object)), FormatError, "object"),
        ((TOKENS, VECTORS.astype(np.int64)), FormatError, "astype"),
        ((TOKENS, VECTORS.astype(np.complex64)), FormatError, "complex"),
        ((TOKENS, VECTORS > 3), FormatError, "bool"),
        ((TOKENS, VECTORS.astype(np.longdouble)), FormatError, "float"),
        ((TOKENS, VECTORS.astype("U4")), FormatError, "<U"),
        ((TOKENS, VECTORS[0]), OptionError, "a source is"),
        ((TOKENS, np.ma.masked_greater(VECTORS, 3)), FormatError, "masked"),
        (([1.5, 2.5, 3.5], VECTORS), FormatError, "row 0: the token is 1.5"),
        ((["a", ("b",), "c"], VECTORS), FormatError, "row 1: the token is"),
        ((["a", "\ud800", "c"], VECTORS), FormatError, "half a character"),
        ((pe.Vocabulary([*TOKENS, "d"]), VECTORS), FormatError, "has id 4"),
        ({}, FormatError, "no rows"),
        ({"a": 1}, FormatError, "no vector"),
        ({"a": []}, FormatError, "empty"),
        ({"a": VECTORS}, FormatError, "no vector"),
    ],
)
def test_what_cannot_be_raises_our_error(given, error, said):
    with pytest.raises(error, match=r"(?s)") as caught:
        built(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": [0.5, 1.5, 2.5]}, "no column holds text"),
        ({"w": TOKENS}, "no column holds vectors"),
        ({"w": TOKENS, "t": TOKENS, "x": [0.5] * 3}, "all hold text"),
        ({"w": TOKENS, "count": [1, 2, 3], "x": [0.5] * 3}, "count (whole)"),
        ({"w": TOKENS, "x": [True] * 3}, "no column holds vectors"),
        ({"w": TOKENS, "x": ["1", "2", "3"]}, "all hold text"),
    ],
)
def test_a_frame_that_does_not_tell_is_asked(columns, said):
    import pandas
    import polars
    import pyarrow

    for make in (pandas.DataFrame, polars.DataFrame, pyarrow.table):
        with pytest.raises(FormatError) as caught:
            built(make(columns))
        assert said in str(caught.value)
        assert "table[['word', 'vector']]" in str(caught.value)


def test_missing_numbers_of_a_frame_are_malformed_rows():
    import pandas

    frame = pandas.DataFrame({"x": [1.0, None, 3.0]}, index=TOKENS).astype("Float64")

    with pytest.raises(RowError, match="row 1: a number is missing"):
        built(frame)


def test_columns_of_several_types_are_read():
    import pandas

    frame = pandas.DataFrame({"w": TOKENS, "x": [1.5, 2.5, 3.5]})
    frame["y"] = np.array([1, 2, 3], np.float32)
    frame["z"] = pandas.array([0.25, 0.5, 0.75], "Float32")

    assert built(frame).vectors.tolist() == [
        [1.5, 1, 0.25],
        [2.5, 2, 0.5],
        [3.5, 3, 0.75],
    ]


class Unknown:
    """Something of a user's own."""


def layer():
    import torch

    return torch.nn.Embedding(3, 4)


def dropout():
    import torch

    return (TOKENS, torch.nn.Dropout())


def lazy():
    import polars

    return polars.LazyFrame({"w": TOKENS})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Unknown, "Give {token: vector} or (tokens, array)"),
        (lambda: 3, "Give {token: vector}"),
        (lambda: {"a"}, "Give {token: vector}"),
        (lambda: VECTORS, "an array without tokens: give (tokens, array)"),
        (layer, "which has no tokens: give (tokens, layer)"),
        (lambda: pe.Vocabulary(TOKENS), "has tokens and no vectors"),
        (lazy, "frame.collect()"),
        (lambda: [TOKENS, VECTORS], "given as a tuple, (tokens, array)"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda given, path: pe.build_matrix(TOKENS, given),
        lambda given, path: pe.build_matrix(TOKENS, [given]),
        lambda given, path: pe.open_vectors(given),
        lambda given, path: pe.coverage(TOKENS, given),
        lambda given, path: pe.examine(given),
        lambda given, path: pe.index(given),
        lambda given, path: pe.similar(given, "a"),
        lambda given, path: pe.convert(given, path),
    ],
)
def test_what_is_no_source_is_told_what_would_do(make, said, use, tmp_path):
    with pytest.raises(
        OptionError, match="a source is a name, a URL, a path"
    ) as caught:
        use(make(), tmp_path / "new.npz")

    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_layer_without_a_table_is_refused():
    with pytest.raises(FormatError, match="no table of its own"):
        built(dropout())


def test_a_layout_and_a_store_are_for_files():
    with pytest.raises(OptionError, match="no layout"):
        pe.open_vectors((TOKENS, VECTORS), layout="dim=4")
    with pytest.raises(OptionError, match="in memory"):
        pe.index((TOKENS, VECTORS))


def test_a_column_that_is_called_read_makes_no_file_of_a_frame():
    import pandas

    frame = pandas.DataFrame({"read": TOKENS, "x": [1.0, 2.0, 3.0]})

    assert built(frame).coverage.found == 3


def test_an_unfitted_tokenizer_says_so():
    from sklearn.feature_extraction.text import CountVectorizer

    with pytest.raises(VocabularyError, match="fit"):
        pe.open_vectors((CountVectorizer(), VECTORS))
