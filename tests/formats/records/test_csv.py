from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conformance import ReadingConformance, all_rows, select
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    PretrainedEmbedError,
    RowError,
)

VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
WORDS = ["the", "a,b", 'say "hi"', "two\nlines"]


class TestCsv(ReadingConformance):
    def write(self, path, tokens, vectors):
        rows = [",".join(map(repr, map(float, vector))) for vector in vectors]
        quoted = [
            b'"%b"' % token.encode("utf-8", "surrogateescape").replace(b'"', b'""')
            for token in tokens
        ]
        lines = [
            b"%b,%b\r\n" % (token, row.encode())
            for token, row in zip(quoted, rows, strict=True)
        ]
        path.write_bytes(b"".join(lines))


def write(path, delimiter=",", header=(), quoting=csv.QUOTE_MINIMAL, words=WORDS):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        if header:
            writer.writerow(header)
        for word, vector in zip(words, VECTORS, strict=True):
            writer.writerow([word, *map(float, vector)])


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("header", [(), ("word", "d0", "d1", "d2")])
@pytest.mark.parametrize(
    "quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
)
def test_quotes_and_headers_are_found_out(tmp_path, delimiter, header, quoting):
    write(tmp_path / "x", delimiter, header, quoting)

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("a,b", 0, 0)])

    assert reader.format == "csv"
    assert tokens == WORDS
    assert vectors.tobytes() == VECTORS.tobytes()
    assert selection.source_rows.tolist() == [1, -1]
    assert out[0].tobytes() == VECTORS[1].tobytes()
    assert reader.findings.notes == []


@pytest.mark.parametrize(
    ("header", "quoting"),
    [(("word", "d0", "d1", "d2"), csv.QUOTE_MINIMAL), ((), csv.QUOTE_ALL)],
)
def test_tabs_are_csv_where_line_1_has_names_or_numbers_are_quoted(
    tmp_path, header, quoting
):
    write(tmp_path / "x", "\t", header, quoting)

    with pe.open_vectors(tmp_path / "x") as reader:
        assert all_rows(reader)[0] == WORDS


@pytest.mark.parametrize("content", ["a\t0.1\t0.2\n", '"a"\t0.1\t0.2\n"\t0.5\t1\n'])
def test_plain_tabs_stay_text_whatever_the_tokens(tmp_path, content):
    (tmp_path / "x").write_text(content)

    with pe.open_vectors(tmp_path / "x") as reader:
        assert reader.format == "text"
        assert all_rows(reader)[0] == [
            line.split("\t")[0] for line in content.splitlines()
        ]


@pytest.mark.parametrize(
    "content",
    [
        ", 0.1 0.2\nthe 0.3 0.4\n",
        "1,000 0.1 0.2\n2,000 0.3 0.4\n",
        '" 0.1 0.2\n"" 0.3 0.4\n',
        ";\t0.1\t0.2\na;b\t0.3\t0.4\n",
        "3 2\na,b 0.1 0.2\nc,d 0.3 0.4\n,, 1 2\n",
    ],
)
def test_commas_and_quotes_in_tokens_of_text_are_not_csv(tmp_path, content):
    (tmp_path / "x").write_text(content)

    with pe.open_vectors(tmp_path / "x") as reader:
        assert reader.format == "text"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a, 0.1, 0.2\nb, 0.3, 0.4\n", "comma"),
        ("a 0,1 0,2\nb 0,3 0,4\n", "decimal commas"),
        ("a 0,1\nb 0,3\n", "decimal commas"),
        ("a b 0.1,0.2,0.3\nc d 0.3,0.4,0.5\n", "commas separate"),
        ("0,\t5\n1,\t7\n2,\t9\n", "comma"),
    ],
)
def test_what_is_neither_text_nor_csv_is_refused(tmp_path, content, message):
    (tmp_path / "x").write_text(content)

    with pytest.raises(FormatError, match=message):
        pe.open_vectors(tmp_path / "x")


@pytest.mark.parametrize(
    "cell",
    [
        lambda vector: str(vector.tolist()),
        lambda vector: np.array2string(vector, floatmode="unique", max_line_width=20),
        lambda vector: " ".join(map(str, vector.tolist())),
    ],
)
def test_a_column_of_lists_is_read(tmp_path, cell):
    frame = pd.DataFrame({"vector": [cell(v) for v in VECTORS], "word": WORDS})
    frame.to_csv(tmp_path / "x", index=False)

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == WORDS
    assert vectors.tobytes() == VECTORS.tobytes()


def test_a_list_that_numpy_has_shortened_is_told(tmp_path):
    rows = ['a,"[0.1 0.2 0.3]"', 'b,"[0.1 ... 0.3]"', 'c,"[0.1 0.2 0.3]"']
    (tmp_path / "x").write_text("\n".join(rows))

    with pytest.raises(RowError, match=r"line 2: numpy has left out numbers"):
        pe.build_matrix(["b"], tmp_path / "x")


def test_frames_of_pandas_and_polars_are_read(tmp_path):
    frame = pd.DataFrame(VECTORS, index=WORDS)
    frame.to_csv(tmp_path / "a.csv")
    frame.reset_index(names="word").to_csv(tmp_path / "b.csv")
    frame.to_csv(tmp_path / "c.csv", header=False)
    polars = pl.DataFrame({"w": WORDS} | {f"d{n}": VECTORS[:, n] for n in range(3)})
    polars.write_csv(tmp_path / "d.csv")

    for path in sorted(tmp_path.iterdir()):
        with pe.open_vectors(path) as reader:
            tokens, vectors = all_rows(reader)
        assert tokens == WORDS, path
        assert vectors.tobytes() == VECTORS.tobytes(), path
    assert reader.findings.notes == []


def test_numbers_of_columns_in_line_1_are_told(tmp_path):
    pd.DataFrame(VECTORS, index=WORDS).to_csv(tmp_path / "x")

    with pe.open_vectors(tmp_path / "x") as reader:
        all_rows(reader)

    assert reader.findings.codes == {"text.column-numbers": 1}


def test_columns_are_named(tmp_path):
    (tmp_path / "x").write_text("a,b,x,y\nthe,der,1.5,2\nof,von,3,4\n")

    with pytest.raises(FormatError, match=r"all hold text; name them: FILE#token=COL"):
        pe.open_vectors(tmp_path / "x")
    with pe.open_vectors(f"{tmp_path / 'x'}#token=b") as reader:
        assert all_rows(reader)[0] == ["der", "von"]
        assert all_rows(reader)[1].tolist() == [[1.5, 2], [3, 4]]
    with pe.open_vectors(tmp_path / "x", layout="token=a,vector=y") as reader:
        assert all_rows(reader)[1].tolist() == [[2], [4]]
    (tmp_path / "y").write_text("the,1.5,2\nof,3,4\n")
    with pytest.raises(OptionError, match="no names of columns"):
        pe.open_vectors(f"{tmp_path / 'y'}#token=b")


def test_counts_between_columns_of_numbers_are_no_silent_dimension(tmp_path):
    (tmp_path / "x").write_text("word,count,x,y\nthe,12,1.5,2\nof,9,3,4\n")

    with pytest.raises(FormatError, match=r"count \(whole\) holds whole numbers"):
        pe.open_vectors(tmp_path / "x")


def test_a_malformed_record_is_named_by_its_line_or_left_out(tmp_path):
    rows = ['"two\nlines",1,2', "b,1", "c,x,2", "d,3,4", "e,5,6", "f,1,2,3"]
    (tmp_path / "x").write_text("\n".join(rows) + "\n")

    with pe.open_vectors(tmp_path / "x") as reader:
        with pytest.raises(RowError, match=r"x, line 3: 2 fields, 3 expected") as error:
            all_rows(reader)
        tokens, vectors = all_rows(reader, on_bad_row="skip")

    assert error.value.line == 3
    assert error.value.code == "text.short-row"
    assert tokens == ["two\nlines", "d", "e"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert reader.findings.rows == 6
    assert reader.findings.bad_rows == 3
    assert [doubt.line for doubt in reader.findings.doubts] == [3, 4, 7]
    assert "number 1 of the vector is 'x'" in reader.findings.doubts[1].what


@settings(deadline=None)
@given(st.lists(st.floats(width=64), min_size=2, max_size=2))
def test_a_number_means_float32_of_float(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("csv") / "x"
    path.write_text(f'"a","{numbers[0]!r}","{numbers[1]!r}"\n"b",0.5,1.5\n')

    with formats.open_reader(stream_of(path)) as reader:
        tokens, vectors = all_rows(reader)

    with np.errstate(over="ignore"):
        # as they are written: the sign of a NaN is not
        numbers = [float(repr(number)) for number in numbers]
        expected = np.array(numbers, np.float64).astype(np.float32)
    assert tokens == ["a", "b"]
    assert vectors[0].tobytes() == expected.tobytes()


def test_what_python_alone_takes_for_numbers_is_none(tmp_path):
    (tmp_path / "x").write_text("a,0.5,1\nb,1_0,1\nc,0.5,\u0661\nd,1,2\n")

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, _ = all_rows(reader, on_bad_row="skip")

    assert tokens == ["a", "d"]


def test_quotes_that_are_never_closed_are_no_more_than_an_error(tmp_path):
    line = "word,0.5,0.25\n"
    (tmp_path / "x").write_text(line * 1000 + '"open,0.5,0.25\n' + line * 50_000)

    with pe.open_vectors(tmp_path / "x") as reader, pytest.raises(FormatError):
        all_rows(reader)


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path, monkeypatch):
    from pretrained_embed.formats.records import csv as ours

    monkeypatch.setattr(ours, "_LONGEST_LINE", 1 << 20)
    (tmp_path / "x").write_bytes(b"a,0.5,1\nb,1,2\n" + b"9," * (2 << 20))

    with (
        pe.open_vectors(tmp_path / "x") as reader,
        pytest.raises(FormatError, match="a line has more than 1 MiB"),
    ):
        all_rows(reader)


def test_a_build_in_ranges_and_by_workers_gives_the_same_bytes(tmp_path):
    words = [f"w{number}" for number in range(300)]
    vectors = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    pd.DataFrame(vectors, index=words).to_csv(tmp_path / "x.csv")
    vocab = [*words[::3], "none"]

    whole = pe.build_matrix(vocab, tmp_path / "x.csv", oov="zeros")
    work = pe.Work(memory=3000)
    parts = pe.build_matrix(
        vocab, tmp_path / "x.csv", oov="zeros", out=tmp_path / "m.npy", work=work
    )

    assert whole.vectors.tobytes() == parts.vectors.tobytes()
    assert io.BytesIO(whole.vectors[1:101].tobytes()).read() == vectors[::3].tobytes()


def test_a_line_that_ends_in_commas_names_no_columns(tmp_path):
    (tmp_path / "x").write_text("1,\n3\t-0.057767\t0.037895,\n")

    with pytest.raises(pe.errors.FormatError, match="commas separate the fields"):
        pe.open_vectors(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("the,-0,4848,0,0167\nof,0,3141,-0,0030\n", "text.bad-number"),
        (",0.5,1\nthe,0.5,0.25\nof,0.5,1\n", "text.row-without-token"),
    ],
)
def test_decimal_commas_and_rows_without_a_token_are_named(tmp_path, text, code):
    path = tmp_path / "v.csv"
    path.write_text(text)

    with pytest.raises(PretrainedEmbedError) as caught, pe.open_vectors(path) as reader:
        list(reader.blocks())

    assert caught.value.code == code


@pytest.mark.parametrize("head", ["", "word\tvector\n"])
def test_lists_behind_a_tab_are_read(tmp_path, head):
    path = tmp_path / "v.tsv"
    path.write_text(f"{head}the\t[0.5,-1]\nof\t[0.25, 2]\n")

    with pe.open_vectors(path) as reader:
        (block,) = reader.blocks()

    assert list(block.tokens) == ["the", "of"]
    assert block.vectors.tolist() == [[0.5, -1], [0.25, 2]]


def test_numbers_alone_are_told(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(",0.0,1.0\n7,0.5,0.25\n8,0.5,1\n")

    with pe.open_vectors(path) as reader:
        list(reader.blocks())

    codes = reader.findings.codes
    assert {"assumed.numbers-are-tokens", "text.column-numbers"} <= {*codes}
