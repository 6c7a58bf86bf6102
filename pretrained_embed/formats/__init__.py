"""File formats: from bytes to rows of vectors, and back.

A format is a value, `Format`, in the table `FORMATS`, and a folder of code that is
loaded when it is used. Code that formats share is in this folder. Other packages add
formats by entry points: see `plugins`.
"""

from pretrained_embed.formats.blocks import Block, PackedBlock, RowStream
from pretrained_embed.formats.findings import Doubt, Findings, Note
from pretrained_embed.formats.format import Announced, Format
from pretrained_embed.formats.known_layout import AnyLayout, KnownLayout, parse_layout
from pretrained_embed.formats.reader import ByteStream, Reader, Statistics
from pretrained_embed.formats.registry import (
    FORMATS,
    find_format,
    is_folder_format,
    known_formats,
    open_reader,
    read_part,
    read_table,
    table_of,
    table_of_formats,
)
from pretrained_embed.formats.sink import (
    TARGET_SUFFIXES,
    WRITABLE_FORMATS,
    WRITABLE_SUFFIXES,
    FileSink,
    new_sink,
    writable_formats,
    write_rows,
    write_table,
)
from pretrained_embed.formats.table import HOLES, Span, Table, TablePart

__all__ = [
    "FORMATS",
    "HOLES",
    "TARGET_SUFFIXES",
    "WRITABLE_FORMATS",
    "WRITABLE_SUFFIXES",
    "Announced",
    "AnyLayout",
    "Block",
    "ByteStream",
    "Doubt",
    "FileSink",
    "Findings",
    "Format",
    "KnownLayout",
    "Note",
    "PackedBlock",
    "Reader",
    "RowStream",
    "Span",
    "Statistics",
    "Table",
    "TablePart",
    "find_format",
    "is_folder_format",
    "known_formats",
    "new_sink",
    "open_reader",
    "parse_layout",
    "read_part",
    "read_table",
    "table_of",
    "table_of_formats",
    "writable_formats",
    "write_rows",
    "write_table",
]
