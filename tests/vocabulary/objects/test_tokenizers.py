"""Tokenizers of Hugging Face and sentencepiece as vocabularies."""

import json

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from tests.vocabulary.test_library_files import ANSWERS, DATA

FILES = ["wordpiece.json", "bpe.json", "unigram.json", "wordlevel.json"]
MODELS = ["sp-unigram.model", "sp-bpe.model", "sp-char.model"]


@pytest.mark.parametrize("name", FILES)
def test_a_tokenizer_tells_what_its_file_tells(name):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    tokenizer = tokenizers.Tokenizer.from_file(str(DATA / name))
    file = Vocabulary.from_file(DATA / name)

    vocab = Vocabulary.of(tokenizer)

    assert vocab.ids == tokenizer.get_vocab(with_added_tokens=True)
    assert vocab.special_tokens == file.special_tokens
    assert vocab.marks == file.marks


@pytest.mark.parametrize("name", MODELS)
def test_a_processor_tells_what_its_file_tells(name):
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="sentencepiece is not installed"
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(DATA / name))
    file = Vocabulary.from_file(DATA / name)

    vocab = Vocabulary.of(processor)

    assert vocab.tokens == tuple(map(processor.id_to_piece, range(len(processor))))
    assert vocab.special_tokens == file.special_tokens
    assert vocab["<s>"] == processor.bos_id()


def test_a_processor_without_a_model_says_what_to_call():
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="sentencepiece is not installed"
    )

    with pytest.raises(VocabularyError, match="SentencePieceProcessor has no model; c"):
        Vocabulary.of(sentencepiece.SentencePieceProcessor())


class AddedToken(str):
    special = False


class SpecialToken(str):
    special = True


class Slow:
    """What a tokenizer of transformers has."""

    special_tokens_map = {  # noqa: RUF012  (nothing changes it)
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "additional_special_tokens": ["<extra>"],
    }
    all_special_tokens = ["<pad>", "<mask>", "<extra>"]  # noqa: RUF012  (the same)

    def __init__(self, **ids):
        self.ids = ids | {"<pad>": 0, "<mask>": 7, "<extra>": 8, "<tool>": 9, "hi": 10}
        added = [SpecialToken("<extra>"), SpecialToken("<tool>"), AddedToken("hi")]
        self.added_tokens_decoder = dict(enumerate(added, 8))

    def get_vocab(self):
        return self.ids

    def convert_tokens_to_ids(self, tokens):
        raise NotImplementedError


class Fast(Slow):
    """One that has a tokenizer of ``tokenizers`` within."""

    class Backend:
        def to_str(self):
            model = {"vocab": {"a": 1}, "continuing_subword_prefix": "##"}
            return json.dumps({"model": model})

        def get_vocab(self):
            raise NotImplementedError

        def token_to_id(self, token):
            raise NotImplementedError

    backend_tokenizer = Backend()


def test_a_slow_tokenizer_tells_ids_and_special_tokens():
    tokenizer = Slow(a=1)

    vocab = Vocabulary.of(tokenizer)

    assert vocab.ids == tokenizer.get_vocab()
    assert vocab.special_tokens == {
        "pad": "<pad>",
        "mask": "<mask>",
        "<extra>": "<extra>",
        "<tool>": "<tool>",
    }
    assert vocab.marks is None


@pytest.mark.parametrize(
    ("attribute", "marks"),
    [
        ("sp_model", "sentencepiece"),
        ("sp_model_kwargs", "sentencepiece"),
        ("wordpiece_tokenizer", "wordpiece"),
        ("byte_encoder", "byte-level"),
    ],
)
def test_marks_of_a_slow_tokenizer_are_told_by_what_it_has(attribute, marks):
    tokenizer = Slow(a=1)
    setattr(tokenizer, attribute, {})

    assert Vocabulary.of(tokenizer).marks == marks


def test_marks_of_a_fast_tokenizer_are_those_of_the_one_within():
    vocab = Vocabulary.of(Fast(a=1))

    assert vocab.marks == "wordpiece"
    assert "<extra>" in vocab


def test_a_pad_that_is_not_in_the_vocabulary_is_named():
    tokenizer = Slow(a=1)
    tokenizer.ids["[PAD]"] = tokenizer.ids.pop("<pad>")

    with pytest.raises(VocabularyError, match=r"'<pad>' is .* did you mean '\[PAD\]'"):
        Vocabulary.of(tokenizer)
    assert Vocabulary.of(tokenizer, pad="[PAD]").pad_id == 0


def test_two_tokens_with_one_id_are_named():
    with pytest.raises(VocabularyError, match="'a' and '<pad>' both have id 0"):
        Vocabulary.of(Slow(a=0))


def test_one_token_for_pad_and_unk_is_the_pad():
    tokenizer = Slow(end=3)
    tokenizer.special_tokens_map = dict.fromkeys(
        ["pad_token", "unk_token", "eos_token"], "end"
    )
    tokenizer.all_special_tokens = ["end"]

    vocab = Vocabulary.of(tokenizer)

    assert (vocab.pad_token, vocab.unk_token) == ("end", None)
    assert vocab.special_tokens["eos"] == "end"


def test_a_tokenizer_of_transformers_is_such_a_one(tmp_path):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed; too large for CI"
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(DATA / "bpe.json"), pad_token="<fill>"
    )

    vocab = Vocabulary.of(tokenizer)

    assert vocab.ids == tokenizer.get_vocab()
    assert len(vocab) == len(tokenizer)
    assert vocab.pad_id == tokenizer.pad_token_id
    assert vocab.marks == "byte-level"
    tokenizer.save_pretrained(tmp_path)
    folder = Vocabulary.from_file(tmp_path)
    assert (folder.ids, folder.special_tokens) == (vocab.ids, vocab.special_tokens)


def test_the_answers_cover_every_file():
    assert {*FILES, *MODELS} < {*ANSWERS}
