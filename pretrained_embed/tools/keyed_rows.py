"""`KeyedRows`: vectors by key, with the methods of gensim's ``KeyedVectors``.

They return the same as gensim 4. gensim is not used, and mapped vectors stay mapped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast, overload

import numpy as np

from pretrained_embed.arrays import (
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
)
from pretrained_embed.errors import OptionError, ShapeError, brief
from pretrained_embed.tools.nearest_rows import Nearest, RowLengths, unit_rows
from pretrained_embed.vocabulary import Vocabulary

#: A key, a vector, or one of the two with a weight.
Term: TypeAlias = str | FloatArray | tuple[str | FloatArray, float]
Terms: TypeAlias = Term | Sequence[Term] | None

#: How many rows are processed together.
_ROWS = 1 << 16
#: The constant that avoids a division by zero: Levy and Goldberg.
_EPSILON = 1e-6


class KeyedRows:
    """The rows of a vocabulary, by key: the result of `EmbeddingMatrix.keyed`.

    Parameters
    ----------
    vocabulary : Vocabulary
        The keys by row. A row without a token has no key.
    vectors : float32 (rows, dim)
        The rows, in memory or mapped; only the needed ones are read.

    Searches are exact. A row of zeros, such as that of padding, is never near. Methods
    raise `UnknownTokenError`, a ``KeyError``, for an unknown key.

    >>> import numpy as np
    >>> from pretrained_embed import EmbeddingMatrix, Vocabulary
    >>> vocabulary = Vocabulary(["north", "east", "northeast"], pad=None)
    >>> keyed = EmbeddingMatrix([[0, 1], [1, 0], [1, 1]], vocabulary).keyed()
    >>> keyed.most_similar("north", topn=1)[0][0]
    'northeast'
    """

    def __init__(self, vocabulary: Vocabulary, vectors: Float32Array) -> None:
        self._vocabulary = vocabulary
        self._known: RowLengths | None = None
        self.vectors = vectors

    @property
    def vector_size(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    @property
    def key_to_index(self) -> Mapping[str, int]:
        """The row of each key, read-only; a ``dict`` made at its first use."""
        return self._vocabulary.ids

    @property
    def index_to_key(self) -> Sequence[str | None]:
        """The key of each row, ``None`` for none; made at its first use."""
        return self._vocabulary.tokens

    def get_index(self, key: str) -> int:
        """Return the row of a key."""
        row = self._vocabulary.token_rows.get(key)
        if row is None:
            # which raises an error that names the nearest key
            return self._vocabulary[key]
        return row

    def get_vector(self, key: str, norm: bool = False) -> Float32Array:
        """Return a copy of the vector of a key, float32 (dim,).

        ``norm`` scales it to length 1.
        """
        row = self.get_index(key)
        vector = np.array(self.vectors[row])
        return cast(Float32Array, unit_rows(vector[None])[0] if norm else vector)

    def similarity(self, one: str, other: str) -> float:
        """Return the cosine of two keys, -1 to 1."""
        pair = np.stack([self.get_vector(one), self.get_vector(other)])
        first, second = unit_rows(pair)
        return float(first @ second)

    def n_similarity(self, some: Sequence[str], others: Sequence[str]) -> float:
        """Return the cosine of the mean vectors of some keys and of others.

        Unknown keys are left out with a warning, as in gensim. Raises `OptionError` if
        one side has no known key.
        """
        means = [
            np.mean([self.get_vector(key) for key in self._there(keys)], axis=0)
            for keys in (some, others)
        ]
        first, second = unit_rows(np.stack(means))
        return float(first @ second)

    def doesnt_match(self, keys: Iterable[str]) -> str:
        """Return the key that is farthest from the mean of all.

        Unknown keys are left out with a warning, as in gensim. Raises `OptionError` if
        no key is known.
        """
        there = self._there(keys)
        units = np.stack([self.get_vector(key, norm=True) for key in there])
        (mean,) = unit_rows(units.mean(axis=0, keepdims=True))
        return min(zip((units @ mean).tolist(), there, strict=True))[1]

    @overload
    def most_similar(
        self, positive: Terms = ..., negative: Terms = ..., topn: int = ...
    ) -> list[tuple[str, float]]: ...
    @overload
    def most_similar(
        self, positive: Terms = ..., negative: Terms = ..., *, topn: None
    ) -> Float32Array: ...
    @overload
    def most_similar(
        self,
        positive: Terms = ...,
        negative: Terms = ...,
        topn: int | None = ...,
        clip_start: int = ...,
        clip_end: int | None = ...,
        restrict_vocab: int | None = ...,
    ) -> list[tuple[str, float]] | Float32Array: ...
    def most_similar(
        self,
        positive: Terms = (),
        negative: Terms = (),
        topn: int | None = 10,
        clip_start: int = 0,
        clip_end: int | None = None,
        restrict_vocab: int | None = None,
    ) -> list[tuple[str, float]] | Float32Array:
        """Return the keys nearest to a sum of vectors, by cosine, the nearest first.

        Parameters
        ----------
        positive, negative : key, vector, pair of one of them and a weight, or a list
            The terms to add and to subtract; vectors of keys are scaled to length 1
            (3CosAdd: Mikolov, Yih and Zweig 2013, https://aclanthology.org/N13-1090).
            These keys are left out of the answer.
        topn : int, default 10, or ``None``
            How many keys; ``None`` returns the cosines of all searched rows, float32.
        clip_start, clip_end, restrict_vocab : int, default all
            Search the rows from ``clip_start`` to before ``clip_end``, or the first
            ``restrict_vocab``.

        Raises `OptionError` without a term.
        """
        if topn is not None and topn < 1:
            return []
        terms = [*_terms(positive, 1.0), *_terms(negative, -1.0)]
        mean, own = self._mean(terms)
        looked = slice(clip_start, clip_end)
        if restrict_vocab:
            looked = slice(0, restrict_vocab)
        if topn is None:
            return self._cosines(mean, looked)
        start, stop, _ = looked.indices(len(self))
        best = Nearest(mean[None], topn + len(own))
        best.add(self.vectors[looked], self._lengths().part(start, max(start, stop)))
        rows = best.rows[0] + start
        found = zip(rows.tolist(), best.scores[0].tolist(), strict=True)
        there = [(row, score) for row, score in found if score == score]  # not NaN
        return self._named([pair for pair in there if pair[0] not in own][:topn])

    def most_similar_cosmul(
        self,
        positive: Terms = (),
        negative: Terms = (),
        topn: int | None = 10,
        restrict_vocab: int | None = None,
    ) -> list[tuple[str, float]] | Float32Array:
        """Return the keys nearest by the product of similarities instead of their sum.

        As `most_similar`, by 3CosMul (Levy and Goldberg 2014,
        https://aclanthology.org/W14-1618): cosines are mapped to 0 to 1; those of
        ``positive`` are multiplied, and divided by those of ``negative``. Weights are
        not allowed.
        """
        if topn is not None and topn < 1:
            return []
        added, taken = [*_terms(positive, 1.0)], [*_terms(negative, 1.0)]
        if not added:
            raise OptionError("there is nothing to look for; name a positive key")
        terms = [
            self.get_vector(key) if isinstance(key, str) else self._vector(key)
            for key, _ in added + taken
        ]
        factors = _Factors(unit_rows(np.stack(terms)), len(added))
        looked = slice(0, restrict_vocab or None)
        vectors = self.vectors[looked]
        lengths = self._lengths().part(0, len(vectors))
        if topn is None:
            blocks = [
                factors.product(factors.cosines(rows, lengths.reciprocals[start:]))
                for start, rows in _blocks(vectors)
            ]
            return np.concatenate([np.empty(0, np.float32), *blocks])
        own = {self.get_index(key) for key, _ in added + taken if isinstance(key, str)}
        found = factors.best(vectors, lengths, topn, np.array(sorted(own), np.int64))
        return self._named(found)

    def similar_by_vector(
        self, vector: FloatArray, topn: int = 10
    ) -> list[tuple[str, float]]:
        """Return the keys nearest to a vector (dim,), by cosine."""
        return self.most_similar([vector], topn=topn)

    def __getitem__(self, keys: str | Sequence[str]) -> Float32Array:
        """Return the vector of a key, (dim,), or of several, (keys, dim)."""
        if isinstance(keys, str):
            return self.get_vector(keys)
        rows = np.array([self.get_index(key) for key in keys], np.int64)
        return np.array(self.vectors[rows])

    def __contains__(self, key: object) -> bool:
        return key in self._vocabulary

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"<KeyedRows: {len(self):,} x {self.vector_size}>"

    def _there(self, keys: Iterable[str]) -> list[str]:
        """Return the known keys, and warn about the others."""
        listed = [keys] if isinstance(keys, str) else list(keys)
        there = [key for key in listed if key in self]
        unknown = [key for key in listed if key not in self]
        if unknown:
            warnings.warn(
                f"left out, because they are no keys: {', '.join(map(brief, unknown))}",
                stacklevel=3,
            )
        if not there:
            raise OptionError("there is no key left to compare; name one that is there")
        return there

    def _mean(
        self, terms: list[tuple[str | FloatArray, float]]
    ) -> tuple[Float32Array, set[int]]:
        """Return the weighted sum of terms, of length 1, and the rows of its keys."""
        if not terms:
            raise OptionError("there is nothing to look for; name a key or a vector")
        total: Float64Array = np.zeros(self.vector_size)
        own = set()
        for key, weight in terms:
            if isinstance(key, str):
                own.add(self.get_index(key))
                total += weight * self.get_vector(key, norm=True).astype(np.float64)
            else:
                total += weight * self._vector(key)
        (mean,) = unit_rows(total[None])
        return mean, own

    def _vector(self, given: FloatArray) -> Float64Array:
        vector = np.asarray(given, np.float64)
        if vector.shape != (self.vector_size,):
            raise ShapeError(
                f"a vector of shape {vector.shape}; expected ({self.vector_size},)"
            )
        return vector

    def _cosines(self, unit: Float32Array, looked: slice) -> Float32Array:
        """Return the cosines of rows with a vector of length 1; 0 for rows of zeros."""
        start, stop, _ = looked.indices(len(self))
        reciprocals = self._lengths().reciprocals[start:stop]
        found = np.empty(len(reciprocals), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for first, rows in _blocks(self.vectors[looked]):
                found[first : first + len(rows)] = rows @ unit
            found *= reciprocals
        return found

    def _lengths(self) -> RowLengths:
        if self._known is None:
            self._known = RowLengths.of(self.vectors)
        return self._known

    def _named(self, found: Iterable[tuple[int, float]]) -> list[tuple[str, float]]:
        pairs = list(found)
        names = self._vocabulary.strings(np.array([row for row, _ in pairs], np.int64))
        return [(name, score) for name, (_, score) in zip(names, pairs, strict=True)]


class _Factors:
    """The similarities that 3CosMul multiplies and divides by.

    ``units`` is float32 (terms, dim), of length 1; the first ``added`` are factors.
    """

    def __init__(self, units: Float32Array, added: int) -> None:
        self._units, self._added = units, added
        # the bound of Higham (2002), 3.5, for the product and for the squares
        self._slack = 2 * (units.shape[1] + 8) * 2.0**-24

    def cosines(self, rows: Float32Array, reciprocals: Float32Array) -> FloatArray:
        """Return the cosines of terms with rows, (terms, rows); 0 for zeros."""
        with np.errstate(over="ignore", invalid="ignore"):
            found: FloatArray = self._units @ rows.T
            found *= reciprocals[: len(rows)]
        return found

    def product(self, cosines: FloatArray, wrong: float = 0.0) -> FloatArray:
        """Return the products, (rows,), exact, or with ``wrong`` an upper bound.

        ``wrong`` is the largest error of the cosines; a negative one gives a lower
        bound.
        """
        moved = (cosines + (1 + wrong)) * 0.5
        moved[self._added :] -= wrong  # the smallest divisors give the largest product
        np.maximum(moved, 0, out=moved)
        found: FloatArray = moved[: self._added].prod(axis=0)
        if len(moved) > self._added:
            found /= moved[self._added :].prod(axis=0) + _EPSILON
        # the rounding of these steps
        found *= 1 + np.sign(wrong) * (len(moved) + 4) * 2.0**-24
        return found

    def best(
        self, vectors: Float32Array, lengths: RowLengths, count: int, own: Int64Array
    ) -> list[tuple[int, float]]:
        """Return the best rows except ``own``, and their products, the best first.

        The candidates of binary32 are measured in binary64.
        """
        rows, least = np.empty(0, np.int64), np.empty(0, np.float32)
        most = np.empty(0, np.float32)
        for start, some in _blocks(vectors):
            cosines = self.cosines(some, lengths.reciprocals[start:])
            at_most = self.product(cosines, self._slack)
            squares = lengths.squares[start : start + len(some)]
            at_most[~((squares > 0) & np.isfinite(squares))] = -np.inf
            at_most[own[(own >= start) & (own < start + len(some))] - start] = -np.inf
            floor = np.partition(least, -count)[-count] if len(least) >= count else 0
            new = np.flatnonzero(at_most >= floor)
            rows = np.append(rows, start + new)
            most = np.append(most, at_most[new])
            least = np.append(least, self.product(cosines[:, new], -self._slack))
            if len(least) > count:
                kept = most >= np.partition(least, -count)[-count]
                rows, least, most = rows[kept], least[kept], most[kept]
        wide = vectors[rows].astype(np.float64)
        wide /= np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        exact = self.product(self._units.astype(np.float64) @ wide.T)
        order = np.lexsort((rows, -exact))[:count]
        return list(zip(rows[order].tolist(), exact[order].tolist(), strict=True))


def _blocks(vectors: Float32Array) -> Iterator[tuple[int, Float32Array]]:
    for start in range(0, len(vectors), _ROWS):
        yield start, vectors[start : start + _ROWS]


def _terms(given: Terms, sign: float) -> Iterator[tuple[str | FloatArray, float]]:
    """Yield keys and vectors with their weights."""
    if given is None:  # as gensim has it for nothing
        return
    if not isinstance(given, Iterable):
        raise OptionError(f"{brief(given)} is no key; give a token or a vector")
    for term in [given] if _is_term(given) else cast(Sequence[Term], given):
        if isinstance(term, tuple):
            yield term
        elif isinstance(term, str):
            yield term, sign
        else:
            yield np.asarray(term), sign


def _is_term(given: Terms) -> bool:
    return isinstance(given, str) or (isinstance(given, np.ndarray) and given.ndim == 1)
