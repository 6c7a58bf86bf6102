"""From texts to tokens, and which of them a vocabulary keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pretrained_embed.errors import OptionError, VocabularyError, brief

#: Gives the tokens of a text.
Tokenize = Callable[[str], Iterable[str]]

#: A text, or the tokens of one.
Text = str | Iterable[str]


#: Gives the ids of texts, and leaves the padding of its own in them or out.
Encode = Callable[[list[str], bool], Sequence[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class OwnTokenizer:
    """What a vocabulary's origin does with texts itself.

    ``name`` says what it is. ``encode`` gives the ids of texts. An origin that only
    cuts texts up has ``tokenize``, and one that gives several ids to tokens it does not
    know ``unknown``. Where it has none of them, it cannot be run, and ``why`` is the
    reason, or what to do about it.
    """

    name: str
    encode: Encode | None = None
    tokenize: Tokenize | None = None
    unknown: Callable[[list[str]], Sequence[int]] | None = None
    why: str = "which neither a file nor another process can hold"

    def left_behind(self) -> OwnTokenizer:
        """Return what is left of it in a file or another process: that there is one."""
        runs = self.encode or self.tokenize or self.unknown
        return OwnTokenizer(self.name) if runs else self


class Tokenizer(NamedTuple):
    """How a text becomes tokens or ids; tokens that come as such are left as they are.

    ``tokenize`` is the caller's function, ``own`` what the vocabulary's origin does;
    without either a text is split at white space. ``recorded`` is False where a file
    does not tell: early releases did not write down what the origin does.

    Functions do not leave the process: a pickle has their names.
    """

    tokenize: Tokenize | None = None
    lower: bool = False
    own: OwnTokenizer | None = None
    recorded: bool = True

    @property
    def name(self) -> str | None:
        """What reads a text, ``None`` where it is split at white space."""
        if self.tokenize is not None:
            kind = type(self.tokenize).__qualname__
            return str(getattr(self.tokenize, "__qualname__", kind))
        return None if self.own is None else self.own.name

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.own and self.own.left_behind()
        if self.tokenize is not None:
            own = OwnTokenizer(str(self.name))
        return Tokenizer, (None, self.lower, own, self.recorded)

    def __deepcopy__(self, _: dict[int, Any]) -> Tokenizer:
        return self  # it does not change, and a copy reads texts as the original does

    def rows(self, texts: Iterable[Text]) -> Iterator[list[str]]:
        """Yield the tokens of each text.

        Raises `OptionError` where a text is neither a ``str`` nor ``str`` tokens.
        """
        for row, text in enumerate(self.read(texts)):
            yield self.tokens(text, row) if isinstance(text, str) else text

    def read(self, texts: Iterable[Text]) -> Iterator[str | list[str]]:
        """Yield each text as it is to be cut up, or its tokens where it comes so."""
        if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
            raise OptionError(
                f"expected a list of texts, found {brief(texts)}; put a single "
                "text in a list"
            )
        for row, text in enumerate(texts):
            if isinstance(text, str):
                yield text.lower() if self.lower else text
            else:
                yield _strings(text, row)

    def tokens(self, text: str, row: int) -> list[str]:
        """Return the tokens of a text, the one at ``row``."""
        if self.tokenize is not None:
            return _strings(self.tokenize(text), row)
        if self.own is None or self.own.unknown is not None:
            return text.split()
        if self.own.tokenize is not None:
            return _strings(self.own.tokenize(text), row)
        raise OptionError(
            f"text {row} is a str, and this vocabulary split texts with "
            f"{self.own.name}, {self.own.why}; give lists of tokens, as in "
            "encode([['see', 'you']])"
        )


def _strings(tokens: Iterable[str], row: int) -> list[str]:
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
        raise OptionError(
            f"text {row}: expected a list of tokens, found {brief(tokens)}"
        )
    strings = list(tokens)
    for token in strings:
        if not isinstance(token, str):
            raise OptionError(f"text {row}: token {brief(token)} is not a str")
    return strings


def frequent(
    counts: Counter[str],
    *,
    min_count: int,
    max_tokens: int | None,
    specials: Collection[str],
) -> list[str]:
    """Return the specials, then the other tokens by falling count.

    ``max_tokens`` is the length of all. Raises `VocabularyError` if no other is left.
    """
    others = [
        token
        for token, count in counts.most_common()
        if count >= min_count and token not in specials
    ]
    if max_tokens is not None:
        del others[max(max_tokens - len(specials), 0) :]
    if not others:
        raise VocabularyError(
            f"of {len(counts)} tokens in the texts none is left with min_count="
            f"{min_count} and max_tokens={max_tokens}"
        )
    return [*specials, *others]
