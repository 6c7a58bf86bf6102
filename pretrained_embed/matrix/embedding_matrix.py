"""The matrix: one row a token, and where each row comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import AnyArray, Float32Array, Int16Array, Int64Array
from pretrained_embed.drawing import Method
from pretrained_embed.errors import (
    OptionError,
    ShapeError,
    UnknownTokenError,
    VocabularyError,
    brief,
)
from pretrained_embed.formats import Findings, Table, write_table
from pretrained_embed.formats.table import Rows
from pretrained_embed.matrix import showing
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.coverage import Coverage, measure
from pretrained_embed.matrix.explain import RowStory, explain
from pretrained_embed.matrix.extend import extended, missing
from pretrained_embed.matrix.origin import Origin, OriginArray, Part
from pretrained_embed.matrix.provenance import forms_of, sources_of
from pretrained_embed.matrix.saving import check_place, to_table
from pretrained_embed.neighbours import KeyedRows
from pretrained_embed.vocabulary import Vocabulary, checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class EmbeddingMatrix:
    """Vectors aligned to a vocabulary. Row *i* is the token with id *i*. Immutable.

    ``vectors`` is float32 (len(vocabulary), dim), C-contiguous and read-only: training
    a layer made from it cannot change it. Those of a matrix in several files are read
    into memory when they are first asked for. ``origin`` is uint8 (len(vocabulary),),
    the row ledger of `Origin` codes. ``sources`` is int16 (len(vocabulary),): which
    source of the provenance a vector is from, and ``source_rows`` int64
    (len(vocabulary),): which row of it, from 0; both are -1 where it is from none.
    Where every vector is put together from several sources, these tell of the first
    that has the token, and ``parts`` holds the ledger of each. ``advice``, where it was
    asked for, has for each OOV token the forms that would have found it. ``provenance``
    says how to build the same bytes again; JSON holds it all.

    Made by `build_matrix` and `load_matrix`; the constructor takes arrays of one's own.
    Without ``origin`` every token counts as found. Raises `ShapeError` if an array does
    not fit the vocabulary, and `VocabularyError` if the pad row is not zeros.
    """

    def __init__(
        self,
        vectors: npt.ArrayLike | Rows,
        vocabulary: Vocabulary,
        origin: npt.ArrayLike | None = None,
        provenance: dict[str, Any] | None = None,
        findings: Findings | None = None,
        source_rows: npt.ArrayLike | None = None,
        sources: npt.ArrayLike | None = None,
        parts: Iterable[Part] = (),
        advice: Advice | None = None,
    ) -> None:
        if not isinstance(vocabulary, Vocabulary):
            raise _no_vocabulary(vectors, vocabulary)
        rows = len(vocabulary)
        self.vocabulary = vocabulary
        # what has a shape and is no array is read when it is asked for
        if hasattr(vectors, "shape") and not hasattr(vectors, "__array__"):
            self._stored = cast(Rows, vectors)
        else:
            self._stored = _frozen(cast(npt.ArrayLike, vectors), np.float32)
        if len(self._stored.shape) != 2 or self._stored.shape[0] != rows:
            raise ShapeError(
                f"vectors of shape {self._stored.shape} for a vocabulary of {rows:,}; "
                f"expected ({rows}, dim)"
            )
        self.origin: OriginArray = _frozen(
            _all_found(vocabulary) if origin is None else origin, np.uint8
        )
        self.source_rows: Int64Array = _frozen(
            np.full(rows, -1) if source_rows is None else source_rows, np.int64
        )
        if sources is None:  # one at most
            sources = np.where(self.source_rows >= 0, 0, -1)
        self.sources: Int16Array = _frozen(sources, np.int16)
        self.parts = tuple(
            Part(_frozen(part.origin, np.uint8), _frozen(part.source_rows, np.int64))
            for part in parts
        )
        self.advice: Advice | None = advice and Advice(
            advice.forms, _frozen(advice.found_by, np.uint32)
        )
        for name, array in self._ledger():
            if array.shape != (rows,):
                raise ShapeError(f"{name} of shape {array.shape} for {rows:,} rows")
        pad = vocabulary.pad_id
        if pad is not None and self._stored[pad : pad + 1].any():
            raise VocabularyError(
                f"row {pad}, of the pad token {brief(vocabulary.pad_token)}, is not "
                "zeros; make it zeros, or use a vocabulary with pad=None"
            )
        self.provenance: dict[str, Any] = {} if provenance is None else provenance
        self.findings = Findings() if findings is None else findings

    @property
    def vectors(self) -> Float32Array:
        """The rows, float32 (len(vocabulary), dim)."""
        if not isinstance(self._stored, np.ndarray):
            self._stored = _frozen(self._stored[:], np.float32)
        return self._stored

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, dim)."""
        return self._stored.shape[0], self._stored.shape[1]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.shape[1]

    @property
    def pad_id(self) -> int | None:
        """Row of the pad token, or ``None``."""
        return self.vocabulary.pad_id

    @property
    def source_facts(self) -> list[dict[str, Any]]:
        """What the provenance tells of each source, in the order of ``sources``."""
        return sources_of(self.provenance)

    @property
    def match(self) -> tuple[str, ...]:
        """The names of the match chain, and of own forms that found kept rows.

        None if the provenance does not tell. `Origin.label` takes them.
        """
        return forms_of(self.provenance)

    @property
    def coverage(self) -> Coverage:
        """How much of the vocabulary was found; prints as a paragraph."""
        return measure(self.vocabulary, self.origin, self.match, self.advice)

    def lookup(self, ids: npt.ArrayLike) -> Float32Array:
        """Return the vectors of ids: float32, the shape of ``ids`` plus (dim,).

        Raises `VocabularyError` for an id that is no row; -1 is none.
        """
        wanted = np.asarray(ids)
        checks.row_numbers(wanted, len(self))
        found: Float32Array = self.vectors[wanted.astype(np.int64)]
        return found

    def encode_lookup(
        self, texts: Any, *, max_length: int | None = None, **options: Any
    ) -> Float32Array:
        """Return the vectors of texts: float32 (texts, length, dim).

        The same as ``lookup(vocabulary.encode(texts, ...))``.
        """
        return self.lookup(
            self.vocabulary.encode(texts, max_length=max_length, **options)
        )

    def explain(self, token: str) -> RowStory:
        """Return how the row of a token was filled; prints as a paragraph.

        Raises `UnknownTokenError`, which names the nearest token there is.
        """
        return explain(self, token)

    def with_vectors(self, vectors: npt.ArrayLike) -> Self:
        """Return a matrix of other vectors (rows, dim), with the ledger of this one.

        Such as this one's after training: see `extend`. The provenance tells of this
        one's. Raises `ShapeError` for another number of rows, and `VocabularyError` if
        the pad row is not zeros.
        """
        return type(self)(
            vectors,
            self.vocabulary,
            self.origin,
            {"trained_from": self.provenance},
            self.findings,
            self.source_rows,
            self.sources,
            self.parts,
            self.advice,
        )

    def missing(self, vocabulary: Vocabulary) -> Vocabulary | None:
        """Return what `extend` needs of a vocabulary, as one; ``None`` for nothing."""
        return missing(self, vocabulary)

    def extend(
        self,
        vocabulary: Vocabulary,
        rest: EmbeddingMatrix | None = None,
        *,
        name: str = "an earlier matrix",
    ) -> EmbeddingMatrix:
        """Return the matrix of another vocabulary, with the rows that this one has.

        A token that is in both keeps its row to the bit, whatever its id, and its code
        in the ledger; ``sources`` and ``source_rows`` tell of this matrix, which
        becomes a source, called ``name``, and of its row. Rows of other tokens are
        those of ``rest``, which may have more. The pad row is zeros.

        Raises `ShapeError` if the two differ in dim, and `VocabularyError` naming a
        token that neither has.
        """
        return extended(self, vocabulary, rest, name)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        shards: int | None = None,
    ) -> None:
        """Write the matrix in the format that the suffix names, or ``format``.

        ``.npz``, ``.h5``, ``.safetensors`` and ``.npy`` (the vectors, with a file of
        all else beside them, ``.rows.safetensors``) hold all of it, and so does a
        folder for ``format="sentence-transformers"``. ``.txt`` (word2vec text;
        ``"glove"`` is the same without the header), ``.bin`` (word2vec binary),
        ``.kv`` (gensim) and ``"projector"`` (a folder for TensorBoard) hold tokens and
        vectors, which is what other tools read.

        ``shards`` writes a new folder of so many safetensors files, each some of the
        rows, with the index that Hugging Face's libraries read; it holds all, too.

        What is written appears whole or not at all. Raises `WriteError` for another
        suffix, for the file of a source of this matrix, and naming the token or row
        that the format cannot hold, and
        `OptionError` for another format or more shards than rows.
        """
        check_place(path, self.source_facts)
        write_table(path, self.table(), format=format, shards=shards)

    def table(self) -> Table:
        """Return everything there is about the matrix, as a table of a file."""
        return to_table(self)

    def plot(
        self,
        tokens: Sequence[str] | None = None,
        *,
        count: int = 100,
        method: Method = "pca",
        seed: int = 0,
        title: str | None = None,
    ) -> Figure:
        """Return a matplotlib figure: tokens as points in the plane, with labels.

        ``tokens`` are those to draw, by default the ``count`` most frequent ones (the
        first ids, where there are no counts). ``method`` is "pca", "tsne" or "umap";
        the same rows, method and ``seed`` give the same picture. Raises
        `UnknownTokenError`, `OptionError`, and `MissingPackageError` where matplotlib,
        or what the method needs, is not installed.
        """
        return showing.plot(
            self, tokens, count=count, method=method, seed=seed, title=title
        )

    def keyed(self) -> KeyedRows:
        """Return the rows by key, with the methods of gensim's ``KeyedVectors``.

        Row *i* is the same as here, padding and OOV rows too; nothing is copied, and
        gensim is not needed. ``load_matrix("vectors.npz").keyed()`` stays mapped.

        >>> matrix.keyed().most_similar("king", topn=3)  # doctest: +SKIP
        """
        return KeyedRows(self.vocabulary, self.vectors)

    def _repr_html_(self) -> str:
        return showing.html(self)

    def __getitem__(self, token: str) -> Float32Array:
        """Return the vector of a token, float32 (dim,).

        Raises `UnknownTokenError`, a ``KeyError``. Of ids, `lookup` gives the vectors.
        """
        if not isinstance(token, str):
            raise UnknownTokenError(
                f"{brief(token)} is no token; matrix.lookup(ids) gives vectors of ids"
            )
        vector: Float32Array = self.vectors[self.vocabulary[token]]
        return vector

    def __contains__(self, token: object) -> bool:
        return token in self.vocabulary

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens by rising row; rows that no token has are left out."""
        return iter(self.vocabulary)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> AnyArray:
        return np.array(self.vectors, dtype, copy=copy)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # pickled and copied arrays can be written to
        if isinstance(self._stored, np.ndarray):
            self._stored.flags.writeable = False
        for _, array in self._ledger():
            array.flags.writeable = False

    def _ledger(self) -> Iterator[tuple[str, AnyArray]]:
        """Yield the arrays that have one entry a row, with their names."""
        for name in ("origin", "source_rows", "sources"):
            yield name, getattr(self, name)
        for part in self.parts:
            yield from part._asdict().items()
        if self.advice is not None:
            yield "advice", self.advice.found_by

    def __repr__(self) -> str:
        coverage = self.coverage
        return (
            f"<EmbeddingMatrix {self.shape[0]:,} x {self.dim}: {coverage.found:,} of "
            f"{coverage.tokens:,} tokens found>"
        )


def _no_vocabulary(vectors: object, given: object) -> OptionError:
    """Return the error for what is given as vocabulary, and what to write instead."""
    if isinstance(vectors, Vocabulary):
        return OptionError(
            "vectors and vocabulary are swapped: give EmbeddingMatrix(vectors, "
            "vocabulary)"
        )
    return OptionError(
        f"vocabulary is of type {type(given).__name__}: make a Vocabulary of it, with "
        "a row for each vector: pe.Vocabulary.of(vocabulary), or where it has no pad "
        "token pe.Vocabulary(vocabulary, pad=None)"
    )


def _frozen(array: npt.ArrayLike, dtype: npt.DTypeLike) -> AnyArray:
    """Return the array in C order, read-only; copied if the caller could change it."""
    given = np.asarray(array)
    plain = np.ascontiguousarray(given, dtype)
    if plain is given and plain.flags.writeable:
        plain = plain.copy()
    plain.flags.writeable = False
    return plain


def _all_found(vocabulary: Vocabulary) -> OriginArray:
    origin = np.full(len(vocabulary), Origin.EXACT, np.uint8)
    origin[vocabulary.holes] = Origin.UNUSED
    if vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD
    return origin
