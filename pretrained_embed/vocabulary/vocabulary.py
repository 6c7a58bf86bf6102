"""`Vocabulary`: what tokens and their ids are made from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast, overload

import numpy as np

from pretrained_embed import markup
from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens
from pretrained_embed.errors import UnknownTokenError, VocabularyError, brief
from pretrained_embed.files.replacement import replacing
from pretrained_embed.vocabulary import checks, files, objects
from pretrained_embed.vocabulary.content import (
    Choice,
    RawVocabulary,
    Special,
    check_room,
    named,
    settle,
    unknown,
)
from pretrained_embed.vocabulary.encoding import (
    Encoder,
    Text,
    Tokenize,
    Tokenizer,
    Truncate,
    frequent,
)
from pretrained_embed.vocabulary.files import saved
from pretrained_embed.vocabulary.markers import (
    MARKERS,
    Marker,
    Marks,
    check_marks,
    marker_of,
)
from pretrained_embed.vocabulary.number_rows import NumberRows, are_numbers
from pretrained_embed.vocabulary.rows import (
    Counts,
    Tokens,
    counts_of,
    in_order,
    rows_of,
)
from pretrained_embed.vocabulary.token_rows import TokenRows

#: Of how many tokens the hash of a vocabulary is made.
_HASHED = 1 << 9

#: Rows that a notebook shows.
_SHOWN = 10


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
      whichever is more;
    * a numpy array (n,) of **whole numbers**, such as ids of items or nodes, or a
      mapping or ``Counter`` of such: see below;
    * a ``TokenRows``: packed tokens, which keep their rows as a mapping's keep their
      ids; ``counts`` may be an int64 array (rows,) then.

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

    **Whole numbers.** They take 8 bytes each, and no ``str``. A number is the token of
    its decimal digits: 7 is found in a source that has ``7``, and not in one that has
    ``007``, ``+7`` or ``7.0``. ``vocab[7]`` and ``vocab["7"]`` are both its id;
    `encode` takes arrays of numbers, `numbers` has them by id. They go from -2**63 to
    2**63 - 1. ``counts`` may be an array (n,) then, and a pad or unk that is written as
    a number (``pad="0"``) is that number.

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

    #: The kinds of files that `from_file` reads.
    KINDS: ClassVar[tuple[str, ...]] = files.KINDS

    __slots__ = (
        *("_counts", "_marks", "_pad", "_rows", "_special", "_special_ids"),
        *("_tokenizer", "_unk", "_whole"),
    )

    def __init__(
        self,
        tokens: Tokens,
        *,
        pad: str | None = "<pad>",
        unk: str | None = None,
        counts: Counts | None = None,
        tokenize: Tokenize | Tokenizer | None = None,
        lower: bool = False,
        special_tokens: Mapping[str, str] | None = None,
        marks: Marks | None = None,
    ) -> None:
        if isinstance(tokens, Vocabulary):
            raise VocabularyError("this is a Vocabulary already; use it, or its ids")
        if isinstance(tokens, TokenRows) and not len(tokens):
            raise VocabularyError("the vocabulary is empty; it needs at least one row")
        if not isinstance(tokenize, Tokenizer):
            tokenize = Tokenizer(tokenize, lower)
        self._fill(tokens, pad, unk, counts, tokenize, special_tokens, marks)

    def _fill(
        self,
        tokens: Tokens,
        pad: str | None,
        unk: str | None,
        counts: Counts | None,
        tokenizer: Tokenizer,
        special_tokens: Mapping[str, str] | None,
        marks: Marks | None,
    ) -> None:
        """Take what the constructor was given; here there may be no row at all."""
        checks.specials(pad, unk)
        if counts is None and isinstance(tokens, Counter):
            counts = tokens
        if isinstance(tokens, np.ndarray) and are_numbers(tokens):
            tokens, counts = in_order(tokens, counts, pad, unk)
        check_marks(marks)
        self._rows = rows_of(tokens, pad, unk)
        self._counts = counts_of(counts, tokens, self._rows)
        special = named(special_tokens, pad=pad, unk=unk)
        self._special_ids = self._rows.find([*special.values()])
        if pad not in self._special_ids and "pad" not in (special_tokens or ()):
            special.pop("pad", None)  # a mapping without room for it
        for name, token in special.items():
            if token not in self._special_ids:
                raise unknown(name, token, self._rows)
        self._special = special
        self._pad, self._unk = special.get("pad"), unk
        self._marks = marks
        self._tokenizer = tokenizer
        #: The vocabulary that this one is a part of.
        self._whole: Vocabulary | None = None

    @classmethod
    def of(
        cls,
        vocabulary: AnyVocabulary,
        *,
        pad: Special = Choice.AS_FOUND,
        unk: Special = Choice.AS_FOUND,
    ) -> Vocabulary:
        """Return a `Vocabulary` as it is, and make one of anything else.

        That is what the constructor takes, or an object of another library that has a
        vocabulary, told by its interface:

        * tokenizers of Hugging Face, fast and slow, and of ``sentencepiece``;
        * Keras' ``TextVectorization``, ``StringLookup`` and ``Tokenizer``, torchtext's
          ``Vocab``, the vectorizers of scikit-learn;
        * gensim's ``Dictionary`` and ``KeyedVectors``, spaCy's ``Vocab`` and pipelines;
        * numpy arrays of strings, and a pandas ``Series`` of tokens, or of counts with
          tokens for index;
        * whole numbers (n,): arrays, tensors, columns of pandas, polars, pyarrow. A
          ``Series`` of them that has an index of numbers is their counts.

        Ids, counts, special tokens and marks are the object's. ``pad`` and ``unk`` name
        others, or ``None`` for none; a pad that is not there needs id 0 to be free, and
        an unk that is not there comes after the highest id. So it is with a
        `Vocabulary`, too: its tokens keep their ids, and what was pad or unk before
        is a token like any other.

        Raises `VocabularyError` as the constructor does, for an object that has no
        vocabulary yet or contradicts itself, and for a pad or unk it does not have.
        """
        if isinstance(vocabulary, Vocabulary):
            return vocabulary._with(pad, unk)
        content = objects.read(vocabulary)
        if content is None:
            content = RawVocabulary(vocabulary)
        return cls._of_content(content, pad, unk)

    def _with(self, pad: Special, unk: Special) -> Vocabulary:
        """Return the same tokens at the same ids, with another pad or unk."""
        if pad is unk is Choice.AS_FOUND:
            return self
        if pad is Choice.AS_FOUND:
            pad = self.pad_token
        if unk is Choice.AS_FOUND:
            unk = self.unk_token if self.unk_token != pad else None
        checks.specials(pad, unk)
        if pad is not None:
            at_0 = None if len(self.holes) and not self.holes[0] else self.decode(0)
            check_room(pad, self, at_0)
        others = self.special_tokens.items()
        made = Vocabulary(
            self.token_rows,
            pad=pad,
            unk=unk,
            counts=self.counts,
            special_tokens={n: t for n, t in others if n not in ("pad", "unk")},
            marks=self.marks,
            tokenize=self.tokenizer,
        )
        made._whole = self._whole
        return made

    def part(self, ids: Int64Array) -> Vocabulary:
        """Return the tokens of ``ids``, int64 (n,), as rows from 0 in that order.

        Holes stay holes, and what is special stays so. No ``str`` is made of the
        tokens, and of consecutive rows no copy. It reads texts at white space. Of no
        ids it has no row, as no other vocabulary.
        """
        special = {
            name: token
            for name, token in self.special_tokens.items()
            if (ids == self[token]).any()
        }
        made = some_rows(
            self.token_rows.part(ids),
            counts=None if self.counts is None else self.counts[ids],
            special_tokens=special,
            marks=self.marks,
        )
        made._whole = self
        return made

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        kind: files.Kind | None = None,
        pad: Special = Choice.AS_FOUND,
        unk: Special = Choice.AS_FOUND,
        tokenize: Tokenize | None = None,
        lower: bool = False,
    ) -> Self:
        r"""Read a vocabulary from a file, or from the folder of a tokenizer.

        ``kind`` is one of

        * ``"text"``: one token a line; ``"counts"``: ``TOKEN\tCOUNT`` lines;
        * ``"json"``: a list of tokens, or an object from token to id;
        * ``"bert"``: BERT's ``vocab.txt``;
        * ``"tokenizer"``: a ``tokenizer.json`` of Hugging Face, or a folder with the
          files of a tokenizer;
        * ``"sentencepiece"``: a ``.model`` or ``.vocab``;
        * ``"spacy"``: a model's folder, or its ``strings.json``;
        * ``"gensim"``, ``"fasttext"``: a dictionary written as text;
        * ``"numbers"``: a whole number a line, which is kept as int64 (a column of a
          table too: ``"ratings.csv#item"``); an array of them in ``.npy`` is told from
          its content;
        * ``"saved"``: what `save` has written;

        and ``None`` finds out by the content, as the modules in ``files`` describe,
        byte by byte; then a column of Parquet, Arrow or CSV may be named, too:
        ``"words.parquet#word"``. ``pad`` and ``unk`` are those that the file names;
        where it names no pad, it is ``<pad>``, put where the constructor puts it. The
        rest is as in the constructor.

        Raises `VocabularyError` naming the file and, where there is one, the line or
        byte: for what the constructor refuses, for empty lines, bytes that are not
        UTF-8, a pad or unk that is not there, a file of another kind, and a file that
        cannot be read.
        """
        content = files.read(path, kind)
        try:
            return cls._of_content(content, pad, unk, tokenize, lower)
        except VocabularyError as error:
            raise VocabularyError(f"{os.fsdecode(path)}: {error}") from error

    @classmethod
    def _of_content(
        cls,
        content: RawVocabulary,
        pad: Special,
        unk: Special,
        tokenize: Tokenize | None = None,
        lower: bool = False,
    ) -> Self:
        if content.tokenizer is not None:  # it was saved, and keeps its ids
            special = dict(content.special_tokens)
            made = cls(
                content.tokens,
                pad=special.get("pad"),
                unk=special.get("unk"),
                counts=content.counts,
                special_tokens=special,
                marks=content.marks,
                tokenize=content.tokenizer
                if tokenize is None
                else Tokenizer(tokenize, lower),
            )
            return cast(Self, made._with(pad, unk))
        parts = settle(content, pad, unk)
        own = content.own if tokenize is None else None
        return cls(
            parts.tokens,
            pad=parts.pad,
            unk=parts.unk,
            counts=parts.counts,
            tokenize=Tokenizer(tokenize, lower, own),
            special_tokens=parts.others,
            marks=content.marks,
        )

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

    @classmethod
    def from_source(
        cls,
        source: Any,
        *,
        limit: int | None = 50_000,
        pad: str | None = "<pad>",
        unk: str | None = None,
        layout: Any = None,
        library: Any = None,
    ) -> Self:
        """Take the first tokens of a source of vectors, for who has no vocabulary.

        Most sources have their tokens by falling frequency, so the first are the most
        frequent ones.

        Parameters
        ----------
        source : name, path, URL, object or Reader
            As `open_vectors` takes it, with ``layout`` and ``library``.
        limit : int, optional, default 50_000
            How many tokens are taken; ``None`` takes all. What follows the block of the
            last one is not read.
        pad, unk : str, optional
            As in the constructor.

        Raises
        ------
        OptionError
            For a limit below 1.
        VocabularyError
            Where the source has no token.
        SourceError, FormatError
            As `open_vectors` and `Reader.blocks` do.

        Examples
        --------
        >>> Vocabulary.from_source("glove-6b-50d", limit=3).tokens  # doctest: +SKIP
        ('<pad>', 'the', ',', '.')
        """
        import pretrained_embed as pe

        checks.positive("limit", limit)
        taken: dict[str, None] = {}
        with pe.open_vectors(source, layout=layout, library=library) as reader:
            for packed, _ in reader.packed_blocks(threads=1):
                taken.update(dict.fromkeys(packed.unpack()))
                if limit is not None and len(taken) >= limit:
                    break
        return cls(list(islice(taken, limit)), pad=pad, unk=unk)

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
    def numbers(self) -> Int64Array | None:
        """The whole numbers by id, int64 (len,), read-only; ``None`` of text tokens.

        ``vocab.numbers[ids]`` is the way back from ids. Pad, unk and other tokens that
        are no number have 0 there, and so have holes.
        """
        return self._rows.numbers if isinstance(self._rows, NumberRows) else None

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

    @property
    def specials(self) -> frozenset[int]:
        """The ids of pad and unk, as far as there are such."""
        return frozenset(row for row in (self.pad_id, self.unk_id) if row is not None)

    def __getitem__(self, token: str | int) -> int:
        """Return the id of a token, or raise `UnknownTokenError`, a ``KeyError``.

        An ``int`` is a token of a vocabulary of whole numbers alone.

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
    def get(self, token: str | int, default: None = None) -> int | None: ...
    @overload
    def get(self, token: str | int, default: int) -> int: ...
    def get(self, token: str | int, default: int | None = None) -> int | None:
        """Return the id of a token, or ``default``."""
        if not isinstance(token, str):
            whole = isinstance(token, int | np.integer) and self.numbers is not None
            id = self._rows.get(token) if whole else None
            return default if id is None else id
        id = self._special_ids.get(token)
        if id is None:
            id = self._rows.get(token)
        return default if id is None else id

    def __contains__(self, token: object) -> bool:
        known = isinstance(token, str | int | np.integer)
        return known and self.get(cast(str, token)) is not None

    def __eq__(self, other: object) -> bool:
        """Tell whether both have the same tokens at the same ids, special ones too.

        A matrix of one is one of the other then. Counts, marks, and how texts are read
        make no difference.
        """
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self is other or (
            self._special == other._special and self._rows.same_as(other._rows)
        )

    def __hash__(self) -> int:
        few = np.arange(min(len(self), _HASHED))
        head = self._rows.part(few).packed.data.tobytes()
        return hash((len(self), head, self._pad, self._unk))

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens by rising id; holes are left out."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the highest id plus one: ``input_dim``, ``num_embeddings``."""
        return len(self._rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that makes the vocabulary, as JSON; `from_file` reads it again.

        Tokens and ids, holes, pad and unk, other special tokens, marks, counts, and how
        texts are read; of a function its name alone. The form is described under
        "Saved files" in the documentation. What is there is replaced.

        Raises `WriteError` where the file cannot be written.

        >>> Vocabulary(["see", "you"]).save("vocabulary.json")  # doctest: +SKIP
        """
        with replacing(path) as file:
            file.write(saved.written(self._rows, self.counts, settings(self)))

    @property
    def tokenizer(self) -> Tokenizer:
        """How `encode` reads a text."""
        return self._tokenizer

    def encode(
        self,
        texts: Iterable[Text] | Iterable[Iterable[int]] | AnyArray,
        *,
        max_length: int | None = None,
        truncate: Truncate = "error",
    ) -> Int64Array:
        """Return the ids of texts, int64 (number of texts, max_length), C-contiguous.

        Of a vocabulary of whole numbers ``texts`` may also be an array or a tensor of
        numbers, whose ids are an array of the same shape, or lists of numbers, whose
        rows are filled up as texts are.

        A text is a ``str`` or a list of tokens, taken as they are. A ``str`` is read
        as the vocabulary was told to; else by what it was made of, where that reads
        texts; else it is split at white space. Tokens the vocabulary does not have get
        ``unk_id``. Short rows are filled with ``pad_id`` at the right.

        What reads texts, and gives the same ids here as there:

        * tokenizers of Hugging Face, as a plain call of them does, special tokens
          such as ``[CLS]`` included; a ``tokenizer.json``, through ``tokenizers``;
        * SentencePiece, a processor or its ``.model``, through ``sentencepiece``;
        * Keras' ``TextVectorization`` and its old ``Tokenizer``, which leaves out words
          that it does not know if it has no OOV token; a ``StringLookup`` with several
          OOV ids gives these to tokens it does not know;
        * the vectorizers of scikit-learn and the pipelines of spaCy cut texts up; the
          tokens become ids as those of a list do.

        A vocabulary that was loaded with a matrix or came from another process has no
        such function any more, nor has one of files alone that lack what is needed. It
        says so when a ``str`` is to be read; lists of tokens work.

        Padding that they put in themselves stays where ``max_length`` is ``None``, and
        is left out before a row is brought to ``max_length``.

        ``max_length=None`` is the length of the longest row. A row longer than
        ``max_length`` is an error, because cutting it loses tokens, which is the
        caller's to allow: ``truncate="right"`` keeps its first tokens (Keras'
        ``truncating="post"``), ``"left"`` its last.

        Raises `UnknownTokenError` for an unknown token if there is no unk,
        `VocabularyError` for a row too long, or too short if there is no pad,
        `OptionError` for a single ``str`` in place of texts and for a ``str`` that
        cannot be read any more, and `MissingPackageError` where a package is needed to
        read it. The first call makes the
        ``dict`` that `ids` shows.

        >>> Vocabulary(["see", "you"]).encode(["you see"], max_length=4)
        array([[2, 1, 0, 0]])
        """
        return self._encoder().encode(texts, max_length, truncate)

    def decode(self, ids: Any, *, keep_pad: bool = False) -> Any:
        """Return the tokens of ids: what `encode` was given as lists of tokens.

        ``ids`` are whole numbers: one, a row of them, or a batch of rows, as an array
        or tensor of any shape or as lists, whose rows may differ in length. One id
        gives a ``str``, a row a list of them, a batch a list of rows. The pad at either
        end of a row is left out, unless ``keep_pad`` is set.

        Raises `VocabularyError` for what is no whole number, and for an id that is no
        row or that no token has.

        >>> Vocabulary(["see", "you"]).decode([[2, 1, 0, 0], [1, 0, 0, 0]])
        [['you', 'see'], ['see']]
        """
        return self._encoder().decode(ids, keep_pad=keep_pad)

    def _encoder(self) -> Encoder:
        return Encoder(self._rows, self._tokenizer, self.pad_id, self.unk_id)

    def _repr_html_(self) -> str:
        few = np.arange(min(len(self), _SHOWN))
        tokens = self._rows.part(few).packed.unpack()
        caption = repr(self).strip("<>")
        if self.counts is None:
            return markup.table(caption, ("id", "token"), enumerate(tokens))
        rows = zip(range(_SHOWN), tokens, self.counts[:_SHOWN].tolist(), strict=False)
        return markup.table(caption, ("id", "token", "count"), rows)

    def __repr__(self) -> str:
        parts = [f"{len(self):,} rows"]
        if holes := len(self.holes):
            parts.append(f"{holes:,} of them holes")
        if self._pad is not None:
            parts.append(f"pad {brief(self._pad)} at {self.pad_id}")
        if self._unk is not None:
            parts.append(f"unk {brief(self._unk)} at {self.unk_id}")
        return f"<Vocabulary: {', '.join(parts)}>"


def some_rows(
    rows: TokenRows,
    *,
    special_tokens: Mapping[str, str],
    counts: Int64Array | None = None,
    tokenize: Tokenizer | None = None,
    marks: Marks | None = None,
) -> Vocabulary:
    """Return a vocabulary of rows of another; unlike others it may have none.

    Pad and unk are among the special tokens. Raises as `Vocabulary` does.
    """
    made = Vocabulary.__new__(Vocabulary)
    made._fill(
        rows,
        special_tokens.get("pad"),
        special_tokens.get("unk"),
        counts,
        tokenize or Tokenizer(),
        special_tokens,
        marks,
    )
    return made


def settings(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what a saved file says of a vocabulary beside its tokens and counts."""
    tokenizer = vocabulary.tokenizer
    split = {"splits_at_white_space": tokenizer.name is None}
    return {
        "pad": vocabulary.pad_token,
        "unk": vocabulary.unk_token,
        "lower": tokenizer.lower,
        "tokenize": tokenizer.name,
        **(split if tokenizer.recorded else {}),
        "special_tokens": dict(vocabulary.special_tokens),
        "marks": vocabulary.marks,
        **({} if vocabulary.numbers is None else {"numbers": True}),
    }


#: What `Vocabulary.of` takes: also objects of other libraries, told by their interface.
AnyVocabulary = Vocabulary | TokenRows | Iterable[str] | Mapping[str, int] | Any
