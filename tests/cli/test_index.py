"""``index``, and what the other commands make of an indexed file."""

import json
import os
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")


def indexed(*options: str) -> Path:
    return Path(run("index", "vectors.txt", *options).stdout.rstrip("\n"))


def source_of(matrix: str) -> dict:
    return pe.load_matrix(matrix).provenance["source"]


def test_it_prints_where_the_store_is(tmp_path):
    result = run("index", "vectors.txt")

    path = Path(result.stdout.rstrip("\n"))
    assert result.exit_code == 0
    assert path.is_relative_to(tmp_path / "cache")
    assert result.stderr.startswith("3 rows of 3 dimensions, float32: ")
    with pe.open_vectors(path) as reader:
        assert (reader.count, reader.dim) == (3, 3)


def test_it_tells_programs_what_it_made():
    known = json.loads(
        run("index", "vectors.txt", "--dtype", "float16", "--json").stdout
    )

    assert Path(known["path"]).stat().st_size == known.pop("size")
    assert known.pop("findings")["rows"] == 3
    assert known == {
        "path": str(indexed("--dtype", "float16")),
        "source": "vectors.txt",
        "rows": 3,
        "dim": 3,
        "dtype": "float16",
    }


def test_it_tells_what_was_remarkable_with_codes():
    Path("marked.txt").write_bytes(b"\xef\xbb\xbfthe 1 2 3\ncat 4 5 6\n")
    note = "a byte order mark before the first row was left out"

    for _ in range(2):  # when it is made, and when it is there
        result = run("index", "marked.txt", "--json")
        findings = json.loads(result.stdout)["findings"]
        assert findings["notes"] == [["text.byte-order-mark", note]]
        assert f"Note: {note}." in result.stderr
    assert run("index", "marked.txt", "--quiet").stderr == ""


def test_it_can_be_quiet():
    assert run("index", "vectors.txt", "--quiet").stderr == ""


def test_build_takes_the_store_unless_told_not_to():
    indexed()

    for words, used in (((), True), (("--no-store",), False)):
        assert run(*BUILD, *words, "-o", f"{used}.npz").exit_code == 0
        assert ("store" in source_of(f"{used}.npz")) is used
    ours, plain = pe.load_matrix("True.npz"), pe.load_matrix("False.npz")
    assert ours.vectors.tobytes() == plain.vectors.tobytes()
    assert ours.findings == plain.findings


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_build_says_that_numbers_were_rounded(dtype):
    indexed("--dtype", dtype)

    result = run(*BUILD)

    assert dtype in result.stderr
    assert source_of("embedding.npz")["store"]["dtype"] == dtype


def test_cache_list_verify_and_remove_know_stores():
    path = indexed()

    line = run("cache", "list").stdout.splitlines()[1].split()
    good = run("cache", "verify")
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    damaged = run("cache", "verify")
    removed = run("cache", "remove", "vectors.txt")

    assert (line[0], line[-2:]) == ("vectors.txt", ["indexed", "store.h5"])
    assert good.exit_code == 0
    assert (damaged.exit_code, damaged.stdout.split()[0]) == (1, "DAMAGED")
    assert removed.exit_code == 0
    assert not path.exists()
    assert run(*BUILD, "-o", "m.npz").exit_code == 0
    assert "store" not in source_of("m.npz")


def test_cache_clear_removes_stores():
    path = indexed()

    assert run("cache", "clear").exit_code == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"the 1 2 3\ncat 4 5\ndog 7 8 9\n", "line 2"),
        (b"", "empty"),
        (b"the 1 2 70000\n", "float16"),
    ],
)
def test_what_cannot_be_indexed_is_a_message(content, said, tmp_path):
    Path("vectors.txt").write_bytes(content)

    result = run("index", "vectors.txt", "--dtype", "float16")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert list((tmp_path / "cache").rglob("*.h5*")) == []


def test_another_dtype_is_wrong_usage():
    result = run("index", "vectors.txt", "--dtype", "int4")

    assert result.exit_code == 2
    assert "float16" in result.stderr


def test_standard_input_is_no_file_to_index():
    result = run("index", "-", input=b"the 1 2\ncat 3 4\n")

    assert result.exit_code == 2
    assert "save it to a file first" in result.stderr
