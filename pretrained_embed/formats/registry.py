"""Which format a file has, found in its content."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from pretrained_embed.arrays import joined
from pretrained_embed.errors import FormatError, OptionError, UnknownFormatError
from pretrained_embed.formats.known_layout import AnyLayout, KnownLayout, parse_layout
from pretrained_embed.formats.parts import Part, Span
from pretrained_embed.formats.reader import HEAD_SIZE, ByteStream, Reader
from pretrained_embed.formats.table import Table
from pretrained_embed.formats.unknown import diagnosis

# In the order in which they are asked. Text is asked before word2vec binary, whose
# header it shares, and behind floret, whose rows are text; the others have marks of
# their own.
_READABLE = (
    *("npz.reader", "npy.reader", "hdf5.reader", "safetensors.reader"),
    *("fasttext.reader", "gensim.reader", "finalfusion.reader", "magnitude.reader"),
    *("floret", "text.reader", "word2vec.reader"),
)

# Folders of several files that belong together, in the order in which they are asked.
_FOLDERS: tuple[str, ...] = ("sharded.reader", "hugging_face.reader", "spacy.reader")


def _format(name: str) -> Any:
    return import_module(f"pretrained_embed.formats.{name}")


def open_reader(stream: ByteStream, layout: AnyLayout = None) -> Reader:
    """Open a file of vectors, its format recognised by its content.

    ``layout`` is what is known of how it is laid out: see `KnownLayout`.

    Raises `UnknownFormatError` if no format recognises it, `FormatError` if the one
    that does finds it damaged, or not laid out as it is said to be, and `OptionError`
    for a layout that the format has no use for.
    """
    known = parse_layout(layout)
    if stream.path is not None and stream.path.is_dir():
        for name in _FOLDERS:
            module = _format(name)
            if module.recognise_folder(stream.path):
                return _opened(module, stream, known)
        raise UnknownFormatError(
            f"{stream.name}: a folder; name the file of vectors in it"
        )
    head = stream.head(HEAD_SIZE)
    for name in _READABLE:
        module = _format(name)
        by_layout = known is not None and getattr(module, "RECOGNISED_BY_LAYOUT", False)
        told = {"layout": known} if by_layout else {}
        found = module.recognise(head, stream, **told)
        if found:
            return _opened(module, stream, known, found)
    raise UnknownFormatError(f"{stream.name}: {diagnosis(head)}")


def _opened(
    module: Any, stream: ByteStream, known: KnownLayout | None, found: Any = True
) -> Reader:
    """Open a file of a format; what `recognise` found, beyond that, is handed on."""
    options: dict[str, Any] = {} if found is True else {"found": found}
    if known is not None and known.given:
        used = getattr(module, "LAYOUT", ())
        options["layout"] = known.check_use(used, module.NAME, stream.name)
    reader: Reader = module.open_reader(stream, **options)
    return reader


def read_table(stream: ByteStream) -> Table:
    """Read a whole file. Formats without arrays and metadata give none.

    Raises `FormatError` as `open_reader` does, for malformed rows, and for a file
    without any.
    """
    with open_reader(stream) as reader:
        return table_of(reader)


def table_of(reader: Reader) -> Table:
    """Return all that an open reader has, as `read_table` does."""
    if (table := reader.table()) is not None:
        return table
    tokens, vectors = [], []
    for block in reader.packed_blocks():
        tokens.append(block.tokens)
        vectors.append(block.vectors)
    if not vectors:
        raise FormatError(f"{reader.name}: no rows")
    return Table(joined(tokens), np.concatenate(vectors), {}, {})


def read_part(stream: ByteStream, span: Span) -> Part:
    """Read the consecutive rows that ``span`` wants of a table.

    Their vectors stay mapped, where one file has them all just so. Raises `OptionError`
    for a format that is read from front to back, and `FormatError` as `open_reader`.
    """
    if stream.path is not None and stream.path.is_dir():
        sharded = _format("sharded.reader")
        if sharded.recognise_folder(stream.path):
            part: Part = sharded.read_part(stream, span)
            return part
    with open_reader(stream) as reader:
        rows = reader.rows_in(span)
        if rows is None:
            raise OptionError(
                f"{stream.name}: {reader.format} is read from front to back, so no "
                "part of it can be had alone; convert it to .npz, .h5 or .safetensors"
            )
        return rows
