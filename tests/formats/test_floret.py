from __future__ import annotations

import gzip
from contextlib import suppress

import numpy as np
import pytest
from conformance import SENTINEL, select
from hypothesis import given
from hypothesis import strategies as st
from tables import piped, stream_of

import pretrained_embed as pe
from formats.fasttext_models import DATA, answers
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, RowError, TruncatedError
from pretrained_embed.formats import Findings

TABLES = sorted(DATA.glob("floret/*.floret"))
HEADER = "3 2 2 3 1 7 < >\n"
ROWS = "0 0.5 1 \n1 0.25 2 \n2 0.125 3 \n"


def compose(reader, tokens):
    out = np.full((len(tokens), reader.dim), SENTINEL)
    return out, reader.compose(tokens, out)


def opened(path, text, *, stream=stream_of):
    path.write_text(text)
    return formats.open_reader(stream(path))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
@pytest.mark.parametrize("stream", [stream_of, piped])
def test_any_token_is_composed_as_spacy_does(path, stream):
    expected = answers(path)

    with formats.open_reader(stream(path)) as reader:
        vectors, made = compose(reader, expected.asked)

    assert reader.format == "floret"
    assert made.all()
    np.testing.assert_allclose(vectors, expected.vectors, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_the_table_of_a_model_composes_as_the_model_does(path):
    tokens = answers(path).asked
    with formats.open_reader(stream_of(path)) as table:
        of_table, made = compose(table, tokens)
    with formats.open_reader(stream_of(path.with_suffix(".bin"))) as model:
        of_model, _ = compose(model, tokens)

    assert made.all()
    # five digits are all that the text has of each number
    np.testing.assert_allclose(of_table, of_model, rtol=0, atol=1e-5)


def test_there_are_no_rows_and_nothing_is_found():
    with formats.open_reader(stream_of(TABLES[0])) as reader:
        blocks = list(reader.blocks())
        out, selection = select(reader, [("the", 0, 0), ("0", 1, 0)])

    assert (blocks, reader.count, reader.composes) == ([], 0, True)
    assert (out == SENTINEL).all()
    assert selection.source_rows.tolist() == [-1, -1, -1]
    assert reader.findings == Findings()


def test_the_end_of_a_line_has_no_pieces(tmp_path):
    with opened(tmp_path / "f", HEADER + ROWS) as reader:
        out, made = compose(reader, ["</s>", "", "a"])

    assert made.tolist() == [False, True, True]
    assert (out[0] == SENTINEL).all()


def test_facts_and_statistics_are_those_of_the_buckets(tmp_path):
    with opened(tmp_path / "f", HEADER + ROWS) as reader:
        mean, std, rows = reader.statistics

    assert reader.facts == {
        "model": "floret",
        "bucket": 3,
        "min_n": 2,
        "max_n": 3,
        "hash_count": 1,
    }
    numbers = np.array([[0.5, 1], [0.25, 2], [0.125, 3]])
    assert mean.tolist() == numbers.mean(axis=0).tolist()
    assert std.tolist() == numbers.std(axis=0).tolist()
    assert rows == 3


def test_numbers_that_are_not_finite_are_left_out_of_the_statistics(tmp_path):
    rows = ROWS.replace("0.25", "nan").replace("0.125", "inf")

    with opened(tmp_path / "f", HEADER + rows) as reader:
        mean, std, _ = reader.statistics

    assert mean.tolist() == [0.5, 2.0]
    assert std[0] == 0.0


def test_a_packed_table_is_read(tmp_path):
    (tmp_path / "f.gz").write_bytes(gzip.compress(TABLES[0].read_bytes()))

    with pe.open_vectors(tmp_path / "f.gz") as reader:
        packed, _ = compose(reader, ["unseen"])
    with pe.open_vectors(TABLES[0]) as reader:
        plain, _ = compose(reader, ["unseen"])

    assert packed.tobytes() == plain.tobytes()


@pytest.mark.parametrize("stream", [stream_of, piped])
@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        (HEADER + ROWS[:-13], TruncatedError, "2 buckets of 3"),
        (HEADER + ROWS + "3 1 1 \n", FormatError, "4 buckets, the header declares 3"),
        (HEADER + ROWS.replace("1 0.25", "2 0.25"), FormatError, "line 3: bucket '2'"),
        (HEADER + ROWS.replace("0.25", "x"), RowError, "line 3: value 1 of 2"),
        (HEADER + ROWS.replace("0.25 ", ""), RowError, "line 3: 1 values"),
        (HEADER.replace("3 2", "3 9999999999", 1) + ROWS, FormatError, "line 2: .* 2;"),
        (HEADER.replace("3 2", "9999999999 2", 1) + ROWS, TruncatedError, "3 buckets"),
        (HEADER.replace("2 3", "2 256", 1) + ROWS, FormatError, "makes no sense"),
        (HEADER.replace("7", "4294967296") + ROWS, FormatError, "makes no sense"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, text, error, what, stream):
    with pytest.raises(error, match=what):
        opened(tmp_path / "f", text, stream=stream)


@pytest.mark.parametrize("header", ["3 2", "3 2 2 3 5 7 < >", "3 2 2 3 1 7 <", "a b"])
def test_other_text_is_not_taken_for_a_table(tmp_path, header):
    with opened(tmp_path / "f", "9 2\n0 1 2\n1 3 4\n") as reader:
        assert reader.format == "text"

    with suppress(FormatError):
        assert opened(tmp_path / "f", f"{header}\n{ROWS}").format == "text"


@given(data=st.data())
def test_any_change_gives_a_table_or_our_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.floret"
    raw = bytearray(TABLES[0].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 60) | st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.sampled_from(b"0 \n9-.") | st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    path.write_bytes(raw)

    with suppress(FormatError), formats.open_reader(stream_of(path)) as reader:
        list(reader.blocks())
        compose(reader, ["unseen", ""])
