"""One file of a matrix in several, taken as a matrix by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.formats import HOLES, Table
from pretrained_embed.formats.parts import cut_arrays
from pretrained_embed.formats.sharded.index import SHARD


def standing_alone(table: Table) -> Table:
    """Return the table of a shard as that of a matrix; any other as it is.

    Its rows are numbered from 0. Pad, unk and special tokens that are in other shards
    are none of its own, and it ends with the last row that has a token.
    """
    label = table.metadata.get(SHARD)
    if not isinstance(label, dict):
        return table
    table = _ending_with_a_token(table)
    metadata = {key: value for key, value in table.metadata.items() if key != SHARD}
    vocabulary, findings = metadata.get("vocabulary"), metadata.get("findings")
    if isinstance(vocabulary, dict):
        metadata["vocabulary"] = _of_these(vocabulary, set(table.tokens.unpack()))
    if isinstance(findings, dict) and isinstance(findings.get("notes"), list):
        note = f"rows {label['start']:,} on, of a matrix of {label['rows']:,}"
        metadata["findings"] = {**findings, "notes": [*findings["notes"], note]}
    return table._replace(metadata=metadata)


def _ending_with_a_token(table: Table) -> Table:
    rows = end = len(table.tokens)
    holes = set(table.arrays.get(HOLES, np.empty(0, np.int64)).tolist())
    while end and end - 1 in holes:
        end -= 1
    arrays = cut_arrays(table.arrays, rows, 0, end)
    return Table(table.tokens[:end], table.vectors[:end], arrays, table.metadata)


def _of_these(vocabulary: dict[str, Any], tokens: set[str]) -> dict[str, Any]:
    """Return what is said of a vocabulary, of some of its tokens."""
    special = vocabulary.get("special_tokens") or {}
    held = {part: vocabulary.get(part) for part in ("pad", "unk")}
    return {
        **vocabulary,
        **{part: t if t in tokens else None for part, t in held.items()},
        "special_tokens": {n: token for n, token in special.items() if token in tokens},
    }
