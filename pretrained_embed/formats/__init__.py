"""File formats: from bytes to rows of vectors, and back.

One file a format. Each has ``NAME``, ``recognise(head, stream)``,
``open_reader(stream)`` and, where it can be written, ``write_table(path, table)``.
"""

from pretrained_embed.formats.reader import Block, ByteStream, Doubt, Findings, Reader
from pretrained_embed.formats.registry import (
    WRITABLE_SUFFIXES,
    open_reader,
    read_table,
    write_table,
)
from pretrained_embed.formats.table import HOLES, PackedTokens, Table

__all__ = [
    "HOLES",
    "WRITABLE_SUFFIXES",
    "Block",
    "ByteStream",
    "Doubt",
    "Findings",
    "PackedTokens",
    "Reader",
    "Table",
    "open_reader",
    "read_table",
    "write_table",
]
