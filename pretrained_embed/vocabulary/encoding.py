"""From rows of tokens to rows of ids, all of one length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OptionError, UnknownTokenError, VocabularyError
from pretrained_embed.vocabulary import checks

Int64Array = npt.NDArray[np.int64]

#: What becomes of a row longer than ``max_length``: an error, or the tokens too many
#: are cut off at the right (the end of the text) or at the left.
Truncate = Literal["error", "right", "left"]


def encode(
    rows: Iterable[list[str]],
    ids: Mapping[str, int],
    *,
    pad_id: int | None,
    unk_id: int | None,
    max_length: int | None,
    truncate: Truncate,
) -> Int64Array:
    """Return the ids of the tokens of each row, int64 (rows, max_length)."""
    if truncate not in get_args(Truncate):
        raise OptionError(
            f"truncate is {truncate!r}; it can be {', '.join(get_args(Truncate))}"
        )
    checks.positive("max_length", max_length)

    encoded = [
        _cut(_ids(tokens, row, ids, unk_id), row, max_length, truncate)
        for row, tokens in enumerate(rows)
    ]
    width = max_length or max(map(len, encoded), default=0)
    out = np.full((len(encoded), width), -1 if pad_id is None else pad_id, np.int64)
    for row, found in enumerate(encoded):
        if pad_id is None and len(found) < width:
            raise VocabularyError(
                f"text {row} has {len(found)} tokens where {width} are needed, and the "
                'vocabulary has no pad token; make it with pad="<pad>"'
            )
        out[row, : len(found)] = found
    return out


def _ids(
    tokens: list[str], row: int, ids: Mapping[str, int], unk_id: int | None
) -> list[int]:
    if unk_id is not None:
        return [ids.get(token, unk_id) for token in tokens]
    try:
        return [ids[token] for token in tokens]
    except KeyError as error:
        raise UnknownTokenError(
            f"text {row}: token {error.args[0]!r} is not in the vocabulary, which has "
            'no unk token; make it with unk="<unk>"'
        ) from None


def _cut(
    found: list[int], row: int, max_length: int | None, truncate: Truncate
) -> list[int]:
    if max_length is None or len(found) <= max_length:
        return found
    if truncate == "error":
        raise VocabularyError(
            f"text {row} has {len(found)} tokens, max_length is {max_length}; "
            'truncate="right" cuts off its end, truncate="left" its beginning'
        )
    return found[:max_length] if truncate == "right" else found[-max_length:]
