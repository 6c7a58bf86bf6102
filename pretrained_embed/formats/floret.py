"""floret's tables of buckets as text, ``.floret``.

::

    file   = header row row ...
    header = bucket dim minn maxn hashCount hashSeed BOW EOW LF
    row    = number SP dim x number [SP] LF       rows are numbered from 0

It has no tokens: the vector of a token is the mean of the buckets to which it and its
n-grams are hashed. So a reader has no rows, `select` finds nothing, and all vectors are
composed. Defined by ``FastText::saveFloretVectors``,
https://github.com/explosion/floret/blob/main/src/fasttext.cc
"""

from __future__ import annotations

import re

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import (
    FormatError,
    TruncatedError,
    UnknownFormatError,
    brief,
)
from pretrained_embed.formats.marks import FLORET
from pretrained_embed.formats.reader import HEAD_SIZE, ByteStream
from pretrained_embed.formats.subwords.readers import BucketReader
from pretrained_embed.formats.subwords.sums import (
    LONGEST_NGRAM,
    ArrayRows,
    FloretCutting,
)
from pretrained_embed.formats.text.layout import TextLayout
from pretrained_embed.formats.text.reader import TextReader

NAME = "floret"

_NUMBERS = 6


def open_reader(stream: ByteStream) -> BucketReader:
    """Read all buckets.

    Raises `UnknownFormatError` if the first line is no header, `TruncatedError` if
    there are fewer buckets than declared, `FormatError` and `RowError` if they differ
    from the header.
    """
    where, head = stream.name, stream.head(HEAD_SIZE)
    header = re.match(FLORET, head)
    if header is None:
        raise UnknownFormatError(f"{where}: the first line is no header of floret")
    line = header.group()
    fields = line.split()
    bucket, dim, min_n, max_n, hash_count, seed = map(int, fields[:_NUMBERS])
    first = head[len(line) :].partition(b"\n")[0]
    if len(first.split()) != dim + 1:
        raise FormatError(
            f"{where}, line 2: the header declares {dim:,} values a row, but there are "
            f"{len(first.split()) - 1:,}; the file is damaged, get it again"
        )
    if min_n > LONGEST_NGRAM or max_n > LONGEST_NGRAM or seed >= 2**32:
        raise FormatError(f"{where}, line 1: the header makes no sense: {brief(line)}")
    layout = TextLayout(dim, b" ", b" ", len(line), line, bucket, ())
    table = _table(TextReader(stream, layout), bucket, where)
    marks = fields[-2], fields[-1]
    cutting = FloretCutting(min_n, max_n, bucket, hash_count, seed, marks)
    return BucketReader(NAME, where, cutting, ArrayRows(table), table)


def _table(reader: TextReader, bucket: int, where: str) -> Float32Array:
    parts: list[Float32Array] = []
    rows = 0
    for tokens, vectors in reader.blocks():
        for number, token in enumerate(tokens, rows):
            if token != str(number):
                raise FormatError(
                    f"{where}, line {number + 2:,}: bucket {brief(token)} where "
                    f"{number} is due; the file is damaged, get it again"
                )
        rows += len(tokens)
        parts.append(vectors)
    if rows < bucket:
        raise TruncatedError(
            f"{where}: {rows:,} buckets of {bucket:,}; probably a cut download, get "
            "the file again"
        )
    if rows > bucket:
        raise FormatError(
            f"{where}: {rows:,} buckets, the header declares {bucket:,}; the file is "
            "damaged, get it again"
        )
    return np.concatenate(parts)
