"""Tables in NumPy's ``.npz`` form: a zip of ``.npy`` arrays, none of them pickled.

::

    vectors.npy        float32 (rows, dim)
    token_bytes.npy    uint8   all tokens, UTF-8, one after the other
    token_offsets.npy  int64   (rows + 1,) where each begins and the last ends
    metadata.npy       uint8   a JSON object
    array_NAME.npy     numbers any other array that belongs to the table

Members are stored uncompressed with their data at multiples of 64 bytes, so that
readers can map them, and carry the zip format's first date: equal tables give equal
bytes. ``np.load`` reads the file. Archives of other writers are read where they hold
a matrix and its tokens as an array of dtype U or S, see `foreign`.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

from typing import Any

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.foreign import pick_pair
from pretrained_embed.formats.local import budget_of, open_local
from pretrained_embed.formats.npz import ARRAYS
from pretrained_embed.formats.npz.archive import Archive
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import Table, decode_metadata
from pretrained_embed.formats.table_reader import TableReader

NAME = "npz"


def open_reader(stream: ByteStream) -> TableReader:
    """Open an archive for reading; raises `FormatError` where it is damaged."""
    where = stream.name
    with open_local(stream) as file:
        budget = budget_of(stream, file)
        with Archive(file, where, budget) as archive:
            if {"vectors", "token_bytes", "token_offsets"} <= archive.names:
                return _own(archive, where)
            try:
                return _foreign(archive, where, budget)
            except FormatError:
                from pretrained_embed.formats.gensim.side_files import refuse_part

                refuse_part(stream)
                raise


def read_table(stream: ByteStream) -> Table:
    """Read the whole table; raises `FormatError` where it is damaged."""
    with open_reader(stream) as reader:
        return reader.table()


def _own(archive: Archive, where: str) -> TableReader:
    tokens = PackedTokens(
        archive.read("token_bytes"), archive.read("token_offsets"), where=where
    )
    metadata: dict[str, Any] = {}
    if "metadata" in archive.names:
        metadata = decode_metadata(archive.read("metadata").tobytes(), where)
    arrays = {
        name.removeprefix(ARRAYS): archive.read(name)
        for name in sorted(archive.names)
        if name.startswith(ARRAYS)
    }
    vectors = archive.read("vectors")
    return TableReader(NAME, where, tokens, vectors, arrays=arrays, metadata=metadata)


def _foreign(archive: Archive, where: str, budget: Budget) -> TableReader:
    pair = pick_pair(archive.names, archive.form, where, "array")
    tokens = archive.read(pair.tokens)
    budget.take(tokens.size * OBJECT + tokens.nbytes)
    packed = _pack(tokens, f"{where}, array {pair.tokens!r}")
    vectors = archive.read(pair.vectors)
    return TableReader(NAME, where, packed, vectors, notes=pair.notes)


def _pack(tokens: AnyArray, where: str) -> PackedTokens:
    if tokens.ndim != 1 or tokens.dtype.kind not in "US":
        raise FormatError(
            f"{where}: {tokens.dtype} of shape {tokens.shape}; tokens have to be a row "
            "of dtype U or S"
        )
    try:
        if tokens.dtype.kind == "S":
            return PackedTokens.join(tokens.tolist())
        return PackedTokens.pack(tokens.tolist())
    except ValueError as error:  # beyond Unicode, or half of a surrogate pair
        raise FormatError(f"{where}: a token is not Unicode: {error}") from error
