"""Vocabularies from lists: which token has which id, and how it is asked for."""

import copy
import pickle
from collections import Counter

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, UnknownTokenError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary


def test_a_list_is_numbered_in_order_after_pad():
    vocab = Vocabulary(["the", "cat"])

    assert vocab.tokens == ("<pad>", "the", "cat")
    assert vocab.ids == {"<pad>": 0, "the": 1, "cat": 2}
    assert (vocab.pad_token, vocab.pad_id) == ("<pad>", 0)
    assert (vocab.unk_token, vocab.unk_id) == (None, None)
    assert vocab.counts is None
    assert vocab.holes.tolist() == []


def test_a_generator_a_tuple_and_an_array_are_lists_too():
    expected = ("<pad>", "b", "a")

    assert Vocabulary(token for token in "ba").tokens == expected
    assert Vocabulary(("b", "a")).tokens == expected
    assert Vocabulary(np.array(["b", "a"])).tokens == expected


def test_subclasses_of_str_become_plain_str():
    vocab = Vocabulary(np.array(["b", "a"]))

    assert {type(token) for token in vocab.tokens} == {str}


def test_a_set_is_taken_in_sorted_order():
    assert Vocabulary({"b", "c", "a"}).tokens == ("<pad>", "a", "b", "c")
    assert Vocabulary(frozenset("ba")).tokens == ("<pad>", "a", "b")


def test_a_pad_token_in_the_list_keeps_its_place():
    vocab = Vocabulary(["the", "<pad>", "cat"])

    assert vocab.tokens == ("the", "<pad>", "cat")
    assert vocab.pad_id == 1


def test_another_pad_token_can_be_named():
    vocab = Vocabulary(["[PAD]", "<pad>"], pad="[PAD]")

    assert vocab.pad_id == 0
    assert vocab["<pad>"] == 1


def test_without_pad_the_list_starts_at_row_0():
    vocab = Vocabulary(["the", "cat"], pad=None)

    assert vocab.tokens == ("the", "cat")
    assert (vocab.pad_token, vocab.pad_id) == (None, None)


def test_a_new_unk_comes_right_after_pad():
    assert Vocabulary(["a"], unk="<unk>").tokens == ("<pad>", "<unk>", "a")
    assert Vocabulary(["a"], pad=None, unk="<unk>").tokens == ("<unk>", "a")
    assert Vocabulary(["a", "<pad>", "b"], unk="<unk>").tokens == (
        "a",
        "<pad>",
        "<unk>",
        "b",
    )


def test_an_unk_in_the_list_keeps_its_place():
    vocab = Vocabulary(["a", "[UNK]"], unk="[UNK]")

    assert vocab.tokens == ("<pad>", "a", "[UNK]")
    assert vocab.unk_id == 2


def test_unk_is_an_ordinary_token_unless_it_is_named():
    vocab = Vocabulary(["unk", "<unk>"])

    assert vocab.unk_id is None
    assert vocab.specials == {0}


def test_an_empty_token_is_a_token():
    vocab = Vocabulary(["", "[UNK]", "the"], pad="", unk="[UNK]")

    assert vocab.tokens == ("", "[UNK]", "the")
    assert vocab.pad_id == 0


def test_specials_are_the_ids_of_pad_and_unk():
    assert Vocabulary(["a"], unk="<unk>").specials == {0, 1}
    assert Vocabulary(["a"], pad=None).specials == frozenset()


def test_tokens_may_hold_escaped_bytes_and_any_character():
    tokens = ["caf\udce9", "\xa0", "\x85", "\u2028", "a b", "\n", "\r", "🙂"]

    vocab = Vocabulary(tokens, pad=None)

    assert list(vocab) == tokens


def test_an_empty_list_is_refused():
    for nothing in ([], {}, Counter(), iter(())):
        with pytest.raises(VocabularyError, match="empty"):
            Vocabulary(nothing)


@pytest.mark.parametrize("wrong", [None, 3, b"c", 1.5, ["d"], np.array(["e"])])
def test_a_token_that_is_no_str_is_named_with_its_position(wrong):
    with pytest.raises(VocabularyError, match=r"position 2 is .* of type"):
        Vocabulary(["a", "b", wrong])


def test_a_repeated_token_is_named_with_both_positions():
    with pytest.raises(
        VocabularyError, match="'b' is at position 1 and again at position 3"
    ):
        Vocabulary(["a", "b", "c", "b"], unk="<unk>")


@pytest.mark.parametrize("single", ["vocab.txt", b"vocab.txt"])
def test_a_single_string_is_not_a_list_of_its_letters(single):
    with pytest.raises(VocabularyError, match="from_file"):
        Vocabulary(single)


@pytest.mark.parametrize("nonsense", [None, 3])
def test_what_cannot_be_iterated_is_refused(nonsense):
    with pytest.raises(VocabularyError, match="expected an iterable of tokens"):
        Vocabulary(nonsense)


@pytest.mark.parametrize("token", ["\ud800", "a\udc41"])
def test_a_surrogate_that_stands_for_no_byte_is_refused(token):
    with pytest.raises(VocabularyError, match=r"position 1 holds a lone surrogate"):
        Vocabulary(["a", token])


def test_a_second_spelling_of_the_same_bytes_is_refused():
    with pytest.raises(VocabularyError, match="position 1 has bytes escaped"):
        Vocabulary(["é", "\udcc3\udca9"])


def test_surrogates_of_two_tokens_are_not_read_as_one_character():
    with pytest.raises(VocabularyError, match="position 0"):
        Vocabulary(["\ud83d", "\ude42"])


def test_pad_and_unk_must_differ():
    with pytest.raises(VocabularyError, match="both '<x>'"):
        Vocabulary(["a"], pad="<x>", unk="<x>")


@pytest.mark.parametrize("name", ["pad", "unk"])
def test_pad_and_unk_must_be_tokens(name):
    with pytest.raises(OptionError, match=f"{name} is 0"):
        Vocabulary(["a"], **{name: 0})
    with pytest.raises(VocabularyError, match=f"as {name} holds a lone surrogate"):
        Vocabulary(["a"], **{name: "\ud800"})


def test_a_vocabulary_is_not_numbered_again():
    with pytest.raises(VocabularyError, match="already"):
        Vocabulary(Vocabulary({"a": 5}))


def test_a_token_gives_its_id():
    vocab = Vocabulary(["the", "cat"])

    assert vocab["cat"] == 2
    assert vocab.get("cat") == 2
    assert "cat" in vocab
    assert "dog" not in vocab
    assert None not in vocab
    assert vocab.get("dog") is None
    assert vocab.get("dog", -1) == -1


@pytest.mark.parametrize("kind", [KeyError, UnknownTokenError, VocabularyError])
def test_a_missing_token_is_a_key_error_that_reads_well(kind):
    with pytest.raises(kind) as caught:
        Vocabulary(["the"])["dog"]

    assert str(caught.value) == "token 'dog' is not in the vocabulary"


def test_the_vocabulary_cannot_be_changed():
    given = ["the"]
    vocab = Vocabulary(given)

    given.append("cat")
    with pytest.raises(TypeError):
        vocab.ids["dog"] = 9
    with pytest.raises(AttributeError):
        vocab.pad_token = "dog"

    assert len(vocab) == 2


def test_of_takes_a_vocabulary_as_it_is_and_makes_one_of_the_rest():
    vocab = Vocabulary(["the"], pad=None)

    assert Vocabulary.of(vocab) is vocab
    assert Vocabulary.of(["the"]).tokens == ("<pad>", "the")
    assert Vocabulary.of({"the": 0}).tokens == ("the",)


def test_its_parts_make_the_same_vocabulary_again():
    vocab = Vocabulary({"a": 4, "b": 2}, unk="<unk>", counts={"a": 7})
    counts = {token: int(vocab.counts[row]) for token, row in vocab.ids.items()}

    again = Vocabulary(
        vocab.ids, pad=vocab.pad_token, unk=vocab.unk_token, counts=counts
    )

    assert again.tokens == vocab.tokens
    assert again.counts.tolist() == vocab.counts.tolist()
    assert (again.pad_id, again.unk_id) == (vocab.pad_id, vocab.unk_id)


def test_it_can_be_pickled_and_copied():
    vocab = Vocabulary(["the", "cat"], unk="<unk>", lower=True)

    for twin in (pickle.loads(pickle.dumps(vocab)), copy.deepcopy(vocab)):  # noqa: S301  (our own bytes)
        assert twin.ids == vocab.ids
        assert twin.encode(["THE CAT"]).tolist() == [[2, 3]]


def test_repr_names_rows_holes_pad_and_unk():
    vocab = Vocabulary({"a": 1, "b": 1999}, unk="<unk>")

    assert repr(vocab) == (
        "<Vocabulary: 2,001 rows, 1,997 of them holes, pad '<pad>' at 0, "
        "unk '<unk>' at 2000>"
    )
    assert repr(Vocabulary(["a"], pad=None)) == "<Vocabulary: 1 rows>"


def test_vocabularies_are_equal_where_their_tokens_have_the_same_ids():
    vocab = Vocabulary({"a": 4, "b": 2}, unk="<unk>", counts={"a": 7})
    twin = Vocabulary({"b": 2, "a": 4}, unk="<unk>", lower=True)

    assert vocab == twin
    assert hash(vocab) == hash(twin)
    assert {vocab: "found"}[twin] == "found"
    assert len({vocab, twin, Vocabulary(["a"])}) == 2


@pytest.mark.parametrize(
    "other",
    [
        Vocabulary({"a": 2, "b": 4}, unk="<unk>"),
        Vocabulary({"a": 4, "b": 3}, unk="<unk>"),
        Vocabulary({"a": 4, "b": 2}),
        Vocabulary({"a": 4, "b": 2}, pad=None, unk="<unk>"),
        Vocabulary({"a": 4, "b": 2}, unk="<unk>", special_tokens={"mask": "b"}),
        Vocabulary({"a": 4, "b": 2, "": 3}, unk="<unk>"),
        ["<pad>", None, "b", None, "a"],
        None,
    ],
)
def test_vocabularies_that_differ_in_a_row_are_not_equal(other):
    assert Vocabulary({"a": 4, "b": 2}, unk="<unk>") != other


def test_holes_and_empty_tokens_differ():
    assert Vocabulary({"a": 1, "b": 3, "": 2}) != Vocabulary({"a": 1, "b": 3})


@pytest.mark.parametrize("wrong", [["a"], {}, 1, None, np.array(["a"])])
def test_what_is_no_str_is_no_token_of_it(wrong):
    vocab = Vocabulary(["a"])

    assert wrong not in vocab
    assert vocab.get(wrong) is None
    with pytest.raises(UnknownTokenError, match="`decode` gives tokens of ids"):
        vocab[wrong]


def test_ids_become_tokens_in_the_shape_they_come_in():
    vocab = Vocabulary(["a", "b"], unk="<unk>")

    assert vocab.decode(2) == vocab.decode(np.int64(2)) == "a"
    assert vocab.decode([3, 2, 1]) == ["b", "a", "<unk>"]
    assert vocab.decode(np.array([[3, 2], [2, 2]], np.uint8)) == [["b", "a"], ["a"] * 2]
    assert vocab.decode([[3], [2, 3], []]) == [["b"], ["a", "b"], []]
    assert vocab.decode(np.array([[[2], [3]]])) == [[["a"], ["b"]]]
    assert vocab.decode([]) == vocab.decode(()) == []
    assert vocab.decode(np.zeros((0, 4))) == []


def test_the_pad_at_the_ends_of_a_row_is_left_out_unless_it_is_asked_for():
    vocab = Vocabulary(["a", "b"])

    assert vocab.decode([[0, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0]]) == [
        ["a", "<pad>", "b"],
        [],
    ]
    assert vocab.decode([1, 0], keep_pad=True) == ["a", "<pad>"]
    assert vocab.decode(0) == "<pad>"
    assert Vocabulary(["a"], pad=None).decode([0, 0]) == ["a", "a"]


def test_ids_in_tensors_and_series_are_decoded():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    vocab = Vocabulary(["a", "b"])

    assert vocab.decode(torch.tensor([[1, 2], [2, 0]])) == [["a", "b"], ["b"]]
    assert vocab.decode(pandas.Series([1, 2])) == ["a", "b"]
    assert vocab.decode(pandas.Series([[1], [2, 1]])) == [["a"], ["b", "a"]]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (3, "id 3 is no row; rows go from 0 to 2"),
        (-1, "id -1 is no row"),
        ([[1], [9]], "id 9 is no row"),
        ("ab", "whole numbers are needed"),
        ([1.0], "ids are float64"),
        ([True], "ids are bool"),
        (None, "ids are object"),
        ([["a"]], "whole numbers are needed"),
    ],
)
def test_what_is_no_id_is_not_decoded(wrong, why):
    with pytest.raises(VocabularyError, match=why):
        Vocabulary(["a", "b"]).decode(wrong)


def test_a_row_without_a_token_is_not_decoded():
    with pytest.raises(VocabularyError, match="id 2 is a row that no token has"):
        Vocabulary({"a": 1, "b": 3}).decode([1, 2])


def test_of_gives_a_vocabulary_another_pad_and_unk_and_moves_no_id():
    vocab = Vocabulary(["a", "b", "?"], unk="<unk>", counts={"a": 3, "b": 2})

    other = Vocabulary.of(vocab, pad="b", unk="?")
    more = Vocabulary.of(vocab, unk="new")

    assert other.ids == vocab.ids
    assert (other.pad_id, other.unk_id) == (3, 4)
    assert dict(other.special_tokens) == {"pad": "b", "unk": "?"}
    assert other.counts.tolist() == vocab.counts.tolist()
    assert more.tokens == (*vocab.tokens, "new")
    assert (more.pad_id, more.unk_id) == (0, 5)
    assert more.counts.tolist() == [0, 0, 3, 2, 0, 0]


def test_of_takes_pad_and_unk_away_and_leaves_what_is_not_named():
    vocab = Vocabulary(
        {"a": 2, "[M]": 5}, unk="a", special_tokens={"mask": "[M]"}, marks="wordpiece"
    )

    bare = Vocabulary.of(vocab, pad=None, unk=None)
    again = Vocabulary.of(bare, unk="a")

    assert bare.tokens == vocab.tokens
    assert dict(bare.special_tokens) == {"mask": "[M]"}
    assert bare.marks == "wordpiece"
    assert (again.pad_token, again.unk_id) == (None, 2)
    assert Vocabulary.of(again, pad="<pad>") == vocab
    assert Vocabulary.of(vocab, pad="a").unk_token is None


def test_a_pad_that_a_vocabulary_lacks_needs_id_0():
    free = Vocabulary({"a": 1}, pad=None)

    assert Vocabulary.of(free, pad="[PAD]").tokens == ("[PAD]", "a")
    with pytest.raises(VocabularyError, match=r"id 0 is that of '<pad>'; did you mean"):
        Vocabulary.of(Vocabulary(["a"]), pad="[PAD]")
    with pytest.raises(OptionError, match="pad is 0"):
        Vocabulary.of(free, pad=0)


def test_a_vocabulary_with_another_pad_reads_texts_as_before():
    vocab = Vocabulary(["A B", "c"], tokenize=lambda text: text.split(","), lower=False)

    assert Vocabulary.of(vocab, pad="c").encode(["c,A B"]).tolist() == [[2, 1]]
