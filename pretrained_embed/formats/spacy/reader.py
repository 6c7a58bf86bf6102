"""Folders of vectors as spaCy saves them: of a pipeline, or of its vocabulary alone.

::

    vocab/vectors        the matrix, in NumPy's .npy form
    vocab/vectors.cfg    JSON: the mode, "default" or "floret", and floret's settings
    vocab/key2row        the row of each token's key, see `keys`
    vocab/strings.json   JSON: all strings that are known, tokens among them

The folder may be the pipeline's, its ``vocab``, or that of the Python package which has
the pipeline's folder in it. In the default mode several tokens may share a row; in
floret's the rows are buckets, and any token is composed of them.

https://spacy.io/api/vectors
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.format import Listing
from pretrained_embed.formats.local import open_file
from pretrained_embed.formats.marks import (
    SPACY_CONFIG,
    SPACY_KEYS,
    SPACY_STRINGS,
    SPACY_VECTORS,
    spacy_folder,
)
from pretrained_embed.formats.npy.reader import map_matrix
from pretrained_embed.formats.reader import ByteStream, Reader
from pretrained_embed.formats.spacy.keys import NAMES, KeyRows, keys_of, parse_key_rows
from pretrained_embed.formats.subwords.readers import BucketReader
from pretrained_embed.formats.subwords.sums import (
    LONGEST_NGRAM,
    ArrayRows,
    FloretCutting,
)
from pretrained_embed.formats.table_reader import TableReader

NAME = "spacy-vectors"


def fetch(listing: Listing) -> Path | None:
    """Fetch the vectors of a pipeline; ``None`` where none is listed."""
    names = (SPACY_VECTORS, SPACY_KEYS, SPACY_CONFIG, SPACY_STRINGS)
    held = [n for n in listing.names if n.endswith(f"vocab/{SPACY_VECTORS}")]
    if not held:
        return None
    inside = held[0].removesuffix(SPACY_VECTORS)
    for name in names:
        if inside + name in listing.names:
            path = listing.get(inside + name)
    return path.parent


def open_reader(stream: ByteStream) -> Reader:
    """Map the matrix and read its keys, or floret's settings.

    Raises `FormatError` where a file is damaged, missing or at odds with the others,
    or where the pipeline has no vectors; `SourceError` where one cannot be read.
    """
    folder = None if stream.path is None else spacy_folder(stream.path)
    if folder is None:
        raise FormatError(f"{stream.name}: no folder with vectors of spaCy")
    config = (
        _json(folder / SPACY_CONFIG, dict) if (folder / SPACY_CONFIG).exists() else {}
    )
    try:
        with open_file(folder / SPACY_VECTORS, stream.read_options) as file:
            matrix = map_matrix(file, str(folder / SPACY_VECTORS))
    except OSError as error:
        raise _unreadable(folder / SPACY_VECTORS, error) from error
    if 0 in matrix.shape:
        raise FormatError(
            f"{stream.name}: this pipeline of spaCy has no vectors; those whose names "
            "end in _md or _lg have"
        )
    mode = config.get("mode", "default")
    if mode == "floret":
        return floret_reader(stream.name, matrix, config)
    if mode != "default":
        raise FormatError(f"{stream.name}: vectors of mode {mode!r} are not known")
    return _table(stream, matrix, folder)


def _table(stream: ByteStream, matrix: AnyArray, folder: Path) -> TableReader:
    path = folder / SPACY_KEYS
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    key_rows = parse_key_rows(raw, str(path))
    strings = _json(folder / SPACY_STRINGS, list)
    if not all(isinstance(text, str) for text in strings):
        raise FormatError(f"{folder / SPACY_STRINGS}: holds more than strings")
    size = len(raw) + (folder / SPACY_STRINGS).stat().st_size
    budget = stream.read_options.budget_of(stream.name, size)
    return table_reader(NAME, stream.name, matrix, key_rows, strings, budget)


def floret_reader(name: str, matrix: AnyArray, config: dict[str, Any]) -> BucketReader:
    """Return what composes tokens of a matrix of buckets, by floret's settings.

    Raises `FormatError` where these are none.
    """
    if matrix.dtype.kind != "f":
        raise FormatError(f"{name}: its matrix is {matrix.dtype}; expected floats")
    settings = {"minn": 0, "maxn": 0, "hash_count": 1, "hash_seed": 0} | config
    marks = settings.get("bow", "<"), settings.get("eow", ">")
    limits = {"minn": LONGEST_NGRAM, "maxn": LONGEST_NGRAM}
    limits |= {"hash_count": 4, "hash_seed": 2**32 - 1}
    for key, limit in limits.items():
        if type(settings[key]) is not int or not 0 <= settings[key] <= limit:
            raise FormatError(
                f"{name}: {SPACY_CONFIG} has {key} {settings[key]!r}; expected a "
                f"number from 0 to {limit:,}"
            )
    if not all(isinstance(mark, str) for mark in marks) or not settings["hash_count"]:
        raise FormatError(f"{name}: {SPACY_CONFIG} has no settings of floret")
    begin, end = (mark.encode("utf-8", "surrogatepass") for mark in marks)
    cutting = FloretCutting(
        settings["minn"],
        settings["maxn"],
        len(matrix),
        settings["hash_count"],
        settings["hash_seed"],
        (begin, end),
        edges=True,
        without=b"",
    )
    return BucketReader(NAME, name, cutting, ArrayRows(matrix), matrix)


def _json(path: Path, kind: type) -> Any:
    with refusing_damage(str(path), "is no JSON"):
        parsed = json.loads(path.read_bytes())
    if not isinstance(parsed, kind):
        raise FormatError(f"{path}: is no JSON {kind.__name__}")
    return parsed


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"cannot read {path}: {error.strerror or error}")


_ROWS_AT_ONCE = 4096


def table_reader(
    format: str,
    name: str,
    matrix: AnyArray,
    key_rows: KeyRows,
    strings: Sequence[str],
    budget: Budget,
) -> TableReader:
    """Return a reader of the tokens whose keys are those of known strings.

    Raises `FormatError` where a key has a row that is none of the matrix, and where
    the tokens are more than the ``budget`` allows.
    """
    keys, rows = key_rows
    if rows.max(initial=0) >= len(matrix):
        raise FormatError(
            f"{name}: a key has row {rows.max():,}, the matrix has {len(matrix):,}; "
            "the files do not belong together"
        )
    known = [text.encode("utf-8", "surrogatepass") for text in (*NAMES, *strings)]
    their_keys = keys_of(known)
    order = np.argsort(their_keys, kind="stable")
    places = np.searchsorted(their_keys, keys, sorter=order)
    places[places == len(order)] = 0
    names = order[places]
    named = np.flatnonzero(their_keys[names] == keys)
    lengths = np.array([len(string) for string in known], np.int64)
    budget.take(int(lengths[names[named]].sum()) + len(named) * OBJECT)
    tokens = PackedTokens.join([known[place] for place in names[named].tolist()])
    shared = rows[named].astype(np.int64)
    notes = []
    if len(named) < len(keys):
        what = (
            f"{len(keys) - len(named):,} of {len(keys):,} keys belong to no known "
            "string and were left out"
        )
        notes.append(Note("file.left-out", what))
    unused = len(matrix) - len(np.unique(shared))
    if unused:
        what = f"{unused:,} of {len(matrix):,} rows have no token"
        notes.append(Note("rows.without-token", what))
    return SharingReader(format, name, tokens, SharedRows(matrix, shared), notes)


class SharedRows:
    """Rows of a matrix, some of them several times. See `Rows`."""

    def __init__(self, matrix: AnyArray, rows: Int64Array) -> None:
        self.matrix = matrix
        self.rows = rows
        self.shape = len(rows), matrix.shape[1]
        self.dtype = matrix.dtype

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows."""
        chosen: AnyArray = self.matrix[self.rows[rows]]
        return chosen


class SharingReader(TableReader):
    """Reads tokens of which several may share a row."""

    def __init__(
        self,
        format: str,
        name: str,
        tokens: PackedTokens,
        vectors: SharedRows,
        notes: Sequence[Note],
    ) -> None:
        super().__init__(format, name, tokens, vectors, notes=notes)
        self.facts = {"mode": "default", "distinct_rows": len(vectors.matrix)}
        self._shared = vectors

    def _gather(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        progress: Progress | None,
        threads: int | None,
    ) -> None:
        """Copy the rows found, and no others."""
        targets = np.flatnonzero(source_rows >= 0)
        rows = self._shared.rows[source_rows[targets]]
        for start in range(0, len(targets), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            with np.errstate(over="ignore", invalid="ignore"):
                out[targets[part]] = self._shared.matrix[rows[part]]
            if progress is not None:
                progress(min(part.stop, len(targets)), len(targets))
