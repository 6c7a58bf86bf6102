"""Which token gets which row, pad and unk included."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import repeat

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import checks

Int64Array = npt.NDArray[np.int64]

#: The highest id there may be is the larger of `MAX_ID` and `MAX_ID_RATIO` times the
#: number of tokens: every id up to the highest costs a row of the matrix, so an id
#: beyond that is a hash, a count or a mistake.
MAX_ID = 1_000_000
MAX_ID_RATIO = 100


def ids_of(
    tokens: Iterable[str] | Mapping[str, int], pad: str | None, unk: str | None
) -> dict[str, int]:
    """Return the id of each token, as `Vocabulary` describes it."""
    if isinstance(tokens, str | bytes):
        raise VocabularyError(
            f"expected a list of tokens, found {reprlib.repr(tokens)}; put it in a "
            "list, or read a file with Vocabulary.from_file"
        )
    if not isinstance(tokens, Iterable):
        raise VocabularyError(
            "expected an iterable of tokens or a mapping from token to id, found "
            f"{reprlib.repr(tokens)}"
        )
    if isinstance(tokens, Counter):
        # checked here because what is no number cannot be sorted either
        checks.whole_numbers(checks.strings(tokens), tokens.values(), "count")
        return _ids_in_order((token for token, _ in tokens.most_common()), pad, unk)
    if isinstance(tokens, Mapping):
        return _ids_of_mapping(tokens, pad, unk)
    if isinstance(tokens, set | frozenset):
        tokens = sorted(checks.strings(tokens))
    return _ids_in_order(tokens, pad, unk)


def _ids_in_order(
    tokens: Iterable[str], pad: str | None, unk: str | None
) -> dict[str, int]:
    given = checks.strings(tokens)
    in_order = given.copy()
    if pad is not None and pad not in given:
        in_order.insert(0, pad)
    if unk is not None and unk not in given:
        in_order.insert(0 if pad is None else in_order.index(pad) + 1, unk)
    ids = dict(zip(in_order, range(len(in_order)), strict=True))
    if len(ids) < len(in_order) and (again := checks.repeated(given)):
        first, second = again
        raise VocabularyError(
            f"token {given[first]!r} is at position {first} and again at position "
            f"{second}; a token has one id"
        )
    return ids


def _ids_of_mapping(
    mapping: Mapping[str, int], pad: str | None, unk: str | None
) -> dict[str, int]:
    tokens = checks.strings(mapping.keys())
    numbers = checks.whole_numbers(tokens, mapping.values(), "id")
    if again := checks.repeated(numbers):
        first, second = again
        raise VocabularyError(
            f"tokens {tokens[first]!r} and {tokens[second]!r} both have id "
            f"{numbers[first]}; each needs its own (if these are counts, use a Counter)"
        )
    highest = max(numbers)
    limit = max(MAX_ID, MAX_ID_RATIO * len(tokens))
    if highest > limit:
        raise VocabularyError(
            f"token {tokens[numbers.index(highest)]!r} has id {highest}, which takes "
            f"{highest + 1} rows for {len(tokens)} tokens; ids may go up to {limit}"
        )
    ids = dict(zip(tokens, numbers, strict=True))
    if pad is not None and pad not in ids and 0 not in numbers:
        ids[pad] = 0
    if unk is not None and unk not in ids:
        ids[unk] = highest + 1
    return ids


def tokens_by_id(ids: Mapping[str, int]) -> tuple[str | None, ...]:
    """Return the token of each row, ``None`` for a hole."""
    by_id = np.full(max(ids.values()) + 1, None, np.object_)
    by_id[list(ids.values())] = list(ids)
    return tuple(by_id.tolist())


def counts_by_id(ids: Mapping[str, int], counts: Mapping[str, int]) -> Int64Array:
    """Return the count of each row, int64 (rows,), read-only; 0 where none is known."""
    given = map(counts.get, ids, repeat(0))
    by_id = np.zeros(max(ids.values()) + 1, np.int64)
    by_id[list(ids.values())] = checks.whole_numbers(ids, given, "count")
    by_id.flags.writeable = False
    return by_id
