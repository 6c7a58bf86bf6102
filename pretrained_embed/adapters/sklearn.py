"""scikit-learn: a transformer from texts to vectors, for pipelines.

>>> from sklearn.pipeline import make_pipeline  # doctest: +SKIP
>>> from pretrained_embed.adapters.sklearn import WordVectors  # doctest: +SKIP
>>> model = make_pipeline(WordVectors("glove-6b-50d"), classifier)  # doctest: +SKIP

`column_vectors` turns a column of a pandas or polars table into a table of vectors.
Like scikit-learn's ``CountVectorizer``, the transformer takes texts, and so fails those
checks of ``check_estimator`` that call ``fit`` with tables of numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np

import pretrained_embed as pe
from pretrained_embed import kernel
from pretrained_embed.adapters._arguments import missing
from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    PackedTokens,
    joined,
)
from pretrained_embed.errors import (
    BY_COPY,
    CoverageError,
    OptionError,
    SourceError,
    brief,
    left_out,
    suggestion,
)
from pretrained_embed.formats.table_reader import TableReader

try:
    from scipy.sparse import csr_array
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise missing("scikit-learn", "sklearn") from error

__all__ = ["Pooling", "WordVectors", "column_vectors"]

Pooling = Literal["mean", "max", "sif", "tfidf"]

#: The constant a of Arora, Liang and Ma 2017, in their experiments.
_SIF = 1e-3
#: How many numbers are reduced at a time for a maximum.
_NUMBERS = 1 << 22
#: How many texts are pooled at a time, to limit the memory for their words.
_TEXTS = 1 << 12
#: The bytes of ASCII at which ``str.split`` splits.
_BLANK = np.isin(np.arange(256), [*b"\t\n\v\f\r\x1c\x1d\x1e\x1f "])
#: The position of an unknown word; positions of known ones are smaller.
_UNKNOWN = np.iinfo(np.int64).max


class WordVectors(TransformerMixin, BaseEstimator):
    """Turns each text into one vector, pooled from the vectors of its words.

    Words without a vector are left out, and so is padding; a text without any known
    word is zeros. ``coverage_`` is the share of the fitted words that have a vector.

    A pickle has the source's name and digest, and no vectors (except of a given
    matrix). If the source has changed since, looking up words raises `SourceError`.

    Parameters
    ----------
    source : name, path, URL or EmbeddingMatrix, default "glove-6b-50d"
        The vectors, as in `build_matrix`. Words that are new after fitting are looked
        up when they occur.
    match : default ("exact", "lower")
        The forms in which a word is looked up, as in `build_matrix`.
    pooling : "mean" (default), "max", "sif" or "tfidf"
        The mean; the largest number in each dimension; the mean weighted by ``a / (a +
        p(word))`` without its first principal component (SIF: Arora, Liang and Ma 2017,
        https://openreview.net/forum?id=SyK00v5xx); the mean weighted by the inverse
        document frequency, as in ``TfidfVectorizer``. Frequencies and component are
        those of the fitted texts.
    tokenizer : callable from str to list of str, default ``str.split``
        How a text is split. Lists of words are not split.
    library : Library, optional
        Where names are looked up, and how files are read.

    Raises
    ------
    OptionError
        When it is fitted, for an unknown pooling; other errors as `build_matrix`.

    Examples
    --------
    >>> WordVectors("glove-6b-50d").fit_transform(["a text"]).shape  # doctest: +SKIP
    (1, 50)
    """

    def __init__(
        self,
        source: Any = pe.DEFAULT_SOURCE,
        *,
        match: Any = ("exact", "lower"),
        pooling: Pooling = "mean",
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        library: pe.Library | None = None,
    ) -> None:
        self.source = source
        self.match = match
        self.pooling = pooling
        self.tokenizer = tokenizer
        self.library = library

    def fit(self, X: Iterable[Any], y: Any = None) -> WordVectors:
        """Count the words of texts, and look up their vectors.

        Parameters
        ----------
        X : iterable of str or of list of str
            The texts.
        y : ignored
            For pipelines.

        Returns
        -------
        WordVectors
            Itself.
        """
        self._fitted(X)
        return self

    def fit_transform(self, X: Iterable[Any], y: Any = None, **params: Any) -> Any:
        """Fit to texts and return their vectors.

        Parameters
        ----------
        X : iterable of str or of list of str
            The texts.
        y, **params : ignored
            For pipelines.

        Returns
        -------
        ndarray of float32, shape (texts, dim)
            A vector for each text.
        """
        return self._pooled(self._fitted(X))

    def transform(self, X: Iterable[Any]) -> Float32Array:
        """Return the vectors of texts.

        Parameters
        ----------
        X : iterable of str or of list of str
            The texts.

        Returns
        -------
        ndarray of float32, shape (texts, dim)
            A vector for each text.
        """
        check_is_fitted(self, "frequencies_")
        return self._pooled(self._listed(X))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return a name for each dimension.

        Parameters
        ----------
        input_features : ignored
            For pipelines.

        Returns
        -------
        ndarray of str, shape (dim,)
            "wordvectors0", "wordvectors1" and so on.
        """
        check_is_fitted(self, "frequencies_")
        return np.array([f"wordvectors{n}" for n in range(self.dim_)], object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_known", "_places", "_table"):
            state.pop(name, None)
        return state

    def _fitted(self, given: Iterable[Any]) -> list[Any]:
        if self.pooling not in get_args(Pooling):
            known = get_args(Pooling)
            raise OptionError(
                f"pooling is {self.pooling!r}; it can be {', '.join(known)}"
                f"{suggestion(str(self.pooling), known)}"
            )
        texts = self._listed(given)
        if not texts:
            raise OptionError("there is no text to fit to; give one at least")
        read = self._words(texts)
        words = read.packed.unpack()
        counts = Counter(words)
        total = max(1, counts.total())
        self.frequencies_ = {word: count / total for word, count in counts.items()}
        parts = zip(read.ends[:-1].tolist(), read.ends[1:].tolist(), strict=True)
        within = Counter(chain.from_iterable(set(words[a:b]) for a, b in parts))
        self.idf_ = {
            word: float(np.log((1 + len(texts)) / (1 + count))) + 1
            for word, count in within.items()
        }
        self._rare = float(np.log(1 + len(texts))) + 1
        self._content: Any = None
        self._forget()
        self._look_up(list(counts))
        found = int((self._places >= 0).sum())
        self.coverage_ = found / len(counts) if counts else 0.0
        self.component_: Float64Array | None = None
        if self.pooling == "sif":
            pooled = self._pooled(texts).astype(np.float64)
            self.component_ = np.linalg.svd(pooled, full_matrices=False)[2][0]
        return texts

    def _forget(self) -> None:
        """Forget all words and vectors."""
        self._known = PackedTokens.pack([])
        self._places: Int64Array = np.empty(0, np.int64)
        self._table: Float32Array | None = None

    def _listed(self, given: Iterable[Any]) -> list[Any]:
        """Return texts as a list; raises `OptionError` for other values."""
        if isinstance(given, str):
            raise OptionError(
                f"one text, {brief(given)}, is given; give a list of texts"
            )
        shape = getattr(given, "shape", ())
        if len(shape) > 1:
            kind = f"{type(given).__module__}.{type(given).__name__}"
            raise OptionError(
                f"a table of shape {tuple(shape)} is given ({kind}); give one column "
                "of texts, as in table['text']"
            )
        if not isinstance(given, Iterable) and not hasattr(given, "__len__"):
            raise OptionError(
                f"X is of type {type(given).__name__}; give a list or a column of texts"
            )
        # a column of lists has a Series of polars for each of them
        return list(given.to_list() if hasattr(given, "to_list") else given)

    def _words(self, listed: list[Any]) -> _Words:
        """Return the words of texts."""
        if self.tokenizer is None and set(map(type, listed)) == {str}:
            return _Words.split(listed)
        read = self.tokenizer or str.split
        texts = []
        for text in listed:
            if not isinstance(text, str | list | tuple | np.ndarray):
                raise OptionError(
                    f"{brief(text)} is of type {type(text).__name__}; a text is a str "
                    "or a list of words; a missing one is to be filled, with '' say"
                )
            texts.append(list(read(text) if isinstance(text, str) else text))
        return _Words.of(texts)

    @left_out(BY_COPY)
    def _look_up(self, new: list[str]) -> None:
        """Look up the vectors of words that have not been looked up yet."""
        asked = [word for word in new if word]
        found = None
        if asked:
            vocabulary = pe.Vocabulary(asked, pad=None)
            try:
                found = pe.build_matrix(
                    vocabulary,
                    self._vectors(),
                    match=self.match,
                    oov="zeros",
                    library=self.library,
                )
            except CoverageError:  # the source has none of them
                found = None
        if found is None:
            with pe.open_vectors(self._vectors(), library=self.library) as reader:
                vectors = np.zeros((len(asked), reader.dim), np.float32)
        else:
            vectors = found.vectors
            self._check(found.provenance.get("source"))
        rows = vectors.any(axis=1) & np.isfinite(vectors).all(axis=1)
        table = vectors[:0] if self._table is None else self._table
        places = np.where(rows, len(table) + np.cumsum(rows) - 1, -1)
        silent = [""] * (len(new) - len(asked))
        self._known = joined([self._known, PackedTokens.pack([*asked, *silent])])
        none = np.full(len(silent), -1)
        self._places = np.concatenate([self._places, places, none])
        self._table = np.vstack([table, vectors[rows]])
        self.dim_ = vectors.shape[1]

    def _vectors(self) -> Any:
        """Return the source, as `build_matrix` takes it."""
        if not isinstance(self.source, pe.EmbeddingMatrix):
            return self.source
        table = self.source.table()
        return TableReader(
            "matrix", "the matrix", table.tokens, table.vectors, arrays=table.arrays
        )

    def _check(self, told: Any) -> None:
        """Record the digest of the source, or compare it with the recorded one."""
        facts = told if isinstance(told, dict) else {}
        content = facts.get("digests") or facts.get("fingerprint")
        if self._content is None:
            self._content = content
        elif content is not None and content != self._content:
            raise SourceError(
                f"{brief(self.source)} is not what it was when this WordVectors was "
                "fitted: fit it again, or bring the old file back"
            )

    def _numbers(self) -> Float64Array | None:
        """Return the weight of each known word; ``None`` if all have the same."""
        of, other = {
            "tfidf": (self.idf_, self._rare),
            "sif": (self.frequencies_, 0.0),
        }.get(self.pooling, ({}, 1.0))
        if not of:
            return None
        numbers = np.array([of.get(word, other) for word in self._known], np.float64)
        return _SIF / (_SIF + numbers) if self.pooling == "sif" else numbers

    def _pooled(self, listed: list[Any]) -> Float32Array:
        """Return the vectors of texts, some texts at a time."""
        if not hasattr(self, "_known"):  # after loading a pickle
            self._forget()
        pooled: list[Float32Array] = []
        numbers = self._numbers()
        for start in range(0, len(listed), _TEXTS):
            words = self._words(listed[start : start + _TEXTS])
            found = words.find(self._known)
            if (found == _UNKNOWN).any() or self._table is None:
                # one pass over the source finds the words of all remaining texts
                rest = self._words(listed[start:])
                self._look_up(rest.at(rest.find(self._known) == _UNKNOWN))
                found, numbers = words.find(self._known), self._numbers()
            pooled.append(self._pool(words, found, numbers))
        return np.concatenate([np.empty((0, self.dim_), np.float32), *pooled])

    def _pool(
        self, words: _Words, found: Int64Array, numbers: Float64Array | None
    ) -> Float32Array:
        table = cast(Float32Array, self._table)
        places = self._places[found]
        there = places >= 0
        count = len(words.ends) - 1
        which = np.repeat(np.arange(count), np.diff(words.ends))[there]
        ends = np.append(0, np.cumsum(np.bincount(which, minlength=count)))
        places = places[there]
        if self.pooling == "max":
            return _largest(table, places, ends)
        weights = np.ones(len(places), np.float32)
        if numbers is not None:
            weights = numbers[found[there]].astype(np.float32)
        pooled = csr_array((weights, places, ends), shape=(count, len(table))) @ table
        # SIF divides by the number of words, a weighted mean by the sum of weights
        sums = np.ones_like(weights) if self.pooling == "sif" else weights
        totals = np.bincount(which, sums, count)
        totals = np.where(totals > 0, totals, 1)[:, None]
        mean: Float32Array = (pooled / totals).astype(np.float32)
        if self.pooling == "sif" and getattr(self, "component_", None) is not None:
            component = cast(Float64Array, self.component_)
            mean = (mean - np.outer(mean @ component, component)).astype(np.float32)
        return mean


class _Words(NamedTuple):
    """The words of some texts, in order, without a ``str`` for each."""

    packed: PackedTokens
    ends: Int64Array  # (texts + 1,): those of text i are from ends[i] to ends[i + 1]

    @classmethod
    def split(cls, texts: list[str]) -> _Words:
        """Split texts at blanks, as ``str.split`` does."""
        # the remaining white space of other scripts becomes spaces
        plain = (text if text.isascii() else " ".join(text.split()) for text in texts)
        raws = list(map(_encoded, plain))
        data = np.frombuffer(b"\n".join([b"", *raws, b""]), np.uint8)
        blank = _BLANK[data]
        edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1  # it begins with a space
        starts, stops = edges[::2], edges[1::2]
        offsets = np.append(0, np.cumsum(stops - starts))
        sizes = np.fromiter(map(len, raws), np.int64, len(raws))
        ends = np.searchsorted(starts, np.append(0, np.cumsum(sizes + 1)))
        return cls(PackedTokens(data[~blank], offsets), ends)

    @classmethod
    def of(cls, texts: list[list[str]]) -> _Words:
        """Return words that are already split."""
        for word in chain.from_iterable(texts):
            if not isinstance(word, str):
                kind = type(word).__name__
                raise OptionError(f"a word, {brief(word)}, is of type {kind}, not str")
        raws = [_encoded(word) for word in chain.from_iterable(texts)]
        ends = np.append(0, np.cumsum(list(map(len, texts)), dtype=np.int64))
        return cls(PackedTokens.join(raws), ends)

    def find(self, known: PackedTokens) -> Int64Array:
        """Return the position of each word among known ones, `_UNKNOWN` for others."""
        count = len(self.packed)
        index = kernel.TokenIndex(
            self.packed, np.arange(count), np.zeros(count, np.uint8)
        )
        found = np.full(count, _UNKNOWN)
        seen = np.zeros(len(index), np.uint8)
        kernel.find_rows(index, known.data.data, known.offsets, 0, found, seen)
        return found

    def at(self, chosen: BoolArray) -> list[str]:
        """Return the words at the chosen positions, each once."""
        places = np.flatnonzero(chosen).tolist()
        return list(dict.fromkeys(self.packed[place] for place in places))


def _encoded(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise OptionError(
            f"{brief(text)} has half of a surrogate pair at place {error.start}; it is "
            "no text: leave it out, or replace what stands there"
        ) from None


def column_vectors(column: Any, source: Any = pe.DEFAULT_SOURCE, **options: Any) -> Any:
    """Return the vectors of a column of texts, as a table with a row for each.

    Parameters
    ----------
    column : Series of pandas or polars
        The texts.
    source, **options
        As in `WordVectors`, which is fitted to the column.

    Returns
    -------
    DataFrame of the same package
        float32 columns "wordvectors0" and so on; in pandas with the index of the
        column.

    Raises
    ------
    OptionError
        For a value that is no column; other errors as `WordVectors`.

    Examples
    --------
    >>> table.join(column_vectors(table["text"], "glove-6b-50d"))  # doctest: +SKIP
    """
    package = type(column).__module__.partition(".")[0]
    if package not in ("pandas", "polars"):
        raise OptionError(
            f"the column is of type {type(column).__name__}; give a Series of pandas "
            "or polars, or texts to WordVectors(...).fit_transform"
        )
    model = WordVectors(source, **options).set_output(transform=package)
    return model.fit_transform(column)


def _largest(table: Float32Array, places: Int64Array, ends: Int64Array) -> Float32Array:
    """Return the maximum in each dimension of each text; zeros without words."""
    found = np.zeros((len(ends) - 1, table.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(ends) > 0)
    step = max(1, _NUMBERS // max(1, table.shape[1]))
    first = 0
    while first < len(filled):
        begun = ends[filled[first]]
        last = first + 1
        while last < len(filled) and ends[filled[last] + 1] - begun <= step:
            last += 1
        some = filled[first:last]
        rows = table[places[begun : ends[some[-1] + 1]]]
        found[some] = np.maximum.reduceat(rows, ends[some] - begun)
        first = last
    return found
