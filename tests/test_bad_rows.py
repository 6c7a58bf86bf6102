"""Malformed rows: one policy, whatever the format and whoever asks."""

from __future__ import annotations

import copy
import struct
from pathlib import Path

import pytest
from command_line import run

import pretrained_embed as pe
from pretrained_embed.errors import FormatError, OptionError, RowError

TEXT = b"the 1 2\nof 3\nand 4 5\n\nto 6 7\n"  # two rows of five are malformed
BINARY = b"3 2\n" + b"".join(
    token + b" " + struct.pack("<2f", *vector)
    for token, vector in ((b"the", (1, 2)), (b"and", (4, 5)), (b"to", (6, 7)))
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(TEXT)
    return path


def test_a_malformed_row_is_an_error_unless_it_may_be_left_out(source):
    with pytest.raises(RowError, match=r"vectors\.txt, line 2: 1 values, 2 exp"):
        pe.build_matrix(["the", "to"], source)

    matrix = pe.build_matrix(["the", "to"], source, limits=pe.Limits(bad_rows=1.0))

    assert matrix.vectors[1:].tolist() == [[1, 2], [6, 7]]
    assert matrix.findings.bad_rows == 2


@pytest.mark.parametrize("budget", [2, 3, 0.4, 1.0])
def test_as_many_rows_as_the_budget_allows_are_left_out(source, budget):
    matrix = pe.build_matrix(["the", "to"], source, limits=pe.Limits(bad_rows=budget))

    assert matrix.findings.bad_rows == 2


@pytest.mark.parametrize("budget", [1, 0.39])
def test_more_are_an_error_that_names_the_first(source, budget):
    with pytest.raises(RowError, match=r"2 of 5 rows.*line 2: .*line 4: blank"):
        pe.build_matrix(["the"], source, limits=pe.Limits(bad_rows=budget))


def test_a_cut_binary_file_has_the_same_policy(tmp_path):
    path = tmp_path / "vectors.bin"
    path.write_bytes(BINARY[:-3])

    with pytest.raises(FormatError, match="offset 28: 8 bytes that are no whole"):
        pe.build_matrix(["the"], path)
    with pytest.raises(RowError, match="1 of 3 rows are malformed, 0 may be"):
        pe.build_matrix(["the"], path, limits=pe.Limits(bad_rows=0.1))
    matrix = pe.build_matrix(["the"], path, limits=pe.Limits(bad_rows=1))

    assert matrix.vectors[1].tolist() == [1, 2]


def test_a_budget_that_is_none_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(OptionError, match="bad_rows is -1"):
        pe.build_matrix(
            ["the"], tmp_path / "no-such-file", limits=pe.Limits(bad_rows=-1)
        )


@pytest.mark.parametrize(
    ("budget", "code"), [("2", 0), ("40%", 0), ("0.4", 0), ("1", 1), ("39%", 1)]
)
def test_the_command_has_the_same_budget(source, budget, code):
    (source.parent / "vocab.txt").write_text("the\nto\n")
    words = ["--vocab", source.parent / "vocab.txt", "--source", source]

    result = run(
        *("build", *map(str, words), "-o", str(source.parent / "m.npz")),
        *("--bad-rows", budget),
    )

    assert result.exit_code == code
    said = "2 malformed rows were left out" if code == 0 else "2 of 5 rows are malform"
    assert said in result.stderr
    assert (source.parent / "m.npz").exists() == (code == 0)


@pytest.mark.parametrize("budget", ["some", "%", "-", "1.5", "-3"])
def test_a_budget_that_is_no_number_is_wrong_usage_or_our_error(source, budget):
    (source.parent / "vocab.txt").write_text("the\n")
    words = ["--vocab", source.parent / "vocab.txt", "--source", source]

    result = run("build", *map(str, words), "--bad-rows", budget)

    assert result.exit_code in (1, 2)
    assert "rows" in result.stderr
    assert "Traceback" not in result.stderr


def sentence_vectors(source):
    from pretrained_embed.adapters.sklearn import WordVectors

    return WordVectors(source).fit_transform(["the cat"])


LIMITS = "give limits=pe.Limits(bad_rows=...) to"
COPY = "copy by pe.convert(source, out"


@pytest.mark.parametrize(
    ("call", "way"),
    [
        (lambda path: list(pe.open_vectors(path).blocks()), "on_bad_row='skip' to"),
        (lambda path: pe.build_matrix(["the"], path), LIMITS),
        (lambda path: pe.coverage(["the"], path), LIMITS),
        (lambda path: pe.convert(path, path.with_suffix(".npz")), LIMITS),
        (lambda path: pe.similar(path, "the"), LIMITS),
        (pe.load_matrix, COPY),
        (lambda path: pe.index(path, library=pe.Library(path.parent / "c")), COPY),
        (lambda path: pe.align(path, path), COPY),
        (lambda path: pe.evaluate(path, path.with_suffix(".tsv")), COPY),
        (sentence_vectors, COPY),
    ],
)
@pytest.mark.parametrize("content", [TEXT, BINARY[:-3]])
def test_each_caller_is_told_of_what_it_has(tmp_path, content, call, way):
    path = tmp_path / "vectors.vec"
    path.write_bytes(content)
    path.with_suffix(".tsv").write_text("the\tand\t1\n")

    with pytest.raises(FormatError, match=r"such rows out, counted$") as caught:
        call(path)

    assert way in str(caught.value)
    assert str(copy.copy(caught.value)) == str(caught.value)


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("build --vocab vocab.txt --source {} -o m.npz", "give --bad-rows, such as"),
        ("coverage --vocab vocab.txt --source {}", "give --bad-rows, such as"),
        ("convert {} out.npz", "give --bad-rows, such as"),
        ("similar {} the", "give --bad-rows, such as"),
        ("index {} --cache-dir cache", "convert IN OUT --bad-rows 100%"),
        ("compare {0} {0}", "convert IN OUT --bad-rows 100%"),
    ],
)
def test_each_command_is_told_of_the_option_it_has(
    tmp_path, monkeypatch, source, words, way
):
    monkeypatch.chdir(tmp_path)
    Path("vocab.txt").write_text("the\n")

    result = run(*words.format(source.name).split())

    assert result.exit_code == 1
    assert way in result.stderr
    assert "on_bad_row" not in result.stderr
