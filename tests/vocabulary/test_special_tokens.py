"""Special tokens and subword marks that a vocabulary is told of."""

import copy

import pytest

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary


def test_pad_and_unk_are_special_and_come_first():
    vocab = Vocabulary(["[MASK]", "a"], unk="[UNK]", special_tokens={"mask": "[MASK]"})

    assert list(vocab.special_tokens.items()) == [
        ("pad", "<pad>"),
        ("unk", "[UNK]"),
        ("mask", "[MASK]"),
    ]
    assert dict(Vocabulary(["a"], pad=None).special_tokens) == {}


def test_one_token_may_have_several_parts():
    special = {"bos": "<s>", "eos": "<s>", "<extra>": "<extra>"}

    vocab = Vocabulary(["<s>", "<extra>"], pad=None, special_tokens=special)

    assert vocab.special_tokens == special


def test_they_make_the_same_vocabulary_again():
    vocab = Vocabulary(["[SEP]"], unk="?", special_tokens={"sep": "[SEP]"})

    again = Vocabulary(vocab.ids, unk="?", special_tokens=vocab.special_tokens)

    assert again.special_tokens == vocab.special_tokens
    assert copy.deepcopy(vocab).special_tokens == vocab.special_tokens


def test_they_cannot_be_changed():
    given = {"mask": "a"}
    vocab = Vocabulary(["a"], special_tokens=given)

    given["mask"] = "b"
    with pytest.raises(TypeError):
        vocab.special_tokens["cls"] = "a"

    assert vocab.special_tokens["mask"] == "a"


@pytest.mark.parametrize(
    ("token", "known", "near"),
    [
        ("<MASK>", "[MASK]", r"; did you mean '\[MASK\]'\?"),
        ("[MAKS]", "[MASK]", r"; did you mean '\[MASK\]'\?"),
        ("<mask>", "the", "$"),
        ("", "the", "$"),
    ],
)
def test_a_special_token_that_is_not_there_is_named_with_the_nearest(
    token, known, near
):
    with pytest.raises(VocabularyError, match=f"mask token .*is not in .*{near}"):
        Vocabulary([known], special_tokens={"mask": token})


def test_a_token_that_goes_by_itself_is_named_once():
    with pytest.raises(VocabularyError, match=r"^the token '<x>' is not in"):
        Vocabulary(["the"], special_tokens={"<x>": "<x>"})


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (["a"], "special_tokens is list, not a mapping"),
        ({"mask": 1}, "'mask': 1; it goes from str to str"),
        ({1: "a"}, "1: 'a'; it goes from str"),
        ({"pad": "a"}, "'pad': 'a', but pad is '<pad>'"),
        ({"unk": "a"}, "'unk': 'a', but unk is None"),
    ],
)
def test_what_special_tokens_cannot_be(wrong, what):
    with pytest.raises(OptionError, match=what):
        Vocabulary(["a"], special_tokens=wrong)


def test_marks_are_none_unless_they_are_known():
    assert Vocabulary(["##a"]).marks is None
    assert Vocabulary(["##a"], marks="wordpiece").marks == "wordpiece"
    with pytest.raises(OptionError, match="marks is '##'; it can be wordpiece, sent"):
        Vocabulary(["##a"], marks="##")
