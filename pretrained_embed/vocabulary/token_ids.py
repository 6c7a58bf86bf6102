"""`TokenIds`: which token has which id, how often it occurs, and what it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import overload

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OptionError, UnknownTokenError
from pretrained_embed.vocabulary import checks, rows
from pretrained_embed.vocabulary import special_tokens as specials
from pretrained_embed.vocabulary.special_tokens import Marks

Int64Array = npt.NDArray[np.int64]


class TokenIds:
    """Tokens, their ids, counts and parts. It does not change once it is made.

    The arguments are those of `Vocabulary`.
    """

    __slots__ = ("_counts", "_ids", "_marks", "_pad", "_special", "_tokens", "_unk")

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int],
        *,
        pad: str | None,
        unk: str | None,
        counts: Mapping[str, int] | None,
        special_tokens: Mapping[str, str] | None,
        marks: Marks | None,
    ) -> None:
        checks.specials(pad, unk)
        if counts is None and isinstance(tokens, Counter):
            counts = tokens
        if counts is not None and not isinstance(counts, Mapping):
            raise OptionError(f"counts is {type(counts).__name__}, not a mapping")
        specials.check_marks(marks)
        self._ids = rows.ids_of(tokens, pad, unk)
        self._tokens = rows.tokens_by_id(self._ids)
        self._counts = None if counts is None else rows.counts_by_id(self._ids, counts)
        self._pad = pad if pad in self._ids else None
        self._unk = unk
        self._special = specials.named(
            special_tokens, self._ids, pad=self._pad, unk=unk
        )
        self._marks = marks

    @property
    def tokens(self) -> tuple[str | None, ...]:
        """The tokens by id, ``len(vocab)`` of them; ``None`` is a hole."""
        return self._tokens

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of every token, read-only."""
        return MappingProxyType(self._ids)

    @property
    def counts(self) -> Int64Array | None:
        """How often each token occurs, int64 (len,), read-only; 0 where not known.

        ``None`` if no counts were given at all.
        """
        return self._counts

    @property
    def holes(self) -> Int64Array:
        """The ids that no token has, int64 (number of holes,), rising."""
        if len(self._ids) == len(self._tokens):
            return np.empty(0, np.int64)
        return np.array(
            [row for row, token in enumerate(self._tokens) if token is None], np.int64
        )

    @property
    def pad_token(self) -> str | None:
        """The token that fills short rows up, if there is one."""
        return self._pad

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token."""
        return None if self._pad is None else self._ids[self._pad]

    @property
    def unk_token(self) -> str | None:
        """The token that stands in for unknown ones, if there is one."""
        return self._unk

    @property
    def unk_id(self) -> int | None:
        """The id of the unk token."""
        return None if self._unk is None else self._ids[self._unk]

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The special tokens by what they are for, read-only; pad and unk are there.

        The others are those that the constructor was given, or that a file or tokenizer
        names: ``mask``, ``cls``, ``sep``, ``bos`` and ``eos``. A token that is special
        for another reason goes by itself.
        """
        return MappingProxyType(self._special)

    @property
    def marks(self) -> Marks | None:
        """How subword tokens show what begins a word, ``None`` where it is not known.

        ``"wordpiece"``: ``##`` before those that do not; ``"sentencepiece"``: ``▁``
        before those that do; ``"byte-level"``: ``Ġ`` before those that do, each byte
        being a printable character, as of GPT-2.
        """
        return self._marks

    @property
    def specials(self) -> frozenset[int]:
        """The ids of pad and unk, as far as there are such."""
        return frozenset(row for row in (self.pad_id, self.unk_id) if row is not None)

    def __getitem__(self, token: str) -> int:
        """Return the id of a token, or raise `UnknownTokenError`, a ``KeyError``."""
        try:
            return self._ids[token]
        except KeyError:
            raise UnknownTokenError(
                f"token {token!r} is not in the vocabulary"
            ) from None

    @overload
    def get(self, token: str, default: None = None) -> int | None: ...
    @overload
    def get(self, token: str, default: int) -> int: ...
    def get(self, token: str, default: int | None = None) -> int | None:
        """Return the id of a token, or ``default``."""
        return self._ids.get(token, default)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens by rising id; holes are left out."""
        return (token for token in self._tokens if token is not None)

    def __len__(self) -> int:
        """Return the highest id plus one: ``input_dim``, ``num_embeddings``."""
        return len(self._tokens)
