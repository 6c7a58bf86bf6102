"""`TokenIds`: which token has which id, how often it occurs, and what it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import overload

from pretrained_embed.arrays import Int64Array, PackedTokens
from pretrained_embed.errors import UnknownTokenError, brief
from pretrained_embed.vocabulary import checks, rows
from pretrained_embed.vocabulary import special_tokens as specials
from pretrained_embed.vocabulary.markers import MARKERS, Marker, marker_of
from pretrained_embed.vocabulary.rows import counts_of
from pretrained_embed.vocabulary.special_tokens import Marks
from pretrained_embed.vocabulary.token_rows import TokenRows

#: How many bytes of the tokens the hash of a vocabulary is made of.
_HASHED = 1 << 12


class TokenIds:
    """Tokens, their ids, counts and parts. It does not change once it is made.

    The arguments are those of `Vocabulary`.
    """

    __slots__ = (
        *("_counts", "_marks", "_pad", "_rows", "_special", "_special_ids", "_unk"),
        "_whole",
    )

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int] | TokenRows,
        *,
        pad: str | None,
        unk: str | None,
        counts: Mapping[str, int] | Int64Array | None,
        special_tokens: Mapping[str, str] | None,
        marks: Marks | None,
    ) -> None:
        checks.specials(pad, unk)
        if counts is None and isinstance(tokens, Counter):
            counts = tokens
        specials.check_marks(marks)
        self._rows = rows.rows_of(tokens, pad, unk)
        self._counts = counts_of(counts, tokens, self._rows)
        special = specials.named(special_tokens, pad=pad, unk=unk)
        self._special_ids = self._rows.find([*special.values()])
        if pad not in self._special_ids and "pad" not in (special_tokens or ()):
            special.pop("pad", None)  # a mapping without room for it
        for name, token in special.items():
            if token not in self._special_ids:
                raise specials.unknown(name, token, self._rows)
        self._special = special
        self._pad, self._unk = special.get("pad"), unk
        self._marks = marks
        self._whole: TokenIds | None = None

    @property
    def tokens(self) -> tuple[str | None, ...]:
        """The tokens by id, ``len(vocab)`` of them; ``None`` is a hole.

        The vocabulary keeps its tokens as bytes; this makes a ``str`` of each when it
        is first asked for. `strings` makes those of some.
        """
        return self._rows.tokens

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of every token, read-only; a ``dict`` of all, made like `tokens`."""
        return MappingProxyType(self._rows.ids)

    @property
    def token_rows(self) -> TokenRows:
        """The tokens by id as they are kept: packed."""
        return self._rows

    @property
    def packed(self) -> PackedTokens:
        """The tokens by id as bytes, read-only; holes have none, see `holes`."""
        return self._rows.packed

    def strings(self, ids: Int64Array) -> list[str]:
        """Return the tokens of ids, int64 (n,), none of which is a hole."""
        return self._rows.strings(ids)

    @property
    def counts(self) -> Int64Array | None:
        """How often each token occurs, int64 (len,), read-only; 0 where not known.

        ``None`` if no counts were given at all.
        """
        return self._counts

    @property
    def holes(self) -> Int64Array:
        """The ids that no token has, int64 (number of holes,), rising."""
        return self._rows.holes

    @property
    def pad_token(self) -> str | None:
        """The token that fills short rows up, if there is one."""
        return self._pad

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token."""
        return None if self._pad is None else self._special_ids[self._pad]

    @property
    def unk_token(self) -> str | None:
        """The token that stands in for unknown ones, if there is one."""
        return self._unk

    @property
    def unk_id(self) -> int | None:
        """The id of the unk token."""
        return None if self._unk is None else self._special_ids[self._unk]

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
    def marker(self) -> Marker:
        """What tells whether a token begins a word: by `marks`, or by most tokens.

        That of a part is that of the vocabulary it is a part of.
        """
        if self._marks is not None:
            return MARKERS[self._marks]
        return marker_of(self) if self._whole is None else self._whole.marker

    def belong_to(self, whole: TokenIds) -> None:
        """Say that these are some of the tokens of another vocabulary."""
        self._whole = whole

    @property
    def specials(self) -> frozenset[int]:
        """The ids of pad and unk, as far as there are such."""
        return frozenset(row for row in (self.pad_id, self.unk_id) if row is not None)

    def __getitem__(self, token: str) -> int:
        """Return the id of a token, or raise `UnknownTokenError`, a ``KeyError``.

        Up to a million tokens the first question makes `ids`; beyond, an index of 8
        bytes a token.
        """
        id = self.get(token)
        if id is None:
            hint = "" if isinstance(token, str) else "; `decode` gives tokens of ids"
            raise UnknownTokenError(
                f"token {brief(token)} is not in the vocabulary{hint}"
            )
        return id

    @overload
    def get(self, token: str, default: None = None) -> int | None: ...
    @overload
    def get(self, token: str, default: int) -> int: ...
    def get(self, token: str, default: int | None = None) -> int | None:
        """Return the id of a token, or ``default``."""
        if not isinstance(token, str):
            return default
        id = self._special_ids.get(token)
        if id is None:
            id = self._rows.get(token)
        return default if id is None else id

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self.get(token) is not None

    def __eq__(self, other: object) -> bool:
        """Tell whether both have the same tokens at the same ids, special ones too.

        A matrix of one is one of the other then. Counts, marks, and how texts are read
        make no difference.
        """
        if not isinstance(other, TokenIds):
            return NotImplemented
        return self is other or (
            self._special == other._special and self._rows.same_as(other._rows)
        )

    def __hash__(self) -> int:
        head = self.packed.data[:_HASHED].tobytes()
        return hash((len(self), head, self._pad, self._unk))

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens by rising id; holes are left out."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the highest id plus one: ``input_dim``, ``num_embeddings``."""
        return len(self._rows)
