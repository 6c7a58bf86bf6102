"""Tables in HDF5.

::

    /vectors         float32 (rows, dim), contiguous; or /vectors_int8 and the like,
                     see `bits`
    /tokens/bytes    uint8   all tokens, UTF-8, one after the other
    /tokens/offsets  int64   (rows + 1,) where each begins and the last ends
    /metadata        uint8   a JSON object
    /arrays/NAME     numbers any other array that belongs to the table

No times are stored: equal tables give equal bytes. Vectors that lie contiguous in a
local file are mapped, others are read slab by slab. Files of other writers are read
where they hold a matrix and its tokens as strings, see `foreign`; so are frames of
pandas (``to_hdf`` with ``format="fixed"``), as of ConceptNet Numberbatch, whose index
has the tokens. Links into other files, data kept in other files and virtual data sets
are refused: reading a file reads that file.

https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t4.html
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.bits import check_told, found_in_file
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.foreign import pick_pair
from pretrained_embed.formats.hdf5.data import DataFile
from pretrained_embed.formats.local import budget_of, open_local
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import decode_metadata
from pretrained_embed.formats.table_reader import TableReader

NAME = "hdf5"

#: Path of the data set of the vectors.
VECTORS = "vectors"

#: What the paths of arrays beside it begin with.
ARRAYS = "arrays/"

_SECOND_BLOCK = "/block1_values"


def open_reader(stream: ByteStream) -> TableReader:
    """Open a file for reading; raises `FormatError` where it is damaged."""
    held = ExitStack()
    try:
        file = held.enter_context(open_local(stream))
        budget = budget_of(stream, file)
        data = held.enter_context(DataFile(file, stream.name, budget))
        vectors = found_in_file(data.names, VECTORS)
        if vectors and {"tokens/bytes", "tokens/offsets"} <= data.names:
            return _own(data, vectors, stream.name, held.close)
        return _foreign(data, stream.name, held.close)
    except BaseException:
        held.close()
        raise


def _own(
    data: DataFile, vectors: str, where: str, release: Callable[[], None]
) -> TableReader:
    tokens = PackedTokens(
        data.read("tokens/bytes"), data.read("tokens/offsets"), where=where
    )
    metadata: dict[str, Any] = {}
    if "metadata" in data.names:
        metadata = decode_metadata(data.read("metadata").tobytes(), where)
    check_told(vectors, VECTORS, metadata, where)
    return TableReader(
        NAME,
        where,
        tokens,
        data.rows(vectors),
        arrays={
            name.removeprefix(ARRAYS): data.read(name)
            for name in sorted(data.names)
            if name.startswith(ARRAYS)
        },
        metadata=metadata,
        release=release,
    )


def _foreign(data: DataFile, where: str, release: Callable[[], None]) -> TableReader:
    hint = "; links are not followed"
    pair = pick_pair(data.names, data.form, where, "data set", hint)
    if any(name.endswith(_SECOND_BLOCK) for name in data.names):
        raise FormatError(
            f"{where}: a pandas frame whose columns differ in dtype; vectors are one "
            "matrix: save it again with frame.astype('float32')"
        )
    packed = PackedTokens.join(data.read_strings(pair.tokens))
    rows = data.rows(pair.vectors)
    return TableReader(NAME, where, packed, rows, notes=pair.notes, release=release)
