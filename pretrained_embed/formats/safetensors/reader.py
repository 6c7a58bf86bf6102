"""Tables in the safetensors form.

::

    file   = length header data
    length = uint64, little-endian, at most 100,000,000
    header = JSON object, padded with spaces to a multiple of 8 bytes:
             {"__metadata__": {"pretrained_embed": "{...}"},
              NAME: {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}}
    data   = the tensors, little-endian, in C order, without gaps or overlaps

https://github.com/huggingface/safetensors

`own_tensors` names the tensors of our own tables. Where the metadata says ``rows``,
the vectors are the first so many; what follows them is there for others. Files of other
writers are read where `embedding` finds one matrix (F64, F32, F16, BF16 or I8);
another one is named behind a ``#``. Its tokens come from the file that the source
names, else from those of a tokenizer beside it, see `tokens`.
"""

from __future__ import annotations

from collections.abc import Callable

from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import check_told
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import file_size, open_local
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.safetensors.header import (
    SafetensorsHeader,
    map_tensor,
    read_header,
)
from pretrained_embed.formats.safetensors.own_tensors import (
    ROWS,
    VECTORS,
    prefix_of,
    read_annotations,
    vectors_among,
)
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import (
    choose,
    load_embedding,
)
from pretrained_embed.formats.tensors.tokens import (
    find_file,
    find_tokens,
    fitted,
    model_reader,
    read_tokens,
    refuse_layout,
)

NAME = "safetensors"


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> TableReader:
    """Open a file for reading; ``rows`` of a layout is how many have a token.

    Raises `FormatError` where it is damaged, holds no matrix of floats, or where no
    tokens are found.
    """
    with open_local(stream) as file:
        header = read_header(file, file_size(file), stream.name)

        def load(name: str) -> AnyArray:
            return map_tensor(file, header, name, stream.name)

        own = None
        if stream.fragment is None:
            own = own_reader(stream.name, header, load, prefix=prefix_of(header))
        if own is not None:
            refuse_layout(layout, stream.name, "the file itself")
            return own
        name = choose(header.tensors, stream.name, stream.fragment)
        embedding = load_embedding(name, header.tensors, load, stream.name)
    if stream.tokens_path is None and stream.path is not None:
        path = find_file(stream.path.parent)
        if path is not None:
            return model_reader(NAME, stream, embedding, path, bare=True, layout=layout)
    path = find_tokens(stream, ("tokenizer.json", "vocab.txt"))
    read = read_tokens(path, stream.read_options)
    tokens, holes, notes = fitted(read, path, embedding.rows, stream, layout)
    return TableReader(
        NAME,
        stream.name,
        tokens,
        embedding.rows,
        arrays=holes,
        notes=[*embedding.notes, *notes],
    )


def own_reader(
    name: str,
    header: SafetensorsHeader,
    load: Callable[[str], AnyArray],
    *,
    prefix: str = "",
) -> TableReader | None:
    """Return a reader of a table that this package wrote; ``None`` if there is none.

    ``load`` maps a tensor; ``prefix`` is that of the names of the table's tensors.
    Raises `FormatError` where the file is damaged.
    """
    vectors = vectors_among(header.tensors, prefix)
    if vectors is None:
        return None
    annotations = read_annotations(header, load, name, prefix)
    if annotations is None:
        return None
    tokens, arrays, metadata = annotations
    coded = vectors != prefix + VECTORS or header.tensors[vectors].dtype == "BF16"
    check_told(vectors, "" if coded else vectors, metadata, name)
    rows = header.metadata.get(ROWS, "")
    return TableReader(
        NAME,
        name,
        tokens,
        load(vectors)[: int(rows) if rows.isdecimal() and len(rows) < 19 else None],
        arrays=dict(arrays),
        metadata=dict(metadata),
    )
