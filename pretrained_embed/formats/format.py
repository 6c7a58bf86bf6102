"""What a format is: a value, with the functions that read and write it by name.

A format is added by one such value and one folder of code, which is loaded when a file
of the format is read or written, and not before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import Float32Array, PackedTokens
from pretrained_embed.bits import Dtype
from pretrained_embed.errors import OptionError
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.reader import ByteStream, Reader
from pretrained_embed.formats.table import Annotations, Span, TablePart

#: Errors of the system where a disk cannot map a file that is written to, or a process
#: may have no more addresses.
_CANNOT_MAP = (
    *(errno.ENODEV, errno.EINVAL, errno.EACCES, errno.ENOSYS, errno.ENOTSUP),
    errno.ENOMEM,
)

#: Tells by the first bytes of a file, `HEAD_SIZE` or all, whether it has a format.
SniffFile = Callable[[bytes, ByteStream], bool]

#: Tells whether a folder has a format.
SniffFolder = Callable[[Path], bool]


class OpenReader(Protocol):
    """Opens a file or a folder for reading: the function that `Format.reader` names."""

    def __call__(self, stream: ByteStream, **layout: KnownLayout) -> Reader | None:
        """Return a reader, or ``None`` where the bytes are of another format.

        ``layout`` is given where the user told one and `Format.layout` is not empty.
        Raises `FormatError` where the bytes are damaged.
        """


class ReadPart(Protocol):
    """Reads some rows of a folder: the function that `Format.part` names."""

    def __call__(self, stream: ByteStream, span: Span) -> TablePart | None:
        """Return the rows, or ``None`` where the folder is of another format."""


class Listing(NamedTuple):
    """The files of a folder that is elsewhere, of which few are to be fetched."""

    names: Sequence[str]  # with slashes, in order
    get: Callable[[str], Path]  # fetches one
    asked: str | None  # the part of it that is named
    where: str


#: Fetches what the reader of a folder needs: the function that `Format.fetch` names. It
#: returns the folder, or ``None`` where the names are not those of the format.
FetchFolder = Callable[[Listing], Path | None]


class Announced(NamedTuple):
    """What is known of rows before the first of them comes."""

    rows: int | None  # how many, or ``None``: only the end will tell
    dim: int
    dtype: Dtype = "float32"  # what the vectors become in the file
    tokens: PackedTokens | None = None  # of all rows, where they are at hand
    annotations: Annotations | None = None  # all that belongs to the rows, likewise
    beside: int = 0  # about how many bytes that takes, where it is not
    format: str = ""  # the name of the format
    shards: int | None = None  # how many files, where one is not enough
    growing: Path | None = None  # the folder that it grows in, see `replacing`

    @property
    def storage(self) -> np.dtype[Any]:
        """The dtype of the array that holds the vectors: see ``bits``."""
        return bits.storage(self.dtype)

    @property
    def width(self) -> int:
        """How many numbers of that dtype a row has."""
        return bits.width(self.dtype, self.dim)

    @property
    def size(self) -> int:
        """How many bytes that array takes; 0 while the rows are not counted."""
        return (self.rows or 0) * bits.row_bytes(self.dtype, self.dim)


@dataclass
class Place:
    """Where the rows of a new file lie, in the bits of its dtype."""

    path: Path  # of the file, which gets its own name at the end
    begin: int  # of the first row, in bytes
    reserved: bool  # whether the room for them was taken: then they can be mapped
    #: What the rows are known by, from whoever wrote them there, where that is known.
    crc32: int | None = None
    digests: tuple[str, ...] = ()
    scales: Float32Array | None = None  # float32 (rows,), where the dtype has such

    def map(self, shape: tuple[int, int]) -> Float32Array | None:
        """Return the rows of binary32, to be filled; they are zeros so far.

        ``None`` where the disk cannot map them, or a limit of the process does not let
        it: then they are written.
        """
        try:
            if self.reserved:
                mapped = np.memmap(self.path, "<f4", "r+", self.begin, shape)
                return np.asarray(mapped)
        except OSError as error:
            if error.errno not in _CANNOT_MAP:
                raise
        return None


class FormatSink(Protocol):
    """How one format takes rows. What it is given is checked; raises `OSError`.

    That of a format whose rows lie in the file as they do in memory has ``place()``,
    too, which returns their `Place`: from then on others write them there.
    """

    def append(self, block: AnyBlock) -> None:
        """Write rows of the announced dtype and dim behind those before.

        ``block.raw`` is what is to be written of the vectors. Scales come at the end,
        among the arrays. Only a format whose `Format.dtypes` ask for it is given a
        `StoredBlock`.
        """

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to all rows, which are there."""


class OpenSink(Protocol):
    """Opens a new file for writing: the function that `Format.sink` names."""

    def __call__(
        self, path: str | os.PathLike[str], announced: Announced
    ) -> AbstractContextManager[FormatSink]:
        """Give a sink. At the end what it wrote takes its place, whole or not at all.

        Raises `WriteError` for what the format cannot hold, and `OSError`.
        """


@dataclass(frozen=True)
class Format:
    """One format of vectors.

    Functions are named as ``"package.module:function"``: their modules are loaded when
    they are used. A format without ``reader`` is only written, one without ``sink`` is
    only read. Where neither sniff is given, the reader itself is asked.
    """

    name: str
    title: str  # what it is, for the table of formats
    reader: str = ""  # an `OpenReader`
    reads: str = "yes"  # what of it is read, for the table of formats
    sniff: SniffFile | None = None
    sniff_folder: SniffFolder | None = None
    fetch: str = ""  # a `FetchFolder`, where a folder may be elsewhere
    endings: tuple[str, ...] = ()  # of the names of files that are often of it
    #: Patterns of the names of what a reader looks for beside its file.
    beside: tuple[str, ...] = ()
    part: str = ""  # a `ReadPart`, where it need not open the whole folder
    layout: tuple[str, ...] = ()  # the fields of a `KnownLayout` that the reader takes
    fragments: bool = False  # whether a part of it can be named: FILE#PART
    sink: str = ""  # an `OpenSink`
    suffixes: tuple[str, ...] = ()  # of new files, the usual one first
    dtypes: tuple[Dtype, ...] = bits.FLOATS  # that its sink writes
    #: What it holds: rows; pieces of words, too; or all of a ``Table``.
    holds: Literal["rows", "subwords", "table"] = "rows"
    #: One file; one that may have parts beside it; or a folder.
    lies_in: Literal["file", "files", "folder"] = "file"
    #: What its sink has to know before the first row.
    needs: Literal["nothing", "count", "all"] = "nothing"
    mapped: bool = False  # vectors lie in the file just as they are in memory

    @property
    def whole(self) -> bool:
        """Whether it holds all of a table: arrays and metadata, too."""
        return self.holds == "table"

    def open(self, stream: ByteStream, known: KnownLayout | None) -> Reader | None:
        """Return a reader, or ``None`` where the bytes are of another format.

        Raises `OptionError` for a layout that the format has no use for.
        """
        asked = self.sniff is None and self.sniff_folder is None
        opened = cast(OpenReader, code(self.reader))
        if known is None or not known.given:
            return opened(stream)
        if not asked:
            known.check_use(self.layout, self.name, stream.name)
        reader = opened(stream, layout=known)
        if asked and reader is not None:
            known.check_use(self.layout, self.name, stream.name)
        return reader

    def part_of(self, stream: ByteStream, span: Span) -> TablePart | None:
        """Read some rows of a folder; ``None`` where `open` has to be used for that."""
        return cast(ReadPart, code(self.part))(stream, span) if self.part else None

    def open_sink(
        self, path: str | os.PathLike[str], announced: Announced
    ) -> AbstractContextManager[FormatSink]:
        """Give a sink for a new file; see ``OpenSink``."""
        return cast(OpenSink, code(self.sink))(path, announced)

    def check_dtype(self, dtype: Dtype) -> None:
        """Raise `OptionError` for vectors that the format cannot hold."""
        if dtype not in self.dtypes:
            raise OptionError(
                f"dtype is {dtype!r}; {self.name} holds {' or '.join(self.dtypes)}"
            )


def code(path: str) -> object:
    """Return the function that ``"package.module:function"`` names."""
    module, _, function = path.partition(":")
    return getattr(import_module(module), function)
