"""`Ledger`: where each row of a matrix comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import AnyArray, BoolArray, Int16Array, Int64Array
from pretrained_embed.errors import (
    OptionError,
    ShapeError,
    UnknownTokenError,
    VocabularyError,
    brief,
)
from pretrained_embed.formats import HOLES, Findings
from pretrained_embed.ledger import coverage
from pretrained_embed.ledger.coverage import BITS, Advice, Coverage, suggestions
from pretrained_embed.ledger.origin import Origin, OriginArray
from pretrained_embed.ledger.provenance import (
    digest_of,
    forms_of,
    name_of,
    sources_of,
)
from pretrained_embed.ledger.story import RowStory, Teller
from pretrained_embed.vocabulary import Vocabulary, checks
from pretrained_embed.vocabulary.content import nearest
from pretrained_embed.vocabulary.vocabulary import settings

#: Version of the parts of a saved ledger, raised when an older release could not read
#: it.
VERSION = 1


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Ledger:
    """Where the rows of a vocabulary come from. Row *i* is the token with id *i*.

    It is a matrix without the vectors. Its arrays are read-only; given arrays are
    copied unless they are read-only.

    Parameters
    ----------
    vocabulary
        The tokens of the rows.
    origin
        How each row was filled: uint8 (rows,), codes of `Origin`. By default every
        token counts as found.
    provenance
        All that is needed to build the same rows again, as JSON-compatible values; by
        default ``{}``.
    findings
        The findings of the sources, such as duplicates and bad rows; by default none.
    source_rows
        The row in its source of each row, from 0: int64 (rows,), -1 for none and by
        default.
    sources
        The source of each row, as an index into the sources of the provenance: int16
        (rows,), -1 for none. By default the first, if there is a source row.
    parts
        If rows are combined from several sources, the ledger for each source, over the
        same vocabulary. The fields above are then those of the first source that has
        the token.
    advice
        For each OOV token the forms that would have found it, if advice was asked for.

    Raises
    ------
    ShapeError
        If an array does not have one entry for each row.

    Examples
    --------
    >>> ledger = Ledger(Vocabulary(["the", "cat"]), [1, 16, 2], source_rows=[-1, 7, -1])
    >>> ledger["the"].how, ledger["cat"].how
    ('found as it stands', 'not found; filled')
    >>> print(ledger.coverage)
    Found 1 of 2 tokens (50.0 %). 1 is OOV. First of them: 'cat'.
    """

    __module__ = "pretrained_embed"  # pickles use this name, so it stays

    vocabulary: Vocabulary
    origin: OriginArray
    provenance: dict[str, Any]
    findings: Findings
    source_rows: Int64Array
    sources: Int16Array
    parts: tuple[Ledger, ...]
    advice: Advice | None

    def __init__(
        self,
        vocabulary: Vocabulary,
        origin: npt.ArrayLike | None = None,
        provenance: dict[str, Any] | None = None,
        findings: Findings | None = None,
        source_rows: npt.ArrayLike | None = None,
        sources: npt.ArrayLike | None = None,
        parts: Iterable[Ledger] = (),
        advice: Advice | None = None,
    ) -> None:
        rows = len(vocabulary)
        if origin is None:
            origin = codes_of(vocabulary, Origin.EXACT)
        if source_rows is None:
            source_rows = np.full(rows, -1)
            source_rows.flags.writeable = False  # so that they need not be copied
        row_of = frozen(source_rows, np.int64)
        if sources is None:  # one at most
            sources = np.where(row_of >= 0, np.int16(0), np.int16(-1))
            sources.flags.writeable = False
        values = {
            "vocabulary": vocabulary,
            "origin": frozen(origin, np.uint8),
            "provenance": {} if provenance is None else provenance,
            "findings": Findings() if findings is None else findings,
            "source_rows": row_of,
            "sources": frozen(sources, np.int16),
            "parts": tuple(parts),
            "advice": advice and Advice(advice.forms, frozen(advice.found_by, "u4")),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for name, array in self._by_row():
            if array.shape != (rows,):
                raise ShapeError(f"{name} of shape {array.shape} for {rows:,} rows")

    @classmethod
    def blank(cls, vocabulary: Vocabulary) -> Self:
        """Return the ledger of rows that have not been filled.

        Parameters
        ----------
        vocabulary : Vocabulary
            The tokens of the rows.

        Returns
        -------
        Ledger
            The ledger.
        """
        return cls(vocabulary, codes_of(vocabulary, Origin.OOV))

    @classmethod
    def join(
        cls,
        vocabulary: Vocabulary,
        pieces: Sequence[Ledger],
        provenance: dict[str, Any] | None = None,
        findings: Findings | None = None,
    ) -> Self:
        """Return the ledger of all rows from those of consecutive parts, in order.

        Parameters
        ----------
        vocabulary, provenance, findings
            Those of all rows; those of the parts are ignored.
        pieces : sequence of Ledger
            The ledgers of the parts. One without tokens, with only a pad or holes, need
            not have ``parts`` if others do. Advice on any row counts.

        Returns
        -------
        Ledger
            The ledger of all rows.

        Raises
        ------
        ShapeError
            If the parts do not have the rows of the vocabulary, or have different
            ``parts``.
        """
        rows = sum(map(len, pieces))
        if not pieces or rows != len(vocabulary):
            raise ShapeError(
                f"ledgers of {rows:,} rows together for {len(vocabulary):,} rows"
            )
        ends = np.cumsum([len(piece) for piece in pieces])
        count = max(len(piece.parts) for piece in pieces)
        whole = [piece._with_parts(count) for piece in pieces]
        advised = [
            (piece.advice, np.arange(end - len(piece), end))
            for piece, end in zip(pieces, ends.tolist(), strict=True)
        ]
        return cls(
            vocabulary,
            _joined([piece.origin for piece in pieces]),
            provenance,
            findings,
            _joined([piece.source_rows for piece in pieces]),
            _joined([piece.sources for piece in pieces]),
            [cls.join(vocabulary, parts) for parts in zip(*whole, strict=True)],
            Advice.of_rows(advised, np.ones(len(vocabulary), np.bool_)),
        )

    def _with_parts(self, count: int) -> tuple[Ledger, ...]:
        """Return the parts, of which there are so many."""
        if not self.parts and not self._tokens().any():
            return (Ledger.blank(self.vocabulary),) * count
        if len(self.parts) != count:
            raise ShapeError(f"ledgers of {len(self.parts)} and of {count} sources")
        return self.parts

    def with_rows(
        self, rows: Int64Array, other: Ledger, its_rows: Int64Array
    ) -> Ledger:
        """Return a ledger in which some rows come from rows of another one.

        ``parts`` and ``advice`` are not changed.

        Parameters
        ----------
        rows : array of int64, shape (n,)
            The rows to change.
        other : Ledger
            The other ledger.
        its_rows : array of int64, shape (n,)
            The row of ``other`` for each.

        Returns
        -------
        Ledger
            The new ledger.
        """
        origin, sources = self.origin.copy(), self.sources.copy()
        source_rows = self.source_rows.copy()
        origin[rows] = other.origin[its_rows]
        sources[rows] = other.sources[its_rows]
        source_rows[rows] = other.source_rows[its_rows]
        return replace(self, origin=origin, sources=sources, source_rows=source_rows)

    def numbered(self, number: int) -> Ledger:
        """Return a ledger whose vectors are all from one source.

        Parameters
        ----------
        number : int
            The number of the source. Rows without a source (drawn, pad, holes) have -1.

        Returns
        -------
        Ledger
            The new ledger.
        """
        return replace(self, sources=np.where(self.origin > Origin.OOV, number, -1))

    # To and from the arrays of a file

    @classmethod
    def from_arrays(
        cls,
        vocabulary: Vocabulary,
        arrays: Mapping[str, AnyArray],
        forms: Sequence[str] | None = None,
        provenance: dict[str, Any] | None = None,
        findings: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the ledger for the results of `arrays`, which pickles use.

        Parameters
        ----------
        vocabulary : Vocabulary
            The tokens of the rows.
        arrays : mapping from str to array
            The result of `arrays`.
        forms : sequence of str
            The forms of the array ``advice``.
        provenance : mapping
            The provenance.
        findings : mapping
            The result of `Findings.to_dict`.

        Returns
        -------
        Ledger
            The ledger.

        Raises
        ------
        KeyError
            For a missing array.
        TypeError
            For values that do not fit each other.
        ShapeError
            As the constructor.
        """
        parts: list[Ledger] = []
        if "part_origins" in arrays:
            origins, rows = arrays["part_origins"], arrays["part_rows"]
            if len(origins) != len(rows):
                raise TypeError(f"{len(origins)} part_origins, {len(rows)} part_rows")
            parts = [
                cls(vocabulary, origin, source_rows=of_source)
                for origin, of_source in zip(origins, rows, strict=True)
            ]
        if forms is not None and (
            not isinstance(forms, list | tuple) or len(forms) > BITS
        ):
            raise TypeError("advice of another form")
        return cls(
            vocabulary,
            arrays["origin"],
            provenance,
            None if findings is None else Findings.from_dict(findings),
            arrays["source_rows"],
            arrays.get("sources"),
            parts,
            None if forms is None else Advice(tuple(map(str, forms)), arrays["advice"]),
        )

    def arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the ledger in a file, most with an entry for each row.

        Returns
        -------
        dict of str to array
            ``part_origins`` and ``part_rows`` are (sources, rows); ``HOLES`` lists
            rows.
        """
        arrays: dict[str, AnyArray] = {
            "origin": self.origin,
            "sources": self.sources,
            "source_rows": self.source_rows,
        }
        if self.parts:
            arrays["part_origins"] = np.stack([part.origin for part in self.parts])
            arrays["part_rows"] = np.stack([part.source_rows for part in self.parts])
        if self.advice is not None:
            arrays["advice"] = self.advice.found_by
        if len(self.vocabulary.holes):
            arrays[HOLES] = self.vocabulary.holes
        if self.vocabulary.counts is not None:
            arrays["counts"] = self.vocabulary.counts
        return arrays

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the ledger in a file, besides tokens and `arrays`.

        Returns
        -------
        dict
            JSON-compatible values.
        """
        return {
            "pretrained_embed": VERSION,
            "vocabulary": settings(self.vocabulary),
            "origins": {origin.name.lower(): int(origin) for origin in Origin},
            "advice": None if self.advice is None else list(self.advice.forms),
            "provenance": self.provenance,
            "findings": self.findings.to_dict(),
        }

    # What it tells

    @property
    def match(self) -> tuple[str, ...]:
        """The names of the match chain, and of own forms that found kept rows.

        None if the provenance does not tell. `Origin.label` takes them.
        """
        return forms_of(self.provenance)

    @property
    def source_facts(self) -> list[dict[str, Any]]:
        """What the provenance tells of each source, in the order of ``sources``."""
        return sources_of(self.provenance)

    @property
    def coverage(self) -> Coverage:
        """How much of the vocabulary was found; prints as a paragraph."""
        return self.covered(self.match)

    def covered(self, match: Sequence[str]) -> Coverage:
        """Return the coverage, given the names of the chain.

        Parameters
        ----------
        match : sequence of str or None
            The names of the match chain.

        Returns
        -------
        Coverage
            How much of the vocabulary was found.
        """
        vocabulary, counts = self.vocabulary, self.vocabulary.counts
        asked = self.asked
        found = asked & self.found
        oov = np.flatnonzero(asked & ~found)
        if counts is not None:
            oov = oov[np.argsort(-counts[oov], kind="stable")]
        advice = self.advice
        return Coverage(
            tokens=int(np.count_nonzero(asked)),
            by_origin=coverage.by_form(self.origin[found], match),
            missing=coverage.missing(vocabulary, oov, advice),
            occurrences=None if counts is None else int(counts[asked].sum()),
            occurrences_found=None if counts is None else int(counts[found].sum()),
            bands=() if counts is None else coverage.bands(counts[asked], found[asked]),
            advice=() if advice is None else suggestions(advice, oov, counts),
            made_of=coverage.made_of(self.origin[oov]),
        )

    @property
    def asked(self) -> BoolArray:
        """Which rows have a token that is looked for: no special one, bool (rows,)."""
        return asked_of(self.vocabulary, self.origin)

    @property
    def found(self) -> BoolArray:
        """Which rows have a token that was found, bool (rows,)."""
        there: BoolArray = self.origin >= Origin.EXACT
        return there

    @property
    def missing(self) -> Int64Array:
        """The rows of OOV tokens that no source made a vector for, int64, rising."""
        return np.flatnonzero(self.origin == Origin.OOV)

    def frequent_rows(self, count: int | None = None) -> Int64Array:
        """Return the rows of tokens, the most frequent first.

        They are ordered by the counts of the vocabulary; without counts by id, since
        most vocabularies begin with the most frequent tokens. The pad and holes are
        left out.

        Parameters
        ----------
        count : int, optional
            The largest number of rows; by default all.

        Returns
        -------
        ndarray of int64, shape (rows,)
            The rows.

        Raises
        ------
        OptionError
            For a count below 1.
        """
        if count is not None and count < 1:
            raise OptionError(f"count is {count}; at least 1 is needed")
        rows = np.flatnonzero(self._tokens())
        counts = self.vocabulary.counts
        if counts is not None:
            rows = rows[np.argsort(-counts[rows], kind="stable")]
        return rows[:count]

    @overload
    def __getitem__(self, wanted: str) -> RowStory: ...
    @overload
    def __getitem__(self, wanted: slice | Sequence[int] | Int64Array) -> Ledger: ...
    def __getitem__(
        self, wanted: str | slice | Sequence[int] | Int64Array
    ) -> RowStory | Ledger:
        """Return how the row of a token was filled, or the ledger of some rows.

        Rows are a slice, or whole numbers (n,), each once. Their vocabulary is a part
        of this one, with the special tokens that are among them; provenance and
        findings are the same.

        Raises `UnknownTokenError`, which names the nearest token there is, and
        `VocabularyError` for a number that is no row, or that is there twice.
        """
        if isinstance(wanted, str):
            return self._story(wanted)
        if isinstance(wanted, slice):
            ids = np.arange(len(self))[wanted]
            return self._of_rows(self.vocabulary.part(ids), wanted)
        ids = np.asarray(wanted)
        checks.row_numbers(ids, len(self))
        ids = ids.astype(np.int64)
        if len(np.unique(ids)) < len(ids):
            raise VocabularyError("a row is asked for twice; a token has one row")
        return self._of_rows(self.vocabulary.part(ids), ids)

    def with_vocabulary(self, vocabulary: Vocabulary) -> Ledger:
        """Return the ledger with an equal vocabulary, such as one without an index.

        Parameters
        ----------
        vocabulary : Vocabulary
            The equal vocabulary.

        Returns
        -------
        Ledger
            The ledger.
        """
        return self._of_rows(vocabulary, slice(None))

    def _of_rows(self, vocabulary: Vocabulary, rows: slice | Int64Array) -> Ledger:
        advice = self.advice and self.advice._replace(
            found_by=self.advice.found_by[rows]
        )
        return Ledger(
            vocabulary,
            self.origin[rows],
            self.provenance,
            self.findings,
            self.source_rows[rows],
            self.sources[rows],
            [part._of_rows(vocabulary, rows) for part in self.parts],
            advice,
        )

    def _story(self, token: str) -> RowStory:
        id = self.vocabulary.get(token)
        if id is None:
            near = nearest(token, self.vocabulary)
            raise UnknownTokenError(
                f"token {brief(token)} is not in the vocabulary{near}"
            )
        teller = Teller(self.vocabulary, token, self.provenance, self.match)
        origin, row = Origin(self.origin[id]), int(self.source_rows[id])
        source = teller.source(int(self.sources[id]))
        how = teller.how(origin, source, row)
        told: tuple[str, ...] = ()
        if self.parts and origin is not Origin.PAD and "provenance" not in source:
            combined = teller.options.get("combine")
            how = f"{combined} of {len(self.parts)} sources"
            averaged = origin.found and combined == "average"
            told = tuple(
                teller.part(
                    number,
                    Origin(part.origin[id]),
                    int(part.source_rows[id]),
                    averaged=averaged,
                )
                for number, part in enumerate(self.parts)
            )
        licence = source.get("licence")
        return RowStory(
            token=token,
            id=id,
            origin=origin.name.lower(),
            how=how if origin is Origin.PAD else how + teller.since(source),
            source=name_of(source) if source else None,
            source_row=row if row >= 0 else None,
            digest=digest_of(source),
            licence=None if licence is None else str(licence),
            parts=told,
        )

    def _tokens(self) -> BoolArray:
        """Return which rows have a token that is not the pad, bool (rows,)."""
        there: BoolArray = self.origin >= Origin.OOV
        return there

    def _by_row(self) -> Iterator[tuple[str, AnyArray]]:
        """Yield the arrays that have one entry a row, with their names."""
        for name in ("origin", "source_rows", "sources"):
            yield name, getattr(self, name)
            for part in self.parts:
                yield name, getattr(part, name)
        if self.advice is not None:
            yield "advice", self.advice.found_by

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ledger):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        return (
            self.vocabulary == other.vocabulary
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
            and (self.advice and self.advice.forms)
            == (other.advice and other.advice.forms)
            and self.provenance == other.provenance
            and self.findings == other.findings
        )

    __hash__ = None  # type: ignore[assignment]  # provenance can be written to

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Give the vocabulary, and the rest as the arrays and JSON of a file."""
        arrays, advice = self.arrays(), self.advice
        for name in ("counts", HOLES):  # those of the vocabulary
            arrays.pop(name, None)
        forms = None if advice is None else list(advice.forms)
        findings = self.findings.to_dict()
        given = (self.vocabulary, arrays, forms, self.provenance, findings)
        return type(self).from_arrays, given

    def __repr__(self) -> str:
        covered = self.coverage
        return (
            f"<Ledger of {len(self):,} rows: {covered.found:,} of "
            f"{covered.tokens:,} tokens found>"
        )


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike) -> AnyArray:
    """Return an array in C order, read-only; copied if the caller could change it."""
    given = np.asarray(array)
    plain = np.ascontiguousarray(given, dtype)
    if plain is given and plain.flags.writeable:
        plain = plain.copy()
    plain.flags.writeable = False
    return plain


def _joined(arrays: list[AnyArray]) -> AnyArray:
    """Return the entries of all, read-only so that they need not be copied."""
    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    joined.flags.writeable = False
    return joined


def codes_of(vocabulary: Vocabulary, tokens: Origin) -> OriginArray:
    """Return the codes of rows with one code for all tokens but the pad."""
    origin = np.full(len(vocabulary), tokens, np.uint8)
    origin[vocabulary.holes] = Origin.UNUSED
    if vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD
    origin.flags.writeable = False
    return origin


def asked_of(vocabulary: Vocabulary, origin: OriginArray) -> BoolArray:
    """Return which rows have a token that is looked for: no special one."""
    asked: BoolArray = origin >= Origin.OOV
    asked[[vocabulary[token] for token in vocabulary.special_tokens.values()]] = False
    return asked
