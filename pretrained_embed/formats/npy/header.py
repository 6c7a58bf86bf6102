r"""The header of an array in NumPy's ``.npy`` form.

::

    file    = %x93 "NUMPY" major minor length header data
    length  = uint16 in version 1.0, uint32 in 2.0 and 3.0; little-endian
    header  = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }" *SP LF

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

NumPy evaluates the header as a Python literal and then allocates what it declares.
This parser knows the three keys and nothing else, and allocates nothing; arrays of
Python objects, which are pickles, are refused.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.local import array_bytes
from pretrained_embed.formats.marks import NPY

#: The line that saves rows, each a token and its vector or numbers.
ROWS_TO_NPZ = (
    "numpy.savez('vectors.npz', tokens=[str(row[0]) for row in rows], "
    "vectors=[numpy.hstack(row[1:]) for row in rows])"
)

#: Bytes that hold any header this parser reads.
HEADER_LIMIT = 12 + 0xFFFF

_ALIGNMENT = 64
_DTYPE = re.compile(r"[<>|=]?[iufSU][1-9][0-9]{0,8}")
_LAYOUT = re.compile(
    r"\{(?=.*'descr': ?(?P<descr>'[^']*'|\[))"
    r"(?=.*'fortran_order': ?(?P<fortran>True|False)\b)"
    r"(?=.*'shape': ?\((?P<shape>(?:[0-9]{1,19}L?(?:, ?|(?=\))))*)\))[^{}]*\}\s*"
)


class ArrayHeader(NamedTuple):
    """What a header says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str  # "C" or "F"
    length: int  # bytes of the header; the data follows
    nbytes: int  # bytes of the data


def parse_header(head: bytes, where: str) -> ArrayHeader:
    """Parse the header at the start of ``head``, `HEADER_LIMIT` bytes or all there are.

    Raises `FormatError`, `TruncatedError` where the bytes end within the header.
    """
    if not head.startswith(NPY):
        raise FormatError(f"{where}: no .npy array: it does not start with \\x93NUMPY")
    if len(head) < 12:
        raise TruncatedError(f"{where}: ends within the header of its .npy array")
    if head[6] not in (1, 2, 3):
        raise FormatError(f"{where}: .npy version {head[6]}.{head[7]} is not known")
    start = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:start], "little")
    if start + length > HEADER_LIMIT:
        raise FormatError(f"{where}: a .npy header of {length:,} bytes is too long")
    if start + length > len(head):
        raise TruncatedError(f"{where}: ends within the header of its .npy array")
    text = head[start : start + length].decode("latin-1")
    layout = _LAYOUT.fullmatch(text)
    if layout is None:
        raise FormatError(f"{where}: cannot read the .npy header {text.strip()[:200]}")
    dtype = _dtype(layout["descr"].strip("'"), where)
    sizes = [size.strip(" L") for size in layout["shape"].split(",")]
    shape = tuple(int(size) for size in sizes if size)
    order = "F" if layout["fortran"] == "True" else "C"
    nbytes = array_bytes(shape, dtype.itemsize, where)
    return ArrayHeader(dtype, shape, order, start + length, nbytes)


def _dtype(descr: str, where: str) -> np.dtype[Any]:
    if "O" in descr or descr == "[":
        raise FormatError(
            f"{where}: an array of Python objects or records; reading it could run "
            "code. If you trust it, read it with allow_pickle=True and save it again: "
            "tokens as array.astype(str), or of a dict from token to row as "
            "sorted(array.item(), key=array.item().get), vectors as numpy.stack(array)"
        )
    try:
        if _DTYPE.fullmatch(descr):
            return np.dtype(descr)
    except (TypeError, ValueError):
        pass  # a width that does not exist
    raise FormatError(f"{where}: dtype {descr!r} is not one this package reads")


def format_header(array: AnyArray) -> bytes:
    """Return the header of a C-ordered array, padded to a multiple of 64 bytes."""
    # Not numpy's writer: its padding differs between versions.
    text = (
        f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, "
        f"'shape': {array.shape!r}, }}"
    )
    padding = -(len(NPY) + 4 + len(text) + 1) % _ALIGNMENT
    text += " " * padding + "\n"
    return NPY + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")
