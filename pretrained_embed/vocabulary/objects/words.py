"""gensim, scikit-learn, spaCy and torchtext: their vocabularies of words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.objects.interface import offers
from pretrained_embed.vocabulary.tokens import OwnTokenizer


def of_dictionary(value: Any) -> Content | None:
    """Return the content of a ``Dictionary``.

    The counts are those of all occurrences, or of documents in a dictionary that was
    read from text, which has no others.
    """
    if not offers(value, "doc2bow", "filter_extremes"):
        return None
    by_id = value.cfs or value.dfs
    ids = dict(value.token2id)
    counts = {token: by_id[id] for token, id in ids.items() if id in by_id}
    return Content(ids, counts=counts or None)


def of_keyed_vectors(value: Any) -> Content | None:
    """Return the content of ``KeyedVectors``, with counts if they have such."""
    if not offers(value, "get_vecattr", "has_index_for"):
        return None
    ids = numbered(value.index_to_key)
    counts = None
    if "count" in value.expandos:
        counts = {token: value.get_vecattr(token, "count") for token in ids}
    return Content(ids, counts=counts)


def of_vectorizer(value: Any) -> Content | None:
    """Return the content of a vectorizer: the number of a column is the id.

    Raises `VocabularyError` where it has not been fitted, or an id has no column.
    """
    if not offers(value, "build_analyzer", "fit"):
        return None
    ids = getattr(value, "vocabulary_", None)
    if ids is None:
        raise VocabularyError(
            f"the {type(value).__name__} has no vocabulary_; call fit() first (a "
            "HashingVectorizer never has one)"
        )
    for token, id in ids.items():
        if id >= len(ids):
            raise VocabularyError(
                f"token {brief(token)} has id {id}, beyond the {len(ids)} columns of "
                f"the {type(value).__name__}"
            )
    name = f"{type(value).__name__} of scikit-learn"
    return Content(dict(ids), own=OwnTokenizer(name, tokenize=value.build_analyzer()))


def of_spacy(value: Any) -> Content | None:
    """Return the words of a vocabulary, in sorted order.

    Its own ids are hashes. The words are its lexemes, those it has met or was made
    with; ``vocab/strings.json`` of a saved model has all strings, labels too.
    """
    if offers(value, "make_doc", "pipe"):
        content = of_spacy(value.vocab)
        return content and replace(content, own=_pipeline(value))
    if not offers(value, "get_vector", "prune_vectors"):
        return None
    words = {lexeme.text for lexeme in value}
    if not words:
        raise VocabularyError(
            "the spaCy vocabulary has no lexemes; let it read texts first"
        )
    return Content(sorted(words))


def _pipeline(language: Any) -> OwnTokenizer:
    return OwnTokenizer(
        "a pipeline of spaCy",
        tokenize=lambda text: [token.text for token in language.make_doc(text)],
    )


def of_torchtext(value: Any) -> Content | None:
    """Return the content of a ``Vocab``; its default index is that of unk."""
    if not offers(value, "get_itos", "get_stoi", "get_default_index"):
        return None
    tokens = list(value.get_itos())
    _check_ids(tokens, value.get_stoi())
    default = value.get_default_index()
    return _of_list(tokens, default, None)


def of_old_torchtext(value: Any) -> Content | None:
    """Return the content of a ``Vocab`` with ``itos``, ``stoi`` and ``freqs``."""
    if not offers(value, "load_vectors", "set_vectors") or not hasattr(value, "itos"):
        return None
    tokens = list(value.itos)
    _check_ids(tokens, value.stoi)
    return _of_list(tokens, getattr(value, "unk_index", None), value.freqs)


def _of_list(tokens: list[str], default: int | None, counts: Any) -> Content:
    ids = numbered(tokens)
    special = {}
    if default is not None:
        if not 0 <= default < len(tokens):
            raise VocabularyError(
                f"the default index {default} is that of no token; the vocabulary has "
                f"{len(tokens)}"
            )
        special["unk"] = tokens[default]
    return Content(ids, counts=counts, special_tokens=special)


def _check_ids(tokens: list[str], ids: Any) -> None:
    """Raise where ``stoi`` says something else than ``itos``."""
    for id, token in enumerate(tokens):
        if ids.get(token) != id:
            raise VocabularyError(
                f"token {brief(token)} has id {id} in itos and {ids.get(token)} in stoi"
            )
    # Looking up an unknown token in the old stoi leaves it there with the id of unk.
    for token, id in ids.items():
        if id >= len(tokens):
            raise VocabularyError(
                f"token {brief(token)} has id {id} in stoi, beyond the {len(tokens)} "
                "tokens of itos"
            )
