"""Keras: its layers in a process of their own, and the Tokenizer of old."""

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

TEXTS = ["Hope to see you soon", "Nice to see you again"]


def test_layers(tmp_path):
    pytest.importorskip("keras", reason="Keras is not installed")
    pytest.importorskip("tensorflow", reason="layers of strings need TensorFlow")
    suite = Path(__file__).with_name("keras_suite.py")
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "pytest", suite, "-p", "no:cacheprovider"]

    done = subprocess.run(
        [*command, "--basetemp", tmp_path / "suite"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


class Tokenizer:
    """What the Tokenizer of Keras 2 has: ids from 1, by falling count."""

    def __init__(self, num_words=None, oov_token=None):
        self.num_words, self.oov_token = num_words, oov_token
        self.word_counts: OrderedDict[str, int] = OrderedDict()
        self.word_index: dict[str, int] = {}

    def fit_on_texts(self, texts):
        for word in " ".join(texts).lower().split():
            self.word_counts[word] = self.word_counts.get(word, 0) + 1
        words = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        words = words if self.oov_token is None else [self.oov_token, *words]
        self.word_index = {word: id for id, word in enumerate(words, 1)}

    def texts_to_sequences(self, texts):
        known = self.word_index
        oov = known.get(self.oov_token)
        rows = [
            [known.get(word, oov) for word in text.lower().split()] for text in texts
        ]
        return [[id for id in row if id is not None] for row in rows]


def test_a_tokenizer_leaves_row_0_to_the_pad():
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(TEXTS)

    vocab = Vocabulary.of(tokenizer)

    assert vocab.tokens[:4] == ("<pad>", "to", "see", "you")
    assert vocab.pad_id == 0
    assert vocab.counts.tolist() == [0, 2, 2, 2, 1, 1, 1, 1]
    assert {**vocab.ids, "<pad>": 0} == {**tokenizer.word_index, "<pad>": 0}


def test_words_beyond_num_words_have_no_row():
    tokenizer = Tokenizer(num_words=3)
    tokenizer.fit_on_texts(TEXTS)

    assert Vocabulary.of(tokenizer).tokens == ("<pad>", "to", "see")


def test_the_oov_token_of_a_tokenizer_is_unk():
    tokenizer = Tokenizer(oov_token="<oov>")
    tokenizer.fit_on_texts(TEXTS)

    assert Vocabulary.of(tokenizer).unk_id == 1


@pytest.mark.parametrize(("oov", "ids"), [(None, [2, 3]), ("<oov>", [3, 1, 4])])
def test_a_tokenizer_reads_texts_itself(oov, ids):
    tokenizer = Tokenizer(oov_token=oov)
    tokenizer.fit_on_texts(TEXTS)

    assert Vocabulary.of(tokenizer).encode(["SEE dogs you"]).tolist() == [ids]


def test_a_tokenizer_that_has_read_nothing_says_what_to_call():
    with pytest.raises(VocabularyError, match="call fit_on_texts"):
        Vocabulary.of(Tokenizer())


def test_a_tokenizer_with_one_id_for_two_words_is_refused():
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(TEXTS)
    tokenizer.word_index["to"] = tokenizer.word_index["see"]

    with pytest.raises(VocabularyError, match="'to' and 'see' both have id 2"):
        Vocabulary.of(tokenizer)


def test_the_real_tokenizer_is_such_a_one():
    legacy = pytest.importorskip(
        "keras.src.legacy.preprocessing.text", reason="Keras has dropped its Tokenizer"
    )
    for options in ({}, {"num_words": 3}, {"oov_token": "<oov>"}):
        theirs, ours = legacy.Tokenizer(**options), Tokenizer(**options)
        theirs.fit_on_texts(TEXTS)
        ours.fit_on_texts(TEXTS)

        assert Vocabulary.of(theirs).ids == Vocabulary.of(ours).ids
