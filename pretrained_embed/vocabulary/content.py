"""The content of a vocabulary file or of an object of another library.

Special tokens are no text. Each has the name of its role, ``pad``, ``unk``, ``mask``,
``cls``, ``sep``, ``bos`` or ``eos``; without a role, the token is its own name. One
token may have several roles: GPT-2's ``<|endoftext|>`` begins and ends texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Literal, NamedTuple, TypeGuard, cast

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import OptionError, VocabularyError, brief
from pretrained_embed.vocabulary.checks import repeated, specials
from pretrained_embed.vocabulary.encoding import OwnTokenizer, Tokenizer
from pretrained_embed.vocabulary.markers import Marks
from pretrained_embed.vocabulary.rows import inserted
from pretrained_embed.vocabulary.token_rows import TokenRows

#: The roles of special tokens.
PARTS = ("pad", "unk", "mask", "cls", "sep", "bos", "eos")

#: How many tokens are searched for a similar one.
_LOOKED_AT = 1_000_000

#: Letters of special tokens that tell the role, besides the names of the roles.
_CUSTOMARY = {part: part for part in PARTS} | {"s": "bos"}


def parts_of(special: Iterable[str], said: Mapping[str, str]) -> dict[str, str]:
    """Return special tokens by role: the given roles, and the customary ones.

    A file may only say that ``[PAD]``, ``<mask>`` or ``</s>`` is special. A token
    without a role has its own name.

    >>> parts_of(["[PAD]", "</s>", "<extra>"], {"unk": "<unk>"})
    {'unk': '<unk>', 'pad': '[PAD]', 'eos': '</s>', '<extra>': '<extra>'}
    """
    parts = dict(said)
    for token in special:
        part = "eos" if token == "</s>" else _CUSTOMARY.get(_letters(token))
        if part is not None:
            parts.setdefault(part, token)
        if token not in parts.values():
            parts[token] = token
    return parts


def named(
    given: Mapping[str, str] | None, *, pad: str | None, unk: str | None
) -> dict[str, str]:
    """Return the special tokens by name, pad and unk first.

    Raises `OptionError` for a value that is no mapping from ``str`` to ``str``, or that
    has another pad or unk.
    """
    ours = {"pad": pad, "unk": unk}
    special = {name: token for name, token in ours.items() if token is not None}
    if given is None:
        return special
    if not isinstance(given, Mapping):
        raise OptionError(f"special_tokens is {type(given).__name__}, not a mapping")
    for name, token in given.items():
        if not isinstance(name, str) or not isinstance(token, str):
            raise OptionError(
                f"special_tokens has {brief(name)}: {brief(token)}; it goes from str "
                "to str"
            )
        if ours.get(name, token) != token:
            raise OptionError(
                f"special_tokens has {brief(name)}: {brief(token)}, but {name} is "
                f"{brief(ours[name])}"
            )
        special[name] = token
    return special


def unknown(name: str, token: str, known: Iterable[str]) -> VocabularyError:
    """Return the error for a special token that is not in the vocabulary."""
    called = "token" if name == token else f"{name} token"
    return VocabularyError(
        f"the {called} {brief(token)} is not in the vocabulary{nearest(token, known)}"
    )


def nearest(token: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` for a token close to a known one, or ``""``.

    Only the first million tokens of a vocabulary are compared.

    >>> nearest("<PAD>", ["[PAD]", "pod"])
    "; did you mean '[PAD]'?"
    """
    import difflib

    letters = _letters(token)
    known = [other for other in islice(known, _LOOKED_AT) if isinstance(other, str)]
    same = [other for other in known if letters and _letters(other) == letters]
    if not same:
        alike = [other for other in known if abs(len(other) - len(token)) <= 2]
        same = difflib.get_close_matches(token, alike, 1)
    if not same:
        return ""
    best = max(
        same, key=lambda other: difflib.SequenceMatcher(None, token, other).ratio()
    )
    return f"; did you mean {brief(best)}?"


def _letters(token: str) -> str:
    return "".join(filter(str.isalnum, token)).casefold()


class Choice(Enum):
    """A pad or unk argument that is no token."""

    AS_FOUND = "as found"  # the token of the file or object


#: A pad or unk token, none, or the one of the file or object.
Special = str | Literal[Choice.AS_FOUND] | None


@dataclass(frozen=True)
class RawVocabulary:
    """The unchecked content of a vocabulary.

    ``tokens`` and ``counts`` are as in `Vocabulary`, ``special_tokens`` and ``marks``
    are its properties, and ``own`` tokenizes texts. A `TokenRows` is treated as a list:
    pad and unk can be inserted. A ``tokenizer`` means a saved `Vocabulary`: its ids
    stay, and no pad is added.
    """

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    marks: Marks | None = None
    own: OwnTokenizer | None = None
    tokenizer: Tokenizer | None = None


class Settled(NamedTuple):
    """Tokens, their counts and special tokens in the form that `Vocabulary` takes."""

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None
    pad: str | None
    unk: str | None
    others: dict[str, str]


def settle(content: RawVocabulary, pad: Special, unk: Special) -> Settled:
    """Return the tokens and the special tokens: the given ones, or the content's.

    A content without a pad gets ``<pad>`` if there is room, as in `Vocabulary`. If pad
    and unk are the same token, it is the pad: GPT-2, for example, never needs its unk.
    Raises `VocabularyError` for a pad that the content names but lacks, and for a
    requested pad if id 0 is taken.
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
        by_row = cast(Int64Array | None, counts)  # for a list of lines
        tokens, counts = inserted(tokens, by_row, pad, unk)
    return Settled(tokens, counts, pad, unk, others)


def _brings_ids(tokens: object) -> TypeGuard[Mapping[str, int]]:
    return isinstance(tokens, Mapping) and not isinstance(tokens, Counter)


def check_room(pad: str, known: Collection[str], first: str | None) -> None:
    """Raise an error for a pad that is missing from tokens which keep their ids."""
    if first is not None and pad not in known:
        raise VocabularyError(
            f"the pad token {brief(pad)} is not in the vocabulary, whose id 0 is that "
            f"of {brief(first)}{nearest(pad, known)}"
        )


def numbered(tokens: Iterable[str]) -> dict[str, int]:
    """Return the id of each token: its position in the order, from 0.

    Raises `VocabularyError` for a token that is there twice.
    """
    in_order: Sequence[str] = list(tokens)
    if again := repeated(in_order):
        first, second = again
        raise VocabularyError(
            f"token {brief(in_order[first])} has id {first} and again id {second}; a "
            "token has one id"
        )
    return {token: id for id, token in enumerate(in_order)}
