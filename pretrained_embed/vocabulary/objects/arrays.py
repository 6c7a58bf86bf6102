"""numpy arrays, pandas ``Series`` and ``DataFrame``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.checks import whole_numbers
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.objects.interface import offers


def of_array(value: object) -> Content | None:
    """Return the tokens of an array of ``str`` or ``bytes``, one dimension.

    Bytes are UTF-8; those that are not become surrogate escapes.
    """
    if not isinstance(value, np.ndarray):
        return None
    if value.ndim != 1 or value.dtype.kind not in "USOT":
        raise VocabularyError(
            f"an array of {value.dtype} and shape {value.shape} is no list of tokens; "
            "give str or bytes in one dimension"
        )
    return Content([_text(token) for token in value.tolist()])


def of_series(value: Any) -> Content | None:
    """Return what a ``Series`` says: counts of its index, or tokens."""
    if not offers(value, "value_counts", "to_numpy", "items"):
        return None
    if value.dtype.kind not in "biuf":
        return Content([_text(token) for token in value])
    tokens = [_text(token) for token in value.index]
    counts = whole_numbers(tokens, value.tolist(), "count")
    return Content(tokens, counts=dict(zip(tokens, counts, strict=True)))


def of_frame(value: Any) -> Content | None:
    """Return the tokens of a ``DataFrame``: those in its only column of strings.

    Raises `VocabularyError` that names the columns where there is another number.
    """
    if not offers(value, "iterrows", "set_index", "to_numpy"):
        return None
    columns = [
        place
        for place in range(value.shape[1])
        if value.dtypes.iloc[place].kind in "OUT"
        and isinstance(next(iter(value.iloc[:, place]), None), str | bytes)
    ]
    if len(columns) == 1:
        return Content([_text(token) for token in value.iloc[:, columns[0]]])
    if not columns and isinstance(next(iter(value.index), None), str):
        raise VocabularyError(
            "a DataFrame without a column of strings: if its index has the tokens, "
            "give frame.index"
        )
    names = [str(value.columns[place]) for place in columns] or [*map(str, value)]
    raise VocabularyError(
        f"a DataFrame with {len(columns) or 'no'} columns of strings: give the one "
        f"that has the tokens, such as frame[{brief(names[0] if names else 'token')}]; "
        f"there are {', '.join(map(brief, names[:10])) or 'none'}"
    )


def _text(token: Any) -> Any:
    return token.decode("utf-8", "surrogateescape") if type(token) is bytes else token
