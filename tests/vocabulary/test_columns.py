from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

WORDS = ["the", "été", "a,b", 'q"', "two\nlines"]
TABLE = pa.table({"n": range(5), "lang": ["en"] * 5, "word": WORDS})


def read(path, **options):
    return list(Vocabulary.from_file(path, pad=None, **options))


def write_stream(table, path):
    with ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    "write", [parquet.write_table, feather.write_feather, write_stream]
)
@pytest.mark.parametrize("words", ["plain", "dictionary", "large"])
def test_a_column_is_a_vocabulary(tmp_path, write, words):
    column = pa.array(WORDS, pa.large_string() if words == "large" else pa.string())
    column = column.dictionary_encode() if words == "dictionary" else column
    write(TABLE.set_column(2, "other", column), tmp_path / "x")
    write(pa.table({"n": range(5), "w": column}), tmp_path / "y")

    assert read(f"{tmp_path / 'x'}#other") == WORDS
    assert read(tmp_path / "y") == WORDS
    with pytest.raises(VocabularyError, match="no column of tokens among"):
        read(tmp_path / "x")  # two columns, with no usual name
    with pytest.raises(VocabularyError, match="no column is called 'zzz'"):
        read(f"{tmp_path / 'x'}#zzz")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_column_of_csv_is_a_vocabulary(tmp_path, separator):
    TABLE.to_pandas().to_csv(tmp_path / "x.csv", index=False, sep=separator)

    assert read(f"{tmp_path / 'x.csv'}#word") == WORDS
    assert read(f"{tmp_path / 'x.csv'}#n") == ["0", "1", "2", "3", "4"]
    with pytest.raises(VocabularyError, match="line 1 names no column 'zzz'"):
        read(f"{tmp_path / 'x.csv'}#zzz")


def test_a_file_whose_name_has_the_mark_is_that_file(tmp_path):
    (tmp_path / "x#word").write_text("a\nb\n")
    (tmp_path / "x").write_text("word\nc\n")

    assert read(tmp_path / "x#word") == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", None], "row 1: the token is null"),
        (["a", ""], "row 1: no token"),
        (["a", "b", "a"], "row 2: token 'a' is already in row 0"),
    ],
)
def test_a_row_without_a_token_of_its_own_is_named(tmp_path, words, message):
    parquet.write_table(pa.table({"w": words}), tmp_path / "x")

    with pytest.raises(VocabularyError, match=message):
        read(tmp_path / "x")


def test_a_table_that_is_cut_is_an_error_of_the_vocabulary(tmp_path):
    pd.DataFrame({"w": WORDS}).to_parquet(tmp_path / "x")
    raw = (tmp_path / "x").read_bytes()
    for length in range(8, len(raw), 50):
        (tmp_path / "x").write_bytes(raw[:length])
        with pytest.raises(VocabularyError):
            read(tmp_path / "x")
