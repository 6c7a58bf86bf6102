"""Tables in NumPy's ``.npz`` form: a zip of ``.npy`` arrays, none of them pickled.

::

    vectors.npy        float32 (rows, dim); or vectors_int8.npy and the like, see `bits`
    token_bytes.npy    uint8   all tokens, UTF-8, one after the other
    token_offsets.npy  int64   (rows + 1,) where each begins and the last ends
    metadata.npy       uint8   a JSON object
    array_NAME.npy     numbers any other array that belongs to the table

Members are stored uncompressed with their data at multiples of 64 bytes, so that
readers can map them, and carry the zip format's first date: equal tables give equal
bytes. ``np.load`` reads the file. Nothing in an archive is trusted or unpickled.
Archives of other writers are read where they hold a matrix and its tokens as an array
of dtype U or S, see `foreign`.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.bits import check_told, found_in_file
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.foreign import ArrayForm, pick_pair, refuse_part
from pretrained_embed.formats.local import (
    LocalFile,
    Zipped,
    budget_of,
    crc32,
    map_array,
    native_integers,
    open_local,
)
from pretrained_embed.formats.npy.header import (
    HEADER_LIMIT,
    ROWS_TO_NPZ,
    ArrayHeader,
    parse_header,
)
from pretrained_embed.formats.npz import ARRAYS
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import decode_metadata
from pretrained_embed.formats.table_reader import TableReader

NAME = "npz"


def open_reader(stream: ByteStream) -> TableReader:
    """Open an archive for reading; raises `FormatError` where it is damaged."""
    where = stream.name
    with open_local(stream) as file:
        budget = budget_of(stream, file)
        with Archive(file, where, budget) as archive:
            vectors = found_in_file(archive.names, "vectors")
            if vectors and {"token_bytes", "token_offsets"} <= archive.names:
                return _own(archive, vectors, where)
            try:
                return _foreign(archive, where, budget)
            except FormatError:
                refuse_part(stream)
                _refuse_rows(archive, where)
                raise


def _own(archive: Archive, name: str, where: str) -> TableReader:
    tokens = PackedTokens(
        archive.read("token_bytes"), archive.read("token_offsets"), where=where
    )
    metadata: dict[str, Any] = {}
    if "metadata" in archive.names:
        metadata = decode_metadata(archive.read("metadata").tobytes(), where)
    arrays = {
        each.removeprefix(ARRAYS): archive.read(each)
        for each in sorted(archive.names)
        if each.startswith(ARRAYS)
    }
    vectors = archive.read(name)
    check_told(name, "vectors", metadata, where)
    return TableReader(NAME, where, tokens, vectors, arrays=arrays, metadata=metadata)


def _foreign(archive: Archive, where: str, budget: Budget) -> TableReader:
    pair = pick_pair(archive.names, archive.form, where, "array")
    tokens = archive.read(pair.tokens)
    budget.take(tokens.size * OBJECT + tokens.nbytes)
    packed = _pack(tokens, f"{where}, array {pair.tokens!r}")
    vectors = archive.read(pair.vectors)
    return TableReader(NAME, where, packed, vectors, notes=pair.notes)


def _refuse_rows(archive: Archive, where: str) -> None:
    """Raise `FormatError` for an array a token, and for one of tokens and vectors."""
    forms = {name: archive.form(name) for name in archive.names}
    if len({*forms.values()}) != 1:
        return
    name, form = next(iter(forms.items()))
    if not form.strings and len(form.shape) == 1 and len(forms) > 1:
        raise FormatError(
            f"{where}: an array for each token, which is not read. Write all as one:\n"
            f"    with numpy.load({where!r}) as held: numpy.savez('vectors.npz', "
            "tokens=list(held), vectors=list(held.values()))"
        )
    if form == ArrayForm((0,), strings=True) and len(forms) == 1:
        raise FormatError(
            f"{where}: its array is of Python objects; reading it could run code. If "
            "you trust it, and it is a dict of vectors, or each row is a token and a "
            "vector, write it anew:\n"
            f"    rows = numpy.load({where!r}, allow_pickle=True)[{name!r}]\n"
            "    rows = rows if rows.ndim else list(rows.item().items())\n"
            f"    {ROWS_TO_NPZ}"
        )


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


class Archive(Zipped):
    """An open zip archive of arrays; each has to be what the directory says it is.

    Sizes are checked before anything is allocated and checksums before anything is
    handed out. An array that is stored uncompressed is mapped, not read; what is
    inflated is taken from the ``budget``.
    """

    def __init__(self, file: LocalFile, where: str, budget: Budget) -> None:
        super().__init__(file, where)
        self._budget = budget
        self._arrays: dict[str, zipfile.ZipInfo] = {}
        for name, info in self.members.items():
            if (array := name.removesuffix(".npy")) in self._arrays:
                raise self.damaged(f"there are two members {array!r}")
            self._arrays[array] = info
        self.names = self._arrays.keys()

    def read(self, name: str) -> AnyArray:
        """Return an array, read-only."""
        info = self._arrays[name]
        if info.compress_type == zipfile.ZIP_STORED:
            return self._map(info)
        if info.flag_bits & 1:
            raise self.damaged(f"member {info.filename!r} is encrypted")
        if info.compress_type == zipfile.ZIP_DEFLATED:
            return self._inflate(info)
        raise self.damaged(
            f"member {info.filename!r} is packed by method {info.compress_type}; "
            "only stored and deflated members are read"
        )

    def form(self, name: str) -> ArrayForm:
        """Return the shape of an array, and whether it holds strings.

        An array that is refused, as one of objects is, may hold strings: whoever
        reads it is told what is wrong.
        """
        try:
            with (
                refusing_damage(self.where),
                self.zip.open(self._arrays[name]) as member,
            ):
                header = parse_header(member.read(HEADER_LIMIT), name)
        except FormatError:
            return ArrayForm((0,), strings=True)
        return ArrayForm(header.shape, header.dtype.kind in "US")

    def _map(self, info: zipfile.ZipInfo) -> AnyArray:
        start = self.place(info)
        member = map_array(self.file, np.uint8, (info.file_size,), start)
        if crc32(member.data) != info.CRC:
            raise self.damaged(f"member {info.filename!r} fails its checksum")
        header = self._header(info, member[:HEADER_LIMIT].tobytes())
        return map_array(
            self.file,
            header.dtype,
            header.shape,
            start + header.length,
            order=header.order,
        )

    def _inflate(self, info: zipfile.ZipInfo) -> AnyArray:
        what = f"member {info.filename!r} is damaged"
        with refusing_damage(self.where, what), self.zip.open(info) as member:
            head = member.read(HEADER_LIMIT)
            header = self._header(info, head)
            self._budget.take(header.nbytes)
            data = bytearray(head[header.length :])
            while piece := member.read(1 << 20):  # the last compares the checksum
                data += piece
        if len(data) != header.nbytes:
            raise self.damaged(f"member {info.filename!r} ends too early")
        array = native_integers(np.frombuffer(data, header.dtype))
        array.flags.writeable = False
        return array.reshape(header.shape, order=header.order)  # type: ignore[call-overload,no-any-return]  # order is "C" or "F"

    def _header(self, info: zipfile.ZipInfo, head: bytes) -> ArrayHeader:
        where = f"{self.where}, member {info.filename!r}"
        header = parse_header(head, where)
        if header.length + header.nbytes != info.file_size or len(header.shape) > 2:
            raise FormatError(
                f"{where}: {header.dtype} of shape {header.shape} does not fill its "
                f"{info.file_size:,} bytes"
            )
        return header
