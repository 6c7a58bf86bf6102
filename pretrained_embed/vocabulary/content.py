"""What a file or an object of another library says of a vocabulary.

Special tokens stand for no text. They go by the names ``pad``, ``unk``, ``mask``,
``cls``, ``sep``, ``bos`` and ``eos`` where they have one of these parts, and by
themselves where they have none. One token may have several parts: GPT-2's
``<|endoftext|>`` begins and ends texts.
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

#: The parts that special tokens may have.
PARTS = ("pad", "unk", "mask", "cls", "sep", "bos", "eos")

#: How many tokens are looked at for one that resembles another.
_LOOKED_AT = 1_000_000

#: What the letters of a special token say of its part, beyond the names of the parts.
_CUSTOMARY = {part: part for part in PARTS} | {"s": "bos"}


def parts_of(special: Iterable[str], said: Mapping[str, str]) -> dict[str, str]:
    """Return special tokens by their parts: those said, and those that are customary.

    A file may only say that ``[PAD]``, ``<mask>`` or ``</s>`` is special. What has no
    part goes by itself.

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
    """Return the special tokens by name, with pad and unk before the others.

    Raises `OptionError` for what is no mapping from ``str`` to ``str`` or names another
    pad or unk.
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
    """Return the error that a special token is not among the known ones."""
    called = "token" if name == token else f"{name} token"
    return VocabularyError(
        f"the {called} {brief(token)} is not in the vocabulary{nearest(token, known)}"
    )


def nearest(token: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` for a token that is nearly known, or ``""``.

    Of a large vocabulary only the first million tokens are looked at.

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
    """What can be asked for in place of a pad or unk token, or none."""

    AS_FOUND = "as found"  # what the file or object says


#: A pad or unk token, none, or what the file or object says.
Special = str | Literal[Choice.AS_FOUND] | None


@dataclass(frozen=True)
class RawVocabulary:
    """What is said of a vocabulary.

    ``tokens`` and ``counts`` are those of `Vocabulary`, ``special_tokens`` and
    ``marks`` its properties, and ``own`` is what reads texts. Nothing is checked yet. A
    `TokenRows` is a list here: pad and unk can be put into it. Where there is a
    ``tokenizer``, a `Vocabulary` was saved: its ids stay, and it has no pad that it
    does not name.
    """

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    marks: Marks | None = None
    own: OwnTokenizer | None = None
    tokenizer: Tokenizer | None = None


class Settled(NamedTuple):
    """Tokens, their counts and special tokens as `Vocabulary` takes them."""

    tokens: Iterable[str] | Mapping[str, int] | TokenRows
    counts: Mapping[str, int] | Int64Array | None
    pad: str | None
    unk: str | None
    others: dict[str, str]


def settle(content: RawVocabulary, pad: Special, unk: Special) -> Settled:
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
    return Settled(tokens, counts, pad, unk, others)


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
