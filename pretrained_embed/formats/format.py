"""The type `Format`: a value that names the functions to read and write a format.

A format is added by one such value and one folder of code, which is only loaded when a
file of the format is read or written.
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

#: Errors of the system if a disk cannot map a file that is written, or a process has no
#: more address space.
_CANNOT_MAP = (
    *(errno.ENODEV, errno.EINVAL, errno.EACCES, errno.ENOSYS, errno.ENOTSUP),
    errno.ENOMEM,
)

#: Recognises a format by the first bytes of a file, `HEAD_SIZE` or all.
SniffFile = Callable[[bytes, ByteStream], bool]

#: Recognises the format of a folder.
SniffFolder = Callable[[Path], bool]


class OpenReader(Protocol):
    """Opens a file or a folder for reading: the type of `Format.reader`."""

    def __call__(self, stream: ByteStream, **layout: KnownLayout) -> Reader | None:
        """Return a reader, or ``None`` if the bytes are of another format.

        ``layout`` is passed if the user gave one and `Format.layout` is not empty.
        Raises `FormatError` if the bytes are damaged.
        """


class ReadPart(Protocol):
    """Reads some rows of a folder: the type of the function `Format.part`."""

    def __call__(self, stream: ByteStream, span: Span) -> TablePart | None:
        """Return the rows, or ``None`` if the folder is of another format."""


class Listing(NamedTuple):
    """The files of a remote folder, of which few are to be fetched."""

    names: Sequence[str]  # with slashes, in order
    get: Callable[[str], Path]  # fetches one
    asked: str | None  # the named part of it
    where: str


#: Fetches the files that the reader of a folder needs: the type of the function
#: `Format.fetch`. It returns the folder, or ``None`` for a folder of another format.
FetchFolder = Callable[[Listing], Path | None]


class Announced(NamedTuple):
    """The facts about rows before the first of them is written.

    Examples
    --------
    >>> Announced(2, 3).size
    24
    """

    rows: int | None  # how many, or ``None`` if unknown
    dim: int
    dtype: Dtype = "float32"  # the dtype in the file
    tokens: PackedTokens | None = None  # of all rows, if known
    annotations: Annotations | None = None  # the arrays and metadata, if known
    beside: int = 0  # the approximate size of these in bytes, if unknown
    format: str = ""  # the name of the format
    shards: int | None = None  # how many files, if more than one
    growing: Path | None = None  # the folder in which it grows, see `replacing`

    @property
    def storage(self) -> np.dtype[Any]:
        """The dtype of the array that holds the vectors: see ``bits``."""
        return bits.storage(self.dtype)

    @property
    def width(self) -> int:
        """How many elements of that dtype a row has."""
        return bits.width(self.dtype, self.dim)

    @property
    def size(self) -> int:
        """The size of that array in bytes; 0 if the number of rows is unknown."""
        return (self.rows or 0) * bits.row_bytes(self.dtype, self.dim)


@dataclass
class Place:
    """The place of the rows in a new file, in the bits of its dtype."""

    path: Path  # of the file, which is renamed at the end
    begin: int  # of the first row, in bytes
    reserved: bool  # whether room was reserved, so that they can be mapped
    #: The digest of the rows from their writer, if known.
    crc32: int | None = None
    digests: tuple[str, ...] = ()
    scales: Float32Array | None = None  # float32 (rows,), if the dtype has scales

    def map(self, shape: tuple[int, int]) -> Float32Array | None:
        """Map the rows of binary32, which are zeros, to be filled.

        ``None`` if the disk or a limit of the process prevents it: then they are
        written instead.
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
    """How one format takes rows, which are checked before; raises `OSError`.

    If the rows lie in the file as they do in memory, it also has ``place()``, which
    returns their `Place`: then others write them there.
    """

    def append(self, block: AnyBlock) -> None:
        """Write rows of the announced dtype and dim after the earlier ones.

        ``block.raw`` has the bits of the vectors. Scales come at the end, among the
        arrays. Only a format with such a dtype in `Format.dtypes` gets a `StoredBlock`.
        """

    def finish(self, annotations: Annotations) -> None:
        """Write the arrays and metadata, after all rows."""


class OpenSink(Protocol):
    """Opens a new file for writing: the type of the function `Format.sink`."""

    def __call__(
        self, path: str | os.PathLike[str], announced: Announced
    ) -> AbstractContextManager[FormatSink]:
        """Yield a sink. At the end its file replaces the old one, whole or not at all.

        Raises `WriteError` for values that the format cannot hold, and `OSError`.
        """


@dataclass(frozen=True)
class Format:
    """One format of vectors.

    Functions are named as ``"package.module:function"``: their modules are loaded when
    they are used. A format without ``reader`` is only written, one without ``sink`` is
    only read. Without ``sniff`` and ``sniff_folder``, the reader itself recognises the
    format.

    Examples
    --------
    >>> from pretrained_embed.formats import find_format
    >>> find_format("npz").suffixes
    ('.npz',)
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
        """Whether it holds all of a table, with arrays and metadata."""
        return self.holds == "table"

    def open(self, stream: ByteStream, known: KnownLayout | None) -> Reader | None:
        """Open a file for reading.

        Parameters
        ----------
        stream : ByteStream
            The file or folder.
        known : KnownLayout, optional
            The known facts about its layout.

        Returns
        -------
        Reader or None
            ``None`` if the bytes are of another format.

        Raises
        ------
        OptionError
            For a layout that the format does not use.
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
        """Read some rows of a folder.

        Parameters
        ----------
        stream : ByteStream
            The folder.
        span : callable
            Takes the number of rows and returns the wanted range.

        Returns
        -------
        TablePart or None
            ``None`` if `open` must be used instead.
        """
        return cast(ReadPart, code(self.part))(stream, span) if self.part else None

    def open_sink(
        self, path: str | os.PathLike[str], announced: Announced
    ) -> AbstractContextManager[FormatSink]:
        """Yield a sink for a new file; see ``OpenSink``.

        Parameters
        ----------
        path : path
            The file to write.
        announced : Announced
            The facts about the rows.

        Returns
        -------
        context manager of FormatSink
            The sink.
        """
        return cast(OpenSink, code(self.sink))(path, announced)

    def check_dtype(self, dtype: Dtype) -> None:
        """Check that the format can hold a dtype.

        Parameters
        ----------
        dtype : str
            The name of the dtype.

        Raises
        ------
        OptionError
            If it cannot.
        """
        if dtype not in self.dtypes:
            raise OptionError(
                f"dtype is {dtype!r}; {self.name} holds {' or '.join(self.dtypes)}"
            )


def code(path: str) -> object:
    """Return the function with the name ``"package.module:function"``."""
    module, _, function = path.partition(":")
    return getattr(import_module(module), function)
