"""`Vocabulary`: what tokens and their ids are made from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from pretrained_embed import markup
from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary import checks, files, objects
from pretrained_embed.vocabulary.content import (
    Choice,
    Content,
    Special,
    check_room,
    settle,
)
from pretrained_embed.vocabulary.encoding import Encoder
from pretrained_embed.vocabulary.special_tokens import Marks
from pretrained_embed.vocabulary.token_rows import TokenRows
from pretrained_embed.vocabulary.tokens import Text, Tokenize, Tokenizer, frequent

#: Rows that a notebook shows.
_SHOWN = 10


class Vocabulary(Encoder):
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
    * a `TokenRows`: packed tokens, which keep their rows as a mapping's keep their ids;
      ``counts`` may be an int64 array (rows,) then.

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

    #: The kinds of files that `from_file` reads.
    KINDS: ClassVar[tuple[str, ...]] = files.KINDS

    __slots__ = ()

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int] | TokenRows,
        *,
        pad: str | None = "<pad>",
        unk: str | None = None,
        counts: Mapping[str, int] | Int64Array | None = None,
        tokenize: Tokenize | Tokenizer | None = None,
        lower: bool = False,
        special_tokens: Mapping[str, str] | None = None,
        marks: Marks | None = None,
    ) -> None:
        if isinstance(tokens, Vocabulary):
            raise VocabularyError("this is a Vocabulary already; use it, or its ids")
        if isinstance(tokens, TokenRows) and not len(tokens):
            raise VocabularyError("the vocabulary is empty; it needs at least one row")
        super().__init__(
            tokens,
            pad=pad,
            unk=unk,
            counts=counts,
            special_tokens=special_tokens,
            marks=marks,
        )
        if not isinstance(tokenize, Tokenizer):
            tokenize = Tokenizer(tokenize, lower)
        self._tokenizer = tokenize

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
          tokens for index.

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
            content = Content(vocabulary)
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
        made.belong_to(self)
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

        and ``None`` finds out by the content, as the modules in `files` describe, byte
        by byte. ``pad`` and ``unk`` are those that the file names; where it names no
        pad, it is ``<pad>``, put where the constructor puts it. The rest is as in the
        constructor.

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
        content: Content,
        pad: Special,
        unk: Special,
        tokenize: Tokenize | None = None,
        lower: bool = False,
    ) -> Self:
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

    def _repr_html_(self) -> str:
        tokens = self.packed[:_SHOWN].unpack()
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
    Encoder.__init__(
        made,
        rows,
        pad=special_tokens.get("pad"),
        unk=special_tokens.get("unk"),
        counts=counts,
        special_tokens=special_tokens,
        marks=marks,
    )
    made._tokenizer = Tokenizer() if tokenize is None else tokenize
    return made


#: What `Vocabulary.of` takes: also objects of other libraries, told by their interface.
AnyVocabulary = Vocabulary | TokenRows | Iterable[str] | Mapping[str, int] | Any
