"""`Vocabulary`: tokens and their ids."""

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

#: The hash of a vocabulary is computed from this many tokens.
_HASHED = 1 << 9

#: How many rows a notebook shows.
_SHOWN = 10


class Vocabulary:
    """Tokens and their ids, immutable.

    Row *i* of a matrix made for it is the vector of the token with id *i*.
    ``len(vocab)`` is the highest id plus one: the number of rows of the matrix,
    ``input_dim`` in Keras and ``num_embeddings`` in PyTorch. Pad, unk and holes are
    counted. Do not add 1, as many tutorials do for Keras' ``Tokenizer``, which numbers
    from 1 and does not count the padding row.

    **Integers** take 8 bytes each, and no ``str``. The token of a number is its decimal
    digits: 7 is found in a source that has ``7``, and not in one that has ``007``,
    ``+7`` or ``7.0``. ``vocab[7]`` and ``vocab["7"]`` are both its id; `encode` takes
    arrays of numbers, and `numbers` has them by id. They go from -2**63 to 2**63 - 1. A
    pad or unk written as a number (``pad="0"``) is that number.

    An empty ``str`` is a valid token here and in JSON (Keras' ``TextVectorization`` has
    one), but not in text files. Bytes of a token that are not UTF-8 are surrogate
    escapes.

    Parameters
    ----------
    tokens : iterable, mapping, array or TokenRows
        One of:

        * an iterable of ``str``, numbered in order (a ``set`` in sorted order, so that
          the ids are the same in every run);
        * a ``Counter``, numbered by falling count, ties in insertion order; it also
          gives ``counts``;
        * any other mapping, from token to id: the ids are kept, and an id without a
          token is a hole. The highest id may be 1,000,000 or 100 times the number of
          tokens, whichever is larger;
        * a numpy array (n,) of integers, such as ids of items or nodes, or a mapping or
          ``Counter`` of integers;
        * a ``TokenRows``: packed tokens that keep their rows as ids.
    pad : str or None, default "<pad>"
        The token of the padding row. If it is among the tokens, it keeps its id. Else
        it gets id 0 of a list and the others move up by one; in a mapping it gets id 0
        if that is free (as with Keras' ``Tokenizer``), and otherwise there is no pad.
    unk : str or None, default None
        The token for unknown tokens. If it is among the tokens, it keeps its id. Else
        it comes right after pad in a list (first if there is no pad), and after the
        highest id in a mapping.
    counts : mapping or array of int, optional
        How often each token occurs. Missing tokens have 0, and other tokens are
        ignored. An array has one count for each of an array of numbers, or for each row
        of a ``TokenRows``.
    tokenize : callable, optional
        The function from a text to its tokens, for `encode`; by default the text is
        split at white space, as ``str.split`` does.
    lower : bool, default False
        Lower-case a text before it is split.
    special_tokens : mapping from str to str, optional
        The tokens that are no text, by role, such as ``{"mask": "[MASK]"}``; see the
        property.
    marks : str, optional
        How subword tokens are marked; see the property.

    Raises
    ------
    VocabularyError
        For an empty vocabulary; for a token that is not a ``str``, is there twice or
        cannot be encoded; for an id or count that is not an integer from 0; for a
        repeated or too high id; for a missing special token; and if pad and unk are
        equal. The message names the token or its position.

    Examples
    --------
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
        """Set the attributes from the constructor's arguments; there may be no row."""
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
            special.pop("pad", None)  # a mapping in which id 0 is taken
        for name, token in special.items():
            if token not in self._special_ids:
                raise unknown(name, token, self._rows)
        self._special = special
        self._pad, self._unk = special.get("pad"), unk
        self._marks = marks
        self._tokenizer = tokenizer
        #: The vocabulary of which this one is a part.
        self._whole: Vocabulary | None = None

    @classmethod
    def of(
        cls,
        vocabulary: AnyVocabulary,
        *,
        pad: Special = Choice.AS_FOUND,
        unk: Special = Choice.AS_FOUND,
    ) -> Vocabulary:
        """Return a `Vocabulary` unchanged, or make one of another object.

        The object is one that the constructor takes, or an object of another library,
        which is recognised by its interface:

        * tokenizers of Hugging Face, fast and slow, and of ``sentencepiece``;
        * Keras' ``TextVectorization``, ``StringLookup`` and ``Tokenizer``, torchtext's
          ``Vocab``, the vectorizers of scikit-learn;
        * gensim's ``Dictionary`` and ``KeyedVectors``, spaCy's ``Vocab`` and pipelines;
        * numpy arrays of strings, and a pandas ``Series`` of tokens, or of counts with
          tokens as its index;
        * integers (n,): arrays, tensors, columns of pandas, polars, pyarrow. A
          ``Series`` of integers with an index of numbers has their counts.

        Ids, counts, special tokens and marks are those of the object. With ``pad`` or
        ``unk`` the former pad or unk becomes an ordinary token.

        Parameters
        ----------
        vocabulary : Vocabulary or object
            The tokens and their ids.
        pad, unk : str or None, optional
            Other pad and unk tokens, or ``None`` for none. A new pad needs id 0 to be
            free; a new unk comes after the highest id. By default those of the object.

        Returns
        -------
        Vocabulary
            The vocabulary of the object.

        Raises
        ------
        VocabularyError
            As the constructor; for an object that is not fitted yet or contradicts
            itself; and for a pad or unk that cannot be added.

        Examples
        --------
        >>> Vocabulary.of(["the", "cat"]).tokens
        ('<pad>', 'the', 'cat')
        """
        if isinstance(vocabulary, Vocabulary):
            return vocabulary._with(pad, unk)
        content = objects.read(vocabulary)
        if content is None:
            content = RawVocabulary(vocabulary)
        return cls._of_content(content, pad, unk)

    def _with(self, pad: Special, unk: Special) -> Vocabulary:
        """Return the same tokens and ids, with another pad or unk."""
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
        """Return some of the tokens as a vocabulary with rows from 0.

        Holes stay holes and special tokens stay special. No ``str`` is made of the
        tokens, and consecutive rows are not copied. `encode` splits texts at white
        space. Without ids the result has no rows, unlike any other vocabulary.

        Parameters
        ----------
        ids : array of int64, shape (n,)
            The ids, each at most once.

        Returns
        -------
        Vocabulary
            The tokens in the order of ``ids``.

        Examples
        --------
        >>> Vocabulary(["the", "cat"]).part(np.array([1, 2])).tokens
        ('the', 'cat')
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

        Parameters
        ----------
        path : path
            The file or folder; "-" is standard input. A column of Parquet, Arrow or CSV
            may be named: ``"words.parquet#word"``.
        kind : str, optional
            By default it is recognised by the content, as the modules in
            ``vocabulary/files`` describe. It is one of:

            * "text": one token a line; "counts": ``TOKEN\\tCOUNT`` lines;
            * "json": a list of tokens, or an object from token to id;
            * "bert": BERT's ``vocab.txt``;
            * "tokenizer": a ``tokenizer.json`` of Hugging Face, or a folder with the
              files of a tokenizer;
            * "sentencepiece": a ``.model`` or ``.vocab``;
            * "spacy": a model's folder, or its ``strings.json``;
            * "gensim", "fasttext": a dictionary written as text;
            * "report": a coverage report in ``.csv``;
            * "numbers": an integer a line, kept as int64; also a column of a table,
              ``"ratings.csv#item"``. An array of integers in ``.npy`` needs no kind;
            * "saved": a file of `save`.
        pad, unk : str or None, optional
            By default those that the file names; if it names no pad, ``<pad>`` as in
            the constructor.
        tokenize, lower
            As in the constructor.

        Returns
        -------
        Vocabulary
            The tokens of the file.

        Raises
        ------
        VocabularyError
            For a file that cannot be read or is of another kind, for empty lines, for
            bytes that are not UTF-8, for a missing pad or unk, and as the constructor.
            The message names the file, and the line or byte if there is one.
        OptionError
            For an unknown kind.

        Examples
        --------
        >>> Vocabulary.from_file("vocab.txt", unk="<unk>")  # doctest: +SKIP
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
        if content.tokenizer is not None:  # a saved vocabulary keeps its ids
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

        Pad and unk come first, then the tokens by falling count, ties in order of first
        appearance.

        Parameters
        ----------
        texts : iterable of str or of list of str
            A ``str`` is split; a list of tokens is taken unchanged.
        tokenize : callable, optional
            The function from a text to its tokens; by default split at white space.
        lower : bool, default False
            Lower-case a text before it is split.
        min_count : int, default 1
            Tokens that occur less often are left out.
        max_tokens : int, optional
            The largest ``len(vocab)``, with pad and unk; the rarest tokens are left
            out.
        pad, unk : str or None
            As in the constructor.

        Returns
        -------
        Vocabulary
            The tokens with their counts.

        Raises
        ------
        VocabularyError
            If no token is left.
        OptionError
            For a single ``str`` instead of texts.

        Examples
        --------
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
        """Make a vocabulary of the first tokens of a source of vectors.

        In most sources the first tokens are the most frequent ones.

        Parameters
        ----------
        source : name, path, URL, object or Reader
            As `open_vectors` takes it, with ``layout`` and ``library``.
        limit : int, optional, default 50_000
            How many tokens are taken; ``None`` takes all. Later blocks are not read.
        pad, unk : str, optional
            As in the constructor.

        layout, library
            As in `open_vectors`.

        Returns
        -------
        Vocabulary
            The tokens in the order of the source.

        Raises
        ------
        OptionError
            For a limit below 1.
        VocabularyError
            If the source has no token.
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

        The vocabulary keeps its tokens as bytes; the first use of this makes a ``str``
        of each. `strings` makes only some.
        """
        return self._rows.tokens

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of every token, read-only; a ``dict`` of all, made like `tokens`."""
        return MappingProxyType(self._rows.ids)

    @property
    def token_rows(self) -> TokenRows:
        """The tokens by id in their packed form."""
        return self._rows

    @property
    def packed(self) -> PackedTokens:
        """The tokens by id as bytes, read-only; those of `holes` are empty."""
        return self._rows.packed

    def strings(self, ids: Int64Array) -> list[str]:
        """Return the tokens of ids, none of which may be a hole.

        Parameters
        ----------
        ids : array of int64, shape (n,)
            The ids.

        Returns
        -------
        list of str
            The tokens, in the order of ``ids``.

        Examples
        --------
        >>> Vocabulary(["the", "cat"]).strings(np.array([2, 1]))
        ['cat', 'the']
        """
        return self._rows.strings(ids)

    @property
    def counts(self) -> Int64Array | None:
        """How often each token occurs, int64 (len,), read-only; 0 if unknown.

        ``None`` if no counts were given.
        """
        return self._counts

    @property
    def numbers(self) -> Int64Array | None:
        """The integers by id, int64 (len,), read-only; ``None`` for a text vocabulary.

        ``vocab.numbers[ids]`` turns ids back into numbers. Pad, unk and other tokens
        that are no numbers have 0, and so have holes.
        """
        return self._rows.numbers if isinstance(self._rows, NumberRows) else None

    @property
    def holes(self) -> Int64Array:
        """The ids without a token, int64 (number of holes,), ascending."""
        return self._rows.holes

    @property
    def pad_token(self) -> str | None:
        """The token that fills short rows, or ``None``."""
        return self._pad

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token, or ``None``."""
        return None if self._pad is None else self._special_ids[self._pad]

    @property
    def unk_token(self) -> str | None:
        """The token for unknown tokens, or ``None``."""
        return self._unk

    @property
    def unk_id(self) -> int | None:
        """The id of the unk token, or ``None``."""
        return None if self._unk is None else self._special_ids[self._unk]

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The special tokens by role, read-only, pad and unk included.

        The others were given to the constructor, or named by a file or tokenizer:
        ``mask``, ``cls``, ``sep``, ``bos`` and ``eos``. A special token without a role
        is its own name.
        """
        return MappingProxyType(self._special)

    @property
    def marks(self) -> Marks | None:
        """How subword tokens mark the beginning of a word; ``None`` if unknown.

        ``"wordpiece"``: ``##`` before those that do not; ``"sentencepiece"``: ``▁``
        before those that do; ``"byte-level"``: ``Ġ`` before those that do, each byte
        written as a printable character, as in GPT-2.
        """
        return self._marks

    @property
    def marker(self) -> Marker:
        """The marker by which tokens begin a word: by `marks`, or by most tokens.

        A part has the marker of its whole vocabulary.
        """
        if self._marks is not None:
            return MARKERS[self._marks]
        return marker_of(self) if self._whole is None else self._whole.marker

    @property
    def specials(self) -> frozenset[int]:
        """The ids of pad and unk, as far as they exist."""
        return frozenset(row for row in (self.pad_id, self.unk_id) if row is not None)

    def __getitem__(self, token: str | int) -> int:
        """Return the id of a token, or raise `UnknownTokenError`, a ``KeyError``.

        An ``int`` is a token only in a vocabulary of integers. With up to a million
        tokens the first call makes `ids`; with more, an index of 8 bytes for each
        token.
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
        """Return the id of a token, or a default value.

        Parameters
        ----------
        token : str, or int in a vocabulary of integers
            The token.
        default : object, default None
            The result for a token that is not in the vocabulary.

        Returns
        -------
        int or object
            The id, or ``default``.

        Examples
        --------
        >>> Vocabulary(["the", "cat"]).get("dog", -1)
        -1
        """
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
        """Return whether both have the same tokens, ids and special tokens.

        Then a matrix for one fits the other. Counts, marks and tokenizers are not
        compared.
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
        """Yield the tokens in the order of their ids, without holes."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the highest id plus one: ``input_dim``, ``num_embeddings``."""
        return len(self._rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the vocabulary as JSON, which `from_file` reads.

        Saved are tokens and ids, holes, pad and unk, other special tokens, marks,
        counts, and how texts are split; of a function only its name. The page "Saved
        files" of the documentation describes the form.

        Parameters
        ----------
        path : path
            The file; an existing one is replaced.

        Raises
        ------
        WriteError
            If the file cannot be written.

        Examples
        --------
        >>> Vocabulary(["see", "you"]).save("vocabulary.json")  # doctest: +SKIP
        """
        with replacing(path) as file:
            file.write(saved.written(self._rows, self.counts, settings(self)))

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of `encode`."""
        return self._tokenizer

    def encode(
        self,
        texts: Iterable[Text] | Iterable[Iterable[int]] | AnyArray,
        *,
        max_length: int | None = None,
        truncate: Truncate = "error",
    ) -> Int64Array:
        """Return the ids of texts.

        A ``str`` is split by ``tokenize``, if that was given; else by the object or
        file that the vocabulary was made from, if it reads texts; else at white space.
        Unknown tokens get ``unk_id``. Short rows are filled with ``pad_id`` on the
        right.

        These objects read texts, and give the same ids here as there:

        * tokenizers of Hugging Face, as a plain call of them does, with special tokens
          such as ``[CLS]``; a ``tokenizer.json``, through ``tokenizers``;
        * SentencePiece, a processor or its ``.model``, through ``sentencepiece``;
        * Keras' ``TextVectorization`` and its old ``Tokenizer``, which leaves out
          unknown words if it has no OOV token; a ``StringLookup`` with several OOV ids
          gives these to unknown tokens;
        * the vectorizers of scikit-learn and the pipelines of spaCy split texts; the
          tokens become ids as those of a list do.

        A vocabulary that was loaded with a matrix or came from another process has no
        such tokenizer any more. Then a ``str`` raises an error, and lists of tokens
        work.

        Parameters
        ----------
        texts : iterable of str or of list of str
            The texts, or their tokens. In a vocabulary of integers also an array or
            tensor of numbers of any shape, or lists of numbers.
        max_length : int, optional
            How many ids each row has; by default as many as the longest row. Padding
            that a tokenizer adds is removed first.
        truncate : "right" or "left", optional
            Cut longer rows: "right" keeps the first tokens (Keras'
            ``truncating="post"``), "left" the last. By default a longer row is an
            error.

        Returns
        -------
        ndarray of int64, shape (number of texts, max_length)
            The ids, C-contiguous; for an array of numbers, of the same shape.

        Raises
        ------
        UnknownTokenError
            For an unknown token if there is no unk.
        VocabularyError
            For a row that is too long, or too short if there is no pad.
        OptionError
            For a single ``str`` instead of texts, and for a ``str`` that cannot be
            split any more.
        MissingPackageError
            If a package is needed to split a text.

        Examples
        --------
        >>> Vocabulary(["see", "you"]).encode(["you see"], max_length=4)
        array([[2, 1, 0, 0]])
        """
        return self._encoder().encode(texts, max_length, truncate)

    def decode(self, ids: Any, *, keep_pad: bool = False) -> Any:
        """Return the tokens of ids.

        Parameters
        ----------
        ids : int, array or tensor of int, or nested lists
            One id, a row of ids, or a batch of rows, which may differ in length.
        keep_pad : bool, default False
            Keep pad tokens at the ends of rows, which are removed by default.

        Returns
        -------
        str, or list of str, or list of lists of str
            A ``str`` for one id, a list for a row, a list of lists for a batch.

        Raises
        ------
        VocabularyError
            For a value that is no integer, and for an id without a row or token.

        Examples
        --------
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
    """Return a vocabulary of rows of another one; it may be empty.

    Pad and unk are among the special tokens. Raises the errors of `Vocabulary`.
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
    """Return the settings of a saved vocabulary: all but tokens and counts."""
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


#: The values that `Vocabulary.of` takes: also objects of other libraries.
AnyVocabulary = Vocabulary | TokenRows | Iterable[str] | Mapping[str, int] | Any
