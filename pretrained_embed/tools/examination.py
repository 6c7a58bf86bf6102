"""`examine`: read all of a source once, and report its problems.

All tokens are checked as one array of bytes. Only those with a byte beyond ASCII, white
space or a control character become a ``str``; the others have no problem.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from pretrained_embed import former_names, kernel
from pretrained_embed.arrays import (
    AnyProgress,
    Float32Array,
    PackedTokens,
    Progress,
    UInt64Array,
    joined,
    listener,
)
from pretrained_embed.errors import brief
from pretrained_embed.files.digests import sha256
from pretrained_embed.formats import AnyLayout, Findings, Reader
from pretrained_embed.library import Library
from pretrained_embed.sources import Source

#: Control characters, and invisible characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)


@dataclass
class TokenChecks:
    """Rows (0-based, ascending) whose token has a problem, by the kind of problem."""

    rows: int
    repeated: list[int] = field(default_factory=list)  # as bytes, of an earlier row
    repeated_after_nfc: list[int] = field(default_factory=list)
    repeated_after_trimming: list[int] = field(default_factory=list)
    not_utf8: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    # some white space, or nothing else
    white_space: list[int] = field(default_factory=list)
    invisible: list[int] = field(default_factory=list)  # control and format characters


def check_tokens(parts: list[PackedTokens]) -> tuple[PackedTokens, TokenChecks]:
    """Return all tokens as one object, and the rows with problems."""
    tokens = joined(parts)
    found = TokenChecks(len(tokens))
    found.empty = np.flatnonzero(np.diff(tokens.offsets) == 0).tolist()
    lookup = _Lookup(tokens)
    found.repeated = lookup.repeated()
    nfc, trimmed = _Variants(), _Variants()
    for row in _worth_a_look(tokens):
        raw = tokens.raw(row)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            found.not_utf8.append(row)
            continue
        if any(map(str.isspace, text)):
            found.white_space.append(row)
        if _INVISIBLE.search(text):
            found.invisible.append(row)
        nfc.add(row, text, unicodedata.normalize("NFC", text))
        trimmed.add(row, text, text.strip())
    found.repeated_after_nfc = nfc.met(lookup)
    found.repeated_after_trimming = trimmed.met(lookup)
    return tokens, found


def _worth_a_look(tokens: PackedTokens) -> Iterator[int]:
    """Yield the rows of tokens that are not only printable ASCII."""
    data = tokens.data
    odd = np.flatnonzero((data <= 0x20) | (data >= 0x7F))
    rows = np.searchsorted(tokens.offsets, odd, "right") - 1
    yield from np.unique(rows).tolist()


class _Lookup:
    """Finds the rows of a token by hashes."""

    def __init__(self, tokens: PackedTokens) -> None:
        self._tokens = tokens
        hashes = _hashes(tokens)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def repeated(self) -> list[int]:
        """Return the rows that repeat the token of an earlier row."""
        equal = self._hashes[1:] == self._hashes[:-1]
        together = np.zeros(len(self._hashes), np.bool_)
        together[1:] = equal
        together[:-1] |= equal
        seen: set[bytes] = set()
        again = []
        for row in np.sort(self._order[together]).tolist():
            raw = self._tokens.raw(row)
            if raw in seen:
                again.append(row)
            seen.add(raw)
        return again

    def present(self, wanted: PackedTokens) -> list[bool]:
        """Return whether each of the wanted tokens is in some row."""
        hashes = _hashes(wanted)
        starts = np.searchsorted(self._hashes, hashes, "left")
        stops = np.searchsorted(self._hashes, hashes, "right")
        return [
            any(
                self._tokens.raw(int(row)) == wanted.raw(i)
                for row in self._order[start:stop]
            )
            for i, (start, stop) in enumerate(
                zip(starts.tolist(), stops.tolist(), strict=True)
            )
        ]


class _Variants:
    """Tokens that a rule changes, and the changed tokens."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._changed: list[bytes] = []

    def add(self, row: int, text: str, changed: str) -> None:
        if changed != text:
            self._rows.append(row)
            self._changed.append(changed.encode())

    def met(self, lookup: _Lookup) -> list[int]:
        """Return the rows that the rule makes equal to another row."""
        present = lookup.present(PackedTokens.join(self._changed))
        seen: set[bytes] = set()
        met = []
        for row, changed, there in zip(self._rows, self._changed, present, strict=True):
            if there or changed in seen:
                met.append(row)
            seen.add(changed)
        return met


def _hashes(tokens: PackedTokens) -> UInt64Array:
    hashes = np.empty(len(tokens), np.uint64)
    kernel.hash_tokens(tokens.data.data, tokens.offsets, hashes)
    return hashes


@dataclass
class VectorChecks:
    """Rows (0-based, ascending) with problematic vectors, and the norms of the others.

    The norms are the Euclidean lengths of the finite rows.
    """

    nan: list[int] = field(default_factory=list)
    infinite: list[int] = field(default_factory=list)
    zero: list[int] = field(default_factory=list)
    shortest: float = math.inf
    longest: float = -math.inf
    rows: int = 0
    _sum: float = 0.0
    _finite: int = 0

    def add(self, vectors: Float32Array) -> None:
        """Check the next rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", vectors, vectors)
        # squares overflow long before the numbers do: check those rows again
        odd = np.flatnonzero(~np.isfinite(squares) | (squares < 1e-30))
        norms = np.sqrt(squares.astype(np.float64))
        for i in odd.tolist():
            vector = vectors[i].astype(np.float64)
            norms[i] = math.nan
            if np.isnan(vector).any():
                self.nan.append(self.rows + i)
            elif np.isinf(vector).any():
                self.infinite.append(self.rows + i)
            else:
                norms[i] = math.sqrt(float(vector @ vector))
                if not vector.any():
                    self.zero.append(self.rows + i)
        self.rows += len(vectors)
        finite = norms[~np.isnan(norms)] if len(odd) else norms
        if len(finite):
            self.shortest = min(self.shortest, float(finite.min()))
            self.longest = max(self.longest, float(finite.max()))
            self._sum += float(finite.sum())
            self._finite += len(finite)

    @property
    def mean_norm(self) -> float | None:
        """The mean length of the finite rows, if there are any."""
        return self._sum / self._finite if self._finite else None

    def norms(self) -> dict[str, float] | None:
        """Return the smallest, mean and largest length, if there are any."""
        if self.mean_norm is None:
            return None
        return {"min": self.shortest, "mean": self.mean_norm, "max": self.longest}


#: How many rows a problem names.
EXAMPLES = 5

#: An error breaks readers or training; a warning may be intended.
Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """One problem of a file.

    Examples
    --------
    >>> for problem in examine("vectors.txt").problems:  # doctest: +SKIP
    ...     print(problem)
    """

    name: str  # for programs: equal for the same kind of problem
    severity: Severity
    rows: int  # how many rows have it; 1 if it belongs to the file
    what: str
    advice: str
    examples: tuple[str, ...]


#: Name, severity, the rows with the problem, the problem, advice.
_Kinds = tuple[tuple[str, Severity, Sequence[int], str, str], ...]

_DROP = "`pretrained-embed convert IN OUT --drop-duplicates` keeps the first of each"
_SKIP = (
    "fetch the file again if it was cut; `pretrained-embed convert IN OUT --bad-rows "
    "100%` writes one without them"
)


def problems_of_file(declared: int | None, findings: Findings) -> Iterator[Problem]:
    """Yield the problems of the rows and the header."""
    if findings.bad_rows:
        shown = tuple(
            f"{'row' if doubt.line is None else 'line'} "
            f"{doubt.row if doubt.line is None else doubt.line:,}: {doubt.what}"
            for doubt in findings.doubts
        )
        yield Problem(
            "malformed-rows",
            "error",
            findings.bad_rows,
            f"{_rows(findings.bad_rows)} malformed and cannot be read",
            _SKIP,
            shown,
        )
    if findings.suspicious_rows:
        yield Problem(
            "wide-rows",
            "warning",
            findings.suspicious_rows,
            f"{_rows(findings.suspicious_rows)} one value too long, as if the token "
            "ended in a number",
            "leave them if the tokens are meant so; else the dim is wrong, or the rows "
            "are damaged",
            (),
        )
    if declared is not None and declared != findings.rows:
        yield Problem(
            "false-header",
            "error",
            1,
            f"the header declares {declared:,} rows, there are {findings.rows:,}",
            "fetch the file again if it was cut; `pretrained-embed convert IN OUT` "
            "writes a true header",
            (),
        )


def problems_of_tokens(tokens: PackedTokens, checks: TokenChecks) -> Iterator[Problem]:
    """Return the problems of the tokens."""
    kinds: _Kinds = (
        (
            "repeated-tokens",
            "error",
            checks.repeated,
            "the token of an earlier row; the first one counts",
            _DROP,
        ),
        (
            "repeated-after-nfc",
            "warning",
            checks.repeated_after_nfc,
            "a token that Unicode's normal form NFC makes equal to another one",
            "bring your vocabulary into one form, or add nfc to --match",
        ),
        (
            "repeated-after-trimming",
            "warning",
            checks.repeated_after_trimming,
            "a token that is another one with white space around it",
            "leave them: they are tokens of their own; tools that trim mix them up",
        ),
        (
            "not-utf8",
            "error",
            checks.not_utf8,
            "a token that is not UTF-8",
            "find the file as it was published: its text was cut or saved in another "
            "encoding; the bytes are kept as they are",
        ),
        (
            "empty-tokens",
            "warning",
            checks.empty,
            "an empty token",
            "leave them if they are meant so; most tools have no way to name them",
        ),
        (
            "white-space-tokens",
            "warning",
            checks.white_space,
            "a token with white space in it",
            "leave them: they are read as they stand; for tools that split at white "
            "space write .npz, .h5 or .safetensors",
        ),
        (
            "invisible-tokens",
            "warning",
            checks.invisible,
            "a token with control or invisible characters",
            "leave them if they are meant so; a byte order mark (U+FEFF) before the "
            "first token was added by an editor",
        ),
    )
    return _of_rows(tokens, kinds)


def problems_of_vectors(
    tokens: PackedTokens, checks: VectorChecks
) -> Iterator[Problem]:
    """Return the problems of the vectors."""
    poison = (
        "train nothing on these rows: leave the tokens out, or give them other rows"
    )
    kinds: _Kinds = (
        ("nan", "error", checks.nan, "a number that is none (NaN)", poison),
        ("infinite", "error", checks.infinite, "an infinite number", poison),
        (
            "zero-vectors",
            "warning",
            checks.zero,
            "a vector of zeros",
            "leave it if it is padding; such tokens have no direction, no neighbours",
        ),
    )
    return _of_rows(tokens, kinds)


def _of_rows(tokens: PackedTokens, kinds: _Kinds) -> Iterator[Problem]:
    for name, severity, rows, what, advice in kinds:
        if rows:
            shown = tuple(_example(tokens, row) for row in rows[:EXAMPLES])
            count = f"{_rows(len(rows), 'have')} {what}"
            yield Problem(name, severity, len(rows), count, advice, shown)


def _rows(count: int, verb: str = "are") -> str:
    singular = {"are": "is", "have": "has"}[verb]
    return (
        f"{count:,} row{'s' if count != 1 else ''} {verb if count != 1 else singular}"
    )


def _example(tokens: PackedTokens, row: int) -> str:
    raw = tokens.raw(row)
    try:
        return f"row {row:,}: {brief(raw.decode())}"
    except UnicodeDecodeError:
        return f"row {row:,}: {brief(raw)}"


#: How many of the first tokens are kept for display.
_FIRST = 5


@dataclass(frozen=True)
class Examination:
    """What a file of vectors has, and its problems.

    ``declared_rows`` is the number in a header, ``rows`` the number of rows in the
    file. ``norms`` are the smallest, mean and largest Euclidean length of its finite
    rows. ``facts`` are the facts in the file itself, ``source`` those about its origin.

    Examples
    --------
    >>> found = examine("vectors.txt")  # doctest: +SKIP
    >>> found.healthy, found.rows, found.dim  # doctest: +SKIP
    (True, 400000, 50)
    """

    name: str
    format: str
    rows: int
    declared_rows: int | None
    dim: int
    dtype: str
    first_tokens: tuple[str, ...]
    norms: dict[str, float] | None
    facts: dict[str, Any]
    source: dict[str, Any]
    findings: Findings
    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Whether no problem is an error."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values.

        Returns
        -------
        dict
            The fields.
        """
        return {
            **{
                name: value
                for name, value in vars(self).items()
                if name not in ("findings", "problems", "first_tokens")
            },
            "first_tokens": list(self.first_tokens),
            "healthy": self.healthy,
            "problems": [
                problem._asdict() | {"examples": list(problem.examples)}
                for problem in self.problems
            ],
            "findings": self.findings.facts,
        }


def examine(
    source: Source,
    *,
    layout: AnyLayout = None,
    digest: bool = False,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Examination:
    """Read all of a source, and report its content and problems.

    The source itself is read, never a store of it. Malformed rows are counted and
    described. Problems of tokens are duplicates (as bytes, in Unicode's normal form
    NFC, without white space around them), invalid UTF-8, empty tokens, white space and
    invisible characters. Problems of vectors are NaN, infinite numbers and rows of
    zeros. Problems of the file are a wrong header and missing bytes. Rows are numbered
    from 0, without malformed ones.

    Parameters
    ----------
    source, layout, library, progress
        As in `open_vectors`.
    digest : bool, default False
        Also compute the SHA-256 of the local file: of the archive or compressed file,
        if it is in one.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Examination
        The content and the problems.

    Raises
    ------
    SourceError
        If the source is missing or cannot be read.
    FormatError
        If it cannot be opened as vectors at all.

    Examples
    --------
    >>> print(examine("vectors.txt").problems)  # doctest: +SKIP
    ()
    """
    former_names.refuse(former, former_names.LIBRARY, examine)
    progress = listener(progress)
    itself = replace(Library.of(library), stores=False)
    opened = itself.opened(source, layout=layout, progress=progress)
    known = dict(opened.provenance)
    with opened.reader as reader:
        # The digest of downloads and packages is known already.
        if digest and (identity := opened.identity) and not identity.digests:
            for path in identity.files[:1]:
                known["sha256"] = sha256(path, progress=progress)
        return _examined(reader, known, progress)


def _examined(
    reader: Reader, source: Mapping[str, Any], progress: Progress | None = None
) -> Examination:
    """Read all rows of an open source, and return the report.

    Malformed rows are counted, and raise no error. All tokens are in memory, and one
    block of vectors at a time.
    """
    parts: list[PackedTokens] = []
    vectors = VectorChecks()
    for block in reader.packed_blocks(on_bad_row="skip", progress=progress):
        parts.append(block.tokens)
        vectors.add(block.vectors)
    tokens, checks = check_tokens(parts)
    findings = reader.findings
    return Examination(
        name=reader.name,
        format=reader.format,
        rows=findings.rows,
        declared_rows=reader.count,
        dim=reader.dim,
        dtype=reader.dtype,
        first_tokens=tuple(tokens[:_FIRST].unpack()),
        norms=vectors.norms(),
        facts=dict(reader.facts),
        source=dict(source),
        findings=findings,
        problems=(
            *problems_of_file(reader.count, findings),
            *problems_of_tokens(tokens, checks),
            *problems_of_vectors(tokens, vectors),
        ),
    )
