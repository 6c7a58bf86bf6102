"""``convert``: vectors in one format to a file in another."""

import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import finish, run


def rows(path: str) -> dict[str, list[float]]:
    with pe.open_vectors(path) as reader:
        return {
            token: vector.tolist()
            for tokens, vectors in reader.blocks()
            for token, vector in zip(tokens, vectors, strict=True)
        }


def test_it_writes_what_the_suffix_says():
    result = run("convert", "vectors.txt", "out.npz")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == "Wrote out.npz (npz): 3 rows of 3 dimensions.\n"
    assert rows("out.npz") == {"the": [1, 2, 3], "cat": [4, 5, 6], "dog": [7, 8, 9]}


def test_it_writes_what_it_is_told():
    result = run("convert", "vectors.txt", "out", "--to", "glove")

    assert result.exit_code == 0
    assert Path("out").read_bytes().startswith(b"the 1 2 3\n")


def test_it_keeps_the_rows_of_a_vocabulary_and_says_what_is_missing():
    result = run("convert", "vectors.txt", "out.txt", "--vocab", "vocab.txt")

    assert result.exit_code == 0
    assert "2 tokens are not in vectors.txt: 'Dog', 'zebra'." in result.stderr
    assert list(rows("out.txt")) == ["the", "cat"]


def test_it_says_what_became_of_repeated_tokens():
    Path("twice.txt").write_text("the 1 2\nthe 3 4\n")

    kept = run("convert", "twice.txt", "kept.txt")
    dropped = run("convert", "twice.txt", "dropped.txt", "--drop-duplicates")

    assert "1 row repeats an earlier token; kept" in kept.stderr
    assert "1 row repeats an earlier token; left out" in dropped.stderr
    assert Path("kept.txt").read_text() == "2 2\nthe 1 2\nthe 3 4\n"
    assert Path("dropped.txt").read_text() == "1 2\nthe 1 2\n"


def test_it_tells_programs_what_it_did():
    result = run(
        *("convert", "vectors.txt", "out.h5", "--vocab", "vocab.txt"),
        *("--dtype", "float16", "--quiet", "--json"),
    )

    known = json.loads(result.stdout)
    findings = known.pop("findings")
    assert result.stderr == ""
    assert findings["rows"] == 3
    assert known == {
        "output": "out.h5",
        "format": "hdf5",
        "source": "vectors.txt",
        "source_format": "text",
        "rows": 2,
        "dim": 3,
        "dtype": "float16",
        "duplicates": 0,
        "duplicates_dropped": False,
        "missing": ["Dog", "zebra"],
        "notes": ["numbers were rounded to float16"],
    }


def test_it_reads_standard_input():
    with Path("vectors.txt").open("rb") as file:
        code, output, errors = finish("convert", "-", "out.npz", stdin=file)

    assert (code, output) == (0, b"")
    assert errors == b"Wrote out.npz (npz): 3 rows of 3 dimensions.\n"
    assert list(rows("out.npz")) == ["the", "cat", "dog"]


def test_malformed_rows_stop_it_or_are_left_out_as_told():
    Path("bad.txt").write_text("the 1 2\ncat 3 4\nbad 5\ndog 6 7\n")

    stopped = run("convert", "bad.txt", "out.npz")
    too_many = run(
        *("convert", "bad.txt", "out.npz"),
        *("--bad-rows", "1%"),
    )
    assert not Path("out.npz").exists()
    skipped = run("convert", "bad.txt", "out.npz", "--bad-rows", "100%")

    assert (stopped.exit_code, too_many.exit_code, skipped.exit_code) == (1, 1, 0)
    assert "bad.txt, line 3" in stopped.stderr
    assert "1 of 4 rows are malformed" in too_many.stderr
    assert "1 malformed row was left out" in skipped.stderr
    assert list(rows("out.npz")) == ["the", "cat", "dog"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["vectors.txt", "vectors.txt"], "the place of what is read"),
        (
            ["vectors.txt", "vocab.txt", "--vocab", "vocab.txt"],
            "the place of the vocabulary",
        ),
        (["vectors.txt", "out.txt", "--dtype", "float16"], "word2vec holds float32"),
        (["vectors.txt", "out", "--to", "glov"], "did you mean glove?"),
        (["vectors.txt"], "Missing argument 'OUT'"),
    ],
)
def test_what_means_nothing_is_wrong_usage_and_changes_nothing(args, message):
    before = {path: path.read_bytes() for path in Path().iterdir()}

    result = run("convert", *args)

    assert result.exit_code == 2
    assert message in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_what_cannot_be_written_is_one_message():
    Path("spaced.txt").write_text("new york 1 2\n the 3 4\n")

    unknown = run("convert", "vectors.txt", "out.foo")
    refused = run("convert", "spaced.txt", "out.bin")

    assert (unknown.exit_code, refused.exit_code) == (1, 1)
    assert "use one of .npz" in unknown.stderr
    assert "token 'new york' is empty, holds a space" in refused.stderr
    assert not Path("out.bin").exists()
