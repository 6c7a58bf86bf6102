"""gensim: ``Dictionary`` and ``KeyedVectors``."""

from __future__ import annotations

from typing import Any

from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.objects.interface import offers


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
