"""From texts to tokens, to rows of ids of one length, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import (
    OptionError,
    UnknownTokenError,
    VocabularyError,
    brief,
)
from pretrained_embed.vocabulary import checks
from pretrained_embed.vocabulary.number_rows import NumberRows
from pretrained_embed.vocabulary.token_rows import TokenRows

#: Returns the tokens of a text.
Tokenize = Callable[[str], Iterable[str]]

#: A text, or the tokens of one.
Text = str | Iterable[str]


#: Returns the ids of texts, with or without its own padding.
Encode = Callable[[list[str], bool], Sequence[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class OwnTokenizer:
    """How the object or file that a vocabulary was made from reads texts.

    ``name`` describes it. ``encode`` returns the ids of texts; ``tokenize`` only splits
    texts; ``unknown`` returns one of several ids for an unknown token. With none of
    them it cannot be run, and ``why`` is the reason or a remedy.
    """

    name: str
    encode: Encode | None = None
    tokenize: Tokenize | None = None
    unknown: Callable[[list[str]], Sequence[int]] | None = None
    why: str = "which neither a file nor another process can hold"

    def left_behind(self) -> OwnTokenizer:
        """Return its record for a file or another process, where it cannot run."""
        runs = self.encode or self.tokenize or self.unknown
        return OwnTokenizer(self.name) if runs else self


class Tokenizer(NamedTuple):
    """How a text becomes tokens or ids; lists of tokens are not changed.

    ``tokenize`` is the caller's function, ``own`` the tokenizer of the vocabulary's
    origin; without either a text is split at white space. ``recorded`` is False for
    files of early releases, which do not say whether there was one. A pickle has only
    the names of functions.
    """

    tokenize: Tokenize | None = None
    lower: bool = False
    own: OwnTokenizer | None = None
    recorded: bool = True

    @property
    def name(self) -> str | None:
        """The name of the tokenizer; ``None`` if texts are split at white space."""
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
        return self  # immutable, and a copy reads texts as the original does

    def rows(self, texts: Iterable[Text]) -> Iterator[list[str]]:
        """Yield the tokens of each text.

        Raises `OptionError` for a text that is neither a ``str`` nor ``str`` tokens.
        """
        for row, text in enumerate(self.read(texts)):
            yield self.tokens(text, row) if isinstance(text, str) else text

    def read(self, texts: Iterable[Text]) -> Iterator[str | list[str]]:
        """Yield each text to be split, or its tokens if it is a list."""
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
        """Return the tokens of a text, which is the one at ``row``."""
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
    """Return the special tokens, then the other tokens by falling count.

    ``max_tokens`` limits the length. Raises `VocabularyError` if no other token is
    left.
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


#: For a row longer than ``max_length``: an error, or cut off tokens at the right (the
#: end of the text) or at the left.
Truncate = Literal["error", "right", "left"]


def offers(value: object, *methods: str) -> bool:
    """Return whether the class of an object has these methods.

    The class is checked, not the object: an object that invents attributes, as a mock
    does, would seem to have any interface.
    """
    return all(callable(getattr(type(value), method, None)) for method in methods)


def array(value: Any) -> npt.NDArray[Any]:
    """Return a tensor or a similar object as an array."""
    if offers(value, "cpu"):  # torch tensors may be on another device
        value = value.cpu()
    return np.asarray(value)


class Encoder(NamedTuple):
    """Turns texts into ids: the tokens by id, the tokenizer, pad and unk."""

    rows: TokenRows
    tokenizer: Tokenizer
    pad_id: int | None
    unk_id: int | None

    def encode(
        self, texts: Iterable[Any], max_length: int | None, truncate: Truncate
    ) -> Int64Array:
        """Return the ids of texts: see `Vocabulary.encode`."""
        if truncate not in get_args(Truncate):
            raise OptionError(
                f"truncate is {brief(truncate)}; it can be "
                f"{', '.join(get_args(Truncate))}"
            )
        checks.positive("max_length", max_length)
        if isinstance(self.rows, NumberRows) and not isinstance(texts, str | bytes):
            if max_length is None and hasattr(texts, "shape"):
                return self._rows_of(array(texts), "")
            texts = list(texts)
            if max_length is None and texts and all(map(_is_whole, texts)):
                return self._rows_of(np.array(texts), "")
        rows = [
            _cut(ids, row, max_length, truncate)
            for row, ids in enumerate(self._ids_of(texts, keep_pad=max_length is None))
        ]
        return _filled(rows, self.pad_id, max_length)

    def _ids_of(self, texts: Iterable[Any], *, keep_pad: bool) -> list[list[int]]:
        """Return the ids of each text."""
        if isinstance(self.rows, NumberRows) and not isinstance(texts, str | bytes):
            return [self._ids_of_row(text, row) for row, text in enumerate(texts)]
        own = self.tokenizer.own
        if own is None or own.encode is None or self.tokenizer.tokenize is not None:
            rows: Iterable[list[str]] = self.tokenizer.rows(texts)
            return [self._looked_up(tokens, row) for row, tokens in enumerate(rows)]
        given = list(self.tokenizer.read(texts))
        strings = [text for text in given if isinstance(text, str)]
        found = own.encode(strings, keep_pad) if strings else []
        if len(found) != len(strings):
            raise VocabularyError(
                f"{own.name} gave {len(found)} rows of ids for {len(strings)} texts"
            )
        encoded = iter(found)
        ids = [
            [int(id) for id in next(encoded)]
            if isinstance(text, str)
            else self._looked_up(text, row)
            for row, text in enumerate(given)
        ]
        for row in ids:
            if row and not 0 <= min(row) <= max(row) < len(self.rows):
                raise VocabularyError(
                    f"{own.name} gave an id that is no row: ids were {min(row)} to "
                    f"{max(row)}, and the vocabulary has {len(self.rows)} rows; make "
                    "it anew if the tokenizer was changed since"
                )
        return ids

    def _ids_of_row(self, given: Any, row: int) -> list[int]:
        """Return the ids for a row of numbers, or for a text of their digits."""
        if hasattr(given, "shape"):
            numbers = array(given)
        else:
            text = (
                given.lower()
                if isinstance(given, str) and self.tokenizer.lower
                else given
            )
            is_text = isinstance(text, str)
            tokens = self.tokenizer.tokens(text, row) if is_text else list(text)
            if not tokens or not all(map(_is_whole, tokens)):
                return self._looked_up(_strings(tokens, row), row)
            numbers = np.array(tokens)
        ids: list[int] = self._rows_of(numbers, f"text {row}: ").tolist()
        return ids

    def _rows_of(self, numbers: npt.NDArray[Any], where: str) -> Int64Array:
        """Return the ids for an array of numbers, of the same shape."""
        if numbers.dtype.kind not in "iu" and numbers.size:
            raise VocabularyError(
                f"{where}an array of {numbers.dtype} has no whole numbers that int64 "
                "holds; the tokens of this vocabulary are such"
            )
        ids = cast(NumberRows, self.rows).rows_of_numbers(numbers)
        unknown = ids < 0
        if not unknown.any():
            return ids
        if self.unk_id is None:
            raise UnknownTokenError(
                f"{where}the number {numbers[unknown][0]} is not in the vocabulary, "
                'which has no unk token; make it with unk="<unk>"'
            )
        ids[unknown] = self.unk_id
        return ids

    def _looked_up(self, tokens: list[str], row: int) -> list[int]:
        """Return the ids of the tokens of a text."""
        own, ids, unk_id = self.tokenizer.own, self.rows.ids, self.unk_id
        if own is not None and own.unknown is not None:
            others = [token for token in dict.fromkeys(tokens) if token not in ids]
            known = dict(
                zip(others, own.unknown(others) if others else (), strict=True)
            )
            return [ids[t] if t in ids else int(known[t]) for t in tokens]
        if unk_id is not None:
            return [ids.get(token, unk_id) for token in tokens]
        try:
            return [ids[token] for token in tokens]
        except KeyError as error:
            raise UnknownTokenError(
                f"text {row}: token {brief(error.args[0])} is not in the vocabulary, "
                'which has no unk token; make it with unk="<unk>"'
            ) from None

    def decode(self, ids: Any, *, keep_pad: bool) -> Any:
        """Return the tokens of ids: see `Vocabulary.decode`."""
        if offers(ids, "to_list"):  # ragged tensors and pandas objects
            ids = ids.to_list()
        if isinstance(ids, list | tuple) and not all(map(_is_whole, ids)):
            return [self.decode(row, keep_pad=keep_pad) for row in ids]
        wanted = _array(ids)
        if wanted.ndim > 1:
            return [self.decode(row, keep_pad=keep_pad) for row in wanted]
        checks.row_numbers(wanted, len(self.rows))
        for hole in wanted[np.isin(wanted, self.rows.holes)]:
            raise VocabularyError(f"id {hole} is a row that no token has")
        if wanted.ndim == 0:
            return self.rows.strings(wanted.reshape(1).astype(np.int64))[0]
        if not keep_pad and self.pad_id is not None:
            kept = np.flatnonzero(wanted != self.pad_id)
            wanted = wanted[kept[0] : kept[-1] + 1] if len(kept) else wanted[:0]
        return self.rows.strings(wanted.astype(np.int64))


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _array(ids: Any) -> npt.NDArray[Any]:
    """Return ids as an array, also those of tensors and pandas."""
    try:
        return array(ids)
    except (TypeError, ValueError) as error:
        raise VocabularyError(
            f"ids are {brief(ids)}; whole numbers are needed"
        ) from error


def _filled(
    rows: list[list[int]], pad_id: int | None, max_length: int | None
) -> Int64Array:
    """Return rows of ids as one array, int64 (rows, max_length), padded."""
    width = max_length or max(map(len, rows), default=0)
    out = np.full((len(rows), width), -1 if pad_id is None else pad_id, np.int64)
    for row, found in enumerate(rows):
        if pad_id is None and len(found) < width:
            raise VocabularyError(
                f"text {row} has {len(found)} tokens where {width} are needed, and the "
                'vocabulary has no pad token; make it with pad="<pad>", or with one of '
                "its tokens where ids are fixed: Vocabulary.of(vocabulary, pad=TOKEN)"
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
