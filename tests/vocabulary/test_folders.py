"""Folders of tokenizers and of spaCy models."""

import json

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

TOKENIZER = {"model": {"vocab": {"<s>": 0, "a": 1, "b": 2}}}


@pytest.fixture
def read(tmp_path):
    """Write files, JSON where they are no text, and read the folder."""

    def read(files, **options):
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        return Vocabulary.from_file(tmp_path, **options)

    return read


def test_special_tokens_are_those_of_the_files_beside(read):
    vocab = read(
        {
            "tokenizer.json": TOKENIZER,
            "special_tokens_map.json": {
                "pad_token": {"content": "b"},
                "bos_token": "<s>",
                "additional_special_tokens": ["a"],
            },
        }
    )

    assert vocab.pad_id == 2
    assert vocab.special_tokens == {"pad": "b", "bos": "<s>", "a": "a"}


def test_the_config_goes_before_the_map(read):
    files = {
        "tokenizer.json": TOKENIZER,
        "special_tokens_map.json": {"pad_token": "a"},
        "tokenizer_config.json": {"pad_token": "b", "unk_token": None},
    }

    assert read(files).pad_token == "b"


def test_added_tokens_come_to_those_of_the_model(read):
    vocab = read(
        {
            "vocab.json": {"a": 0, "Ġb": 1},
            "merges.txt": "#version: 0.2",
            "added_tokens.json": {"<pad>": 2},
            "tokenizer_config.json": {
                "added_tokens_decoder": {
                    "3": {"content": "<mask>", "special": True},
                    "4": {"content": "new york", "special": False},
                }
            },
        }
    )

    assert vocab.ids == {"a": 0, "Ġb": 1, "<pad>": 2, "<mask>": 3, "new york": 4}
    assert vocab.special_tokens == {"pad": "<pad>", "mask": "<mask>"}
    assert vocab.marks == "byte-level"


def test_marks_are_not_known_where_nothing_tells_them(read):
    assert read({"vocab.json": {"a": 0, "b</w>": 1}}).marks is None


def test_a_pad_that_is_not_in_the_vocabulary_is_named(read):
    files = {
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": {"pad_token": "<S>"},
    }

    with pytest.raises(VocabularyError, match=r"pad token '<S>' .*you mean '<s>'"):
        read(files)
    assert read(files, pad=None).pad_id is None


def test_an_id_beyond_the_size_of_the_model_is_named(read):
    files = {"tokenizer.json": TOKENIZER, "config.json": {"vocab_size": 2}}

    with pytest.raises(VocabularyError, match="'b' has id 2, beyond the vocab_size 2"):
        read(files)
    assert len(read(files | {"config.json": {"vocab_size": 3}})) == 3
    assert len(read(files | {"config.json": {"vocab_size": "?"}})) == 3


@pytest.mark.parametrize(
    "config",
    [
        {"pad_token": 3},
        {"pad_token": {"text": "a"}},
        {"additional_special_tokens": 3},
        {"added_tokens_decoder": {"x": {"content": "a"}}},
        {"added_tokens_decoder": {"3": {}}},
        {"added_tokens_decoder": ["a"]},
        {"added_tokens_decoder": {"-3": {"content": "c"}}},
        ["a"],
        "no JSON",
        '{"pad_token": "a", "pad_token": "b"}',
    ],
)
def test_a_file_beside_of_another_form_is_an_error_of_ours(read, tmp_path, config):
    with pytest.raises(VocabularyError) as caught:
        read({"tokenizer.json": TOKENIZER, "tokenizer_config.json": config})

    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": "text"},
        {"vocab.txt": "the\ncat\n"},  # of one's own: BERT's has [PAD]
        {"tokenizer_config.json": {"pad_token": "a"}},
    ],
)
def test_a_folder_without_a_vocabulary_is_refused(read, files):
    with pytest.raises(VocabularyError, match=r"directory without tokenizer\.json"):
        read(files)


@pytest.mark.parametrize("name", ["strings.json", "vocab/strings.json"])
def test_strings_of_spacy_are_numbered_in_order(read, name):
    vocab = read({name: ["", "cat", "the"]})

    assert vocab.tokens == ("<pad>", "", "cat", "the")


def test_the_kind_says_which_folder_it_is(read):
    files = {"strings.json": ["x"], "tokenizer.json": TOKENIZER}

    assert "x" in read(files)
    assert "a" in read(files, kind="tokenizer")
    with pytest.raises(VocabularyError, match="is a directory"):
        read(files, kind="json")
