"""File formats: from bytes to rows of vectors, and back.

One file a format. Each has ``NAME``, ``recognise(head, stream)`` and
``open_reader(stream)``; it, or a ``_writer`` beside it, may have ``write_rows(path,
rows)`` or ``write_table(path, table)``.
"""

from pretrained_embed.formats.reader import (
    Block,
    ByteStream,
    Doubt,
    Findings,
    PackedBlock,
    Reader,
)
from pretrained_embed.formats.registry import open_reader, read_table
from pretrained_embed.formats.row_stream import RowStream
from pretrained_embed.formats.table import HOLES, Table
from pretrained_embed.formats.target import TARGET_SUFFIXES, Target, new_target
from pretrained_embed.formats.writing import (
    WRITABLE_FORMATS,
    WRITABLE_SUFFIXES,
    write_rows,
    write_table,
)
from pretrained_embed.packed_tokens import PackedTokens

__all__ = [
    "HOLES",
    "TARGET_SUFFIXES",
    "WRITABLE_FORMATS",
    "WRITABLE_SUFFIXES",
    "Block",
    "ByteStream",
    "Doubt",
    "Findings",
    "PackedBlock",
    "PackedTokens",
    "Reader",
    "RowStream",
    "Table",
    "Target",
    "new_target",
    "open_reader",
    "read_table",
    "write_rows",
    "write_table",
]
