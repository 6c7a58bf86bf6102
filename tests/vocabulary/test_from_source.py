"""A vocabulary of the first tokens of vectors."""

from __future__ import annotations

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, RowError
from tests.command_line import run

ROWS = "".join(f"t{row % 40_000} {row}.5 1\n" for row in range(50_000))


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETRAINED_EMBED_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "v.txt"
    path.write_text(ROWS)
    return path


def test_the_first_tokens_are_taken_in_their_order(source):
    vocabulary = pe.Vocabulary.from_source(source, limit=3, unk="<unk>")

    assert vocabulary.tokens == ("<pad>", "<unk>", "t0", "t1", "t2")


def test_repeated_tokens_count_once(source):
    assert len(pe.Vocabulary.from_source(source, limit=None, pad=None)) == 40_000
    assert len(pe.Vocabulary.from_source(source, limit=39_000, pad=None)) == 39_000
    assert len(pe.Vocabulary.from_source(source, pad=None)) == 40_000


def test_no_more_is_read_than_it_takes(source):
    source.write_text(8 * ROWS + "cut 1\n")

    assert len(pe.Vocabulary.from_source(source, limit=5, pad=None)) == 5
    with pytest.raises(RowError, match="line 400,001"):
        pe.Vocabulary.from_source(source, limit=None)


def test_objects_are_sources_too(source):
    matrix = pe.build_matrix(["t1", "t2"], source)

    assert pe.Vocabulary.from_source(matrix, pad=None).tokens[-2:] == ("t1", "t2")


def test_a_limit_below_one_is_refused(source):
    with pytest.raises(OptionError, match="limit"):
        pe.Vocabulary.from_source(source, limit=0)


def test_the_command_line_builds_without_a_vocabulary(source):
    result = run("build", "--vocab-from", "v.txt", "--limit", "7", "--source", "v.txt")

    assert result.exit_code == 0, result.stderr
    assert pe.load_matrix("embedding.npz").vocabulary.tokens[1:3] == ("t0", "t1")
    assert len(pe.load_matrix("embedding.npz")) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--vocab-from SOURCE"),
        (("--vocab", "v.txt", "--vocab-from", "v.txt"), "exclude each other"),
        (("--vocab", "v.txt", "--limit", "3"), "is for --vocab-from"),
    ],
)
def test_one_vocabulary_is_wanted(source, words, said):
    result = run("build", *words, "--source", "v.txt")

    assert result.exit_code == 2
    assert said in result.stderr


def test_convert_stops_at_a_limit(source):
    source.write_text(8 * ROWS + "cut 1\n")

    result = run("convert", "v.txt", "some.npz", "--limit", "41000")

    assert result.exit_code == 0, result.stderr
    assert "Wrote some.npz (npz): 41,000 rows" in result.stderr
    assert "1,000 rows repeat" in result.stderr
    with pe.open_vectors("some.npz") as reader:
        assert reader.count == 41_000


def test_convert_counts_the_rows_that_pass(source):
    done = pe.convert(source, "some.vec", drop_duplicates=True, limit=39_999)

    assert (done.rows, done.duplicates) == (39_999, 0)
    with pytest.raises(OptionError, match="limit is 0"):
        pe.convert(source, "some.vec", limit=0)
