"""``build``: options, what is said, what is printed, what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.files import reading
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")


def test_it_writes_the_matrix_that_the_library_builds():
    result = run(*BUILD, "--match", "exact,lower", "--oov", "uniform", "--seed", "7")

    assert (result.exit_code, result.stdout) == (0, "")
    vocabulary = pe.Vocabulary.from_file("vocab.txt")
    expected = pe.build_matrix(
        vocabulary, "vectors.txt", match=("exact", "lower"), oov="uniform", seed=7
    )
    matrix = pe.load_matrix("embedding.npz")
    assert matrix.vocabulary.tokens == ("<pad>", "the", "cat", "Dog", "zebra")
    np.testing.assert_array_equal(matrix.vectors, expected.vectors, strict=True)
    np.testing.assert_array_equal(matrix.origin, expected.origin, strict=True)
    assert matrix.provenance == expected.provenance


def test_people_are_told_of_coverage_remarks_and_the_file():
    Path("vectors.txt").write_text("the 1 2\ncat 3 4\nbad 5\nthe 6 7\n\ncat 8 9")

    result = run(*BUILD, "--bad-rows", "100%", "-o", "matrix.h5")

    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "Found 2 of 4 tokens (50.0 %). 2 are OOV. First of them: 'Dog', 'zebra'.",
        "Note: the last line has no line end; it may be cut short.",
        "Note: 2 rows repeat a token; the first row of a token counts.",
        "Warning: 2 malformed rows were left out.",
        "  line 3: 1 values, 2 expected; the row begins b'bad 5'",
        "  line 5: blank line",
        "Wrote matrix.h5: 5 rows of 2 dimensions.",
        "Next: pe.load_matrix('matrix.h5') in Python, "
        "'pretrained-embed page matrix.h5' to look at it.",
    ]


def test_all_malformed_rows_are_counted_where_not_all_are_shown():
    Path("vectors.txt").write_text("the 1 2\n" * 30 + "bad 5\n" * 25)

    result = run(*BUILD, "--bad-rows", "100%")

    assert "Warning: 25 malformed rows were left out." in result.stderr
    assert "line 40: " in result.stderr
    assert "line 41: " not in result.stderr
    assert "  and 15 more\n" in result.stderr


def test_json_holds_all_there_is_to_know():
    result = run(*BUILD, "--json", "--unk-token", "<unk>", "-o", "m.npz")

    known = json.loads(result.stdout)
    matrix = pe.load_matrix("m.npz")
    assert known["output"] == "m.npz"
    assert known["shape"] == [6, 3]
    assert known["coverage"] == matrix.coverage.to_dict()
    assert known["origins"] == {"pad": 1, "oov": 3, "exact": 2}
    assert known["provenance"] == matrix.provenance
    assert known["findings"]["rows"] == 3
    assert "Wrote m.npz" in result.stderr


def test_quiet_says_nothing():
    result = run(*BUILD, "--quiet")

    assert (result.exit_code, result.output) == (0, "")
    assert Path("embedding.npz").exists()


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        (("--no-pad",), ("the", "cat", "Dog", "zebra")),
        (("--pad-token", "cat"), ("the", "cat", "Dog", "zebra")),
        (("--pad-token", ""), ("", "the", "cat", "Dog", "zebra")),
        (
            ("--unk-token", "?", "--pad-token", "_"),
            ("_", "?", "the", "cat", "Dog", "zebra"),
        ),
    ],
)
def test_pad_and_unk_are_named_or_left_out(words, tokens):
    result = run(*BUILD, *words)

    assert result.exit_code == 0
    assert pe.load_matrix("embedding.npz").vocabulary.tokens == tokens


def test_the_row_of_unk_can_have_a_policy_of_its_own():
    run(*BUILD, "--unk-token", "<unk>", "--oov", "zeros", "--special-oov", "unk=mean")

    matrix = pe.load_matrix("embedding.npz")
    np.testing.assert_array_equal(matrix["<unk>"], [4, 5, 6])
    np.testing.assert_array_equal(matrix["zebra"], [0, 0, 0])


def test_policies_form_a_chain_and_special_tokens_have_their_own():
    Path("vocab.txt").write_text("the\ncat\nthecat\nzebra\n[M=]\n")

    result = run(*BUILD, "--oov", "parts,zeros", "--special-oov", "[M=]=mean")

    assert result.exit_code == 0
    matrix = pe.load_matrix("embedding.npz")
    np.testing.assert_allclose(matrix["thecat"], (matrix["the"] + matrix["cat"]) / 2)
    np.testing.assert_array_equal(matrix["zebra"], [0, 0, 0])
    np.testing.assert_array_equal(matrix["[M=]"], [4, 5, 6])
    assert matrix.provenance["options"]["special_oov"] == {"[M=]": "mean"}


def test_the_kind_of_vocabulary_can_be_named():
    Path("counts.txt").write_text("the\t7\ncat\t2\n")

    as_counts = run(*BUILD, "--vocab", "counts.txt", "--vocab-kind", "counts")
    as_text = run(*BUILD, "--vocab", "counts.txt", "--vocab-kind", "text")

    assert as_counts.exit_code == 0
    assert "which make up 100.0 % of the text" in as_counts.stderr
    assert as_text.exit_code == 1  # none of these tokens has a vector
    assert "'the\\t7'" in as_text.stderr


def test_vectors_come_through_a_pipe():
    piped = ("build", "--vocab", "vocab.txt", "--source", "-")

    result = run(*piped, input=Path("vectors.txt").read_bytes())

    assert result.exit_code == 0
    assert "Found 2 of 4" in result.stderr


@pytest.mark.parametrize("suffix", pe.formats.WRITABLE_SUFFIXES)
def test_the_suffix_names_the_format_and_what_is_there_is_replaced(suffix):
    output = Path(f"m{suffix}")
    output.write_bytes(b"old")

    result = run(*BUILD, "--output", output)

    assert result.exit_code == 0
    assert pe.load_matrix(output).shape == (5, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--match", "exact,lowre"), "unknown form 'lowre' in match; known: exact"),
        (("--match", "exact,exact"), "name each form once"),
        (("--match", ""), "unknown form ''"),
        (("--oov", "norml"), "did you mean 'normal'?"),
        (("--oov", "mean,parts"), "have nothing left to fill"),
        (("--special-oov", "unk=zero"), "did you mean 'zeros'?"),
        (("--special-oov", "mask"), "'mask' is not TOKEN=POLICY"),
        (("--special-oov", "a=mean", "--special-oov", "a=zeros"), "'a' is there twice"),
        (("--special-oov", "mask=zeros"), "'mask', which is no token"),
        (("--special-oov", "pad=mean"), "zeros, always"),
        (("--bad-rows", "some"), "neither a number of rows nor a share"),
        (("--bad-rows", "1.5"), "bad_rows is 1.5"),
        (("--on-bad-row", "skip"), "It is --bad-rows now: --bad-rows 100%"),
        (("--max-bad-rows", "1"), "It is --bad-rows now"),
        (("--min-token-coverage", "1"), "It is --min-text-coverage now."),
        (("--unk-oov", "mean"), "It is --special-oov unk=POLICY now."),
        (("--vocab-kind", "jsn"), "did you mean json?"),
        (("--seed", "x"), "'x' is not a valid integer"),
        (("--seed", "-1"), "seed"),
        (("--threads", "0"), "--threads"),
        (("--min-coverage", "1.5"), "--min-coverage"),
        (("--min-coverage", "nan"), "coverage is nan"),
        (("--no-pad", "--pad-token", "_"), "exclude each other"),
        (("--extend", "m.npz"), "It is --onto now."),
        (("--output", "m.csv"), "does not end in one of .npz"),
        (("--output", "nowhere/m.npz"), "there is no folder 'nowhere'"),
        (("--output", "vectors.txt"), "take the place of the source"),
        (("--output", "./vocab.txt"), "take the place of the vocabulary"),
    ],
)
def test_wrong_usage_is_explained_and_changes_nothing(words, said):
    before = {path: path.read_bytes() for path in Path().iterdir()}

    result = run(*BUILD, *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_a_link_to_the_vocabulary_is_not_written_through():
    Path("m.txt").symlink_to("vocab.txt")

    result = run(*BUILD, "--output", "m.txt")

    assert result.exit_code == 2
    assert "take the place of the vocabulary" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--vocab", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("--vocab", "."), "it is a directory"),
        (("--source", "nowhere.txt"), "no such file"),
        (("--source", "glove-6b-50"), "did you mean glove-6b-50d"),
        (("--source", "."), "one of 2 files of ."),
        (("--source", "vocab.txt"), "not recognised"),
        (("--min-coverage", "0.9"), "50.0 % of the tokens were found"),
        (("--oov", "error"), "'Dog'"),
        (("--unk-token", "<pad>"), "pad and unk are both"),
        (("--catalog", "vocab.txt", "--source", "glove-6b-50d"), "is no JSON"),
    ],
)
def test_what_cannot_be_done_is_explained_and_changes_nothing(words, said):
    before = sorted(Path().iterdir())

    result = run(*BUILD, *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert sorted(Path().iterdir()) == before


def test_a_vocabulary_of_which_nothing_is_found_shows_both_sides():
    Path("vocab.txt").write_text("alpha\nbeta\n")

    result = run(*BUILD)

    assert result.exit_code == 1
    assert "'alpha', 'beta'" in result.stderr
    assert "'the', 'cat'" in result.stderr


def test_a_malformed_row_is_named_with_its_line():
    Path("vectors.txt").write_text("the 1 2 3\ncat 4 5 6\nbad 7 x 9\n")

    result = run(*BUILD)

    assert result.exit_code == 1
    assert "vectors.txt, line 3: value 2 of 3 is not a number" in result.stderr


def test_a_pipe_that_nobody_writes_to_is_a_message(monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.01)
    os.mkfifo("pipe")

    result = run(*BUILD, "--vocab", "pipe")

    assert result.exit_code == 1
    assert "nobody wrote" in result.stderr


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that takes no file")
def test_a_folder_that_takes_no_file_is_a_message():
    result = run(*BUILD, "--output", "/proc/m.npz")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot write /proc/m.npz")


def test_a_vocabulary_comes_from_standard_input_or_a_pipe(capfd):
    Path("vectors.txt").write_text("the 1 2 3\ncat 4 5 6\n")
    Path("c.tsv").write_text("the\t3\ncat\t2\n")
    program = f"{sys.executable} -m pretrained_embed build --source vectors.txt -q"

    for command in (
        f"cut -f1 c.tsv | {program} --vocab - -o a.npz",
        f"{program} --vocab <(cut -f1 c.tsv) -o b.npz",
    ):
        subprocess.run(["bash", "-c", command], check=True)

    for name in ("a.npz", "b.npz"):
        assert list(pe.load_matrix(name)) == ["<pad>", "the", "cat"]


def test_vectors_given_for_the_vocabulary_are_a_message_and_nothing_is_written():
    Path("vectors.txt").write_text("the 1.5 2 3\ncat 4 5 6.5\n")
    Path("vocab.txt").write_text("the\n")

    result = run("build", "--vocab", "vectors.txt", "--source", "vocab.txt")

    assert result.exit_code == 1
    assert (
        "vectors.txt: it holds vectors: line 1 is 'the' and 3 numbers" in result.stderr
    )
    assert not Path("embedding.npz").exists()


@pytest.mark.parametrize(
    "command", [["build"], ["coverage"], ["convert", "-", "out.npz"]]
)
def test_standard_input_is_read_for_one_thing_only(command):
    source = [] if command[0] == "convert" else ["--source", "-"]

    result = run(*command, *source, "--vocab", "-")

    assert result.exit_code == 2
    assert "standard input can be read once" in result.stderr
