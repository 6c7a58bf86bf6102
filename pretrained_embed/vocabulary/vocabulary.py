"""`Vocabulary`: which token has which id, and what an encoded text looks like."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OptionError, UnknownTokenError, VocabularyError
from pretrained_embed.vocabulary import checks, files, rows
from pretrained_embed.vocabulary.encoding import Truncate, encode
from pretrained_embed.vocabulary.tokens import Text, Tokenize, Tokenizer, frequent

Int64Array = npt.NDArray[np.int64]


class Vocabulary:
    """Tokens and their ids. It does not change once it is made.

    Row *i* of a matrix made for it is the vector of the token with id *i*.

    ``len(vocab)`` is the highest id plus one. It is the number of rows of the matrix,
    what Keras calls ``input_dim`` and PyTorch ``num_embeddings``, and it is complete:
    pad and unk are counted, holes too. The ``len(word_index) + 1`` of many tutorials is
    there because Keras' ``Tokenizer`` numbers from 1 and leaves out the padding row;
    here that row is in the count, so do not add 1.

    ``tokens`` is one of

    * an iterable of ``str``, numbered in order (a ``set`` in sorted order, so that the
      ids are the same in every run);
    * a ``Counter``: numbered by falling count, ties in the order they came; it is its
      own ``counts``;
    * any other mapping, from token to id: it keeps its ids, and an id that no token has
      is a hole. The highest id may be 1,000,000 or 100 times the number of tokens,
      whichever is more.

    Ids for **pad**: where the pad token is among the tokens, it keeps its id. Else it
    is put at id 0 of a list and the others move up by one; in a mapping it takes id 0
    if no token has it (as with Keras' ``Tokenizer``), and otherwise there is no pad.
    ``pad=None``: none. **unk**, for tokens that are not in the vocabulary, is off
    unless it is named. Where it is among the tokens it keeps its id; else it comes
    right after pad in a list (first if there is no pad), and after the highest id in a
    mapping.

    ``counts`` gives the number of times tokens occur; tokens it does not name have 0,
    and what it names beyond the vocabulary is left aside. ``tokenize`` (text to tokens;
    at white space if ``None``, as ``str.split`` does) and ``lower`` (lower-case the
    text first) say how `encode` reads a text.

    An empty ``str`` is a token like any other here and in JSON (Keras'
    ``TextVectorization`` has one), but not in text files. A token holding bytes that
    are not UTF-8 has them as surrogate escapes.

    Raises `VocabularyError`, naming the token or its position, for an empty vocabulary,
    a token that is not a ``str``, is repeated or cannot be encoded, an id or count that
    is not a whole number from 0, a repeated id, an id too high, and pad and unk alike.

    >>> vocab = Vocabulary(["the", "cat"], unk="<unk>")
    >>> vocab.tokens
    ('<pad>', '<unk>', 'the', 'cat')
    >>> len(vocab), vocab["cat"], vocab.pad_id
    (4, 3, 0)
    """

    __slots__ = ("_counts", "_ids", "_pad", "_tokenizer", "_tokens", "_unk")

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int],
        *,
        pad: str | None = "<pad>",
        unk: str | None = None,
        counts: Mapping[str, int] | None = None,
        tokenize: Tokenize | None = None,
        lower: bool = False,
    ) -> None:
        checks.specials(pad, unk)
        if isinstance(tokens, Vocabulary):
            raise VocabularyError("this is a Vocabulary already; use it, or its ids")
        if counts is None and isinstance(tokens, Counter):
            counts = tokens
        if counts is not None and not isinstance(counts, Mapping):
            raise OptionError(f"counts is {type(counts).__name__}, not a mapping")
        self._ids = rows.ids_of(tokens, pad, unk)
        self._tokens = rows.tokens_by_id(self._ids)
        self._counts = None if counts is None else rows.counts_by_id(self._ids, counts)
        self._pad = pad if pad in self._ids else None
        self._unk = unk
        self._tokenizer = Tokenizer(tokenize, lower)

    @classmethod
    def of(
        cls, vocabulary: Vocabulary | Iterable[str] | Mapping[str, int]
    ) -> Vocabulary:
        """Return a `Vocabulary` as it is, and make one of anything else."""
        return vocabulary if isinstance(vocabulary, Vocabulary) else cls(vocabulary)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        kind: files.Kind | None = None,
        pad: str | None = "<pad>",
        unk: str | None = None,
        tokenize: Tokenize | None = None,
        lower: bool = False,
    ) -> Self:
        r"""Read a vocabulary file.

        ``kind`` is ``"text"`` (one token a line), ``"counts"`` (``TOKEN\tCOUNT`` lines)
        or ``"json"`` (a list of tokens, or an object from token to id); ``None`` finds
        out, as the module `files` describes, byte by byte. The rest is as in the
        constructor.

        Raises `VocabularyError` naming the file and, where there is one, the line: for
        what the constructor refuses, for empty lines, bytes that are not UTF-8, a file
        of another kind, and a file that cannot be read.
        """
        tokens, counts = files.read(path, kind)
        try:
            return cls(
                tokens, pad=pad, unk=unk, counts=counts, tokenize=tokenize, lower=lower
            )
        except VocabularyError as error:
            raise VocabularyError(f"{os.fsdecode(path)}: {error}") from error

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[Text],
        *,
        tokenize: Tokenize | None = None,
        lower: bool = False,
        min_count: int = 1,
        max_tokens: int | None = None,
        pad: str | None = "<pad>",
        unk: str | None = None,
    ) -> Self:
        """Collect the tokens of texts, and count them.

        A text is a ``str``, split by ``tokenize`` (at white space if ``None``) after
        lower-casing it if ``lower`` is set, or a list of tokens, taken as they are.
        Pad and unk come first, then the tokens by falling count, ties in order of first
        appearance. Tokens rarer than ``min_count`` are left out, and of the others the
        rarest until ``len(vocab)``, with pad and unk, is no more than ``max_tokens``.

        Raises `VocabularyError` if no token is left, `OptionError` for a single ``str``
        in place of texts.

        >>> Vocabulary.from_texts(["Hope to see you", "Nice to see you"]).tokens
        ('<pad>', 'to', 'see', 'you', 'Hope', 'Nice')
        """
        checks.positive("min_count", min_count)
        checks.positive("max_tokens", max_tokens)
        counts: Counter[str] = Counter()
        for tokens in Tokenizer(tokenize, lower).rows(texts):
            counts.update(tokens)
        kept = frequent(
            counts,
            min_count=min_count,
            max_tokens=max_tokens,
            specials=[token for token in (pad, unk) if token is not None],
        )
        return cls(
            kept, pad=pad, unk=unk, counts=counts, tokenize=tokenize, lower=lower
        )

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
    def tokenizer(self) -> Tokenizer:
        """How `encode` reads a text."""
        return self._tokenizer

    @property
    def specials(self) -> frozenset[int]:
        """The ids of pad and unk, as far as there are such."""
        return frozenset(row for row in (self.pad_id, self.unk_id) if row is not None)

    def encode(
        self,
        texts: Iterable[Text],
        *,
        max_length: int | None = None,
        truncate: Truncate = "error",
    ) -> Int64Array:
        """Return the ids of texts, int64 (number of texts, max_length), C-contiguous.

        A text is a ``str``, split the way the vocabulary was told to (at white space
        otherwise), or a list of tokens, taken as they are. Tokens the vocabulary does
        not have get ``unk_id``. Short rows are filled with ``pad_id`` at the right.

        ``max_length=None`` is the length of the longest row. A row longer than
        ``max_length`` is an error, because cutting it loses tokens, which is the
        caller's to allow: ``truncate="right"`` keeps its first tokens (Keras'
        ``truncating="post"``), ``"left"`` its last.

        Raises `UnknownTokenError` for an unknown token if there is no unk,
        `VocabularyError` for a row too long, or too short if there is no pad, and
        `OptionError` for a single ``str`` in place of texts.

        >>> Vocabulary(["see", "you"]).encode(["you see"], max_length=4)
        array([[2, 1, 0, 0]])
        """
        return encode(
            self._tokenizer.rows(texts),
            self._ids,
            pad_id=self.pad_id,
            unk_id=self.unk_id,
            max_length=max_length,
            truncate=truncate,
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

    def __repr__(self) -> str:
        parts = [f"{len(self):,} rows"]
        if holes := len(self) - len(self._ids):
            parts.append(f"{holes:,} of them holes")
        if self._pad is not None:
            parts.append(f"pad {self._pad!r} at {self.pad_id}")
        if self._unk is not None:
            parts.append(f"unk {self._unk!r} at {self.unk_id}")
        return f"<Vocabulary: {', '.join(parts)}>"
