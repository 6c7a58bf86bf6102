"""torchtext's Vocab, new and old, as vocabularies; the stand-ins have its interface.

torchtext is no longer developed, and its last release fits no torch of today. The old
stand-in was held against torchtext 0.6.
"""

from collections import Counter, defaultdict

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary


class Vocab:
    """What torchtext 0.9 to 0.18 has."""

    def __init__(self, *tokens, default=None):
        self.itos = list(tokens)
        self.stoi = {token: id for id, token in enumerate(tokens)}
        self.default = default

    def get_itos(self):
        return self.itos

    def get_stoi(self):
        return self.stoi

    def get_default_index(self):
        return self.default


class OldVocab:
    """What torchtext up to 0.8 has."""

    def __init__(self, counter, specials=("<unk>", "<pad>")):
        self.freqs = counter
        self.itos = [*specials, *(token for token, _ in counter.most_common())]
        self.unk_index = 0
        self.stoi = defaultdict(lambda: 0)
        self.stoi.update({token: id for id, token in enumerate(self.itos)})

    def load_vectors(self, vectors):
        raise NotImplementedError

    def set_vectors(self, stoi, vectors, dim):
        raise NotImplementedError


def test_the_default_index_is_that_of_unk():
    vocab = Vocabulary.of(Vocab("<unk>", "<pad>", "the", default=0))

    assert vocab.tokens == ("<unk>", "<pad>", "the")
    assert (vocab.pad_id, vocab.unk_id) == (1, 0)
    assert Vocabulary.of(Vocab("the", "cat")).special_tokens == {}


def test_a_default_index_of_no_token_is_refused():
    for wrong in (2, -1):
        with pytest.raises(VocabularyError, match=f"the default index {wrong} is that"):
            Vocabulary.of(Vocab("the", "cat", default=wrong))


def test_an_old_vocab_has_counts():
    vocab = Vocabulary.of(OldVocab(Counter({"the": 5, "cat": 2})))

    assert vocab.tokens == ("<unk>", "<pad>", "the", "cat")
    assert (vocab.pad_id, vocab.unk_id) == (1, 0)
    assert vocab.counts.tolist() == [0, 0, 5, 2]


def test_tokens_that_an_old_vocab_was_asked_for_in_vain_are_none_of_its():
    old = OldVocab(Counter(["the"]))
    assert old.stoi["dog"] == 0

    assert Vocabulary.of(old).tokens == ("<unk>", "<pad>", "the")


def test_a_vocab_that_contradicts_itself_is_refused():
    wrong = Vocab("the", "cat")
    wrong.stoi["cat"] = 0
    with pytest.raises(VocabularyError, match="'cat' has id 1 in itos and 0 in stoi"):
        Vocabulary.of(wrong)

    beyond = Vocab("the", "cat")
    beyond.stoi["dog"] = 2
    with pytest.raises(VocabularyError, match="'dog' has id 2 in stoi, beyond the 2"):
        Vocabulary.of(beyond)

    twice = Vocab("the", "the")
    with pytest.raises(VocabularyError, match="'the' has id 0 in itos and 1 in stoi"):
        Vocabulary.of(twice)
