"""Dictionaries that gensim and fastText write as text, and BERT's vocab.txt."""

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        path = tmp_path / "vocab.txt"
        path.write_text(text, "utf-8", newline="")
        return Vocabulary.from_file(path, **options)

    return read


def test_a_dictionary_of_gensim_keeps_its_ids(read):
    vocab = read("9\n3\tcat\t2\n0\tthe\t7\n")

    assert vocab.tokens == ("the", None, None, "cat")
    assert vocab.counts.tolist() == [7, 0, 0, 2]


def test_an_old_dictionary_of_gensim_has_to_be_named(read):
    text = "3\tcat\t2\n0\tthe\t7\n"

    assert read(text, kind="gensim").ids == {"cat": 3, "the": 0}
    assert read(text).counts is not None  # tokens "3\tcat" and "0\tthe"
    assert "3\tcat" in read(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("9\n0\tthe\t7\nthe\t7\n", ":3: expected ID<TAB>TOKEN<TAB>DOCUMENTS"),
        ("9\n0\tthe\t7\n1\tcat\tmany\n", ":3: expected ID<TAB>TOKEN"),
        ("9\n0\tthe\t7\n9\n", ":3: expected ID<TAB>TOKEN"),
        ("9\n0\tthe\t7\n1\tthe\t2\n", ":3: token 'the' has id 1, and in a line bef"),
        ("9\n0\tthe\t7\n0\tcat\t2\n", "'the' and 'cat' both have id 0"),
    ],
)
def test_what_is_wrong_in_a_dictionary_of_gensim_is_named(read, text, what):
    with pytest.raises(VocabularyError, match=f"vocab.txt.*{what}"):
        read(text)


def test_a_dictionary_of_fasttext_has_counts_and_labels_are_no_tokens(read):
    vocab = read("3\n</s> 9 word\nnew york 2 word\n__label__a 4 label\n")

    assert vocab.tokens == ("<pad>", "</s>", "new york")
    assert vocab.counts.tolist() == [0, 9, 2]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("3\nthe 9 word\ncat 2 noun\n", ":3: expected TOKEN COUNT word"),
        ("3\nthe 9 word\ncat -2 word\n", ":3: expected TOKEN COUNT word"),
        ("3\nthe 9 word\nthe 2 word\n", "'the' has id 0 and again id 1"),
    ],
)
def test_what_is_wrong_in_a_dictionary_of_fasttext_is_named(read, text, what):
    with pytest.raises(VocabularyError, match=f"vocab.txt.*{what}"):
        read(text)


@pytest.mark.parametrize("text", ["3\n", "3\nthe\n", "3\n4\n", "x\nthe 9 word\n"])
def test_a_number_in_the_first_line_alone_makes_no_dictionary(read, text):
    assert read(text, pad=None).tokens == tuple(text.split("\n")[:-1])


def test_bert_s_vocabulary_says_what_is_pad_and_unk(read):
    vocab = read("[PAD]\n[unused0]\n[UNK]\n[CLS]\nthe\n##s\n")

    assert vocab.tokens == ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "the", "##s")
    assert (vocab.pad_id, vocab.unk_id) == (0, 2)
    assert vocab.special_tokens == {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]"}
    assert vocab.marks == "wordpiece"


def test_other_special_tokens_can_be_asked_for(read):
    text = "[PAD]\n[UNK]\nthe\n"

    assert read(text, pad=None).pad_id is None
    assert read(text, pad="the").pad_id == 2
    assert read(text, unk=None).unk_id is None
    assert read(text, kind="text").tokens == ("<pad>", "[PAD]", "[UNK]", "the")


def test_without_pad_or_unk_it_is_text(read):
    assert read("[UNK]\n[CLS]\n").special_tokens == {"pad": "<pad>"}
    assert read("[UNK]\n[CLS]\n", kind="bert").unk_id == 0


def test_a_line_that_comes_twice_is_named_in_bert_s_vocabulary_too(read):
    with pytest.raises(VocabularyError, match=r"vocab.txt:4: .*'a' is already in lin"):
        read("[PAD]\n[UNK]\na\na\n")
