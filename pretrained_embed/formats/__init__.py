"""File formats: from bytes to rows of vectors, and back.

One folder a format. Its ``reader`` has ``NAME``, ``recognise(head, stream)`` and
``open_reader(stream)``; with ``LAYOUT``, the names of what it can be told of a
`KnownLayout`, the latter takes one, too. It, or the ``writer`` beside it, may have
``write_rows(path, rows)`` or ``write_table(path, table)``. A ``target`` beside it has
``open_sink``, for rows that come in order and are more than memory holds. What formats
share stands above the folders.
"""

from pretrained_embed.formats.known_layout import AnyLayout, KnownLayout, parse_layout
from pretrained_embed.formats.parts import Part, Span
from pretrained_embed.formats.reader import (
    Block,
    ByteStream,
    Doubt,
    Findings,
    PackedBlock,
    Reader,
)
from pretrained_embed.formats.registry import open_reader, read_part, read_table
from pretrained_embed.formats.row_stream import RowStream
from pretrained_embed.formats.table import HOLES, Table
from pretrained_embed.formats.target import TARGET_SUFFIXES, Target, new_target
from pretrained_embed.formats.writing import (
    WRITABLE_FORMATS,
    WRITABLE_SUFFIXES,
    write_rows,
    write_table,
)

__all__ = [
    "HOLES",
    "TARGET_SUFFIXES",
    "WRITABLE_FORMATS",
    "WRITABLE_SUFFIXES",
    "AnyLayout",
    "Block",
    "ByteStream",
    "Doubt",
    "Findings",
    "KnownLayout",
    "PackedBlock",
    "Part",
    "Reader",
    "RowStream",
    "Span",
    "Table",
    "Target",
    "new_target",
    "open_reader",
    "parse_layout",
    "read_part",
    "read_table",
    "write_rows",
    "write_table",
]
