"""`TokenIds`: which token has which id, and how often it occurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import overload

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import UnknownTokenError
from pretrained_embed.vocabulary import rows

Int64Array = npt.NDArray[np.int64]


class TokenIds:
    """Tokens, their ids and their counts. It does not change once it is made.

    ``tokens``, ``pad``, ``unk`` and ``counts`` are those of `Vocabulary`.
    """

    __slots__ = ("_counts", "_ids", "_tokens")

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int],
        pad: str | None,
        unk: str | None,
        counts: Mapping[str, int] | None,
    ) -> None:
        self._ids = rows.ids_of(tokens, pad, unk)
        self._tokens = rows.tokens_by_id(self._ids)
        self._counts = None if counts is None else rows.counts_by_id(self._ids, counts)

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
