"""From tokens as they are given to one row for each, pad and unk included.

Checks run over whole lists at C speed; the culprit is looked for only once there is
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import VocabularyError

Int64Array = npt.NDArray[np.int64]

#: The highest id there may be is the larger of `MAX_ID` and `MAX_ID_RATIO` times the
#: number of tokens: every id up to the highest costs a row of the matrix, so an id
#: beyond that is a hash, a count or a mistake.
MAX_ID = 1_000_000
MAX_ID_RATIO = 100

_INT64_MAX = 2**63 - 1


def checked_tokens(tokens: Iterable[object]) -> list[str]:
    """Return the tokens as a list of plain ``str``.

    Raises `VocabularyError` where there is none, one is no ``str``, one is no text
    that bytes can hold, or two are the same.
    """
    given = list(tokens)
    if not given:
        raise VocabularyError("the vocabulary is empty: it needs one token or more")
    names = _strings(given)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        for position, token in enumerate(names):
            _check_surrogates(token, position)
    if again := repeated(names):
        first, second = again
        raise VocabularyError(
            f"token {names[first]!r} is at position {first} and at position {second}; "
            "a token has one id"
        )
    return names


def _strings(given: list[object]) -> list[str]:
    for position, token in enumerate(given if {*map(type, given)} != {str} else ()):
        if not isinstance(token, str):
            raise VocabularyError(
                f"the token at position {position} is {token!r}, "
                f"{type(token).__name__} and not str"
            )
    return [str.__str__(token) for token in given]  # np.str_ and the like become str


def _check_surrogates(token: str, position: int) -> None:
    """Refuse surrogates other than those that stand for bytes that are not UTF-8."""
    try:
        raw = token.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise VocabularyError(
            f"token {token!r} at position {position} holds a lone surrogate, which no "
            "file can hold"
        ) from error
    if raw.decode("utf-8", "surrogateescape") != token:
        raise VocabularyError(
            f"token {token!r} at position {position} spells bytes that are UTF-8 as if "
            f"they were not; write {raw.decode('utf-8', 'replace')!r}"
        )


def repeated(values: Sequence[object]) -> tuple[int, int] | None:
    """Return the positions of the first value that comes again, and of its return."""
    if len(set(values)) == len(values):
        return None
    first: dict[object, int] = {}
    pairs = (
        (first.setdefault(v, position), position) for position, v in enumerate(values)
    )
    return next(pair for pair in pairs if pair[0] != pair[1])


def whole_numbers(
    tokens: Sequence[str], values: Iterable[object], what: str
) -> list[int]:
    """Return the value of each token as an ``int`` from 0 to 2**63 - 1.

    Raises `VocabularyError` naming the token; ``what`` says what its value is.
    """
    numbers: list[int] = []
    for token, value in zip(tokens, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise VocabularyError(
                f"the {what} of token {token!r} is {value!r}; it must be a whole number"
            )
        if not 0 <= value <= _INT64_MAX:
            raise VocabularyError(
                f"the {what} of token {token!r} is {value}; it must be from 0 to "
                f"{_INT64_MAX}"
            )
        numbers.append(int(value))
    return numbers


def ids_of_list(
    tokens: Iterable[object], pad: str | None, unk: str | None
) -> dict[str, int]:
    """Number the tokens in order; a new pad comes first, a new unk after it."""
    rows = checked_tokens(tokens)
    present = set(rows)
    if pad is not None and pad not in present:
        rows.insert(0, pad)
    if unk is not None and unk not in present:
        rows.insert(0 if pad is None else rows.index(pad) + 1, unk)
    return {token: row for row, token in enumerate(rows)}


def ids_of_mapping(
    mapping: Mapping[str, int], pad: str | None, unk: str | None
) -> dict[str, int]:
    """Keep the ids; pad, if new, takes id 0 where it is free, unk the next highest."""
    tokens = checked_tokens(mapping.keys())
    numbers = whole_numbers(tokens, mapping.values(), "id")
    if again := repeated(numbers):
        first, second = again
        raise VocabularyError(
            f"tokens {tokens[first]!r} and {tokens[second]!r} both have id "
            f"{numbers[first]}; a token has its own id (counts go into a Counter)"
        )
    highest = max(numbers)
    limit = max(MAX_ID, MAX_ID_RATIO * len(tokens))
    if highest > limit:
        raise VocabularyError(
            f"token {tokens[numbers.index(highest)]!r} has id {highest}, which asks "
            f"for {highest + 1} rows for {len(tokens)} tokens; ids may go up to {limit}"
        )
    ids = dict(zip(tokens, numbers, strict=True))
    if pad is not None and pad not in ids and 0 not in numbers:
        ids[pad] = 0
    if unk is not None and unk not in ids:
        ids[unk] = highest + 1
    return ids


def count_array(
    ids: Mapping[str, int], counts: Mapping[str, int], rows: int
) -> Int64Array:
    """Return the count of each row, int64 (rows,), read-only; 0 where none is known."""
    numbers = whole_numbers(list(ids), (counts.get(t, 0) for t in ids), "count")
    array = np.zeros(rows, np.int64)
    array[list(ids.values())] = numbers
    array.flags.writeable = False
    return array
