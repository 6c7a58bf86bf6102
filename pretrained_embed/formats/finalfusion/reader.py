"""finalfusion's own files (``.fifu``), with all their vocabularies and storages.

::

    file   = "FiFu" version count *id *chunk    version (0), count and ids are uint32
    chunk  = id length data                     id is uint32, length uint64
    data   = metadata / vocabulary / storage / norms, at most one of each
    norms  = count:uint64 type:uint32 padding *float32

Numbers are little-endian. Padding goes on to the next multiple of 4 in the file, by 4
bytes where it is at one. Metadata is TOML; `vocabulary` and
`storage` give the grammar of the others.

A word's vector is its row of the storage, as finalfusion's ``embedding`` has it: of
unit length where the file keeps norms apart. These are not multiplied in; the facts and
a note speak of them. The vector of any other token is the sum of its n-grams' rows,
scaled to unit length.

https://docs.rs/finalfusion
"""

from __future__ import annotations

import json
import struct
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.finalfusion import storage as storages
from pretrained_embed.formats.finalfusion import vocabulary as vocabularies
from pretrained_embed.formats.finalfusion.vocabulary import (
    Cut,
    WordList,
    read_vocabulary,
)
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import Cursor, file_size, map_array, open_local
from pretrained_embed.formats.marks import FINALFUSION
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.subwords.readers import (
    Compose,
    Picked,
    SubwordTableReader,
    add_pieces,
)
from pretrained_embed.formats.subwords.sums import Pieces

NAME = "finalfusion"

_METADATA, _NORMS = 5, 6
_OTHERS = {*storages.READERS, _METADATA, _NORMS}
_CHUNK = struct.Struct("<IQ")
_NORMS_HEAD = struct.Struct("<QI")
_LONGEST_METADATA = 1 << 20


def open_reader(stream: ByteStream) -> SubwordTableReader:
    """Open a file for reading; raises `FormatError` where it is damaged."""
    where = stream.name
    with open_local(stream) as file:
        data = map_array(file, np.uint8, (file_size(file),), 0)
    vocabulary, chunks = _chunks(Cursor(data.data, where, "the file"))
    kinds = [kind for kind in chunks if kind in storages.READERS]
    if len(kinds) != 1:
        raise FormatError(f"{where}: {len(kinds)} chunks of vectors; expected one")
    storage, read = storages.READERS[kinds[0]]
    vectors: Any = read(chunks[kinds[0]])
    words = len(vocabulary.tokens)
    if vectors.shape[0] != vocabulary.rows:
        raise FormatError(
            f"{where}: {words:,} words and their n-grams have {vocabulary.rows:,} "
            f"vectors, but {vectors.shape[0]:,} are there; the file is damaged"
        )
    facts = {**vocabulary.facts, "storage": storage}
    notes = []
    if _METADATA in chunks:
        facts["metadata"] = _metadata(chunks[_METADATA])
    if _NORMS in chunks:
        least, most = _norms(chunks[_NORMS], words)
        facts["norms"] = [least, most]
        what = (
            f"the norms of the vectors, {least:.4g} to {most:.4g}, are kept apart in "
            "the file; they are not multiplied in"
        )
        notes.append(Note("vectors.norms", what))
    return SubwordTableReader(
        NAME,
        where,
        vocabulary.tokens,
        vectors[:words] if isinstance(vectors, np.ndarray) else vectors.first(words),
        compose=vocabulary.cut and _composing(vectors, words, vocabulary.cut),
        facts=facts,
        notes=notes,
    )


def _chunks(cursor: Cursor) -> tuple[WordList, dict[int, Cursor]]:
    """Return the vocabulary, and a cursor over the data of each other chunk."""
    cursor.take(len(FINALFUSION))
    version, count = cursor.unsigned(4), cursor.unsigned(4)
    if version != 0:
        raise cursor.damaged(f"version {version:,} is not known")
    cursor.take(4 * count)  # the ids stand with the chunks, too
    found: list[WordList] = []
    chunks: dict[int, Cursor] = {}
    while cursor.left:
        kind, length = cursor.unpack(_CHUNK)
        if kind in vocabularies.KINDS:
            # finalfusion-python writes too small a length for n-grams that are listed.
            found.append(read_vocabulary(kind, cursor))
        elif kind in _OTHERS and kind not in chunks:
            chunks[kind] = cursor.part(length)
        else:
            raise cursor.damaged(f"a chunk of kind {kind:,}, which is not known here")
    if len(found) != 1:
        raise cursor.damaged(f"{len(found)} vocabularies; expected one")
    return found[0], chunks


def _metadata(cursor: Cursor) -> object:
    """Return what the metadata says, as JSON can hold it."""
    if cursor.left > _LONGEST_METADATA:
        raise cursor.damaged(f"metadata of {cursor.left:,} bytes")
    with refusing_damage(cursor.where, "the metadata is not TOML"):
        content = tomllib.loads(str(cursor.take(cursor.left), "utf-8"))
        text = json.dumps(content, default=str)  # dates and times are all that is left
        return json.loads(text, parse_constant=str)


def _norms(cursor: Cursor, words: int) -> tuple[float, float]:
    """Return the least and the greatest norm."""
    count, kind = cursor.unpack(_NORMS_HEAD)
    norms = storages.floats(cursor, (count,), kind)
    if count != words or not np.isfinite(norms).all():
        raise cursor.damaged(f"{count:,} norms for {words:,} words, or not all finite")
    return float(norms.min(initial=np.inf)), float(norms.max(initial=-np.inf))


def _composing(vectors: Picked, words: int, cut: Cut) -> Compose:
    """Return what composes tokens: their n-grams' rows added and scaled to length 1."""

    def compose(tokens: Sequence[str], out: Float32Array) -> BoolArray:
        rows, counts = cut(tokens)
        add_pieces(out, Pieces(rows + words, counts), vectors)
        squares = np.zeros(len(out), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for column in out.T:  # one after the other: the same bits on any machine
                squares += column * column
            out /= np.sqrt(np.where(squares > 0, squares, 1))[:, None]
        return counts > 0

    return compose
