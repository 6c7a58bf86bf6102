"""The vectorizers of scikit-learn as vocabularies."""

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

text = pytest.importorskip(
    "sklearn.feature_extraction.text", reason="scikit-learn is not installed"
)
TEXTS = ["the cat saw the dog", "the café"]


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
def test_the_number_of_a_column_is_the_id(name):
    vectorizer = getattr(text, name)().fit(TEXTS)

    vocab = Vocabulary.of(vectorizer)

    assert list(vocab.tokens) == vectorizer.get_feature_names_out().tolist()
    assert (vocab.pad_id, vocab.unk_id) == (None, None)


@pytest.mark.parametrize("name", ["CountVectorizer", "HashingVectorizer"])
def test_one_without_a_vocabulary_says_what_to_call(name):
    with pytest.raises(VocabularyError, match=f"the {name} has no vocabulary_; call"):
        Vocabulary.of(getattr(text, name)())


def test_an_id_without_a_column_is_named():
    vectorizer = text.CountVectorizer().fit(TEXTS)
    vectorizer.vocabulary_["dog"] = 9

    with pytest.raises(VocabularyError, match="'dog' has id 9, beyond the 5 columns"):
        Vocabulary.of(vectorizer)
