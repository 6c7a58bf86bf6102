"""scikit-learn: texts in, one vector each out, in a pipeline.

>>> from sklearn.pipeline import make_pipeline  # doctest: +SKIP
>>> from pretrained_embed.adapters.sklearn import WordVectors  # doctest: +SKIP
>>> model = make_pipeline(WordVectors("glove-6b-50d"), classifier)  # doctest: +SKIP

Of a column of a table of pandas or polars, `column_vectors` gives a table of vectors.
It takes texts, as scikit-learn's own ``CountVectorizer`` does, and fails the checks of
``check_estimator`` that this fails: those that give tables of numbers to ``fit``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, Literal, cast, get_args

import numpy as np

import pretrained_embed as pe
from pretrained_embed.adapters._arguments import missing
from pretrained_embed.arrays import Float32Array, Float64Array, Int64Array
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
#: Numbers that are looked at together for a maximum.
_NUMBERS = 1 << 22
#: Texts that are pooled together: their words stay in the processor's cache.
_TEXTS = 1024


class WordVectors(TransformerMixin, BaseEstimator):
    """Turns each text into one vector, pooled of the vectors of its words.

    Parameters
    ----------
    source : name, path, URL or EmbeddingMatrix, default "glove-6b-50d"
        The vectors, as `build_matrix` takes them. Words that were not there when it was
        fitted are looked up when they come.
    match : default ("exact", "lower")
        The forms in which a word is looked for, as in `build_matrix`.
    pooling : "mean" (default), "max", "sif" or "tfidf"
        The mean; the largest number in each dimension; the mean weighted by
        ``a / (a + p(word))`` less its share of the first principal component (SIF:
        Arora, Liang and Ma 2017, https://openreview.net/forum?id=SyK00v5xx); the mean
        weighted by the inverse document frequency, as ``TfidfVectorizer`` has it.
        Frequencies and component are those of the texts that it was fitted to.
    tokenizer : callable from str to list of str, default ``str.split``
        How a text is read. Lists of words are taken as they are.
    library : Library, optional
        Where names are looked for, and how files are read.

    ``transform`` returns float32 (texts, dim). Words without a vector are left out of
    all pooling, and so is padding; a text without any word that has one is zeros.
    ``coverage_`` is the share of the words fitted to that have a vector.

    A pickle holds the source's name and what its content is known by, and no vectors
    (but of a matrix that was given); where the source has changed by then, looking up
    raises `SourceError`.

    Raises `OptionError` for a pooling that is none, and what `build_matrix` does.
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
        """Count the words of texts, and look their vectors up."""
        self._fitted(X)
        return self

    def fit_transform(self, X: Iterable[Any], y: Any = None, **params: Any) -> Any:
        """Fit to texts and return their vectors, float32 (texts, dim)."""
        return self._pooled(self._fitted(X))

    def transform(self, X: Iterable[Any]) -> Float32Array:
        """Return the vector of each text, float32 (texts, dim)."""
        check_is_fitted(self, "frequencies_")
        return self._pooled(self._listed(X))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return a name for each dimension: ``wordvectors0`` and so on."""
        check_is_fitted(self, "frequencies_")
        return np.array([f"wordvectors{n}" for n in range(self.dim_)], object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_ids", "_table"):
            state.pop(name, None)
        return state

    def _fitted(self, given: Iterable[Any]) -> list[list[str]]:
        if self.pooling not in get_args(Pooling):
            known = get_args(Pooling)
            raise OptionError(
                f"pooling is {self.pooling!r}; it can be {', '.join(known)}"
                f"{suggestion(str(self.pooling), known)}"
            )
        texts = self._words(self._listed(given))
        if not texts:
            raise OptionError("there is no text to fit to; give one at least")
        words = Counter(chain.from_iterable(texts))
        total = max(1, words.total())
        self.frequencies_ = {word: count / total for word, count in words.items()}
        within = Counter(chain.from_iterable(map(set, texts)))
        self.idf_ = {
            word: float(np.log((1 + len(texts)) / (1 + count))) + 1
            for word, count in within.items()
        }
        self._rare = float(np.log(1 + len(texts))) + 1
        self._ids: dict[str, int] = {}
        self._content: Any = None
        self._table: Float32Array | None = None
        self._look_up(words)
        found = sum(self._ids[word] >= 0 for word in words)
        self.coverage_ = found / len(words) if words else 0.0
        self.component_: Float64Array | None = None
        if self.pooling == "sif":
            pooled = self._pooled(texts).astype(np.float64)
            self.component_ = np.linalg.svd(pooled, full_matrices=False)[2][0]
        return texts

    def _listed(self, given: Iterable[Any]) -> list[Any]:
        """Return texts as a list, if they can be texts."""
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
        return list(given)

    def _words(self, listed: list[Any]) -> list[list[str]]:
        """Return the words of each text."""
        if self.tokenizer is None and set(map(type, listed)) == {str}:
            return list(map(str.split, listed))
        read = self.tokenizer or str.split
        texts = []
        for text in listed:
            if not isinstance(text, str | list | tuple):
                raise OptionError(
                    f"{brief(text)} is of type {type(text).__name__}; a text is a str "
                    "or a list of words; a missing one is to be filled, with '' say"
                )
            texts.append(list(read(text) if isinstance(text, str) else text))
        return texts

    @left_out(BY_COPY)
    def _look_up(self, words: Iterable[str]) -> None:
        """Find the vectors of words that have not been looked for."""
        if not hasattr(self, "_ids"):  # as it comes out of a pickle
            self._ids, self._table = {}, None
        new = [word for word in dict.fromkeys(words) if word not in self._ids]
        if not new and self._table is not None:
            return
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
        places = np.where(rows, len(table) + np.cumsum(rows) - 1, -1).tolist()
        self._ids |= dict.fromkeys(new, -1)
        self._ids |= dict(zip(asked, places, strict=True))
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
        """Note what the content of the source is known by, or compare it."""
        facts = told if isinstance(told, dict) else {}
        content = facts.get("digests") or facts.get("fingerprint")
        if self._content is None:
            self._content = content
        elif content is not None and content != self._content:
            raise SourceError(
                f"{brief(self.source)} is not what it was when this WordVectors was "
                "fitted: fit it again, or bring the old file back"
            )

    def _places(self, texts: list[list[str]], count: int) -> Int64Array | None:
        """Return the place in the table of each word of texts, -1 for none.

        ``None`` if a word has not been looked for yet.
        """
        if not hasattr(self, "_ids"):  # as it comes out of a pickle
            return None
        with suppress(KeyError):
            found = map(self._ids.__getitem__, chain.from_iterable(texts))
            return np.fromiter(found, np.int64, count)
        return None

    def _pooled(self, listed: list[Any]) -> Float32Array:
        """Return the vectors of texts, some texts at a time."""
        pooled = []
        for start in range(0, len(listed), _TEXTS):
            texts = self._words(listed[start : start + _TEXTS])
            lengths = np.fromiter(map(len, texts), np.int64, len(texts))
            places = self._places(texts, int(lengths.sum()))
            if places is None:  # one pass over the source finds the words of all
                self._look_up(chain.from_iterable(self._words(listed[start:])))
                places = cast(Int64Array, self._places(texts, int(lengths.sum())))
            pooled.append(self._pool(texts, lengths, places))
        return np.concatenate([np.empty((0, self.dim_), np.float32), *pooled])

    def _pool(
        self, texts: list[list[str]], lengths: Int64Array, places: Int64Array
    ) -> Float32Array:
        table = cast(Float32Array, self._table)
        there = places >= 0
        which = np.repeat(np.arange(len(texts)), lengths)[there]
        ends = np.append(0, np.cumsum(np.bincount(which, minlength=len(texts))))
        places = places[there]
        if self.pooling == "max":
            return _largest(table, places, ends)
        weights = np.ones(len(places), np.float32)
        if self.pooling == "tfidf":
            idf = _numbers(self.idf_, self._rare, texts, len(there))[there]
            weights = idf.astype(np.float32)
        elif self.pooling == "sif":
            often = _numbers(self.frequencies_, 0.0, texts, len(there))[there]
            weights = (_SIF / (_SIF + often)).astype(np.float32)
        shape = (len(texts), len(table))
        pooled = csr_array((weights, places, ends), shape=shape) @ table
        # SIF divides by the number of words, a weighted mean by the sum of weights
        sums = np.ones_like(weights) if self.pooling == "sif" else weights
        totals = np.bincount(which, sums, len(texts))
        totals = np.where(totals > 0, totals, 1)[:, None]
        found: Float32Array = (pooled / totals).astype(np.float32)
        if self.pooling == "sif" and getattr(self, "component_", None) is not None:
            component = cast(Float64Array, self.component_)
            found = (found - np.outer(found @ component, component)).astype(np.float32)
        return found


def column_vectors(column: Any, source: Any = pe.DEFAULT_SOURCE, **options: Any) -> Any:
    """Return the vectors of a column of texts, as a table with a row for each.

    Parameters
    ----------
    column : Series of pandas or polars
        The texts.
    source, options
        As `WordVectors` takes them; it is fitted to the column.

    Returns a DataFrame of the same package, of float32, with columns ``wordvectors0``
    and so on; that of pandas has the index of the column.

    Raises `OptionError` for what is no column, and what `WordVectors` does.

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


def _numbers(
    of: Mapping[str, float], other: float, texts: list[list[str]], count: int
) -> Float64Array:
    """Return the number of each word of all texts, ``other`` where it has none."""
    numbers = map(of.get, chain.from_iterable(texts), repeat(other))
    return np.fromiter(numbers, np.float64, count)


def _largest(table: Float32Array, places: Int64Array, ends: Int64Array) -> Float32Array:
    """Return the largest number in each dimension of each text; zeros of none."""
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
