"""torchtext: its ``Vocab`` from 0.9 on, and the one before."""

from __future__ import annotations

from typing import Any

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.objects.interface import offers


def of_vocab(value: Any) -> Content | None:
    """Return the content of a ``Vocab``; its default index is that of unk."""
    if not offers(value, "get_itos", "get_stoi", "get_default_index"):
        return None
    tokens = list(value.get_itos())
    _check(tokens, value.get_stoi())
    default = value.get_default_index()
    return _content(tokens, default, None)


def of_old_vocab(value: Any) -> Content | None:
    """Return the content of a ``Vocab`` with ``itos``, ``stoi`` and ``freqs``."""
    if not offers(value, "load_vectors", "set_vectors") or not hasattr(value, "itos"):
        return None
    tokens = list(value.itos)
    _check(tokens, value.stoi)
    return _content(tokens, getattr(value, "unk_index", None), value.freqs)


def _content(tokens: list[str], default: int | None, counts: Any) -> Content:
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


def _check(tokens: list[str], ids: Any) -> None:
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
