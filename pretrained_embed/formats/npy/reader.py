"""A bare ``.npy`` matrix of floats, with its tokens in another file.

`header` gives the form of the matrix and `tokens` that of the tokens. The
tokens come from the file that the source names, else from one beside the matrix:
``vectors.npy`` goes with ``vectors.rows.safetensors``, which has all that belongs to
the rows, see `rows`, else with ``vectors.tokens``, ``.vocab``, ``.parquet``,
``.json`` or ``.txt``, the first there is. The matrix is mapped, so only the rows asked
for are read; C and Fortran order, half, single and double precision and either byte
order are converted as they are handed out.
"""

from __future__ import annotations

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.foreign import refuse_part
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import LocalFile, file_size, map_array, open_local
from pretrained_embed.formats.marks import TOKEN_LISTS
from pretrained_embed.formats.npy.header import HEADER_LIMIT, parse_header
from pretrained_embed.formats.npy.rows import find_rows_file, read_rows_file
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.tokens import (
    find_tokens,
    fitted,
    read_tokens,
    refuse_layout,
)

NAME = "npy"


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> TableReader:
    """Open a matrix and its tokens; ``rows`` of a layout is how many have a token.

    Raises `FormatError` where the matrix is damaged or is none, where no tokens are
    found or where there is not one for each row; `SourceError` where the tokens cannot
    be read; `MissingPackageError` where that takes pyarrow.
    """
    try:
        return _open(stream, layout)
    except FormatError:
        refuse_part(stream)
        raise


def _open(stream: ByteStream, layout: KnownLayout | None) -> TableReader:
    with open_local(stream) as file:
        vectors = map_matrix(file, stream.name)
    if stream.tokens_path is None and stream.path is not None:
        rows = find_rows_file(stream.path)
        if rows is not None:
            refuse_layout(layout, stream.name, rows.name)
            tokens, arrays, metadata = read_rows_file(
                rows, vectors, stream.name, stream.read_options
            )
            return TableReader(
                NAME,
                stream.name,
                tokens,
                vectors,
                arrays=dict(arrays),
                metadata=dict(metadata),
                notes=[Note("tokens.from", f"tokens from {rows.name}")],
            )
    stem = stream.path.stem if stream.path is not None else stream.name
    path = find_tokens(stream, [stem + suffix for suffix in TOKEN_LISTS])
    tokens, holes, notes = fitted(
        read_tokens(path, stream.read_options), path, vectors, stream, layout
    )
    return TableReader(NAME, stream.name, tokens, vectors, arrays=holes, notes=notes)


def map_matrix(file: LocalFile, where: str) -> AnyArray:
    """Map the matrix that an open file holds.

    Raises `FormatError` where it is none or is damaged, `TruncatedError` where its end
    is missing.
    """
    size = file_size(file)
    file.seek(0)
    header = parse_header(file.read(HEADER_LIMIT), where)
    if len(header.shape) != 2:
        raise FormatError(
            f"{where}: an array of shape {header.shape}; expected (rows, dim)"
        )
    held = size - header.length
    if held < header.nbytes:
        raise TruncatedError(
            f"{where}: {header.shape} {header.dtype} take {header.nbytes:,} bytes, but "
            f"{held:,} follow the header; get the file again"
        )
    if held > header.nbytes:
        raise FormatError(
            f"{where}: {held - header.nbytes:,} bytes follow its array; get the file "
            "again"
        )
    return map_array(
        file, header.dtype, header.shape, header.length, order=header.order
    )
