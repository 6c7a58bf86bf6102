"""Vocabularies from mappings, which bring their ids, and from counters."""

from collections import Counter

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.rows import MAX_ID, MAX_ID_RATIO


def test_a_mapping_keeps_its_ids_and_holes():
    vocab = Vocabulary({"cat": 5, "the": 2}, pad=None)

    assert vocab.tokens == (None, None, "the", None, None, "cat")
    assert len(vocab) == 6
    assert list(vocab) == ["the", "cat"]
    assert vocab.holes.tolist() == [0, 1, 3, 4]
    assert vocab.holes.dtype == np.int64


def test_pad_takes_id_0_of_a_mapping_when_it_is_free():
    vocab = Vocabulary({"the": 1, "cat": 2})

    assert vocab.tokens == ("<pad>", "the", "cat")
    assert vocab.pad_id == 0


def test_there_is_no_pad_when_a_token_of_a_mapping_has_id_0():
    vocab = Vocabulary({"the": 0, "cat": 1})

    assert vocab.tokens == ("the", "cat")
    assert (vocab.pad_token, vocab.pad_id) == (None, None)


def test_a_pad_token_in_a_mapping_keeps_its_id():
    vocab = Vocabulary({"the": 1, "<pad>": 3})

    assert vocab.pad_id == 3
    assert vocab.holes.tolist() == [0, 2]


def test_a_new_unk_of_a_mapping_gets_the_next_highest_id():
    assert Vocabulary({"the": 0, "cat": 4}, unk="<unk>").unk_id == 5
    assert Vocabulary({"the": 1}, unk="<unk>").tokens == ("<pad>", "the", "<unk>")


def test_an_unk_in_a_mapping_keeps_its_id():
    assert Vocabulary({"the": 2, "<unk>": 1}, unk="<unk>").unk_id == 1


def test_numpy_ids_become_int():
    vocab = Vocabulary({"a": np.int64(1), "b": np.uint8(2)})

    assert {type(number) for number in vocab.ids.values()} == {int}


@pytest.mark.parametrize("wrong", [-1, True, 1.0, "1", None, 2**63, np.True_])
def test_an_id_that_is_no_whole_number_from_0_is_named(wrong):
    with pytest.raises(VocabularyError, match="id of token 'b' is"):
        Vocabulary({"a": 1, "b": wrong})


def test_a_repeated_id_is_named_with_both_tokens():
    with pytest.raises(VocabularyError, match=r"'a' and 'c' both have id 7.*Coun"):
        Vocabulary({"a": 7, "b": 2, "c": 7})


def test_a_mapping_from_id_to_token_is_refused():
    with pytest.raises(VocabularyError, match="position 0 is 1, of type int"):
        Vocabulary({1: "a"})


@pytest.mark.parametrize("huge", [MAX_ID + 1, 10**12, 2**63 - 1])
def test_an_id_far_beyond_the_number_of_tokens_is_refused(huge):
    with pytest.raises(VocabularyError, match=f"'b' has id {huge}"):
        Vocabulary({"a": 1, "b": huge})


def test_an_id_at_the_limit_is_taken():
    assert len(Vocabulary({"a": MAX_ID})) == MAX_ID + 1


def test_the_limit_grows_with_the_number_of_tokens():
    tokens = 2 * MAX_ID // MAX_ID_RATIO
    ids = {str(number): number for number in range(tokens - 1)}

    assert len(Vocabulary(ids | {"last": 2 * MAX_ID})) == 2 * MAX_ID + 1
    with pytest.raises(VocabularyError, match="'last' has id"):
        Vocabulary(ids | {"last": 2 * MAX_ID + 1})


def test_a_counter_is_numbered_by_falling_count_and_has_counts():
    vocab = Vocabulary(Counter({"rare": 1, "the": 9, "odd": 1, "cat": 3}))

    assert vocab.tokens == ("<pad>", "the", "cat", "rare", "odd")
    assert vocab.counts.tolist() == [0, 9, 3, 1, 1]
    assert vocab.counts.dtype == np.int64


def test_counts_go_to_the_ids_of_their_tokens():
    vocab = Vocabulary({"a": 3, "b": 1}, unk="<unk>", counts={"a": 5, "other": 9})

    assert vocab.counts.tolist() == [0, 0, 0, 5, 0]


def test_counts_cannot_be_written():
    counts = Vocabulary(["a"], counts={"a": 1}).counts

    with pytest.raises(ValueError, match="read-only"):
        counts[0] = 1


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "1", None, 2**63])
def test_a_count_that_is_no_whole_number_from_0_is_named(wrong):
    with pytest.raises(VocabularyError, match="count of token 'b' is"):
        Vocabulary(["a", "b"], counts={"a": 1, "b": wrong})
    with pytest.raises(VocabularyError, match="count of token 'b' is"):
        Vocabulary(Counter({"a": 1, "b": wrong}))


def test_counts_must_be_a_mapping():
    with pytest.raises(OptionError, match="counts is list"):
        Vocabulary(["a"], counts=[1])
