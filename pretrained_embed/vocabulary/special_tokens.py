"""Special tokens: those that stand for no text, and what each is for.

They go by the names ``pad``, ``unk``, ``mask``, ``cls``, ``sep``, ``bos`` and ``eos``
where they have one of these parts, and by themselves where they have none. One token
may have several parts: GPT-2's ``<|endoftext|>`` begins and ends texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Literal, get_args

from pretrained_embed.errors import OptionError, VocabularyError, brief

#: How the tokens of a subword tokenizer show whether they begin a word: ``##`` before
#: those that do not (``wordpiece``, BERT), ``▁`` before those that do
#: (``sentencepiece``), or ``Ġ`` before those that do, with each byte written as a
#: printable character (``byte-level``, GPT-2).
Marks = Literal["wordpiece", "sentencepiece", "byte-level"]


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


def check_marks(marks: Marks | None) -> None:
    """Raise `OptionError` for marks that we do not know."""
    if marks is not None and marks not in get_args(Marks):
        raise OptionError(f"marks is {marks!r}; it can be {', '.join(get_args(Marks))}")


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
