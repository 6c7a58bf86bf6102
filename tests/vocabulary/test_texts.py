"""From texts to a vocabulary, and from texts to ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import OptionError, UnknownTokenError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary

TUTORIAL = ["Hope to see you soon", "Nice to see you again"]


def commas(text):
    return text.split(",")


def test_the_tutorial_everyone_knows():
    vocab = Vocabulary.from_texts(TUTORIAL)

    ids = vocab.encode(["Nice to see you"], max_length=5)

    assert list(vocab) == [
        "<pad>",
        "to",
        "see",
        "you",
        "Hope",
        "soon",
        "Nice",
        "again",
    ]
    assert len(vocab) == 8
    assert vocab.counts.tolist() == [0, 2, 2, 2, 1, 1, 1, 1]
    assert ids.tolist() == [[6, 1, 2, 3, 0]]
    assert (ids.dtype, ids.shape) == (np.int64, (1, 5))


def test_a_text_is_split_at_white_space_and_its_case_kept():
    vocab = Vocabulary.from_texts(["  A\ta\n\xa0b. "], pad=None)

    assert vocab.tokens == ("A", "a", "b.")


def test_lower_cases_texts_and_leaves_token_lists():
    vocab = Vocabulary.from_texts(["THE Cat", ["The", "new york"]], lower=True)

    assert list(vocab) == ["<pad>", "the", "cat", "The", "new york"]
    assert vocab.encode(["CAT the", ["The"]]).tolist() == [[2, 1], [3, 0]]


def test_a_tokenizer_of_one_s_own_is_remembered():
    vocab = Vocabulary.from_texts(["new york,la"], tokenize=commas)

    assert list(vocab) == ["<pad>", "new york", "la"]
    assert vocab.encode(["la,new york"]).tolist() == [[2, 1]]


def test_pad_and_unk_come_first_even_when_the_texts_hold_them():
    vocab = Vocabulary.from_texts(["a a <pad> <unk> a", "b <unk>"], unk="<unk>")

    assert vocab.tokens == ("<pad>", "<unk>", "a", "b")
    assert vocab.counts.tolist() == [1, 2, 3, 1]


def test_min_count_leaves_out_the_rare():
    vocab = Vocabulary.from_texts(["a b a c", "a b"], min_count=2)

    assert vocab.tokens == ("<pad>", "a", "b")


@pytest.mark.parametrize(("most", "kept"), [(3, "a"), (4, "ab"), (9, "abc")])
def test_max_tokens_bounds_the_length_pad_and_unk_included(most, kept):
    vocab = Vocabulary.from_texts(["a b a c", "a b"], max_tokens=most, unk="<unk>")

    assert vocab.tokens == ("<pad>", "<unk>", *kept)


@pytest.mark.parametrize(
    "options", [{"min_count": 3}, {"max_tokens": 1}, {"max_tokens": 2, "unk": "?"}]
)
def test_nothing_left_is_an_error_that_says_why(options):
    with pytest.raises(VocabularyError, match=r"of 2 tokens .* none is left with min"):
        Vocabulary.from_texts(["a b"], **options)


@pytest.mark.parametrize("texts", [[], [""], [[]]])
def test_texts_without_a_token_are_refused(texts):
    with pytest.raises(VocabularyError, match="of 0 tokens"):
        Vocabulary.from_texts(texts)


@pytest.mark.parametrize("name", ["min_count", "max_tokens"])
@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_bounds_are_whole_numbers_from_1(name, wrong):
    with pytest.raises(OptionError, match=f"{name} is {wrong!r}"):
        Vocabulary.from_texts(["a"], **{name: wrong})


def test_pad_and_unk_must_differ():
    with pytest.raises(VocabularyError, match="both '<pad>'"):
        Vocabulary.from_texts(["a"], unk="<pad>")


@pytest.mark.parametrize("single", ["one text", b"one text", None, 3])
def test_a_single_text_must_be_put_in_a_list(single):
    with pytest.raises(OptionError, match="put a single text in a list"):
        Vocabulary.from_texts(single)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes"])
def test_a_text_that_is_neither_str_nor_tokens_is_named(wrong):
    with pytest.raises(OptionError, match="text 1: expected a list of tokens"):
        Vocabulary.from_texts(["a", wrong])


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["nested"]])
def test_a_token_that_is_no_str_is_named_with_its_text(wrong):
    with pytest.raises(OptionError, match=r"text 1: token .* is not a str"):
        Vocabulary.from_texts(["a", ["b", wrong]])


def test_a_tokenizer_that_gives_a_str_is_not_taken_letter_by_letter():
    with pytest.raises(OptionError, match="text 0: expected a list of tokens"):
        Vocabulary.from_texts(["ab"], tokenize=str.upper)


def test_rows_are_as_long_as_the_longest():
    ids = Vocabulary(["a", "b"]).encode(["a", "b a b", ""])

    assert ids.tolist() == [[1, 0, 0], [2, 1, 2], [0, 0, 0]]
    assert ids.dtype == np.int64
    assert ids.flags.c_contiguous


def test_pad_fills_with_its_own_id():
    vocab = Vocabulary(["a", "<pad>"])

    assert vocab.encode(["a"], max_length=3).tolist() == [[0, 1, 1]]


def test_texts_and_token_lists_can_be_mixed_and_generated():
    vocab = Vocabulary(["a b", "a", "b"], pad=None)

    ids = vocab.encode(text for text in (["a b", "a"], "a b", ("b", "b")))

    assert ids.tolist() == [[0, 1], [1, 2], [2, 2]]


def test_an_unknown_token_gets_the_unk_id():
    vocab = Vocabulary(["a"], unk="<unk>")

    assert vocab.encode(["a dog"]).tolist() == [[2, 1]]


def test_an_unknown_token_without_unk_is_named_with_its_text():
    with pytest.raises(UnknownTokenError, match=r"^text 1: token 'dog' is not in"):
        Vocabulary(["a"]).encode(["a", "a dog"])


def test_a_row_too_long_is_an_error_unless_it_may_be_cut():
    vocab = Vocabulary(["a", "b", "c"])

    with pytest.raises(VocabularyError, match="text 1 has 3 tokens, max_length is 2"):
        vocab.encode(["a", "a b c"], max_length=2)

    right = vocab.encode(["a b c"], max_length=2, truncate="right")
    left = vocab.encode(["a b c"], max_length=2, truncate="left")
    assert right.tolist() == [[1, 2]]
    assert left.tolist() == [[2, 3]]


@pytest.mark.parametrize("truncate", ["error", "right", "left"])
def test_a_row_that_fits_is_not_cut(truncate):
    ids = Vocabulary(["a", "b"]).encode(["a b"], max_length=2, truncate=truncate)

    assert ids.tolist() == [[1, 2]]


def test_without_pad_all_rows_must_be_of_one_length():
    vocab = Vocabulary(["a", "b"], pad=None)

    assert vocab.encode(["a b", "b a"]).tolist() == [[0, 1], [1, 0]]
    for options in ({}, {"max_length": 2}):
        with pytest.raises(VocabularyError, match="text 1 has 1 tokens where 2"):
            vocab.encode(["a b", "a"], **options)


def test_no_texts_give_no_rows():
    vocab = Vocabulary(["a"])

    assert vocab.encode([]).shape == (0, 0)
    assert vocab.encode([], max_length=5).shape == (0, 5)
    assert vocab.encode([], max_length=5).dtype == np.int64
    assert vocab.encode([""]).shape == (1, 0)


def test_a_vocabulary_of_any_origin_can_be_told_how_to_read_texts(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"new york\nla\n")

    vocab = Vocabulary.from_file(path, tokenize=commas, lower=True)

    assert vocab.encode(["LA,New York"]).tolist() == [[2, 1]]


def test_a_single_text_to_encode_must_be_put_in_a_list():
    with pytest.raises(OptionError, match="put a single text in a list"):
        Vocabulary(["a"]).encode("a")


def test_a_token_that_is_no_str_is_not_taken_for_an_unknown_one():
    with pytest.raises(OptionError, match="text 0: token 7 is not a str"):
        Vocabulary(["a"], unk="<unk>").encode([[7]])


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_max_length_is_a_whole_number_from_1(wrong):
    with pytest.raises(OptionError, match=f"max_length is {wrong!r}"):
        Vocabulary(["a"]).encode(["a"], max_length=wrong)


def test_truncate_is_one_of_three():
    with pytest.raises(OptionError, match="truncate is 'post'; it can be error, ri"):
        Vocabulary(["a"]).encode(["a"], truncate="post")


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=5))
def test_ids_lead_back_to_the_tokens(texts):
    vocab = Vocabulary(list("abcd"))

    ids = vocab.encode(texts)

    pad = vocab.pad_id
    back = [[vocab.tokens[i] for i in row if i != pad] for row in ids.tolist()]
    assert back == texts
