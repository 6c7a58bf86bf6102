"""Vectors and their ledger: those of a whole vocabulary, or of some of its rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed import bits, former_names, markup
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int16Array,
    Int64Array,
    PackedTokens,
    norms,
)
from pretrained_embed.bits import Dtype, Stored
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    ShapeError,
    UnknownTokenError,
    VocabularyError,
    brief,
)
from pretrained_embed.formats import Findings, Table, TablePart, write_table
from pretrained_embed.formats.table import Rows
from pretrained_embed.ledger import kept, saved
from pretrained_embed.ledger.coverage import Advice, Coverage
from pretrained_embed.ledger.ledger import Ledger, frozen
from pretrained_embed.ledger.origin import Origin, OriginArray
from pretrained_embed.ledger.provenance import check_place, rounded
from pretrained_embed.ledger.story import RowStory
from pretrained_embed.markup import Projection
from pretrained_embed.vocabulary import Vocabulary, checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pretrained_embed.recipe import Recipe
    from pretrained_embed.tools.keyed_rows import KeyedRows

#: Rows of shards that are taken at a time, of which not all need be asked for.
_READ_ROWS = 1024

#: Rows and numbers that a notebook shows.
_SHOWN_ROWS, _SHOWN_NUMBERS = 8, 6


class EmbeddingMatrix:
    """Vectors aligned to a vocabulary. Row *i* is the token with id *i*. Immutable.

    It is ``vectors``, float32 (len(vocabulary), dim), C-contiguous and read-only, so
    that training a layer made from it cannot change it, and a ``ledger``, which tells
    where each of them comes from: see `Ledger`. What the ledger has is here, too, under
    the same names. Of a matrix in several files `lookup` reads the rows it is asked
    for; all are read into memory when ``vectors`` are first asked for.

    A matrix may be kept in fewer bits, as its ``dtype`` says: see `astype`. ``vectors``
    are the numbers all the same, made when they are first asked for; ``stored`` are the
    bits, with the scales of the rows. `lookup` and ``matrix["cat"]`` make the numbers
    of the rows asked for alone.

    Made by `build_matrix` and `load_matrix`; the constructor takes vectors of one's own
    and their ledger. With a `Vocabulary` in its place every token counts as found, or
    what follows are the other arguments of a `Ledger` of it. Raises `ShapeError` if an
    array does not fit the vocabulary, and `VocabularyError` if the pad row is not
    zeros.

    >>> vectors = [[0, 0], [1, 2], [3, 4]]
    >>> EmbeddingMatrix(vectors, Vocabulary(["the", "cat"]))["cat"]
    array([3., 4.], dtype=float32)
    """

    #: What `plot` and `page` take as ways to give tokens places.
    PROJECTIONS: ClassVar[tuple[Projection, ...]] = get_args(Projection)

    #: What `save_picture` can save the figure of `plot` as.
    PICTURE_SUFFIXES: ClassVar[tuple[str, ...]] = markup.PICTURE_SUFFIXES

    __module__ = "pretrained_embed"  # a pickle names it by what does not change

    def __init__(
        self,
        vectors: npt.ArrayLike | Rows,
        ledger: Ledger | Vocabulary | None = None,
        *rest: Any,
        **named: Any,
    ) -> None:
        if not isinstance(ledger, Ledger):
            ledger = _ledger_of(vectors, ledger, rest, named)
        elif rest or named:
            raise OptionError("a Ledger has its arrays already; give nothing after it")
        self.ledger = ledger
        self._numbers: Float32Array | None = None  # of other bits, once asked for
        if isinstance(vectors, Stored) and vectors.encoding == "float32":
            vectors = vectors.values
        # what has a shape and is no array is read when it is asked for
        if hasattr(vectors, "shape") and not hasattr(vectors, "__array__"):
            self._stored = cast(Rows, vectors)
        else:
            self._stored = frozen(cast(npt.ArrayLike, vectors), np.float32)
        rows = len(ledger)
        if len(self._stored.shape) != 2 or self._stored.shape[0] != rows:
            raise ShapeError(
                f"vectors of shape {self._stored.shape} for a vocabulary of {rows:,}; "
                f"expected ({rows}, dim)"
            )
        pad = self.pad_id
        if pad is not None and self._stored[pad : pad + 1].any():
            raise VocabularyError(
                f"row {pad}, of the pad token {brief(self.vocabulary.pad_token)}, is "
                "not zeros; make it zeros, or use a vocabulary with pad=None"
            )

    @property
    def vectors(self) -> Float32Array:
        """The rows, float32 (len(vocabulary), dim), of whatever bits they are kept in.

        Of a matrix of another dtype they are made when they are first asked for, and
        kept then: four bytes a number. `lookup` and `stored` do without.
        """
        if isinstance(self._stored, Stored):
            if self._numbers is None:
                self._numbers = frozen(self._stored[:], np.float32)
            return self._numbers
        if not isinstance(self._stored, np.ndarray):
            self._stored = frozen(self._stored[:], np.float32)
        return self._stored

    def _rows(self, ids: Int64Array) -> Float32Array:
        """Return the vectors of ids (n,), which are rows: (n, dim).

        Of several files those that have one of the rows are read.
        """
        stored = self._stored if self._numbers is None else self._numbers
        if isinstance(stored, np.ndarray):
            found: Float32Array = stored[ids]
            return found
        if isinstance(stored, Stored) and isinstance(stored.values, np.ndarray):
            return stored.take(ids).numbers()
        out = np.empty((len(ids), self.dim), np.float32)
        order = np.argsort(ids, kind="stable")
        rising = ids[order]
        at = 0
        while at < len(ids):
            start = int(rising[at])
            end = int(np.searchsorted(rising, start + _READ_ROWS))
            read = stored[start : int(rising[end - 1]) + 1]
            out[order[at:end]] = read[rising[at:end] - start]
            at = end
        return out

    @property
    def dtype(self) -> Dtype:
        """What the vectors are kept as: "float32", or another one of `astype`."""
        return self._stored.encoding if isinstance(self._stored, Stored) else "float32"

    @property
    def stored(self) -> Stored:
        """The vectors in the bits that they are kept in, with the scales of the rows.

        ``stored.values`` are, read-only: of float32 and float16 the numbers, of
        bfloat16 their bits as uint16, all (rows, dim); of int8 whole numbers, int8
        (rows, dim); of int4 two a byte, uint8 (rows, (dim + 1) // 2); of binary eight
        signs a byte, uint8 (rows, (dim + 7) // 8). ``stored.scales`` are float32
        (rows,) for the last three, else ``None``: a row is its scale times its whole
        numbers, see `astype`.
        """
        if not isinstance(self._stored, Stored):
            return Stored("float32", self.vectors, None, self.dim)
        if not isinstance(self._stored.values, np.ndarray):  # in several files
            self._stored = replace(self._stored, values=self._stored.values[:])
        return self._stored

    def astype(self, dtype: Dtype) -> Self:
        """Return the matrix with its vectors kept in other bits.

        They are rounded once, to nearest even, from ``vectors``. The provenance tells
        how far they moved, and so does `save_report`. It is what ``build_matrix(...,
        recipe=Recipe(dtype=...))`` makes.

        Parameters
        ----------
        dtype : str
            * "float32": the numbers;
            * "float16" and "bfloat16": two bytes a number. bfloat16 has the range of
              float32, and 8 bits of precision in place of float16's 11;
            * "int8" and "int4": whole numbers from -127 to 127 or from -7 to 7, and for
              each row a scale, the largest magnitude in it over 127 or 7;
            * "binary": the signs, 1 for a number above 0, and for each row the mean of
              the magnitudes.

        Raises
        ------
        OptionError
            For another dtype.
        WriteError
            For a number that the dtype cannot hold; it names the token.

        Examples
        --------
        >>> matrix = EmbeddingMatrix([[0, 0], [-1, 0.5]], Vocabulary(["the"]))
        >>> small = matrix.astype("int8")
        >>> small.stored.values[1], small.stored.scales[1]
        (array([-127,   64], dtype=int8), np.float32(0.007874016))
        >>> small["the"]
        array([-1.        ,  0.50393707], dtype=float32)
        """
        wanted = bits.check_dtype(dtype)
        if wanted == self.dtype:
            return self
        numbers = self.vectors
        made = bits.encode(numbers, wanted, self.vocabulary.packed)
        loss = bits.Loss.of(numbers, made) if wanted != "float32" else None
        provenance = rounded(self.provenance, wanted, loss, self.dtype)
        return type(self)(made, replace(self.ledger, provenance=provenance))

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the rows."""
        return self.ledger.vocabulary

    @property
    def origin(self) -> OriginArray:
        """How each row was filled, uint8 (rows,): codes of `Origin`."""
        return self.ledger.origin

    @property
    def source_rows(self) -> Int64Array:
        """Which row of its source each is, int64 (rows,); -1 for none."""
        return self.ledger.source_rows

    @property
    def sources(self) -> Int16Array:
        """Which source of the provenance each is from, int16 (rows,); -1 for none."""
        return self.ledger.sources

    @property
    def parts(self) -> tuple[Ledger, ...]:
        """Where rows are put together of several sources, the ledger of each."""
        return self.ledger.parts

    @property
    def advice(self) -> Advice | None:
        """The forms that would have found OOV tokens, where that was asked."""
        return self.ledger.advice

    @property
    def provenance(self) -> dict[str, Any]:
        """How to build the same bytes again, as JSON can hold it."""
        return self.ledger.provenance

    @property
    def recipe(self) -> Recipe:
        """How the rows were made, as `build_matrix` takes it to make the same again.

        Of a matrix that was trained, that of the one it started from; of one that was
        built ``onto`` another, that of the rows which were added. Raises `OptionError`
        where the provenance tells none: of a matrix that `build_matrix` did not make,
        and of one made with a function, which it names.
        """
        from pretrained_embed.recipe import recipe_of

        return recipe_of(self.provenance)

    @property
    def findings(self) -> Findings:
        """What reading the sources found beside vectors."""
        return self.ledger.findings

    @property
    def source_facts(self) -> list[dict[str, Any]]:
        """What the provenance tells of each source, in the order of ``sources``."""
        return self.ledger.source_facts

    @property
    def match(self) -> tuple[str, ...]:
        """The names of the match chain, and of own forms that found kept rows.

        None if the provenance does not tell. `Origin.label` takes them.
        """
        return self.ledger.match

    @property
    def coverage(self) -> Coverage:
        """How much of the vocabulary was found; prints as a paragraph."""
        return self.ledger.coverage

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

    def lookup(self, ids: npt.ArrayLike) -> Float32Array:
        """Return the vectors of ids: float32, the shape of ``ids`` plus (dim,).

        Raises `VocabularyError` for an id that is no row; -1 is none.
        """
        wanted = np.asarray(ids)
        checks.row_numbers(wanted, len(self))
        found = self._rows(wanted.astype(np.int64).ravel())
        return found.reshape(*wanted.shape, self.dim)

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
        story = self.ledger[token]
        row = self._rows(np.array([story.id]))
        return replace(story, norm=float(norms(row.astype(np.float64))[0]))

    def with_vectors(self, vectors: npt.ArrayLike) -> Self:
        """Return a matrix of other vectors (rows, dim), with the ledger of this one.

        Such as this one's after training: see `extend`. The provenance tells of this
        one's. Raises `ShapeError` for another number of rows, and `VocabularyError` if
        the pad row is not zeros.
        """
        provenance = {"trained_from": self.provenance}
        return type(self)(vectors, replace(self.ledger, provenance=provenance))

    def missing(self, vocabulary: Vocabulary) -> Vocabulary | None:
        """Return what `extend` needs of a vocabulary, as one; ``None`` for nothing."""
        return kept.missing(self.vocabulary, vocabulary)

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
        if rest is not None and rest.dim != self.dim:
            raise ShapeError(
                f"the rows to add have {rest.dim} dimensions, those to be kept "
                f"{self.dim}"
            )
        given = Ledger(vocabulary) if rest is None else rest.ledger
        sources = given.source_facts
        onto = kept.Onto.of(
            self.stored, self.ledger, name, vocabulary, given.match, len(sources)
        )
        every, added = range(len(vocabulary)), np.flatnonzero(onto.missing)
        vectors = np.zeros((len(vocabulary), self.dim), np.float32)
        onto.put(every, vectors)
        more = None
        if len(added):
            giver = self if rest is None else rest
            ids = kept.kept_ids(giver.vocabulary, vocabulary)[added]
            if (ids < 0).any():
                token = vocabulary.packed[int(added[ids < 0][0])]
                raise VocabularyError(
                    f"no row for the token {brief(token)}: neither the matrix to "
                    "extend has one nor what is to be added; build_matrix(..., "
                    "onto=...) reads it from a source"
                )
            vectors[added], more = giver.vectors[ids], giver.ledger[ids]
        vectors.flags.writeable = False  # and so need not be copied
        known = {k: v for k, v in given.provenance.items() if k != "source"}
        findings = given.findings
        stored = bits.encode(vectors, self.dtype, vocabulary.packed)
        if self.dtype != "float32":
            stored = onto.put_bits(every, stored)
            if more is not None and giver.dtype == self.dtype:
                stored = bits.replaced(stored, added, giver.stored.take(ids))
            elif more is not None:
                said = f"rows of {giver.dtype} were added, and rounded to {self.dtype}"
                findings = replace(findings, notes=[*findings.notes, said])
        ledger = replace(
            onto.with_rest(every, added, more, len(given.parts)),
            provenance=onto.provenance(known, sources),
            findings=findings,
        )
        return type(self)(stored, ledger)

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
        vectors, which is what other tools read. The former keep a matrix in its bits,
        the latter have its numbers.

        ``shards`` writes a new folder of so many safetensors files, each some of the
        rows, with the index that Hugging Face's libraries read; it holds all, too.

        What is written appears whole or not at all. Raises `WriteError` for another
        suffix, for the file of a source of this matrix, and naming the token or row
        that the format cannot hold, and
        `OptionError` for another format or more shards than rows.
        """
        check_place(path, self.source_facts)
        write_table(path, self.table(), format=format, shards=shards)

    def save_report(
        self, path: str | os.PathLike[str], *, spreadsheet: bool = False
    ) -> None:
        """Write the report on its coverage, in the form that the suffix names.

        ``.md`` and ``.json``: the source, the options, coverage by form, by occurrence
        and by frequency, the most frequent OOV tokens, and the forms that would find
        them where advice was asked for. ``.csv``: a line for each token, with its id,
        its count, the form that was found, the source and its row. Tokens are there to
        the byte, so a spreadsheet has to be told, when it imports the file, that all
        columns are text; or with ``spreadsheet`` cells that it would run as a formula
        have an apostrophe in front. Either is read again as a vocabulary,
        ``kind="report"``.

        The file appears whole or not at all. Raises `OptionError` for another suffix,
        and `WriteError` where the system refuses.
        """
        from pretrained_embed.ledger.report import report_rows

        report_rows(self.ledger, self.shape, path, spreadsheet=spreadsheet)

    def table(self) -> Table:
        """Return everything there is about the matrix, as a table of a file."""
        ledger = self.ledger
        kept = self._stored if isinstance(self._stored, Stored) else self.vectors
        return Table(self.vocabulary.packed, kept, ledger.arrays(), ledger.metadata())

    def plot(
        self,
        tokens: Sequence[str] | None = None,
        *,
        count: int = 100,
        projection: Projection = "pca",
        seed: int = 0,
        title: str | None = None,
        **former: Any,
    ) -> Figure:
        """Return a matplotlib figure: tokens as points in the plane, with labels.

        ``tokens`` are those to draw, by default the ``count`` most frequent ones (the
        first ids, where there are no counts). ``projection`` is one of ``PROJECTIONS``;
        the same rows, projection and ``seed`` give the same picture. Raises
        `UnknownTokenError`, `OptionError`, and `MissingPackageError` where matplotlib,
        or what the projection needs, is not installed.
        """
        from pretrained_embed.tools import plot

        former_names.refuse(former, {"method": "projection="}, self.plot)
        if tokens is None:
            rows = self.ledger.frequent_rows(count)
        elif isinstance(tokens, str):
            raise OptionError(
                f"tokens is one text, {brief(tokens)}; give a list of tokens"
            )
        else:
            rows = np.array([self.vocabulary[token] for token in tokens], np.int64)
        if not len(rows):
            raise OptionError("there is no token to draw")
        places = plot.project(self._rows(rows), projection, seed=seed).tolist()
        names = self.vocabulary.strings(rows)
        points = [
            plot.Point(name, x, y, Origin(self.origin[row]).label(self.match))
            for row, name, (x, y) in zip(rows.tolist(), names, places, strict=True)
        ]
        return plot.scatter(points, title=title or "")

    def keyed(self) -> KeyedRows:
        """Return the rows by key, with the methods of gensim's ``KeyedVectors``.

        Row *i* is the same as here, padding and OOV rows too; nothing is copied, and
        gensim is not needed. ``load_matrix("vectors.npz").keyed()`` stays mapped.

        >>> matrix.keyed().most_similar("king", topn=3)  # doctest: +SKIP
        """
        from pretrained_embed.tools.keyed_rows import KeyedRows

        return KeyedRows(self.vocabulary, self.vectors)

    def show(
        self,
        tokens: Sequence[str] | None = None,
        *,
        count: int = 10,
        numbers: int = 6,
        digits: int = 4,
    ) -> None:
        """Print ids, tokens, how each was found, and vectors, as a table.

        Parameters
        ----------
        tokens : sequence of str, optional
            Those to show; by default the first ``count`` rows.
        count : int, default 10
            How many rows are shown where no tokens are given.
        numbers : int, default 6
            How many numbers of each vector are shown.
        digits : int, default 4
            How many digits of each number are shown.

        Raises
        ------
        UnknownTokenError
            For a token that is not in the vocabulary.

        Examples
        --------
        >>> vectors = [[0, 0], [0.25, -1.5]]
        >>> EmbeddingMatrix(vectors, Vocabulary(["the"])).show()
        id  token  origin     0     1
         0  <pad>  pad        0     0
         1  the    exact   0.25  -1.5
        """
        if isinstance(tokens, str):
            tokens = [tokens]
        if tokens is None:
            rows = np.arange(min(count, len(self)))
        else:
            rows = np.array([self.vocabulary[token] for token in tokens], np.int64)
        head, lines = self._shown(rows, numbers, digits)
        ends = [0, *range(3, len(head))]
        cells = [[markup.visible(cell) for cell in line] for line in lines]
        sys.stdout.write(markup.columns(head, cells, right=ends) + "\n")

    def _repr_html_(self) -> str:
        rows, dim = self.shape
        first = np.arange(min(_SHOWN_ROWS, rows))
        caption = f"EmbeddingMatrix, {rows:,} rows of {dim}"
        table = markup.table(caption, *self._shown(first, _SHOWN_NUMBERS, 4))
        return table + markup.paragraph(self.coverage)

    def _shown(
        self, rows: Int64Array, numbers: int, digits: int
    ) -> tuple[list[str], list[list[str]]]:
        """Return the head and the lines of a table of some rows."""
        shown = min(self.dim, numbers)
        more = ["…"] * (self.dim > shown)
        lines = [
            [
                str(row),
                self.vocabulary.packed[row],  # of holes there are no bytes
                Origin(self.origin[row]).label(self.match),
                *(f"{number:.{digits}g}" for number in vector[:shown]),
                *more,
            ]
            for row, vector in zip(rows.tolist(), self._rows(rows), strict=True)
        ]
        return ["id", "token", "origin", *map(str, range(shown)), *more], lines

    def __getitem__(self, token: str | int) -> Float32Array:
        """Return the vector of a token, float32 (dim,).

        Of a vocabulary of whole numbers ``matrix[7]`` is the vector of the number 7.

        Raises `UnknownTokenError`, a ``KeyError``. Of ids, `lookup` gives the vectors.
        """
        if not isinstance(token, str) and self.vocabulary.numbers is None:
            raise UnknownTokenError(
                f"{brief(token)} is no token; matrix.lookup(ids) gives vectors of ids"
            )
        vector: Float32Array = self._rows(np.array([self.vocabulary[token]]))[0]
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

    def __getstate__(self) -> dict[str, Any]:
        # files stay where they are
        kept = self.vectors if self.dtype == "float32" else self.stored
        return {**self.__dict__, "_stored": kept, "_numbers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(former_names.with_ledger(state))
        self._numbers = None
        if isinstance(self._stored, np.ndarray):  # those of pickles can be written to
            self._stored.flags.writeable = False

    def __repr__(self) -> str:
        coverage = self.coverage
        kind = "" if self.dtype == "float32" else f", {self.dtype}"
        return (
            f"<EmbeddingMatrix {self.shape[0]:,} x {self.dim}{kind}: "
            f"{coverage.found:,} of {coverage.tokens:,} tokens found>"
        )


def _ledger_of(
    vectors: object,
    vocabulary: Vocabulary | None,
    rest: tuple[Any, ...],
    named: dict[str, Any],
) -> Ledger:
    """Return the ledger of a vocabulary and what else a ledger is made of."""
    given = named.get("vocabulary") if vocabulary is None else vocabulary
    if isinstance(given, Vocabulary):
        return Ledger(**named) if vocabulary is None else Ledger(given, *rest, **named)
    if isinstance(vectors, Ledger | Vocabulary):
        raise OptionError(
            "vectors and ledger are swapped: give EmbeddingMatrix(vectors, ledger)"
        )
    raise OptionError(
        f"ledger is of type {type(given).__name__}: make a Vocabulary of it, with a "
        "row for each vector: pe.Vocabulary.of(vocabulary), or where it has no pad "
        "token pe.Vocabulary(vocabulary, pad=None)"
    )


def from_table(
    table: Table, name: str, findings: Findings | None = None
) -> EmbeddingMatrix:
    """Return the matrix that a table holds; ``name`` is for messages.

    A table without a ledger, as other tools write it, becomes a matrix all of whose
    tokens count as found, with the ``findings`` of its reader: see `saved`.

    Raises `FormatError` if its parts do not fit each other, or if a newer version of
    this package wrote it.
    """
    try:
        return EmbeddingMatrix(*saved.read(table, name, findings))
    except (OptionError, VocabularyError, ShapeError) as error:
        raise FormatError(f"{name}: {error}") from error


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingShard:
    """Consecutive rows of a matrix: those of the ids from ``start`` to ``stop`` - 1.

    Ids are those of the whole matrix, which has ``rows``; row ``i`` here is that of id
    ``start + i``. ``vectors`` is float32 (stop - start, dim), read-only, and mapped
    where it lies in one file just so. ``ledger`` is the `Ledger` of these rows, with
    the provenance of the whole; ``origin``, ``sources`` and ``source_rows``, (stop -
    start,), are its arrays. A shard may have no row.

    Texts are encoded with the vocabulary of the whole: that of the ledger numbers these
    rows from 0.
    """

    __module__ = "pretrained_embed"  # a pickle names it by what does not change

    vectors: Float32Array
    ledger: Ledger
    start: int
    rows: int

    @property
    def stop(self) -> int:
        """The id after the last."""
        return self.start + len(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows here, dim)."""
        return self.vectors.shape[0], self.vectors.shape[1]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.shape[1]

    @property
    def origin(self) -> OriginArray:
        """How each row was filled, uint8 (rows here,): codes of `Origin`."""
        return self.ledger.origin

    @property
    def sources(self) -> Int16Array:
        """Which source each row is from, int16 (rows here,); -1 for none."""
        return self.ledger.sources

    @property
    def source_rows(self) -> Int64Array:
        """Which row of its source each is, int64 (rows here,); -1 for none."""
        return self.ledger.source_rows

    @property
    def provenance(self) -> dict[str, Any]:
        """How to build the rows of the whole again."""
        return self.ledger.provenance

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token, if its row is here."""
        found = np.flatnonzero(self.origin == Origin.PAD)
        return self.start + int(found[0]) if len(found) else None

    @property
    def packed_tokens(self) -> PackedTokens:
        """The tokens of the rows as bytes; holes have none."""
        return self.ledger.vocabulary.packed

    @property
    def holes(self) -> Int64Array:
        """The rows here that no token has, int64, rising."""
        return self.ledger.vocabulary.holes

    @property
    def tokens(self) -> tuple[str | None, ...]:
        """The tokens of the rows; ``None`` is a hole."""
        return self.ledger.vocabulary.tokens

    def lookup(self, ids: npt.ArrayLike) -> Float32Array:
        """Return the vectors of ids: float32, the shape of ``ids`` plus (dim,).

        Raises `VocabularyError` for an id whose row is not here.
        """
        wanted = np.asarray(ids)
        if wanted.dtype.kind not in "iu" and wanted.size:
            raise VocabularyError(f"ids are {wanted.dtype}; whole numbers are needed")
        wrong = (wanted < self.start) | (wanted >= self.stop)
        if wrong.any():
            raise VocabularyError(
                f"id {int(wanted[wrong][0])} is not in this shard, which has rows "
                f"{self.start}:{self.stop} of {self.rows}"
            )
        found: Float32Array = self.vectors[wanted.astype(np.int64) - self.start]
        return found

    def __len__(self) -> int:
        return len(self.vectors)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(former_names.with_ledger(state))
        self.vectors.flags.writeable = False

    def __repr__(self) -> str:
        return (
            f"<EmbeddingShard {self.shape[0]:,} x {self.dim}: rows {self.start}:"
            f"{self.stop} of {self.rows}>"
        )


def shard_of(part: TablePart, name: str) -> EmbeddingShard:
    """Return the shard that is a part of a table; ``name`` is for messages.

    Of a table that another tool wrote every token counts as found, a ``<pad>`` whose
    row is zeros is the pad, and rows stand as they do there. Raises `FormatError` as
    `from_table` does.
    """
    try:
        ledger = saved.read_part(part, name)
    except (OptionError, VocabularyError, ShapeError) as error:
        raise FormatError(f"{name}: {error}") from error
    vectors = part.table.vectors[:]
    if vectors[ledger.origin == Origin.PAD].any():
        raise FormatError(f"{name}: the row of the pad token is not zeros")
    vectors.flags.writeable = False
    return EmbeddingShard(vectors, ledger, part.start, part.rows)
