from __future__ import annotations

import io
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Semaphore

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conformance import FormatConformance, all_rows, select
from pyarrow import feather, ipc, parquet
from tables import example, stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.budget import Budget
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    PretrainedEmbedError,
    RowError,
    VocabularyError,
)
from pretrained_embed.formats import marks
from pretrained_embed.formats.arrow import ipc as ours_ipc
from pretrained_embed.formats.arrow import parquet as ours_parquet
from pretrained_embed.formats.arrow import parts, sink
from pretrained_embed.formats.table import HOLES, Table

WORDS = ["the", "of", "été", "", "a\0b"] + [f"w{number}" for number in range(95)]
VECTORS = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


def write_parquet(table: pa.Table, path: Path, rows: int = 30) -> None:
    parquet.write_table(table, path, row_group_size=rows)


def write_file(table: pa.Table, path: Path, rows: int = 30) -> None:
    feather.write_feather(table, path, "zstd", chunksize=rows)


def write_plain_file(table: pa.Table, path: Path, rows: int = 30) -> None:
    feather.write_feather(table, path, "uncompressed", chunksize=rows)


def write_stream(table: pa.Table, path: Path, rows: int = 30) -> None:
    options = ipc.IpcWriteOptions(compression="lz4")
    with ipc.new_stream(str(path), table.schema, options=options) as writer:
        writer.write_table(table, rows)


WRITERS = [write_parquet, write_file, write_plain_file, write_stream]
every_writer = pytest.mark.parametrize("write", WRITERS)


def lists(type_: pa.DataType, vectors: np.ndarray = VECTORS) -> pa.Array:
    return pa.array(list(vectors), type_)


def table_of(tokens: list[str], vectors: np.ndarray) -> pa.Table:
    raw = [token.encode("utf-8", "surrogateescape") for token in tokens]
    return pa.table({"t": raw, "v": lists(pa.list_(pa.float32()), vectors)})


class TestParquet(FormatConformance):
    suffix = ".parquet"

    def write(self, path, tokens, vectors):
        write_parquet(table_of(tokens, vectors), path, 300)


class TestArrow(FormatConformance):
    suffix = ".arrow"

    def write(self, path, tokens, vectors):
        write_file(table_of(tokens, vectors), path, 300)


class TestStream(TestArrow):
    def write(self, path, tokens, vectors):
        write_stream(table_of(tokens, vectors), path, 300)


COLUMNS = {
    "list": {"word": WORDS, "vec": lists(pa.list_(pa.float32()))},
    "large": {
        "word": pa.array(WORDS, pa.large_string()),
        "vec": lists(pa.large_list(pa.float32())),
    },
    "fixed": {
        "word": pa.array(WORDS).dictionary_encode(),
        "vec": lists(pa.list_(pa.float32(), 3)),
    },
    "numbers": {"word": WORDS} | {f"d{n}": VECTORS[:, n] for n in range(3)},
    "int32-words": {
        "word": pa.DictionaryArray.from_arrays(
            pa.array(range(100), pa.int64()), pa.array(WORDS, pa.large_string())
        ),
        "v": lists(pa.list_(pa.float32())),
    },
}


@every_writer
@pytest.mark.parametrize("columns", COLUMNS.values(), ids=[*COLUMNS])
def test_columns_of_every_kind_are_found_out(tmp_path, write, columns):
    write(pa.table(columns), tmp_path / "x")

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("w94", 0, 0), ("zzz", 1, 0), ("of", 2, 0)])

    assert tokens == WORDS
    assert vectors.tobytes() == VECTORS.tobytes()
    assert selection.source_rows.tolist() == [99, -1, 1, -1]
    assert out[[0, 2]].tobytes() == VECTORS[[99, 1]].tobytes()
    assert reader.findings.notes == []


@every_writer
@pytest.mark.parametrize("name", ["float16", "float64"])
def test_numbers_of_other_sizes_become_float32(tmp_path, write, name):
    stored = np.random.default_rng(1).normal(size=(100, 3)).astype(name)
    type_ = pa.list_(pa.from_numpy_dtype(stored.dtype))
    write(pa.table({"w": WORDS, "v": lists(type_, stored)}), tmp_path / "x")

    with pe.open_vectors(tmp_path / "x") as reader:
        _, vectors = all_rows(reader)
        table = reader.table()

    assert vectors.tobytes() == stored.astype(np.float32).tobytes()
    assert table.vectors.tobytes() == vectors.tobytes()
    assert f"stored as {name}" in reader.findings.notes[0]


@every_writer
def test_other_columns_are_left_out_and_told(tmp_path, write):
    write(
        pa.table(
            {
                "freq": range(100),
                "word": WORDS,
                "score": VECTORS[:, 0],
                "deep": [[[1.0]]] * 100,
                "all": [{"a": 1}] * 100,
                "vec": lists(pa.list_(pa.float32())),
            }
        ),
        tmp_path / "x",
    )

    with pe.open_vectors(tmp_path / "x") as reader:
        _, vectors = all_rows(reader)

    assert vectors.tobytes() == VECTORS.tobytes()
    assert reader.findings.notes == [
        "other columns were left behind: freq, score, deep, all"
    ]


def test_numbered_columns_are_the_vectors_and_other_floats_are_not(tmp_path):
    columns = {f"dim_{n}": VECTORS[:, n] for n in (2, 0, 1)}
    table = {"idf": VECTORS[:, 1], "word": WORDS, **columns, "count": range(100)}
    write_parquet(pa.table(table), tmp_path / "x")

    with pe.open_vectors(tmp_path / "x") as reader:
        _, vectors = all_rows(reader)

    assert vectors.tobytes() == VECTORS.tobytes()
    assert reader.findings.notes == ["other columns were left behind: idf, count"]


def test_columns_are_named_behind_the_source_or_in_the_layout(tmp_path):
    path = tmp_path / "x"
    write_parquet(
        pa.table(
            {
                "a": WORDS[::-1],
                "b": WORDS,
                "n": range(100),
                "one": lists(pa.list_(pa.float32()), VECTORS + 1),
                "two": lists(pa.list_(pa.float32())),
            }
        ),
        path,
    )

    for source, layout in [
        (f"{path}#token=b,vector=two", None),
        (str(path), "token=b,vector=two"),
        (f"{path}#vector=two", {"token": "b"}),
    ]:
        recipe = pe.Recipe(layout=layout)
        matrix = pe.build_matrix(["of"], source, recipe=recipe)
        assert matrix["of"].tobytes() == VECTORS[1].tobytes()
    assert matrix.provenance["source"]["source"] == f"{path}#vector=two"
    with pe.open_vectors(f"{path}#token=n,vector=one") as reader:
        assert all_rows(reader)[0] == [str(number) for number in range(100)]
    pe.convert(f"{path}#token=b,vector=two", tmp_path / "y.npz")
    back = formats.read_table(stream_of(tmp_path / "y.npz"))
    assert back.tokens.unpack() == WORDS


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": ["x"], "b": ["y"], "v": [[1.0]]},
            r"a \(text\), b \(text\) all hold text; name them",
        ),
        ({"v": [[1.0]]}, "no column holds text.*SOURCE#token=COLUMN"),
        ({"w": ["x"], "n": ["y"]}, "all hold text"),
        (
            {"w": ["x"], "a": [[1.0]], "b": [[2.0]]},
            "all hold lists of numbers; name them.*vector=COL",
        ),
        ({"w": ["x", None], "v": [[1.0]] * 2}, "row 1: no token"),
        ({"w": ["x"] * 3, "v": [[1.0], None, [2.0]]}, "row 1: no vector, or one with"),
        ({"w": ["x"] * 3, "v": [[1.0], [2.0], [None]]}, "row 2: .* a number missing"),
        ({"w": ["x"] * 2, "v": [1.0, None]}, "row 1: a number is missing"),
        (
            {"w": ["x"] * 3, "v": [[1.0, 2.0], [3.0, 4.0], [5.0]]},
            "row 2: 1 numbers, 2 expected",
        ),
        ({"w": ["x"] * 2, "v": [[], [1.0]]}, "row 0: 0 numbers, 1 expected"),
    ],
)
@every_writer
def test_a_table_without_vectors_for_all_tokens_is_refused(
    tmp_path, write, columns, message
):
    write(pa.table(columns), tmp_path / "x")

    with (
        pytest.raises(FormatError, match=message),
        pe.open_vectors(tmp_path / "x") as reader,
    ):
        all_rows(reader)


def test_a_bad_row_behind_the_first_row_group_is_named_by_its_number(tmp_path):
    vectors = [*map(list, VECTORS.tolist()[:70]), [1.0], *VECTORS.tolist()[71:]]
    write_parquet(pa.table({"w": WORDS, "v": vectors}), tmp_path / "x")

    with pytest.raises(FormatError, match="row 70: 1 numbers, 3 expected"):
        pe.build_matrix(["w94", WORDS[71]], tmp_path / "x")


@pytest.mark.parametrize("numbers", [pa.float32(), pa.int32(), pa.float16()])
@every_writer
def test_malformed_rows_are_left_out_and_counted(tmp_path, write, numbers):
    if numbers == pa.float16():
        ones, twos = [np.float16(1)] * 2, [np.float16(2)] * 2
    else:
        ones, twos = [1, 1], [2, 2]
    rows = [("a", None), ("b", twos), ("a", [None, ones[0]]), ("a", ones)]
    rows += [(None, ones), ("c", ones[:1]), ("c", twos), ("d", []), ("e", [*ones, 1])]
    rows = [(word, [*row, *row] if word == "e" else row) for word, row in rows]
    tokens, vectors = zip(*rows, strict=True)
    lists = pa.array(vectors, pa.list_(numbers))
    write(pa.table({"w": pa.array(tokens), "v": lists}), tmp_path / "x", 2)

    with pe.open_vectors(tmp_path / "x") as reader:
        with pytest.raises(RowError, match="row 4: no token"):
            select(reader, [("a", 0, 0)])
        wanted = [(token, row, 0) for row, token in enumerate("abcde")]
        out, selection = select(reader, wanted, on_bad_row="skip")
        found, its = all_rows(reader, on_bad_row="skip")
        with pytest.raises(RowError, match="row 0: no vector"):
            all_rows(reader)

    assert selection.source_rows[:5].tolist() == [3, 1, 6, -1, -1]
    assert out[:3].tolist() == [[1, 1], [2, 2], [2, 2]]
    assert (selection.findings.bad_rows, selection.findings.rows) == (6, 9)
    assert [doubt.row for doubt in selection.findings.doubts] == [0, 2, 4, 5, 7, 8]
    assert (found, its.tolist()) == (["b", "a", "c"], [[2, 2], [1, 1], [2, 2]])
    limits = pe.Limits(bad_rows=6)
    matrix = pe.build_matrix([*"abcde"], tmp_path / "x", limits=limits)
    assert [matrix[token].tolist() for token in "ab"] == [[1, 1], [2, 2]]
    pe.convert(tmp_path / "x", tmp_path / "y.txt", limits=limits)
    assert (tmp_path / "y.txt").read_text().split()[2:] == [*"b22a11c22"]


def test_a_row_that_lacks_a_number_of_a_column_is_left_out(tmp_path):
    columns = {"w": ["a", "b", "c"], "x": [1, None, 3], "y": [0, 1, 2]}
    write_parquet(pa.table(columns), tmp_path / "x")

    with pe.open_vectors(tmp_path / "x") as reader:
        wanted = [("a", 0, 0), ("b", 1, 0), ("c", 2, 0)]
        out, selection = select(reader, wanted, on_bad_row="skip")

    assert out[[0, 2]].tolist() == [[1, 0], [3, 2]]
    assert selection.source_rows[:3].tolist() == [0, -1, 2]
    assert selection.findings.bad_rows == 1


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    write_parquet(pa.table({"w": ["x"], "v": [[1.0]]}), tmp_path / "x")

    with pytest.raises(FormatError, match="no columns are called 'z'; there are w"):
        pe.open_vectors(f"{tmp_path / 'x'}#token=z")
    with pytest.raises(OptionError, match="behind the # stand columns"):
        pe.open_vectors(f"{tmp_path / 'x'}#dim=3")
    with pytest.raises(OptionError, match="name the column once"):
        pe.open_vectors(f"{tmp_path / 'x'}#token=w", layout="token=v")


def test_only_row_groups_with_wanted_rows_are_read(tmp_path, monkeypatch):
    write_parquet(table_of(WORDS, VECTORS), tmp_path / "x", 10)
    read = []
    from pretrained_embed.formats.arrow.parquet import ParquetTable

    plain = ParquetTable.decoder

    def counted(self, **options):
        blocks = plain(self, **options)
        return lambda part: read.append(part) or blocks(part)

    monkeypatch.setattr(ParquetTable, "decoder", counted)
    with pe.open_vectors(tmp_path / "x") as reader:
        select(reader, [("w94", 0, 0), ("w20", 1, 0)], threads=1)
        assert read == [2, 9]


def test_a_large_row_group_is_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 1)
    from pretrained_embed.formats.arrow import parquet as ours

    monkeypatch.setattr(ours, "BLOCK_BYTES", 7 * 12)
    write_parquet(table_of(WORDS, VECTORS), tmp_path / "x", 100)

    with pe.open_vectors(tmp_path / "x") as reader:
        assert len(list(reader.blocks())) == 15
        out, _ = select(reader, [(WORDS[number], number, 0) for number in range(100)])
        part = reader.rows_in(lambda count: range(3, 40))

    assert out[:100].tobytes() == VECTORS.tobytes()
    assert part.table.vectors.tobytes() == VECTORS[3:40].tobytes()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_a_matrix_is_saved_to_the_bit(tmp_path, suffix):
    (tmp_path / "v.txt").write_text("a 0.5 1\nb 2 nan\n\x85 4 5\n")
    vocab = pe.Vocabulary.of({"a": 4, "B": 2, "\x85": 6, "zz": 1}, pad="<pad>")
    matrix = pe.build_matrix(
        vocab,
        [tmp_path / "v.txt"] * 2,
        recipe=pe.Recipe(match="exact,lower", oov="normal", combine="concat"),
    )

    matrix.save(tmp_path / f"m{suffix}")
    back = pe.load_matrix(tmp_path / f"m{suffix}")

    assert back.vectors.tobytes() == matrix.vectors.tobytes()
    assert back.ledger == matrix.ledger
    assert back.vocabulary == matrix.vocabulary
    assert back.recipe == matrix.recipe
    again = pe.build_matrix(["a"], tmp_path / f"m{suffix}")
    assert again["a"].tobytes() == matrix["a"].tobytes()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int4", "binary"])
def test_narrow_rows_are_selected_as_they_are_loaded(tmp_path, suffix, dtype):
    write_parquet(table_of(WORDS, VECTORS), tmp_path / "x")
    words = [word for word in WORDS if word]
    matrix = pe.build_matrix(words, tmp_path / "x").astype(dtype)

    matrix.save(tmp_path / f"m{suffix}")

    back = pe.load_matrix(tmp_path / f"m{suffix}")
    some = pe.build_matrix(["w94", "of"], tmp_path / f"m{suffix}")
    with pe.open_vectors(tmp_path / f"m{suffix}") as reader:
        tokens, vectors = all_rows(reader)
    for word in ("w94", "of"):
        expected = np.asarray(matrix[word], np.float32).tolist()
        assert np.asarray(back[word], np.float32).tolist() == expected
        assert some[word].tolist() == expected
        assert vectors[tokens.index(word)].tolist() == expected


def odd_table(dtype: str = "float32") -> Table:
    """A table with all that one may have: holes, arrays of every shape, no UTF-8."""
    tokens = PackedTokens.pack(["the", "", "\udcff", "", "end"])
    arrays = {
        HOLES: np.array([1]),
        "origin": np.arange(5, dtype=np.uint8),
        "part_rows": np.arange(10).reshape(2, 5),
        "id": np.arange(5, dtype=np.float16),
        "scale": np.float32(0.5).reshape(()),
        "mean": np.arange(7.0),
        "cube": np.zeros((2, 2, 5), np.int16),
    }
    vectors = np.arange(10, dtype=dtype).reshape(5, 2)
    return Table(tokens, vectors, arrays, {"a": [1, None, "é"]})


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_all_of_a_table_reads_back(tmp_path, suffix, dtype, monkeypatch):
    monkeypatch.setattr(sink, "_GROUP_BYTES", 1)
    table = odd_table(dtype)

    formats.write_table(tmp_path / f"x{suffix}", table)
    back = formats.read_table(stream_of(tmp_path / f"x{suffix}"))

    assert back.tokens.split() == table.tokens.split()
    assert back.vectors[:].tobytes() == table.vectors[:].astype(np.float32).tobytes()
    assert back.metadata == table.metadata
    assert back.arrays.keys() == table.arrays.keys()
    for name, array in table.arrays.items():
        assert back.arrays[name].dtype == array.dtype
        assert back.arrays[name].tolist() == array.tolist()


def test_other_tools_open_what_is_written(tmp_path):
    table = example()
    tokens = table.tokens.unpack()
    for name in ("x.parquet", "x.arrow"):
        formats.write_table(tmp_path / name, table)
    held = parquet.read_table(tmp_path / "x.parquet")

    for found in (held, feather.read_table(tmp_path / "x.arrow")):
        assert found.column("id").to_pylist() == [*range(len(tokens))]
        assert found.schema.field("vector").type.list_size == table.vectors.shape[1]
        assert np.stack(found["vector"].to_numpy()).tobytes() == table.vectors.tobytes()
        assert marks.OWN.encode() in found.schema.metadata
    for frame in (
        pl.read_parquet(tmp_path / "x.parquet"),
        pl.read_ipc(tmp_path / "x.arrow"),
        pd.read_parquet(tmp_path / "x.parquet"),
        pd.read_feather(tmp_path / "x.arrow"),
    ):
        assert [*frame["origin"]] == table.arrays["origin"].tolist()
        assert np.stack([*frame["vector"]]).tobytes() == table.vectors.tobytes()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_datasets_opens_what_is_written(tmp_path, suffix):
    import datasets

    vectors = {"the": VECTORS[0], "cat": VECTORS[1]}
    pe.build_matrix(["cat", "the"], vectors).save(tmp_path / f"m{suffix}")

    table = datasets.load_dataset(
        {".parquet": "parquet", ".arrow": "arrow"}[suffix],
        data_files=str(tmp_path / f"m{suffix}"),
        cache_dir=str(tmp_path / "cache"),
        split="train",
    ).with_format("numpy")
    table.save_to_disk(tmp_path / "saved")

    assert table["token"][:].tolist() == ["<pad>", "cat", "the"]
    assert table["vector"][1:].tobytes() == VECTORS[[1, 0]].tobytes()
    columns = "token=token,vector=vector"
    again = pe.build_matrix(["the"], f"{tmp_path / 'saved'}#{columns}")
    assert again["the"].tobytes() == VECTORS[0].tobytes()


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_tokens_of_every_encoding_are_read(tmp_path, encoding):
    columns = {"w": WORDS, "v": lists(pa.list_(pa.float32()))}
    parquet.write_table(
        pa.table(columns),
        tmp_path / "x",
        use_dictionary=False,
        column_encoding={"w": encoding, "v.list.element": "BYTE_STREAM_SPLIT"},
    )

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, vectors = all_rows(reader)

    assert (tokens, vectors.tobytes()) == (WORDS, VECTORS.tobytes())


@pytest.mark.parametrize(
    ("suffix", "index"),
    [(".parquet", "__index_level_0__"), (".csv", ""), (".csv", "Unnamed: 0")],
)
def test_the_numbers_of_rows_that_pandas_writes_are_left_out(tmp_path, suffix, index):
    frame = pd.DataFrame({index: [3, 1], "w": ["a", "b"], "x": [1.5, 2], "y": [0.5, 4]})
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)

    matrix = pe.build_matrix(["b"], path)

    assert matrix["b"].tolist() == [2, 4]


@pytest.mark.parametrize("words", [[["a"], ["b"]], [{"a": "b"}] * 2])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_column_that_cannot_be_a_vocabulary_is_told(tmp_path, suffix, words):
    write = write_parquet if suffix == ".parquet" else write_file
    write(pa.table({"w": pa.array(words)}), tmp_path / f"x{suffix}")

    with pytest.raises(VocabularyError, match=r"column 'w' holds .*; tokens are text"):
        pe.Vocabulary.from_file(f"{tmp_path / 'x'}{suffix}#w")


def test_numbers_of_a_kind_that_is_not_read_are_told_with_their_type(tmp_path):
    decimals = pa.array([[1], [2]], pa.list_(pa.decimal128(5, 2)))
    write_parquet(pa.table({"w": ["a", "b"], "v": decimals}), tmp_path / "x")

    message = r"v \(list<element: decimal128.*>\); write decimals.* as floats"
    with pytest.raises(FormatError, match=message):
        pe.open_vectors(tmp_path / "x")


def test_frames_of_pandas_and_polars_are_read(tmp_path):
    frame = pd.DataFrame(VECTORS, index=pd.Index(WORDS, name=None))
    frame.columns = frame.columns.astype(str)
    frame.to_parquet(tmp_path / "pandas.parquet")
    with_lists = pd.DataFrame({"word": WORDS, "vector": list(VECTORS)})
    with_lists.to_feather(tmp_path / "pandas.feather")
    polars = pl.DataFrame({"word": WORDS, "vector": VECTORS})
    polars.write_parquet(tmp_path / "polars.parquet", row_group_size=40)
    polars.write_ipc(tmp_path / "polars.arrow")
    polars.write_ipc_stream(tmp_path / "polars.arrows", compression="zstd")

    for path in tmp_path.iterdir():
        with pe.open_vectors(path) as reader:
            tokens, vectors = all_rows(reader)
        assert tokens == WORDS, path
        assert vectors.tobytes() == VECTORS.tobytes(), path


def test_a_table_of_ours_from_which_a_column_was_taken_is_any_table(tmp_path):
    formats.write_table(tmp_path / "x.parquet", example())
    held = parquet.read_table(tmp_path / "x.parquet").select(["token", "vector"])
    parquet.write_table(held, tmp_path / "y.parquet")

    table = formats.read_table(stream_of(tmp_path / "y.parquet"))

    assert table.tokens.split() == example().tokens.split()
    assert [*table.arrays] == [HOLES]


def test_strings_that_refer_to_the_one_before_are_read(tmp_path):
    words = [f"{'x' * 50}{number:04}" for number in range(5_000)]
    table = pa.table({"w": words, "v": np.arange(5_000.0)})
    parquet.write_table(
        table,
        tmp_path / "x",
        use_dictionary=False,
        column_encoding={"w": "DELTA_BYTE_ARRAY", "v": "PLAIN"},
    )

    with pe.open_vectors(tmp_path / "x") as reader:
        assert all_rows(reader)[0] == words


@every_writer
def test_a_file_that_is_cut_is_refused(tmp_path, write):
    write(table_of(WORDS, VECTORS), tmp_path / "x")
    raw = (tmp_path / "x").read_bytes()

    for length in [*range(8, len(raw), 97), len(raw) - 1]:
        (tmp_path / "x").write_bytes(raw[:length])
        try:
            with pe.open_vectors(tmp_path / "x") as reader:
                tokens, _ = all_rows(reader)
        except PretrainedEmbedError as error:
            assert "x" in str(error)  # noqa: PT017  (a stream may end at a batch)
        else:
            assert write is write_stream
            assert tokens == WORDS[: len(tokens)]


def test_a_page_that_was_changed_fails_its_checksum(tmp_path):
    formats.write_table(tmp_path / "x.parquet", example())
    raw = bytearray((tmp_path / "x.parquet").read_bytes())
    place = raw.index(example().vectors.tobytes()[:8])
    raw[place] ^= 1
    (tmp_path / "x.parquet").write_bytes(raw)

    with pytest.raises(FormatError, match=r"cannot be read as Parquet.*checksum"):
        formats.read_table(stream_of(tmp_path / "x.parquet"))


def test_one_chunk_for_many_row_groups_is_refused(tmp_path):
    """Time, else, is as long as whoever made the file likes."""
    made = io.BytesIO()
    table = pa.table({"w": ["a"] * 4, "v": np.arange(4.0)})
    parquet.write_table(table, made, row_group_size=2, use_dictionary=False)
    raw = bytearray(made.getvalue())
    metadata = parquet.ParquetFile(made).metadata
    first, second = (metadata.row_group(n).column(1).data_page_offset for n in (0, 1))

    def zigzag(number: int) -> bytes:
        return bytes([number << 1 & 127 | 128, number >> 6])

    assert raw.count(zigzag(second)) >= 1
    (tmp_path / "x").write_bytes(raw.replace(zigzag(second), zigzag(first)))

    with pytest.raises(FormatError, match="overlaps another"):
        pe.open_vectors(tmp_path / "x")


def test_numbers_that_are_packed_to_nothing_are_refused_before_they_are_made(tmp_path):
    """A list of 64 million zeros, in some thousand bytes."""
    zeros = np.zeros(1 << 24, np.float32)
    vectors = pa.ListArray.from_arrays(np.array([0, 1 << 24], np.int32), zeros)
    table = pa.table({"w": ["a"], "v": vectors})
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd")
    feather.write_feather(table, tmp_path / "x.arrow", "zstd")
    budget = pe.Library(stores=False, read_budget="8MB")

    for name in ("x.parquet", "x.arrow"):
        with (
            pytest.raises(FormatError, match="takes more memory"),
            budget.open(tmp_path / name) as reader,
        ):
            all_rows(reader)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_threads_together_hold_what_one_may(name, tmp_path, monkeypatch):
    """Two parts of 4 MB each, packed to nothing, and 6 MB that may be unpacked."""
    zeros = np.zeros(2 << 20, np.float32)
    offsets = np.arange(0, len(zeros) + 1, 1 << 20, dtype=np.int32)
    vectors = pa.ListArray.from_arrays(offsets, zeros)
    table = pa.table({"w": ["a", "b"], "v": vectors})
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    feather.write_feather(table, tmp_path / "x.arrow", "zstd", chunksize=1)
    module = {"x.parquet": ours_parquet, "x.arrow": ours_ipc}[name]
    decoded, lend = module.decoded, Budget.lend
    asked, inside = Semaphore(0), Semaphore(0)
    met: list[bool] = []

    def lent(budget: Budget, count: int) -> AbstractContextManager[None]:
        asked.release()
        return lend(budget, count)

    def waiting(*given: object) -> object:
        if not met:
            met.append(False)
            assert all(asked.acquire(timeout=60) for _ in range(2))
            met[0] = inside.acquire(timeout=0.3)
        inside.release()
        return decoded(*given)

    monkeypatch.setattr(module, "decoded", waiting)
    monkeypatch.setattr(Budget, "lend", lent)
    library = pe.Library(stores=False, read_budget="6MB")
    with library.open(tmp_path / name) as reader:
        out = np.ones((2, 1 << 20), np.float32)
        reader.take(np.arange(2), out, threads=2)

    assert not out.any()
    assert met == [False]


def test_offsets_of_a_batch_that_leave_its_data_are_refused(tmp_path):
    write_plain_file(table_of(WORDS, VECTORS), tmp_path / "x", 100)
    raw = (tmp_path / "x").read_bytes()
    offsets = np.arange(0, 303, 3, dtype=np.int32).tobytes()
    assert raw.count(offsets) == 1
    wrong = offsets[:-4] + np.int32(1 << 30).tobytes()
    (tmp_path / "x").write_bytes(raw.replace(offsets, wrong))

    with pytest.raises(FormatError, match="cannot be read as Arrow IPC"):
        pe.build_matrix(["of"], tmp_path / "x")


def test_feather_of_version_1_is_named_with_what_reads_it(tmp_path):
    (tmp_path / "x.feather").write_bytes(b"FEA1" + bytes(99) + b"FEA1")

    with pytest.raises(FormatError, match=r"version 1; pandas\.read_feather"):
        pe.open_vectors(tmp_path / "x.feather")
