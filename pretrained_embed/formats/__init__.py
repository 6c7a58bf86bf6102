"""File formats: from bytes to rows of vectors, and back.

One folder a format. Its ``reader`` has ``NAME``, ``recognise(head, stream)`` and
``open_reader(stream)``; with ``LAYOUT``, the names of what it can be told of a
`KnownLayout`, the latter takes one, too. A ``sink`` beside it has ``open_sink(path,
announced)``: the one way in which the format is written. What formats share stands
above the folders.
"""

from pretrained_embed.formats.blocks import Block, PackedBlock, RowStream
from pretrained_embed.formats.findings import Doubt, Findings
from pretrained_embed.formats.format import Announced
from pretrained_embed.formats.known_layout import AnyLayout, KnownLayout, parse_layout
from pretrained_embed.formats.parts import Part, Span
from pretrained_embed.formats.reader import ByteStream, Reader, Statistics
from pretrained_embed.formats.registry import (
    open_reader,
    read_part,
    read_table,
    table_of,
)
from pretrained_embed.formats.sink import (
    TARGET_SUFFIXES,
    WRITABLE_FORMATS,
    WRITABLE_SUFFIXES,
    Sink,
    new_sink,
    write_rows,
    write_table,
)
from pretrained_embed.formats.table import HOLES, Table

__all__ = [
    "HOLES",
    "TARGET_SUFFIXES",
    "WRITABLE_FORMATS",
    "WRITABLE_SUFFIXES",
    "Announced",
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
    "Sink",
    "Span",
    "Statistics",
    "Table",
    "new_sink",
    "open_reader",
    "parse_layout",
    "read_part",
    "read_table",
    "table_of",
    "write_rows",
    "write_table",
]
