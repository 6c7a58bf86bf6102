"""Checks of tokens, ids, counts and options.

Whole lists are checked at C speed; the wrong value is only searched for after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OptionError, VocabularyError, brief

_INT64_MAX = 2**63 - 1


def strings(values: Iterable[object]) -> list[str]:
    """Return the tokens as a list of plain ``str``.

    Raises `VocabularyError` for an empty list, for a token that is no ``str``, and for
    one that cannot be encoded.
    """
    tokens: list[Any] = [*values]
    if not tokens:
        raise VocabularyError("the vocabulary is empty; it needs at least one token")
    if {*map(type, tokens)} != {str}:
        tokens = [_string(token, position) for position, token in enumerate(tokens)]
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError:
        for position, token in enumerate(tokens):
            _check_surrogates(token, f"at position {position}")
    return tokens


def _string(token: object, position: int) -> str:
    if not isinstance(token, str):
        whole = isinstance(token, int | np.integer) and not isinstance(token, bool)
        raise VocabularyError(
            f"the token at position {position} is {brief(token)}, of type "
            f"{type(token).__name__}; a token is a str"
            + ("; whole numbers are given as numpy.array(numbers)" if whole else "")
        )
    return str.__str__(token)  # subclasses such as np.str_


def _check_surrogates(token: str, where: str) -> None:
    """Refuse surrogates, except those for bytes that are not UTF-8."""
    try:
        raw = token.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise VocabularyError(
            f"token {brief(token)} {where} holds a lone surrogate, which no bytes "
            "stand for"
        ) from error
    if raw.decode("utf-8", "surrogateescape") != token:
        raise VocabularyError(
            f"token {brief(token)} {where} has bytes escaped that are valid "
            f"UTF-8; decode {brief(raw)} instead"
        )


def repeated(values: Sequence[object]) -> tuple[int, int] | None:
    """Return two positions of the first value that is there twice."""
    if len(set(values)) == len(values):
        return None
    first: dict[object, int] = {}
    seen = ((first.setdefault(value, i), i) for i, value in enumerate(values))
    return next(pair for pair in seen if pair[0] != pair[1])


def whole_numbers(
    tokens: Iterable[str], values: Iterable[object], what: str
) -> list[int]:
    """Return the value of each token as an ``int`` from 0 to 2**63 - 1.

    Raises `VocabularyError`, which names the token; ``what`` is the name of its value.
    """
    given = list(values)
    numbers = [value for value in given if type(value) is int]
    if len(numbers) == len(given) and 0 <= min(numbers) <= max(numbers) <= _INT64_MAX:
        return numbers
    numbers = []
    for token, value in zip(tokens, given, strict=True):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | np.integer)
            or not 0 <= value <= _INT64_MAX
        ):
            raise VocabularyError(
                f"the {what} of token {brief(token)} is {brief(value)}; it must be a "
                "whole number from 0 to 2**63 - 1"
            )
        numbers.append(int(value))
    return numbers


def specials(pad: str | None, unk: str | None) -> None:
    """Raise an error if pad or unk is no token, or both are the same."""
    for name, token in (("pad", pad), ("unk", unk)):
        if token is not None and not isinstance(token, str):
            raise OptionError(f"{name} is {brief(token)}; it must be a str or None")
        if token is not None:
            _check_surrogates(token, f"as {name}")
    if pad is not None and pad == unk:
        raise VocabularyError(
            f"pad and unk are both {brief(pad)}; each needs a token and a row of its "
            "own"
        )


def positive(name: str, value: int | None) -> None:
    """Raise `OptionError` unless the value is an integer from 1, or ``None``."""
    if value is None:
        return
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:
        raise OptionError(
            f"{name} is {brief(value)}; it must be a whole number, 1 or more"
        )


def row_numbers(ids: npt.NDArray[Any], rows: int) -> None:
    """Raise `VocabularyError` unless an array has only integers from 0 to rows - 1.

    An empty array of any dtype is allowed.
    """
    if not ids.size:
        return
    if ids.dtype.kind not in "iu":
        raise VocabularyError(f"ids are {ids.dtype}; whole numbers are needed")
    wrong = (ids < 0) | (ids >= rows)
    if wrong.any():
        raise VocabularyError(
            f"id {int(ids[wrong][0])} is no row; rows go from 0 to {rows - 1}"
        )
