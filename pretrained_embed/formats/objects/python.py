"""A mapping from token to vector, and a pair of tokens and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.columns import TokensAndRows, with_missing_tokens
from pretrained_embed.formats.objects.held import Held, table
from pretrained_embed.formats.objects.tokens import (
    holds_tokens,
    packed_list,
    tokens_of,
)
from pretrained_embed.formats.objects.vectors import (
    holds_rows,
    rows_of,
    rows_of_vectors,
)
from pretrained_embed.formats.table_reader import TableReader


def is_mapping(value: object) -> bool:
    """Tell whether an object is a mapping."""
    return isinstance(value, Mapping)


def of_mapping(value: Mapping[Any, Any], name: str) -> Held:
    """Open a mapping from token to vector, in its order."""
    keys = [*value]
    packed, missing, notes = packed_list(keys, name)
    found = rows_of_vectors([*value.values()], name, keys)
    faults = with_missing_tokens(found.faults, missing)
    return table("mapping", name, TokensAndRows(packed, found.rows, faults, notes))


def is_pair(value: Any) -> bool:
    """Tell whether an object is tokens and rows, and not two sources.

    What can be the rows, such as an array, is no source by itself.
    """
    from pretrained_embed.formats.objects import find

    if not isinstance(value, tuple) or len(value) != 2:
        return False
    tokens, vectors = value
    return find(vectors) is None and holds_rows(vectors) and holds_tokens(tokens)


def of_pair(value: tuple[Any, Any], name: str) -> Held:
    """Open tokens and rows. ``name`` says what the two are."""
    return of_parts("pair", name, *value)


def of_parts(format: str, name: str, tokens: Any, vectors: Any) -> Held:
    """Open an object that has its tokens in one place and its rows in another."""
    found = rows_of(vectors, name)
    listed = tokens_of(tokens, found.rows.shape[0], name)
    if len(listed.packed) != found.rows.shape[0]:
        raise FormatError(
            f"{name}: {len(listed.packed):,} tokens for {found.rows.shape[0]:,} "
            "vectors; there is to be one for each"
        )
    reader = TableReader(
        format,
        name,
        listed.packed,
        found.rows,
        arrays=listed.arrays,
        notes=[*listed.notes, *found.notes],
        faults=with_missing_tokens(found.faults, listed.missing),
    )
    return Held(reader, listed.packed, [found.rows])
