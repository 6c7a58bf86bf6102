"""Vectors and their ledger: of a whole vocabulary, or of some of its rows."""

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
from pretrained_embed.formats.findings import Note
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

#: How many rows of shards are read at a time, where not all of them were asked for.
_READ_ROWS = 1024

#: How many rows and numbers a notebook shows.
_SHOWN_ROWS, _SHOWN_NUMBERS = 8, 6


class EmbeddingMatrix:
    """Vectors aligned to a vocabulary. Row *i* is the token with id *i*. Immutable.

    ``vectors`` is float32 (len(vocabulary), dim), C-contiguous and read-only, so that
    training a layer made from it cannot change it. ``ledger`` says where each row comes
    from: see `Ledger`. The attributes of the ledger are also attributes of the matrix.
    Of a matrix in several files, `lookup` reads only the rows it needs; the first use
    of ``vectors`` reads all of them into memory.

    A matrix may be kept in fewer bits, as its ``dtype`` says: see `astype`. ``stored``
    has the bits and the scales of the rows. ``vectors`` are float32 in any case,
    computed at their first use; `lookup` and ``matrix["cat"]`` compute only the rows
    they need.

    `build_matrix` and `load_matrix` make one; the constructor takes your own vectors.

    Parameters
    ----------
    vectors : array of float, shape (len(vocabulary), dim)
        The rows. They are kept as float32, read-only.
    ledger : Ledger or Vocabulary
        How each row was filled. With a `Vocabulary` every token counts as found.
    *rest, **named
        With a `Vocabulary`: the other arguments of a `Ledger`.

    Raises
    ------
    ShapeError
        If an array does not fit the vocabulary.
    VocabularyError
        If the pad row is not zeros.

    Examples
    --------
    >>> vectors = [[0, 0], [1, 2], [3, 4]]
    >>> EmbeddingMatrix(vectors, Vocabulary(["the", "cat"]))["cat"]
    array([3., 4.], dtype=float32)
    """

    #: The values of ``projection`` in `plot` and `page`.
    PROJECTIONS: ClassVar[tuple[Projection, ...]] = get_args(Projection)

    #: The suffixes with which `save_picture` saves the figure of `plot`.
    PICTURE_SUFFIXES: ClassVar[tuple[str, ...]] = markup.PICTURE_SUFFIXES

    __module__ = "pretrained_embed"  # pickles use this name, so it stays

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
        # computed from other bits at the first use
        self._numbers: Float32Array | None = None
        if isinstance(vectors, Stored) and vectors.encoding == "float32":
            vectors = vectors.values
        # an object with a shape that is no array is read on demand
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
        """The rows, float32 (len(vocabulary), dim), whatever dtype they are kept in.

        Of a matrix of another dtype they are computed at their first use, and kept:
        four bytes for each number. `lookup` and `stored` do not need them.
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

        Of several files, only those with one of the rows are read.
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
        """The dtype in which the vectors are kept: see `astype`."""
        return self._stored.encoding if isinstance(self._stored, Stored) else "float32"

    @property
    def stored(self) -> Stored:
        """The vectors in the bits in which they are kept, with the scales of the rows.

        ``stored.values`` is read-only. For float32 and float16 it has the numbers, for
        bfloat16 their bits as uint16, all (rows, dim); for int8 integers, int8 (rows,
        dim); for int4 two integers in a byte, uint8 (rows, (dim + 1) // 2); for binary
        eight signs in a byte, uint8 (rows, (dim + 7) // 8). ``stored.scales`` is
        float32 (rows,) for the last three, else ``None``: a row is its scale times its
        integers, see `astype`.
        """
        if not isinstance(self._stored, Stored):
            return Stored("float32", self.vectors, None, self.dim)
        if not isinstance(self._stored.values, np.ndarray):  # in several files
            self._stored = replace(self._stored, values=self._stored.values[:])
        return self._stored

    def astype(self, dtype: Dtype) -> Self:
        """Return the matrix with its vectors kept in another dtype.

        They are rounded once, to nearest even, from ``vectors``. The provenance and
        `save_report` say how far they moved. ``build_matrix(...,
        recipe=Recipe(dtype=...))`` makes the same.

        Parameters
        ----------
        dtype : str
            * "float32": the numbers;
            * "float16" and "bfloat16": two bytes a number. bfloat16 has the range of
              float32, and 8 bits of precision in place of float16's 11;
            * "int8" and "int4": integers from -127 to 127 or from -7 to 7, and for each
              row a scale, its largest absolute value divided by 127 or 7;
            * "binary": the signs, 1 for a number above 0, and for each row the mean of
              the absolute values.

        Returns
        -------
        EmbeddingMatrix
            A matrix with the same ledger.

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
        """The row in its source of each row, int64 (rows,); -1 for none."""
        return self.ledger.source_rows

    @property
    def sources(self) -> Int16Array:
        """Which source of the provenance each is from, int16 (rows,); -1 for none."""
        return self.ledger.sources

    @property
    def parts(self) -> tuple[Ledger, ...]:
        """The ledger for each source, where rows are combined from several sources."""
        return self.ledger.parts

    @property
    def advice(self) -> Advice | None:
        """The forms that would have found OOV tokens, if advice was asked for."""
        return self.ledger.advice

    @property
    def provenance(self) -> dict[str, Any]:
        """All that is needed to build the same bytes again, as JSON values."""
        return self.ledger.provenance

    @property
    def recipe(self) -> Recipe:
        """The recipe of the rows, with which `build_matrix` makes the same rows again.

        For a trained matrix it is the recipe of the matrix it started from; for one
        built ``onto`` another, the recipe of the added rows. Raises `OptionError` if
        the provenance has none: for a matrix that `build_matrix` did not make, and for
        one made with a function, which the message names.
        """
        from pretrained_embed.recipe import recipe_of

        return recipe_of(self.provenance)

    @property
    def findings(self) -> Findings:
        """What was found in the sources, such as duplicates and bad rows."""
        return self.ledger.findings

    @property
    def source_facts(self) -> list[dict[str, Any]]:
        """The provenance's facts about each source, in the order of ``sources``."""
        return self.ledger.source_facts

    @property
    def match(self) -> tuple[str, ...]:
        """The names of the match chain, and of functions that found kept rows.

        ``None`` if the provenance does not have them. `Origin.label` takes them.
        """
        return self.ledger.match

    @property
    def coverage(self) -> Coverage:
        """How much of the vocabulary was found; printed, it is a paragraph."""
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
        """Return the vectors of ids.

        Parameters
        ----------
        ids : array of int, any shape
            Ids from 0 to len(vocabulary) - 1.

        Returns
        -------
        ndarray of float32, shape of ``ids`` + (dim,)
            A row for each id.

        Raises
        ------
        VocabularyError
            For a number that is no id; -1 is none.

        Examples
        --------
        >>> vectors = [[0, 0], [1, 2], [3, 4]]
        >>> matrix = EmbeddingMatrix(vectors, Vocabulary(["the", "cat"]))
        >>> matrix.lookup([[2, 0]]).shape
        (1, 2, 2)
        """
        wanted = np.asarray(ids)
        checks.row_numbers(wanted, len(self))
        found = self._rows(wanted.astype(np.int64).ravel())
        return found.reshape(*wanted.shape, self.dim)

    def encode_lookup(
        self, texts: Any, *, max_length: int | None = None, **options: Any
    ) -> Float32Array:
        """Return the vectors of texts: those of ``vocabulary.encode(texts, ...)``.

        Parameters
        ----------
        texts : str or sequence
            The texts: see `Vocabulary.encode`.
        max_length : int, optional
            How many ids each text has; by default as many as the longest text.
        **options
            Other options of `Vocabulary.encode`.

        Returns
        -------
        ndarray of float32, shape (texts, length, dim)
            The rows of the ids; behind a short text those of the pad token.

        Examples
        --------
        >>> vectors = [[0, 0], [1, 2], [3, 4]]
        >>> matrix = EmbeddingMatrix(vectors, Vocabulary(["the", "cat"]))
        >>> matrix.encode_lookup(["the cat", "cat"]).tolist()
        [[[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [0.0, 0.0]]]
        """
        return self.lookup(
            self.vocabulary.encode(texts, max_length=max_length, **options)
        )

    def explain(self, token: str) -> RowStory:
        """Return how the row of a token was filled.

        Parameters
        ----------
        token : str
            A token of the vocabulary.

        Returns
        -------
        RowStory
            Origin, source and row; printed, it is a paragraph.

        Raises
        ------
        UnknownTokenError
            For another token; the message names the nearest one.

        Examples
        --------
        >>> print(matrix.explain("Paris"))  # doctest: +SKIP
        """
        story = self.ledger[token]
        row = self._rows(np.array([story.id]))
        return replace(story, norm=float(norms(row.astype(np.float64))[0]))

    def with_vectors(self, vectors: npt.ArrayLike) -> Self:
        """Return a matrix of other vectors with the ledger of this one.

        Use it for the vectors after training: see `extend`. The new provenance holds
        the provenance of this matrix under "trained_from".

        Parameters
        ----------
        vectors : array of float, shape (rows, dim)
            The new rows.

        Returns
        -------
        EmbeddingMatrix
            The matrix of these vectors.

        Raises
        ------
        ShapeError
            For another number of rows.
        VocabularyError
            If the pad row is not zeros.

        Examples
        --------
        >>> matrix = EmbeddingMatrix([[0, 0], [1, 2]], Vocabulary(["the"]))
        >>> matrix.with_vectors([[0, 0], [5, 6]])["the"]
        array([5., 6.], dtype=float32)
        """
        provenance = {"trained_from": self.provenance}
        return type(self)(vectors, replace(self.ledger, provenance=provenance))

    def missing(self, vocabulary: Vocabulary) -> Vocabulary | None:
        """Return the tokens of a vocabulary that this matrix has no row for.

        Parameters
        ----------
        vocabulary : Vocabulary
            The vocabulary to which `extend` is to extend this matrix.

        Returns
        -------
        Vocabulary or None
            The tokens that ``rest`` of `extend` needs; ``None`` if all are here.

        Examples
        --------
        >>> matrix = EmbeddingMatrix([[0, 0], [1, 2]], Vocabulary(["the"]))
        >>> matrix.missing(Vocabulary(["the", "cat"])).tokens
        ['cat']
        """
        return kept.missing(self.vocabulary, vocabulary)

    def extend(
        self,
        vocabulary: Vocabulary,
        rest: EmbeddingMatrix | None = None,
        *,
        name: str = "an earlier matrix",
    ) -> EmbeddingMatrix:
        """Return the matrix of another vocabulary, with the rows that this one has.

        A token of both keeps its row to the bit, whatever its id, and its code in the
        ledger. In the new ledger this matrix is a source, called ``name``, and
        ``source_rows`` has the rows of this matrix. The pad row is zeros.

        Parameters
        ----------
        vocabulary : Vocabulary
            The tokens of the new matrix.
        rest : EmbeddingMatrix, optional
            The rows of the other tokens, of the same dim. It may have more tokens.
        name : str
            The name of this matrix in the new provenance.

        Returns
        -------
        EmbeddingMatrix
            A row for each token of ``vocabulary``.

        Raises
        ------
        ShapeError
            If the two differ in dim.
        VocabularyError
            For a token that neither has; the message names it.

        Examples
        --------
        >>> old = EmbeddingMatrix([[0, 0], [1, 2]], Vocabulary(["the"]))
        >>> new = EmbeddingMatrix([[0, 0], [3, 4]], Vocabulary(["cat"]))
        >>> old.extend(Vocabulary(["cat", "the"]), new).vectors.tolist()
        [[0.0, 0.0], [3.0, 4.0], [1.0, 2.0]]
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
        vectors.flags.writeable = False  # so that it need not be copied
        known = {k: v for k, v in given.provenance.items() if k != "source"}
        findings = given.findings
        stored = bits.encode(vectors, self.dtype, vocabulary.packed)
        if self.dtype != "float32":
            stored = onto.put_bits(every, stored)
            if more is not None and giver.dtype == self.dtype:
                stored = bits.replaced(stored, added, giver.stored.take(ids))
            elif more is not None:
                what = f"rows of {giver.dtype} were added, and rounded to {self.dtype}"
                said = Note("vectors.rounded", what)
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

        ``.npz``, ``.h5``, ``.safetensors`` and ``.npy`` hold all of it (beside a
        ``.npy`` of the vectors stands a file of the ledger, ``.rows.safetensors``), and
        so does a folder for ``format="sentence-transformers"``. They keep the matrix in
        its dtype.

        ``.txt`` (word2vec text; ``"glove"`` is the same without the header), ``.bin``
        (word2vec binary), ``.kv`` (gensim) and ``"projector"`` (a folder for
        TensorBoard) hold tokens and float32 vectors, for other tools.

        A file appears whole or not at all.

        Parameters
        ----------
        path : path
            The file or folder to write.
        format : str, optional
            The name of the format; by default the suffix of ``path`` names it.
        shards : int, optional
            Write a new folder of this many safetensors files, each with some of the
            rows, and the index that the libraries of Hugging Face read. It holds all of
            the matrix.

        Raises
        ------
        WriteError
            For an unknown suffix, for the file of a source of this matrix, and for a
            token or row that the format cannot hold, which the message names.
        OptionError
            For an unknown format, and for more shards than rows.

        Examples
        --------
        >>> matrix.save("embedding.npz")  # doctest: +SKIP
        """
        check_place(path, self.source_facts)
        write_table(path, self.table(), format=format, shards=shards)

    def save_report(
        self, path: str | os.PathLike[str], *, spreadsheet: bool = False
    ) -> None:
        """Write the report on coverage, in the form that the suffix names.

        ``.md`` and ``.json`` have the sources, the options, coverage by form, by
        occurrence and by frequency, the most frequent OOV tokens, and the forms that
        would find them if advice was asked for. ``.csv`` has a line for each token,
        with its id, its count, the form that was found, the source and its row.
        ``Vocabulary.from_file(path, kind="report")`` reads a ``.csv``.

        Tokens in a ``.csv`` are exact: when a spreadsheet imports the file, tell it
        that all columns are text, or use ``spreadsheet``. The file appears whole or not
        at all.

        Parameters
        ----------
        path : path
            The file to write: ``.md``, ``.json`` or ``.csv``.
        spreadsheet : bool, default False
            Put an apostrophe before the cells of a ``.csv`` that a spreadsheet would
            run as a formula.

        Raises
        ------
        OptionError
            For another suffix.
        WriteError
            If the operating system refuses.

        Examples
        --------
        >>> matrix.save_report("coverage.md")  # doctest: +SKIP
        """
        from pretrained_embed.ledger.report import report_rows

        report_rows(self.ledger, self.shape, path, spreadsheet=spreadsheet)

    def table(self) -> Table:
        """Return vectors, ledger and provenance as the table that a file holds.

        Returns
        -------
        Table
            The table that `save` writes.
        """
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
        """Return a matplotlib figure with tokens as labelled points in the plane.

        The same rows, projection and seed give the same picture.

        Parameters
        ----------
        tokens : sequence of str, optional
            The tokens to draw; by default the ``count`` most frequent ones, or the
            first ids if there are no counts.
        count : int
            How many tokens are drawn if no tokens are given.
        projection : str
            One of ``PROJECTIONS``.
        seed : int
            Seed for the projections that draw random numbers.
        title : str, optional
            The title of the figure.
        **former
            Keywords of earlier releases, which raise `OptionError` with the new name.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; `save_picture` saves it.

        Raises
        ------
        UnknownTokenError
            For a token that is not in the vocabulary.
        OptionError
            If there is nothing to draw, and for an unknown projection.
        MissingPackageError
            If matplotlib, or the package of the projection, is not installed.

        Examples
        --------
        >>> figure = matrix.plot(["king", "queen", "man"])  # doctest: +SKIP
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
        """Return the rows by token, with the methods of gensim's ``KeyedVectors``.

        Row *i* is row *i* of this matrix, padding and OOV rows too. Nothing is copied,
        and gensim is not needed. ``load_matrix("vectors.npz").keyed()`` stays mapped.

        Returns
        -------
        KeyedRows
            An object with ``most_similar``, ``similarity`` and the like.

        Examples
        --------
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
            The tokens to show; by default the first ``count`` rows.
        count : int, default 10
            How many rows are shown if no tokens are given.
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
                self.vocabulary.packed[row],  # holes have no bytes
                Origin(self.origin[row]).label(self.match),
                *(f"{number:.{digits}g}" for number in vector[:shown]),
                *more,
            ]
            for row, vector in zip(rows.tolist(), self._rows(rows), strict=True)
        ]
        return ["id", "token", "origin", *map(str, range(shown)), *more], lines

    def __getitem__(self, token: str | int) -> Float32Array:
        """Return the vector of a token, float32 (dim,).

        With a vocabulary of integers, ``matrix[7]`` is the vector of the number 7.
        Raises `UnknownTokenError`, a ``KeyError``. `lookup` takes ids.
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
        """Yield the tokens in the order of their rows, without holes."""
        return iter(self.vocabulary)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> AnyArray:
        return np.array(self.vectors, dtype, copy=copy)

    def __getstate__(self) -> dict[str, Any]:
        # files are not copied
        kept = self.vectors if self.dtype == "float32" else self.stored
        return {**self.__dict__, "_stored": kept, "_numbers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(former_names.with_ledger(state))
        self._numbers = None
        if isinstance(self._stored, np.ndarray):  # the arrays of pickles are writable
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
    """Return the ledger for a vocabulary and the other arguments of a ledger."""
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

    In the matrix of a table without a ledger, as other tools write it, every token
    counts as found; ``findings`` are those of its reader: see `saved`.

    Raises `FormatError` if its parts do not fit each other, or if a newer version of
    this package wrote it.
    """
    try:
        return EmbeddingMatrix(*saved.read(table, name, findings))
    except (OptionError, VocabularyError, ShapeError) as error:
        raise FormatError(f"{name}: {error}") from error


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingShard:
    """Consecutive rows of a matrix: the ids from ``start`` to ``stop`` - 1.

    Ids are those of the whole matrix; row ``i`` of the shard has the id ``start + i``.
    ``vectors`` is read-only, and mapped if the rows lie in one file as they are needed.
    ``origin``, ``sources`` and ``source_rows``, (stop - start,), are arrays of the
    ledger. A shard may have no rows. `load_shard` and ``load_matrix(path, rows=...)``
    make one.

    Encode texts with the vocabulary of the whole matrix: in the vocabulary of the
    ledger the ids begin at 0.

    Examples
    --------
    >>> shard = pe.load_shard("m.npz", rank=0, world_size=4)  # doctest: +SKIP
    >>> shard.shape  # doctest: +SKIP
    (5001, 50)
    """

    __module__ = "pretrained_embed"  # pickles use this name, so it stays

    vectors: Float32Array
    ledger: Ledger
    start: int
    rows: int

    @property
    def stop(self) -> int:
        """The first id after the shard."""
        return self.start + len(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(number of rows in the shard, dim)."""
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
        """The source of each row, int16 (rows here,); -1 for none."""
        return self.ledger.sources

    @property
    def source_rows(self) -> Int64Array:
        """The row in its source of each row, int64 (rows here,); -1 for none."""
        return self.ledger.source_rows

    @property
    def provenance(self) -> dict[str, Any]:
        """All that is needed to build the whole matrix again."""
        return self.ledger.provenance

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token, if its row is in the shard."""
        found = np.flatnonzero(self.origin == Origin.PAD)
        return self.start + int(found[0]) if len(found) else None

    @property
    def packed_tokens(self) -> PackedTokens:
        """The tokens of the rows as bytes; the token of a hole is empty."""
        return self.ledger.vocabulary.packed

    @property
    def holes(self) -> Int64Array:
        """The ids of rows without a token, int64, ascending."""
        return self.ledger.vocabulary.holes

    @property
    def tokens(self) -> tuple[str | None, ...]:
        """The tokens of the rows; ``None`` for a hole."""
        return self.ledger.vocabulary.tokens

    def lookup(self, ids: npt.ArrayLike) -> Float32Array:
        """Return the vectors of ids.

        Parameters
        ----------
        ids : array of int, any shape
            Ids of the whole matrix, from ``start`` to ``stop`` - 1.

        Returns
        -------
        ndarray of float32, shape of ``ids`` + (dim,)
            A row for each id.

        Raises
        ------
        VocabularyError
            For an id whose row is not in the shard.

        Examples
        --------
        >>> shard = pe.load_shard("m.npz", rank=0, world_size=4)  # doctest: +SKIP
        >>> shard.lookup([shard.start])  # doctest: +SKIP
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
    """Return a part of a table as a shard; ``name`` is for messages.

    If another tool wrote the table, every token counts as found, a ``<pad>`` whose row
    is zeros is the pad token, and the rows keep their order. Raises `FormatError` as
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
