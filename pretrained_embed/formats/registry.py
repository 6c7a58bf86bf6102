"""Which format a file has, found in its content."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from pretrained_embed.arrays import joined
from pretrained_embed.errors import FormatError, OptionError, UnknownFormatError
from pretrained_embed.formats.parts import Part, Span
from pretrained_embed.formats.reader import HEAD_SIZE, ByteStream, Reader
from pretrained_embed.formats.table import Table
from pretrained_embed.formats.table_reader import TableReader
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


def open_reader(stream: ByteStream) -> Reader:
    """Open a file of vectors, its format recognised by its content.

    Raises `UnknownFormatError` if no format recognises it, and `FormatError` if the
    one that does finds it damaged.
    """
    reader: Reader
    if stream.path is not None and stream.path.is_dir():
        for name in _FOLDERS:
            module = _format(name)
            if module.recognise_folder(stream.path):
                reader = module.open_reader(stream)
                return reader
        raise UnknownFormatError(
            f"{stream.name}: a folder; name the file of vectors in it"
        )
    head = stream.head(HEAD_SIZE)
    for name in _READABLE:
        module = _format(name)
        if module.recognise(head, stream):
            reader = module.open_reader(stream)
            return reader
    raise UnknownFormatError(f"{stream.name}: {diagnosis(head)}")


def read_table(stream: ByteStream) -> Table:
    """Read a whole file. Formats without arrays and metadata give none.

    Raises `FormatError` as `open_reader` does, for malformed rows, and for a file
    without any.
    """
    with open_reader(stream) as reader:
        if isinstance(reader, TableReader):
            return reader.table()
        tokens, vectors = [], []
        for block in reader.packed_blocks():
            tokens.append(block.tokens)
            vectors.append(block.vectors)
    if not vectors:
        raise FormatError(f"{stream.name}: no rows")
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
        if not isinstance(reader, TableReader):
            raise OptionError(
                f"{stream.name}: {reader.format} is read from front to back, so no "
                "part of it can be had alone; convert it to .npz, .h5 or .safetensors"
            )
        return reader.part(span)
