"""`Vocabulary`: which token has which id, and what an encoded text looks like."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Self

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary import checks, files
from pretrained_embed.vocabulary import special_tokens as specials
from pretrained_embed.vocabulary.encoding import Truncate, encode
from pretrained_embed.vocabulary.special_tokens import Marks
from pretrained_embed.vocabulary.token_ids import Int64Array, TokenIds
from pretrained_embed.vocabulary.tokens import Text, Tokenize, Tokenizer, frequent


class Vocabulary(TokenIds):
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

    ``special_tokens`` names the tokens that stand for no text, all of them in the
    vocabulary (``{"mask": "[MASK]"}``), and ``marks`` says how subword tokens are
    marked; see the properties of these names.

    An empty ``str`` is a token like any other here and in JSON (Keras'
    ``TextVectorization`` has one), but not in text files. A token holding bytes that
    are not UTF-8 has them as surrogate escapes.

    Raises `VocabularyError`, naming the token or its position, for an empty vocabulary,
    a token that is not a ``str``, is repeated or cannot be encoded, an id or count that
    is not a whole number from 0, a repeated id, an id too high, a special token that is
    not there, and pad and unk alike.

    >>> vocab = Vocabulary(["the", "cat"], unk="<unk>")
    >>> vocab.tokens
    ('<pad>', '<unk>', 'the', 'cat')
    >>> len(vocab), vocab["cat"], vocab.pad_id
    (4, 3, 0)
    """

    __slots__ = ("_marks", "_pad", "_special", "_tokenizer", "_unk")

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int],
        *,
        pad: str | None = "<pad>",
        unk: str | None = None,
        counts: Mapping[str, int] | None = None,
        tokenize: Tokenize | None = None,
        lower: bool = False,
        special_tokens: Mapping[str, str] | None = None,
        marks: Marks | None = None,
    ) -> None:
        checks.specials(pad, unk)
        if isinstance(tokens, Vocabulary):
            raise VocabularyError("this is a Vocabulary already; use it, or its ids")
        if counts is None and isinstance(tokens, Counter):
            counts = tokens
        if counts is not None and not isinstance(counts, Mapping):
            raise OptionError(f"counts is {type(counts).__name__}, not a mapping")
        specials.check_marks(marks)
        super().__init__(tokens, pad, unk, counts)
        self._pad = pad if pad in self._ids else None
        self._unk = unk
        self._special = specials.named(
            special_tokens, self._ids, pad=self._pad, unk=unk
        )
        self._marks = marks
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

    def __repr__(self) -> str:
        parts = [f"{len(self):,} rows"]
        if holes := len(self) - len(self._ids):
            parts.append(f"{holes:,} of them holes")
        if self._pad is not None:
            parts.append(f"pad {self._pad!r} at {self.pad_id}")
        if self._unk is not None:
            parts.append(f"unk {self._unk!r} at {self.unk_id}")
        return f"<Vocabulary: {', '.join(parts)}>"
