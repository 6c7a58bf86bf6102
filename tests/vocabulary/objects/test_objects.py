"""What is no vocabulary of another library, and what is asked for in its place."""

from collections import ChainMap, OrderedDict, UserDict, UserList, defaultdict, deque
from types import MappingProxyType
from unittest.mock import MagicMock

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary, objects


class Unknown:
    """An object that has whatever attribute it is asked for."""

    def __getattr__(self, name):
        return lambda *_: None


@pytest.mark.parametrize(
    "value",
    [
        {"a": 0},
        OrderedDict(a=0),
        defaultdict(int, a=0),
        ChainMap({"a": 0}),
        UserDict(a=0),
        MappingProxyType({"a": 0}),
        ["a"],
        ("a",),
        {"a"},
        deque("a"),
        UserList("a"),
        iter("a"),
        "a",
        b"a",
        None,
        3,
        object(),
        Unknown(),
        MagicMock(),
        Vocabulary(["a"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_object_of_another_library_is_left_alone(value):
    assert objects.read(value) is None


@pytest.mark.parametrize("value", [None, 3, object(), Unknown()])
def test_what_is_nothing_at_all_is_refused(value):
    with pytest.raises(VocabularyError, match="expected an iterable of tokens or a m"):
        Vocabulary.of(value)


def test_pad_and_unk_may_be_asked_for():
    assert Vocabulary.of(["a"], pad=None, unk="?").tokens == ("?", "a")
    assert Vocabulary.of({"a": 1}, pad="[PAD]").tokens == ("[PAD]", "a")
    assert Vocabulary.of({"a": 0}).pad_id is None


def test_a_pad_that_is_asked_for_needs_room():
    with pytest.raises(
        VocabularyError, match=r"'<pad>' is not .* 0 is that of 'a'; .* '\[PAD\]'"
    ):
        Vocabulary.of({"a": 0, "[PAD]": 1}, pad="<pad>")


def test_a_vocabulary_is_not_made_anew():
    vocab = Vocabulary(["a"])

    assert Vocabulary.of(vocab) is vocab
    assert Vocabulary.of(vocab, pad=None).tokens == ("<pad>", "a")
