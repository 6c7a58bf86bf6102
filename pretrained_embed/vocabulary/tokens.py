"""From texts to tokens, and which of them a vocabulary keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from pretrained_embed.errors import OptionError, VocabularyError, brief

#: Gives the tokens of a text.
Tokenize = Callable[[str], Iterable[str]]

#: A text, or the tokens of one.
Text = str | Iterable[str]


class Tokenizer(NamedTuple):
    """How a text becomes tokens; tokens that come as such are left as they are."""

    tokenize: Tokenize | None = None  # None: at white space
    lower: bool = False

    def rows(self, texts: Iterable[Text]) -> Iterator[list[str]]:
        """Yield the tokens of each text.

        Raises `OptionError` where a text is neither a ``str`` nor ``str`` tokens.
        """
        if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
            raise OptionError(
                f"expected a list of texts, found {brief(texts)}; put a single "
                "text in a list"
            )
        for row, text in enumerate(texts):
            tokens = self._split(text) if isinstance(text, str) else text
            if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
                raise OptionError(
                    f"text {row}: expected a list of tokens, found {brief(tokens)}"
                )
            yield _strings(tokens, row)

    def _split(self, text: str) -> Iterable[str]:
        text = text.lower() if self.lower else text
        return text.split() if self.tokenize is None else self.tokenize(text)


def _strings(tokens: Iterable[str], row: int) -> list[str]:
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
