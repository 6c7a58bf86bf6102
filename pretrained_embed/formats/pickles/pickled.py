"""What the objects of a pickle become when none of them is made: inert records.

`unpickling` makes them. Here are the few values that pickles describe as calls
(bytes in protocol 2, sets, dictionaries with a factory), and NumPy's arrays, which are
views of the pickle's own bytes; an array of objects is refused.

https://numpy.org/doc/stable/reference/generated/numpy.ndarray.__reduce__.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.local import array_bytes

_DTYPE = re.compile(r"[iuf][1248]")
_ARRAY, _BUFFER = "multiarray._reconstruct", "numeric._frombuffer"
_SCALAR = "multiarray.scalar"

#: The names that arrays and their numbers are pickled under: NumPy 2 moved them.
ARRAY_NAMES = frozenset(
    {
        "numpy.dtype",
        "numpy.ndarray",
        *(
            f"numpy.{core}.{name}"
            for core in ("core", "_core")
            for name in (_ARRAY, _BUFFER, _SCALAR)
        ),
    }
)


class Global(NamedTuple):
    """The name of a class or function, and nothing of the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Record:
    """An object: its class or maker, the arguments it was made of, and its state."""

    __slots__ = ("args", "kind", "state")

    def __init__(self, kind: Global, args: tuple[Any, ...]) -> None:
        self.kind = kind
        self.args = args
        self.state: Any = None

    @property
    def attributes(self) -> dict[Any, Any]:
        """What the object holds by name, if its state is of that kind."""
        return self.state if type(self.state) is dict else {}

    def is_array(self) -> bool:
        """Return whether this is an array of NumPy."""
        return str(self.kind).endswith((_ARRAY, _BUFFER))


def array_of(record: Record, where: str) -> AnyArray:
    """Return an array as a view of its bytes in the pickle, read-only.

    Raises `FormatError` for arrays of anything but numbers, and where the shape does
    not fit the bytes.
    """
    try:
        if str(record.kind).endswith(_BUFFER):
            raw, dtype, shape, order = record.args
        else:
            *_, shape, dtype, fortran, raw = record.state
            order = "F" if fortran else "C"
        numbers = _dtype_of(dtype)
        view = memoryview(raw)
        sizes = tuple(shape)
        if not all(type(size) is int and size >= 0 for size in sizes) or len(sizes) > 2:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{where}: a pickled array is not one of plain numbers with one or two "
            "dimensions; reading others could run code"
        ) from error
    if array_bytes(sizes, numbers.itemsize, where) != len(view):
        raise FormatError(
            f"{where}: a pickled array of shape {sizes} and {numbers} has "
            f"{len(view):,} bytes; the file is damaged"
        )
    array = np.frombuffer(view, numbers)
    array.flags.writeable = False
    return array.reshape(sizes, order="F" if order == "F" else "C")


def integer_of(value: Any) -> int | None:
    """Return a number that is an integer, Python's or NumPy's own, else ``None``."""
    if type(value) is int:
        return value
    if type(value) is Record and str(value.kind).endswith(_SCALAR):
        try:
            dtype, raw = value.args
            number = np.frombuffer(memoryview(raw), _dtype_of(dtype))
        except (TypeError, ValueError):
            return None
        if len(number) == 1 and number.dtype.kind in "iu":
            return int(number[0])
    return None


def text_of(value: Any) -> str | None:
    """Return a string, also one of Python 2 (bytes), else ``None``."""
    if type(value) is bytes:
        return value.decode("utf-8", "surrogateescape")
    return value if type(value) is str else None


def _dtype_of(record: Any) -> np.dtype[Any]:
    """Return the dtype a record stands for, or raise `ValueError`."""
    if type(record) is not Record or str(record.kind) != "numpy.dtype":
        raise ValueError
    code, order = text_of(record.args[0]), text_of(record.state[1])
    if code is None or order is None or not _DTYPE.fullmatch(code):
        raise ValueError
    return np.dtype(("" if order == "|" else order) + code)


# --- Values that a pickle makes by a call


def _encoded(text: Any, encoding: Any = None) -> bytes:
    """Return bytes that were pickled as the characters of the same numbers."""
    if type(text) is not str or text_of(encoding) not in ("latin1", "latin-1"):
        raise ValueError
    return text.encode("latin-1")


def _bytes(content: Any = b"", encoding: Any = None) -> Any:
    if type(content) is str:
        return _encoded(content, encoding)
    if type(content) not in (bytes, memoryview):
        raise ValueError
    return content


def _list(content: Any = ()) -> list[Any]:
    if type(content) not in (list, tuple):
        raise ValueError
    return list(content)


def _dictionary(*factory: Any) -> dict[Any, Any]:
    if any(type(part) is not Global for part in factory):
        raise ValueError
    return {}


_MAKERS: dict[str, Callable[..., Sequence[Any] | dict[Any, Any]]] = {
    "_codecs.encode": _encoded,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
}
for _module in ("builtins", "__builtin__"):
    _MAKERS[f"{_module}.bytes"] = _bytes
    _MAKERS[f"{_module}.bytearray"] = _bytes
    _MAKERS[f"{_module}.set"] = _list
    _MAKERS[f"{_module}.frozenset"] = _list

#: The names of what `made` makes values of; anything else becomes a `Record`.
MADE_NAMES = frozenset(_MAKERS)


def made(maker: Global, args: tuple[Any, ...]) -> Any:
    """Return what a call stands for: bytes, a list, a dictionary or a `Record`.

    Raises `ValueError` or `TypeError` where the arguments are not those of a pickle.
    """
    make = _MAKERS.get(str(maker))
    return Record(maker, args) if make is None else make(*args)
