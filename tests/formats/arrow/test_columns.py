"""Tables of pyarrow: which columns are the tokens and the vectors, and their rows."""

import numpy as np
import pyarrow as pa
import pytest

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.arrow import columns

TOKENS = ["the", "café", "", "the"]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) + 0.5
REMEDY = "name them"


def read(table, **named):
    return columns.tokens_and_rows(table, "here", remedy=REMEDY, **named)


def numbers(found):
    return np.array(found.rows[:])


def lists(kind, value=None):
    value = pa.float32() if value is None else value
    rows = [row.tolist() for row in VECTORS]
    return pa.array(rows, kind(value))


LISTS = {
    "list": pa.list_,
    "large list": pa.large_list,
    "fixed": lambda value: pa.list_(value, 3),
    "list view": pa.list_view,
    "large list view": pa.large_list_view,
}
TEXTS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "dictionary": pa.dictionary(pa.int8(), pa.string()),
}


def text_array(kind):
    if "binary" in str(kind):
        return pa.array([token.encode() for token in TOKENS], kind)
    plain = pa.array(TOKENS)
    return (
        plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    )


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_kind_of_column_is_read(listed, text):
    table = pa.table({"vec": lists(LISTS[listed]), "word": text_array(TEXTS[text])})

    found = read(table)

    assert found.tokens.unpack() == TOKENS
    assert np.array_equal(numbers(found), VECTORS)
    assert found.faults == []
    assert found.rows.dtype == np.float32


@pytest.mark.parametrize("value", [pa.float16(), pa.float64(), pa.int8(), pa.int16()])
def test_numbers_keep_their_type(value):
    rows = VECTORS.astype(value.to_pandas_dtype())
    array = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 3)

    found = read(pa.table({"t": TOKENS, "v": array}))

    assert found.rows.dtype == value.to_pandas_dtype()
    assert np.array_equal(numbers(found), rows)


def test_a_fixed_size_list_is_not_copied():
    array = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 3)
    found = read(pa.table({"t": TOKENS, "v": array}))

    assert np.shares_memory(found.rows, array.values.to_numpy())


@pytest.mark.parametrize("listed", LISTS)
def test_chunks_and_slices_are_read_where_they_lie(listed):
    one = pa.table({"t": TOKENS, "v": lists(LISTS[listed])})
    table = pa.concat_tables([one.slice(1, 2), one.slice(0, 0), one, one.slice(3)])

    found = read(table)

    order = [1, 2, 0, 1, 2, 3, 3]
    assert found.tokens.unpack() == [TOKENS[row] for row in order]
    for start in range(8):
        for stop in range(start, 8):
            assert np.array_equal(found.rows[start:stop], VECTORS[order[start:stop]])


def test_columns_of_numbers_make_rows():
    table = pa.table({"a": VECTORS[:, 0], "t": TOKENS, "b": VECTORS[:, 1].astype("f8")})

    found = read(table)

    assert found.rows.dtype == np.float64
    assert np.array_equal(numbers(found), VECTORS[:, :2])
    assert np.array_equal(found.rows[1:3], VECTORS[1:3, :2])


def test_whole_numbers_are_tokens_beside_lists():
    table = pa.table({"item": pa.array([7, -1, 3, 2**40]), "v": lists(pa.list_)})

    assert read(table).tokens.unpack() == ["7", "-1", "3", str(2**40)]


@pytest.mark.parametrize("listed", LISTS)
def test_rows_that_cannot_be_are_malformed_and_the_others_are_read(listed):
    rows = [row.tolist() for row in np.tile(VECTORS, (2, 1))]
    rows[1], rows[4] = None, [1.0, None, 2.0]
    expected = {1: "no vector", 4: "number missing", 6: "no token"}
    if listed != "fixed":
        rows[2] = [1.0]
        expected[2] = "1 numbers, 3 expected"
    tokens = [*"abcdef", None, "h"]
    array = pa.array(rows, LISTS[listed](pa.float32()))

    found = read(pa.table({"t": tokens, "v": array}))

    assert [fault.row for fault in found.faults] == sorted(expected)
    for fault in found.faults:
        assert expected[fault.row] in fault.what
    sound = [row for row in range(8) if row not in expected]
    assert np.array_equal(numbers(found)[sound], np.tile(VECTORS, (2, 1))[sound])


def test_a_null_number_of_a_column_makes_its_row_malformed():
    table = pa.table({"t": ["a", "b"], "x": [1.0, None], "y": [2.0, 3.0]})

    assert [fault.row for fault in read(table).faults] == [1]


def test_bytes_under_a_null_are_no_token():
    column = pa.array(["abc", "d", "ef"])
    offsets, data = column.buffers()[1:]
    mask = pa.py_buffer(bytes([0b101]))
    column = pa.StringArray.from_buffers(3, offsets, data, mask)

    packed, missing = columns.packed_tokens(column)

    assert packed.unpack() == ["abc", "", "ef"]
    assert missing.tolist() == [1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"v": [[1.0]]}, "no column holds text"),
        ({"t": ["a"], "u": ["b"], "v": [[1.0]]}, "t (text), u (text) all hold text"),
        ({"t": ["a"], "v": [[1.0]], "w": [[1.0]]}, "all hold lists of numbers"),
        ({"t": ["a"], "v": ["b"]}, "all hold text"),
        ({"t": ["a"]}, "no column holds vectors"),
        ({"t": ["a"], "n": [1], "x": [0.5]}, "n (whole) holds whole numbers"),
        ({"t": ["a"], "v": [True]}, "no column holds vectors"),
    ],
)
def test_what_cannot_be_seen_is_asked_for(table, said):
    with pytest.raises(FormatError) as caught:
        read(pa.table(table))

    assert said in str(caught.value)
    assert REMEDY in str(caught.value)


@pytest.mark.parametrize("rows", [[[]], [None]])
def test_without_a_single_number_there_is_no_table(rows):
    with pytest.raises(FormatError, match=r"empty|not a single row"):
        read(pa.table({"t": ["a"], "v": pa.array(rows, pa.list_(pa.float32()))}))


def test_without_rows_there_is_no_table():
    with pytest.raises(FormatError, match="no rows"):
        read(pa.table({"t": ["a"], "v": [[1.0]]}).slice(0, 0))


def test_columns_are_named():
    table = pa.table({"t": ["a"], "u": ["b"], "v": [[1.0]], "w": [[2.0]]})

    found = read(table, token="u", vector="w")

    assert found.tokens.unpack() == ["b"]
    assert found.rows[:].tolist() == [[2.0]]
    assert found.notes == ["other columns were left behind: t, v"]
    for wrong in ({"token": "x"}, {"token": "w"}, {"vector": "t"}):
        with pytest.raises(FormatError, match="column"):
            read(table, **wrong)
