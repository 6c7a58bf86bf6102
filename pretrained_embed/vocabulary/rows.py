"""The row of each token, pad and unk included, and how often it occurs."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, joined
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.vocabulary import checks
from pretrained_embed.vocabulary.number_rows import (
    NumberRows,
    array_of_keys,
    rows_of_array,
)
from pretrained_embed.vocabulary.token_rows import TokenRows

#: The values from which a vocabulary is made, and the counts of its tokens.
Tokens = Iterable[str] | Mapping[str, int] | Mapping[int, int] | AnyArray | TokenRows
Counts = Mapping[str, int] | Mapping[int, int] | Int64Array

#: The highest allowed id is the larger of `MAX_ID` and `MAX_ID_RATIO` times the number
#: of tokens. Every id up to the highest takes a row of the matrix, so a higher id is a
#: hash, a count or a mistake.
MAX_ID = 1_000_000
MAX_ID_RATIO = 100


def rows_of(
    tokens: Tokens,
    pad: str | None,
    unk: str | None,
) -> TokenRows:
    """Return the token of each row, as `Vocabulary` describes it."""
    if isinstance(tokens, TokenRows):
        return completed(tokens, pad, unk)
    if isinstance(tokens, str | bytes):
        raise VocabularyError(
            f"expected a list of tokens, found {brief(tokens)}; put it in a "
            "list, or read a file with Vocabulary.from_file"
        )
    # the lines of a file would have their ends
    if isinstance(tokens, os.PathLike | io.IOBase):
        raise VocabularyError(
            f"expected a list of tokens, found {brief(tokens)}; read a file with "
            "Vocabulary.from_file(path)"
        )
    if not isinstance(tokens, Iterable):
        raise VocabularyError(
            "expected an iterable of tokens or a mapping from token to id, found "
            f"{brief(tokens)}"
        )
    if isinstance(tokens, Counter):
        # checked here because values that are no numbers cannot be sorted
        numbers = array_of_keys(tokens.keys())
        names = tokens if numbers is not None else checks.strings(tokens)
        checks.whole_numbers(names, tokens.values(), "count")
        falling = (token for token, _ in tokens.most_common())
        if numbers is None:
            return _in_order(falling, pad, unk)
        array = np.fromiter(falling, np.int64, len(tokens))
        return inserted(rows_of_array(array), None, pad, unk)[0]
    if isinstance(tokens, Mapping):
        return completed(_of_mapping(tokens), pad, unk)
    if isinstance(tokens, set | frozenset):
        tokens = sorted(checks.strings(tokens))
    return _in_order(tokens, pad, unk)


def _in_order(tokens: Iterable[str], pad: str | None, unk: str | None) -> TokenRows:
    given = checks.strings(tokens)
    in_order = given.copy()
    if pad is not None and pad not in given:
        in_order.insert(0, pad)
    if unk is not None and unk not in given:
        in_order.insert(0 if pad is None else in_order.index(pad) + 1, unk)
    rows = TokenRows.pack(in_order)
    if any(rows.repeats()) and (again := checks.repeated(given)):
        first, second = again
        raise VocabularyError(
            f"token {brief(given[first])} is at position {first} and again at position "
            f"{second}; a token has one id"
        )
    return rows


def in_order(
    numbers: AnyArray, counts: object, pad: str | None, unk: str | None
) -> tuple[TokenRows, Any]:
    """Return rows for an array of numbers with pad and unk, as in a list.

    Also returns the counts; of an array (numbers,), new tokens have 0.
    """
    rows = rows_of_array(numbers)
    if not isinstance(counts, np.ndarray):
        return inserted(rows, None, pad, unk)[0], counts
    return inserted(rows, counts_of(counts, rows, rows), pad, unk)


def inserted(
    rows: TokenRows, counts: Int64Array | None, pad: str | None, unk: str | None
) -> tuple[TokenRows, Int64Array | None]:
    """Return packed rows without holes, with pad and unk inserted as in a list.

    Also returns the counts (rows,), if given; new tokens have 0.
    """
    found, new = _looked_up(rows, pad, unk)
    if not new:
        return rows, counts
    place = found[pad] + 1 if pad in found else 0
    if counts is not None:
        counts = np.insert(counts, place, np.zeros(len(new), np.int64))
    if isinstance(rows, NumberRows):
        return rows.completed(new, insert=place), counts
    before, after = rows.packed[:place], rows.packed[place:]
    return TokenRows(joined([before, PackedTokens.pack(new), after])), counts


def completed(rows: TokenRows, pad: str | None, unk: str | None) -> TokenRows:
    """Return rows that keep their ids, with pad and unk as in a mapping."""
    _, new = _looked_up(rows, pad, unk)
    if not new:
        return rows
    if isinstance(rows, NumberRows):
        if pad is not None and pad in new and len(rows.holes) and rows.holes[0] == 0:
            rows = rows.with_row_0(pad)
        return rows.completed([unk], insert=None) if unk in new else rows
    packed, holes = rows.packed, rows.holes
    if pad is not None and pad in new and len(holes) and holes[0] == 0:
        packed, holes = joined([PackedTokens.pack([pad]), packed[1:]]), holes[1:]
    if unk is not None and unk in new:
        packed = joined([packed, PackedTokens.pack([unk])])
    return TokenRows(packed, holes)


def _looked_up(
    rows: TokenRows, pad: str | None, unk: str | None
) -> tuple[dict[str, int], list[str]]:
    """Return the rows of pad and unk, and those of the two that have no row."""
    asked = [token for token in (pad, unk) if token is not None]
    found = rows.find(asked)
    return found, [token for token in asked if token not in found]


def _of_mapping(mapping: Mapping[Any, int]) -> TokenRows:
    inverse = str in {*map(type, mapping.values())}  # from id to token
    keys = None if inverse else array_of_keys(mapping.keys())
    tokens = checks.strings(mapping.keys()) if keys is None else [*mapping.keys()]
    numbers = checks.whole_numbers(tokens, mapping.values(), "id")
    if again := checks.repeated(numbers):
        first, second = again
        raise VocabularyError(
            f"tokens {brief(tokens[first])} and {brief(tokens[second])} both have id "
            f"{numbers[first]}; each needs its own (if these are counts, use a Counter)"
        )
    highest = max(numbers)
    limit = max(MAX_ID, MAX_ID_RATIO * len(tokens))
    if highest > limit:
        raise VocabularyError(
            f"token {brief(tokens[numbers.index(highest)])} has id {highest}, which "
            f"takes {highest + 1} rows for {len(tokens)} tokens; ids may go up to "
            f"{limit}"
        )
    ids = np.array(numbers, np.int64)
    taken = np.zeros(highest + 1, np.bool_)
    taken[ids] = True
    if keys is not None:
        by_row = np.zeros(highest + 1, np.int64)
        by_row[ids] = keys
        return NumberRows(by_row, {}, np.flatnonzero(~taken))
    packed = TokenRows.pack(tokens).part(np.argsort(ids)).packed
    # how many new tokens come before each row
    before = np.concatenate([[0], np.cumsum(taken)])
    return TokenRows(
        PackedTokens(packed.data, packed.offsets[before]), np.flatnonzero(~taken)
    )


def counts_of(
    counts: Counts | None, tokens: object, rows: TokenRows
) -> Int64Array | None:
    """Return the count of each row, int64 (rows,), read-only; 0 if unknown.

    ``tokens`` are the tokens of the constructor, ``rows`` the rows made from them.
    Raises `VocabularyError` for an invalid count, `ShapeError` for an array without one
    count for each given row, and `OptionError` for another type.
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


def _by_token(counts: Mapping[Any, int], rows: TokenRows) -> Int64Array:
    tokens = list(rows)
    given: Iterable[int] = map(counts.get, tokens, repeat(0))
    if isinstance(rows, NumberRows) and array_of_keys(counts.keys()) is not None:
        words = {*rows.words.values()}
        given = (0 if t in words else counts.get(int(t), 0) for t in tokens)
    by_row = np.zeros(len(rows), np.int64)
    has_token = np.ones(len(rows), np.bool_)
    has_token[rows.holes] = False
    by_row[has_token] = checks.whole_numbers(tokens, given, "count")
    return by_row


def _by_row(counts: AnyArray, given: TokenRows, rows: int) -> Int64Array:
    """Return the counts of given rows, and zeros for rows that were added."""
    if counts.shape != (len(given),):
        raise ShapeError(f"counts of shape {counts.shape} for {len(given):,} rows")
    if counts.dtype != np.int64 or counts.min(initial=0) < 0:
        numbers = checks.whole_numbers(given.packed, counts.tolist(), "count")
        counts = np.array(numbers, np.int64)
    by_row = np.concatenate([counts, np.zeros(rows - len(given), np.int64)])
    by_row[given.holes] = 0
    return by_row
