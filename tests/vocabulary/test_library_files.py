"""Files that other libraries wrote, held against what these say of them."""

import json
from pathlib import Path

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data" / "vocabulary"
ANSWERS = json.loads((DATA / "answers.json").read_text("utf-8"))
MARKS = {
    **dict.fromkeys(["wordpiece.json", "fast", "slow-bert"], "wordpiece"),
    **dict.fromkeys(["bpe.json", "slow-gpt2"], "byte-level"),
    **dict.fromkeys(["wordlevel.json", "spacy", "gensim.txt"]),
}
READ = [name for name in ANSWERS if name != "slow-xlmr"]


@pytest.mark.parametrize("name", READ)
def test_ids_special_tokens_and_counts_are_those_of_the_library(name):
    known = ANSWERS[name]

    vocab = Vocabulary.from_file(DATA / name)

    assert vocab.ids == known["ids"]
    assert (vocab.pad_id, vocab.unk_id) == (known["pad"], known["unk"])
    if known["mask"] is not None:
        assert vocab[vocab.special_tokens["mask"]] == known["mask"]
    assert vocab.marks == MARKS.get(name, "sentencepiece")
    if "counts" in known:
        counts = {token: int(vocab.counts[id]) for token, id in vocab.ids.items()}
        assert counts == known["counts"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bpe.json", "tokenizer"),
        ("fast", "tokenizer"),
        ("sp-bpe.model", "sentencepiece"),
        ("sp-bpe.vocab", "sentencepiece"),
        ("spacy", "spacy"),
        ("spacy/vocab/strings.json", "spacy"),
        ("gensim.txt", "gensim"),
        ("slow-bert/vocab.txt", "bert"),
    ],
)
def test_the_kind_can_be_named(name, kind):
    path = DATA / name

    assert Vocabulary.from_file(path, kind=kind).ids == Vocabulary.from_file(path).ids


def test_special_tokens_are_named_by_what_they_are_for():
    special = Vocabulary.from_file(DATA / "wordpiece.json").special_tokens

    assert special == {
        "pad": "[PAD]",
        "unk": "[UNK]",
        "cls": "[CLS]",
        "sep": "[SEP]",
        "mask": "[MASK]",
        "<extra>": "<extra>",
    }


def test_control_pieces_are_special_and_those_of_users_are_not():
    special = Vocabulary.from_file(DATA / "sp-bpe.model").special_tokens

    assert special == {
        "pad": "<pad>",
        "unk": "<unk>",
        "bos": "<s>",
        "eos": "</s>",
        "<control>": "<control>",
    }


def test_a_folder_s_own_pad_goes_before_that_of_its_tokenizer_json():
    vocab = Vocabulary.from_file(DATA / "fast")
    alone = Vocabulary.from_file(DATA / "fast" / "tokenizer.json")

    assert (vocab.pad_token, alone.pad_token) == ("<|pad|>", "[PAD]")


def test_a_class_that_numbers_its_pieces_anew_is_refused_with_two_ways_out():
    folder = DATA / "slow-xlmr"

    with pytest.raises(VocabularyError, match=r"XLMRobertaTokenizer numbers .*itself,"):
        Vocabulary.from_file(folder)

    pieces = Vocabulary.from_file(folder / "sentencepiece.bpe.model")
    assert pieces.ids == ANSWERS["sp-unigram.model"]["ids"]


@pytest.mark.parametrize("name", READ)
def test_a_file_cut_off_is_a_vocabulary_or_an_error_of_ours(name, tmp_path):
    path = DATA / name
    if path.is_dir():
        path = next(iter(sorted(path.rglob("*.json"))))
    raw = path.read_bytes()
    cut = tmp_path / path.name

    for size in range(0, len(raw), 1 + len(raw) // 50):
        cut.write_bytes(raw[:size])
        try:
            assert len(Vocabulary.from_file(cut))
        except VocabularyError as error:
            assert str(cut) in str(error)  # noqa: PT017  (what is right is either)
