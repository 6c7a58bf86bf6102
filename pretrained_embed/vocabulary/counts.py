"""How often the token of each row occurs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.vocabulary import checks
from pretrained_embed.vocabulary.token_rows import TokenRows


def counts_of(
    counts: Mapping[str, int] | AnyArray | None, tokens: object, rows: TokenRows
) -> Int64Array | None:
    """Return the count of each row, int64 (rows,), read-only; 0 where none is known.

    ``tokens`` are those that the vocabulary is made from, ``rows`` what became of them.

    Raises `VocabularyError` for what is no count, `ShapeError` for an array that has
    not one for each row given, and `OptionError` for what is neither.
    """
    if counts is None:
        return None
    if isinstance(counts, Mapping):
        by_row = _by_token(counts, rows)
    elif isinstance(counts, np.ndarray) and isinstance(tokens, TokenRows):
        by_row = _by_row(counts, tokens, len(rows))
    else:
        raise OptionError(f"counts is {type(counts).__name__}, not a mapping")
    by_row.flags.writeable = False
    return by_row


def _by_token(counts: Mapping[str, int], rows: TokenRows) -> Int64Array:
    tokens = list(rows)
    given = map(counts.get, tokens, repeat(0))
    by_row = np.zeros(len(rows), np.int64)
    has_token = np.ones(len(rows), np.bool_)
    has_token[rows.holes] = False
    by_row[has_token] = checks.whole_numbers(tokens, given, "count")
    return by_row


def _by_row(counts: AnyArray, given: TokenRows, rows: int) -> Int64Array:
    """Return the counts of rows given, and zeros for those that came after them."""
    if counts.shape != (len(given),):
        raise ShapeError(f"counts of shape {counts.shape} for {len(given):,} rows")
    if counts.dtype != np.int64 or counts.min(initial=0) < 0:
        numbers = checks.whole_numbers(given.packed, counts.tolist(), "count")
        counts = np.array(numbers, np.int64)
    by_row = np.concatenate([counts, np.zeros(rows - len(given), np.int64)])
    by_row[given.holes] = 0
    return by_row
