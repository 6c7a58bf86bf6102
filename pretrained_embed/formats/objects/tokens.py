"""The tokens of rows in memory, from whatever lists or numbers tokens.

A list, an array, a column: token ``i`` is that of row ``i``; duplicates are found as in
files, where the first wins. What has a vocabulary, such as a tokenizer, has ids, and id
``i`` is that of row ``i``: a table may be wider than its tokenizer, and rows that no
token has are holes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, digits_of
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.objects.classes import is_a
from pretrained_embed.formats.table import HOLES
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary import objects as vocabularies

#: Objects with a token for each row, in order.
_LISTS = (
    *("builtins.list", "builtins.tuple", "builtins.range", "builtins.dict_keys"),
    *("numpy.ndarray", "pandas.Series", "pandas.Index", "polars.Series"),
    *("pyarrow.Array", "pyarrow.ChunkedArray", "torch.Tensor"),
)


class TokensOfRows(NamedTuple):
    """A token for each row."""

    packed: PackedTokens
    arrays: dict[str, AnyArray]  # `HOLES`, if there are any
    missing: Int64Array  # rows whose token is missing, rising
    notes: list[Note]


def holds_tokens(value: object) -> bool:
    """Tell whether an object can be the tokens of rows."""
    if is_a(value, *_LISTS) or _whole_numbers(value) is not None:
        return True
    return isinstance(value, Vocabulary) or vocabularies.read(value) is not None


def tokens_of(value: Any, rows: int, where: str) -> TokensOfRows:
    """Return the tokens of so many rows.

    Raises `FormatError` where there are more or fewer, or one is none, and
    `VocabularyError` where the object has no vocabulary yet.
    """
    numbers = _whole_numbers(value)
    if numbers is not None:
        notes = _read_as_digits(len(numbers))
        return TokensOfRows(digits_of(numbers), {}, np.empty(0, np.int64), notes)
    if is_a(value, *_LISTS):
        packed, missing, notes = packed_list(_listed(value), where)
        return TokensOfRows(packed, {}, missing, notes)
    given = isinstance(value, Vocabulary)
    vocabulary = value if given else Vocabulary.of(value, pad=None, unk=None)
    packed, holes, notes = vocabulary.packed, vocabulary.holes, list[Note]()
    count = len(packed)
    if count > rows:
        raise FormatError(
            f"{where}: {brief(packed[count - 1])} has id {count - 1:,}, but there are "
            f"{rows:,} rows; the two do not belong together, or the rows were not "
            "resized when tokens were added"
        )
    if count < rows and not given:
        ends = np.full(rows - count, packed.offsets[-1])
        packed = PackedTokens(packed.data, np.concatenate([packed.offsets, ends]))
        holes = np.concatenate([holes, np.arange(count, rows)])
        what = f"no tokens for the last {rows - count:,} rows"
        notes = [Note("rows.without-token", what)]
    arrays: dict[str, AnyArray] = {HOLES: holes} if len(holes) else {}
    return TokensOfRows(packed, arrays, np.empty(0, np.int64), notes)


def _whole_numbers(value: Any) -> AnyArray | None:
    """Return an array or a tensor (n,) of whole numbers as an array, else ``None``."""
    if len(getattr(value, "shape", ())) != 1 or not hasattr(type(value), "__array__"):
        return None
    if is_a(value, "torch.Tensor"):
        value = value.detach().cpu()
    array = np.asarray(value)
    return array if array.dtype.kind in "iu" else None


def packed_list(
    tokens: Sequence[Any], where: str
) -> tuple[PackedTokens, Int64Array, list[Note]]:
    """Return tokens packed, the rows whose token is missing, and notes.

    Tokens are ``str``, ``bytes`` in UTF-8, or whole numbers, which become their digits.
    Raises `FormatError`, which names the row, for anything else.
    """
    try:
        return PackedTokens.pack(tokens), np.empty(0, np.int64), []
    except (TypeError, AttributeError, UnicodeEncodeError):
        pass  # not all are str
    packed, missing, numbers = [], [], 0
    for row, token in enumerate(tokens):
        if isinstance(token, np.generic):
            token = token.item()
        if type(token) is int:
            numbers += 1
            token = str(token)
        if isinstance(token, bytes):
            packed.append(token)
        elif isinstance(token, str):
            packed.append(_encoded(token, row, where))
        elif is_missing(token):
            missing.append(row)
            packed.append(b"")
        else:
            raise FormatError(
                f"{where}, row {row:,}: the token is {brief(token)}, of type "
                f"{type(token).__name__}; a token is a str, bytes or a whole number"
            )
    notes = _read_as_digits(numbers)
    return PackedTokens.join(packed), np.array(missing, np.int64), notes


def _read_as_digits(numbers: int) -> list[Note]:
    what = f"{numbers:,} tokens are numbers, read as their digits"
    return [Note("tokens.digits", what)] if numbers else []


def is_missing(token: Any) -> bool:
    """Tell whether a list has nothing where a token, or a vector, is due."""
    nan = isinstance(token, float) and token != token
    return token is None or nan or is_a(token, "pandas.NAType")


def _encoded(token: str, row: int, where: str) -> bytes:
    try:
        return token.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise FormatError(
            f"{where}, row {row:,}: the token {brief(token)} is half a character"
        ) from error


def _listed(value: Any) -> Sequence[Any]:
    """Return a list of what an object lists."""
    for method in ("tolist", "to_list", "to_pylist"):
        if hasattr(value, method):
            listed: Sequence[Any] = getattr(value, method)()
            return listed
    return list(value)
