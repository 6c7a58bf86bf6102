"""`Content`: what a file or an object of another library says of a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeGuard, cast

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.checks import repeated, specials
from pretrained_embed.vocabulary.rows import inserted
from pretrained_embed.vocabulary.special_tokens import Marks, nearest, unknown
from pretrained_embed.vocabulary.token_rows import TokenRows
from pretrained_embed.vocabulary.tokens import OwnTokenizer


class Choice(Enum):
    """What can be asked for in place of a pad or unk token, or none."""

    AS_FOUND = "as found"  # what the file or object says


#: A pad or unk token, none, or what the file or object says.
Special = str | Literal[Choice.AS_FOUND] | None


@dataclass(frozen=True)
class Content:
    """What is said of a vocabulary.

    ``tokens`` and ``counts`` are those of `Vocabulary`, ``special_tokens`` and
    ``marks`` its properties, and ``own`` is what reads texts. Nothing is checked yet. A
    `TokenRows` is a list here: pad and unk can be put into it.
    """

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    marks: Marks | None = None
    own: OwnTokenizer | None = None


class Parts(NamedTuple):
    """Tokens, their counts and special tokens as `Vocabulary` takes them."""

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None
    pad: str | None
    unk: str | None
    others: dict[str, str]


def settle(content: Content, pad: Special, unk: Special) -> Parts:
    """Return the tokens, and as special those asked for, else those content names.

    A content that names no pad has ``<pad>`` where there is room, as in `Vocabulary`.
    Where it has one token for both pad and unk, that is the pad: so it is with GPT-2,
    which never needs its unk. Raises `VocabularyError` for a pad that the content names
    and does not have, or that is asked for and finds id 0 taken.
    """
    others = dict(content.special_tokens)
    said_pad, said_unk = others.pop("pad", None), others.pop("unk", None)
    for name, asked, said in (("pad", pad, said_pad), ("unk", unk, said_unk)):
        if asked is Choice.AS_FOUND and said is not None:
            known = list(content.tokens)
            if said not in known:
                raise unknown(name, said, known)
    if pad is Choice.AS_FOUND:
        pad = "<pad>" if said_pad is None else said_pad
    elif pad is not None and _brings_ids(content.tokens):
        at_0 = (token for token, id in content.tokens.items() if id == 0)
        check_room(pad, content.tokens, next(at_0, None))
    if unk is Choice.AS_FOUND:
        unk = said_unk if said_unk != pad else None
    tokens, counts = content.tokens, content.counts
    if isinstance(tokens, TokenRows):
        specials(pad, unk)
        by_row = cast(Int64Array | None, counts)  # of a list of lines
        tokens, counts = inserted(tokens, by_row, pad, unk)
    return Parts(tokens, counts, pad, unk, others)


def _brings_ids(tokens: object) -> TypeGuard[Mapping[str, int]]:
    return isinstance(tokens, Mapping) and not isinstance(tokens, Counter)


def check_room(pad: str, known: Collection[str], first: str | None) -> None:
    """Raise where a pad is not among tokens that keep their ids, the first at id 0."""
    if first is not None and pad not in known:
        raise VocabularyError(
            f"the pad token {brief(pad)} is not in the vocabulary, whose id 0 is that "
            f"of {brief(first)}{nearest(pad, known)}"
        )


def numbered(tokens: Iterable[str]) -> dict[str, int]:
    """Return the id of each token, which is its place in the order, from 0.

    Raises `VocabularyError` where one comes twice.
    """
    in_order: Sequence[str] = list(tokens)
    if again := repeated(in_order):
        first, second = again
        raise VocabularyError(
            f"token {brief(in_order[first])} has id {first} and again id {second}; a "
            "token has one id"
        )
    return {token: id for id, token in enumerate(in_order)}
