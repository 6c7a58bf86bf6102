"""Vocabulary files of other tools on the command line."""

import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import run

DATA = Path(__file__).parents[1] / "data" / "vocabulary"


@pytest.fixture(autouse=True)
def vectors():
    Path("vectors.txt").write_text("the 1 2\n▁t 3 4\nĠs 5 6\nsee 7 8\n", "utf-8")


def build(vocab, *words):
    return run("build", "--vocab", vocab, "--source", "vectors.txt", *words)


@pytest.mark.parametrize("name", ["wordpiece.json", "sp-bpe.model", "slow-gpt2"])
def test_the_kind_of_a_vocabulary_is_found_out(name):
    result = build(DATA / name)

    assert result.exit_code == 0
    matrix = pe.load_matrix("embedding.npz")
    vocab = pe.Vocabulary.from_file(DATA / name)
    assert matrix.vocabulary.tokens == vocab.tokens
    assert matrix.vocabulary.pad_id == vocab.pad_id
    assert matrix.vocabulary.unk_id == vocab.unk_id


def test_the_kind_can_be_forced():
    Path("vocab.txt").write_text("[PAD]\n[UNK]\nthe\n")

    assert build("vocab.txt").exit_code == 0
    assert pe.load_matrix("embedding.npz").shape == (3, 2)
    assert build("vocab.txt", "--vocab-kind", "text").exit_code == 0
    assert pe.load_matrix("embedding.npz").shape == (4, 2)


def test_pad_and_unk_can_be_others_than_the_vocabulary_says():
    Path("vocab.txt").write_text("[PAD]\n[UNK]\nthe\nsee\n")

    assert build("vocab.txt", "--no-pad", "--unk-token", "the").exit_code == 0

    vocab = pe.load_matrix("embedding.npz").vocabulary
    assert (vocab.pad_id, vocab.unk_token) == (None, "the")


def test_a_pad_that_is_not_there_is_explained():
    tokenizer = {"model": {"vocab": {"the": 0, "<PAD>": 1}}}
    tokenizer["padding"] = {"pad_token": "<pad>"}
    Path("tokenizer.json").write_text(json.dumps(tokenizer))

    result = build("tokenizer.json")

    assert result.exit_code == 1
    assert "the pad token '<pad>' is not in the vocabulary" in result.stderr
    assert "did you mean '<PAD>'?" in result.stderr


def test_an_unknown_kind_is_wrong_usage_that_names_the_nearest():
    result = build("vocab.txt", "--vocab-kind", "tokeniser")

    assert result.exit_code == 2
    assert "did you mean tokenizer" in result.stderr
