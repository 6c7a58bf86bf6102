"""Reports of coverage as CSV: to the byte, harmless in a spreadsheet, read again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from tests.command_line import run

ODD = [
    *("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", "'tis", "''", "'", "=", ","),
    *('"', 'a"b', "a,b", "a\nb", "é", "\udcff", " ", "'=1", "id,token,count,"),
]
RUN = "=+-@\t\r\n＝＋－＠"


def written(path: Path, tokens: list[str], **options: bool) -> pe.Vocabulary:
    vocabulary = pe.Vocabulary(tokens, pad=None)
    vectors = np.zeros((len(tokens), 2), np.float32)
    pe.EmbeddingMatrix(vectors, vocabulary).save_report(path, **options)
    return vocabulary


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


@pytest.mark.parametrize("spreadsheet", [False, True])
@given(drawn=st.lists(st.one_of(st.sampled_from(ODD), TEXTS)))
def test_what_is_written_is_read_again(tmp_path_factory, spreadsheet, drawn):
    path = tmp_path_factory.mktemp("report") / "r.csv"
    tokens = list(dict.fromkeys([*drawn, "the"]))
    vocabulary = written(path, tokens, spreadsheet=spreadsheet)

    for kind in (None, "report"):
        again = pe.Vocabulary.from_file(path, kind=kind, pad=None)
        assert again.tokens == vocabulary.tokens


def test_no_cell_of_a_report_for_a_spreadsheet_is_a_formula(tmp_path):
    path = tmp_path / "r.csv"
    written(path, ODD, spreadsheet=True)
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    cells = [cell for row in csv.reader(text.splitlines(keepends=True)) for cell in row]

    assert not [cell for cell in cells if cell.startswith(tuple(RUN))]
    assert "'=1+1" in cells
    assert "guarded token" in cells


def test_a_plain_report_has_every_token_as_it_is(tmp_path):
    path = tmp_path / "r.csv"
    written(path, ODD)
    data = path.read_bytes()

    for token in ("=1+1", "'tis", "é", "\udcff"):
        assert b"," + token.encode("utf-8", "surrogateescape") + b"," in data


def test_counts_come_back_and_lines_may_be_gone(tmp_path):
    vocabulary = pe.Vocabulary(
        ["a", "=b", "c"], counts={"a": 3, "=b": 2, "c": 1}, pad=None
    )
    matrix = pe.EmbeddingMatrix(np.zeros((3, 2), np.float32), vocabulary)
    path = tmp_path / "r.csv"
    matrix.save_report(path, spreadsheet=True)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))

    again = pe.Vocabulary.from_file(path, pad=None)

    assert again.tokens == ("=b", "c")
    assert again.counts.tolist() == [2, 1]


@pytest.mark.parametrize("line", [b"0,,\r\n", b"0\r\n", b"0,a,many,\r\n"])
def test_a_line_without_a_token_or_with_a_strange_count_is_named(tmp_path, line):
    path = tmp_path / "r.csv"
    path.write_bytes(b"id,token,count,origin\r\n" + line)

    with pytest.raises(pe.errors.VocabularyError, match=r"r\.csv:2: "):
        pe.Vocabulary.from_file(path)


def test_the_command_line_writes_and_reads_guards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("vocab.txt").write_text("=1\ncat\n")
    Path("v.txt").write_text("=1 1 2\ncat 3 4\n")
    build = ("build", "--source", "v.txt", "--output", "m.npz", "--vocab")

    run(*build, "vocab.txt", "--report", "r.csv", "--spreadsheet")
    again = run(*build, "r.csv")
    other = run(*build, "vocab.txt", "--report", "r.md", "--spreadsheet")

    assert b"'=1" in Path("r.csv").read_bytes()
    assert again.exit_code == 0
    assert "=1" in pe.load_matrix("m.npz").vocabulary.tokens
    assert other.exit_code == 2
    assert "--report in .csv" in other.stderr or "report in .csv" in other.stderr
