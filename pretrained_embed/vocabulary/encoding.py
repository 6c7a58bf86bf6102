"""From texts to rows of ids of one length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OptionError, UnknownTokenError, VocabularyError

Int64Array = npt.NDArray[np.int64]

#: What becomes of a row longer than ``max_length``: an error, or the tokens too many
#: are cut off at the right (the end of the text) or at the left.
Truncate = Literal["error", "right", "left"]

#: A text, or the tokens of one.
Text = str | Iterable[str]


class Tokenizer(NamedTuple):
    """How a text becomes tokens; tokens that come as such are left as they are."""

    split: Callable[[str], Iterable[str]] | None = None  # None: at white space
    lower: bool = False

    def rows(self, texts: Iterable[Text]) -> Iterator[list[str]]:
        """Yield the tokens of each text.

        Raises `OptionError` where a text is neither a ``str`` nor ``str`` tokens.
        """
        if isinstance(texts, str):
            raise OptionError(
                f"expected a list of texts, found the single text {texts!r}; put it in "
                "a list"
            )
        if isinstance(texts, bytes) or not isinstance(texts, Iterable):
            raise OptionError(f"expected a list of texts, found {texts!r}")
        for row, text in enumerate(texts):
            yield self._tokens(text, row)

    def _tokens(self, text: Text, row: int) -> list[str]:
        tokens: Iterable[str] = text
        if isinstance(text, str):
            text = text.lower() if self.lower else text
            tokens = text.split() if self.split is None else self.split(text)
        if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
            what = "tokenize gave" if isinstance(text, str) else "the text is"
            raise OptionError(
                f"text {row}: {what} {tokens!r}, where a list of tokens was expected"
            )
        tokens = list(tokens)
        for token in tokens:
            if not isinstance(token, str):
                raise OptionError(f"text {row}: token {token!r} is not a str")
        return tokens


def encode(
    rows: Iterable[list[str]],
    ids: Mapping[str, int],
    *,
    pad_id: int | None,
    unk_id: int | None,
    max_length: int | None,
    truncate: Truncate,
) -> Int64Array:
    """Return the ids of the tokens of each row, int64 (rows, max_length)."""
    if truncate not in get_args(Truncate):
        raise OptionError(
            f"truncate is {truncate!r}; it can be {', '.join(get_args(Truncate))}"
        )
    if max_length is not None and max_length < 1:
        raise OptionError(f"max_length is {max_length}; it must be 1 or more")

    encoded: list[list[int]] = []
    for row, tokens in enumerate(rows):
        found: list[int] = []
        for token in tokens:
            token_id = ids.get(token, unk_id)
            if token_id is None:
                raise UnknownTokenError(
                    f"text {row}: token {token!r} is not in the vocabulary, which has no "
                    'unk token; make it with unk="<unk>"'
                )
            found.append(token_id)
        encoded.append(_cut(found, row, max_length, truncate))

    width = max_length or max(map(len, encoded), default=0)
    out = np.full((len(encoded), width), -1 if pad_id is None else pad_id, np.int64)
    for row, found in enumerate(encoded):
        if pad_id is None and len(found) < width:
            raise VocabularyError(
                f"text {row} has {len(found)} tokens where {width} are needed, and the "
                'vocabulary has no pad token; make it with pad="<pad>"'
            )
        out[row, : len(found)] = found
    return out


def _cut(
    found: list[int], row: int, max_length: int | None, truncate: Truncate
) -> list[int]:
    if max_length is None or len(found) <= max_length:
        return found
    if truncate == "error":
        raise VocabularyError(
            f"text {row} has {len(found)} tokens, max_length is {max_length}; "
            'truncate="right" cuts off its end, truncate="left" its beginning'
        )
    return found[:max_length] if truncate == "right" else found[-max_length:]
