"""What the objects of a pickle become when none of them is made: inert records.

`unpickling` makes them. Here are the few values that pickles describe as calls
(bytes in protocol 2, sets, dictionaries with a factory), and NumPy's arrays and their
single values. Arrays of numbers are views of the pickle's own bytes; those of strings
and of objects are lists of what they hold.

https://numpy.org/doc/stable/reference/generated/numpy.ndarray.__reduce__.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.local import array_bytes

_DTYPE = re.compile(r"[iuf][1248]")
_STRINGS = re.compile(r"[US]\d{1,9}")
_PLAIN = re.compile(f"{_DTYPE.pattern}|{_STRINGS.pattern}")
_ORDERS = ("<", ">", "=", "|")
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


#: What stands for an array whose bytes joblib writes behind its opcodes.
_BEHIND = "joblib.numpy_pickle.NumpyArrayWrapper"


class Global(NamedTuple):
    """The name of a class or function, and nothing of the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


#: The class of what is made by something that has no name: what a call returned.
UNNAMED = Global("a value", "without a name")


#: The class of what is kept elsewhere: a pickle has its id alone.
ELSEWHERE = Global("a value", "kept elsewhere")


class Digits(str):
    """An integer that is the key of a dictionary, as its digits."""

    __slots__ = ()


class PickledObject:
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

    def bytes_behind(self, where: str) -> int | None:
        """Return how many bytes of an array of joblib follow; ``None`` for others.

        Raises `FormatError` for an array of objects, which is a pickle of its own.
        """
        if str(self.kind) != _BEHIND or self.is_array():
            return None
        what = "an array of joblib is not one of plain numbers or strings"
        with refusing_damage(where, what, ""):
            shape = tuple(self.state["shape"])
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ValueError
            dtype = _dtype_of(self.state["dtype"], _PLAIN)
        return array_bytes(shape, dtype.itemsize, where)

    def become_array(self, raw: memoryview) -> None:
        """Take the bytes that follow as those of an array of NumPy."""
        state = self.attributes
        self.kind = Global("numpy.core", _ARRAY)
        order = state.get("order") == "F"
        self.state = (1, state["shape"], state["dtype"], order, raw)


def array_of(record: PickledObject, where: str) -> AnyArray:
    """Return an array as a view of its bytes in the pickle, read-only.

    Raises `FormatError` for arrays of anything but numbers, and where the shape does
    not fit the bytes.
    """
    what = (
        "a pickled array is not one of plain numbers with one or two dimensions; "
        "reading others could run code"
    )
    with refusing_damage(where, what, ""):
        shape, dtype, order, raw = _parts(record)
        numbers = _dtype_of(dtype)
        view = memoryview(raw)
        sizes = tuple(shape)
        if not all(type(size) is int and size >= 0 for size in sizes) or len(sizes) > 2:
            raise ValueError
    if array_bytes(sizes, numbers.itemsize, where) != len(view):
        raise FormatError(
            f"{where}: a pickled array of shape {sizes} and {numbers} has "
            f"{len(view):,} bytes; the file is damaged"
        )
    array = np.frombuffer(view, numbers)
    array.flags.writeable = False
    return array.reshape(sizes, order="F" if order == "F" else "C")


def _parts(record: PickledObject) -> tuple[Any, Any, Any, Any]:
    """Return shape, dtype, order and bytes of an array, whatever they are."""
    if str(record.kind).endswith(_BUFFER):
        raw, dtype, shape, order = record.args
    else:
        *_, shape, dtype, fortran, raw = record.state
        order = "F" if fortran else "C"
    return shape, dtype, order, raw


def list_of(value: Any, where: str, budget: Budget) -> list[Any] | None:
    """Return what a list, a tuple or an array of one dimension holds, else ``None``.

    Raises `FormatError` for an array that is damaged, or of more strings than the
    ``budget`` allows.
    """
    if type(value) is list:
        return value
    if type(value) is tuple:
        return list(value)
    if type(value) is not PickledObject or not value.is_array():
        return None
    try:
        (count,), dtype, _, held = _parts(value)
        if type(held) is list:  # an array of objects
            return held if len(held) == count else None
        strings = _dtype_of(dtype, _STRINGS)
    except (TypeError, ValueError):
        numbers = array_of(value, where)
        return numbers.tolist() if numbers.ndim == 1 else None
    view = memoryview(held)
    if type(count) is not int or count * max(strings.itemsize, 1) != len(view):
        raise FormatError(
            f"{where}: a pickled array of {count!r} strings has {len(view):,} bytes; "
            "the file is damaged"
        )
    budget.take(len(view) + count * OBJECT)
    try:
        return _values(view, strings)
    except ValueError as error:
        raise FormatError(f"{where}: a pickled array is not of strings") from error


def objects_of(record: PickledObject) -> list[Any] | None:
    """Return what an array of objects holds, of whatever shape, ``None`` for others."""
    try:
        held = _parts(record)[3]
    except (TypeError, ValueError):
        return None
    return held if type(held) is list else None


def integer_of(value: Any) -> int | None:
    """Return a number that is an integer, Python's or NumPy's own, else ``None``."""
    if type(value) is int:
        return value
    single = _single(value, _DTYPE)
    return single if type(single) is int else None


def text_of(value: Any) -> str | None:
    """Return a string, also one of Python 2 (bytes) or NumPy, else ``None``."""
    if type(value) is PickledObject:
        value = _single(value, _STRINGS)
    if type(value) is bytes:
        return value.decode("utf-8", "surrogateescape")
    return value if type(value) is str else None


def packed_texts(tokens: list[str]) -> PackedTokens:
    """Pack strings of a pickle; what stands for bytes becomes these again."""
    try:
        return PackedTokens.pack(tokens)
    except UnicodeEncodeError:
        return PackedTokens.join([_encode(token) for token in tokens])


def _encode(token: str) -> bytes:
    try:
        return token.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that stands for no byte
        return token.encode("utf-8", "surrogatepass")


def _single(value: Any, dtypes: re.Pattern[str]) -> Any:
    """Return a single value of NumPy, if its dtype is one of ``dtypes``."""
    if type(value) is not PickledObject or not str(value.kind).endswith(_SCALAR):
        return None
    try:
        dtype, raw = value.args
        (single,) = _values(memoryview(raw), _dtype_of(dtype, dtypes))
    except (TypeError, ValueError):
        return None
    return single


def _values(raw: memoryview, dtype: np.dtype[Any]) -> list[Any]:
    """Return what an array holds; raises `ValueError` for what is no character."""
    if dtype.kind == "U":  # NumPy makes strings of them that Python cannot hold
        characters = np.frombuffer(raw, dtype.byteorder + "u4")
        if characters.max(initial=0) > sys.maxunicode:
            raise ValueError
    if not dtype.itemsize:
        return ["" if dtype.kind == "U" else b""]
    return np.frombuffer(raw, dtype).tolist() if len(raw) else []


def _dtype_of(record: Any, dtypes: re.Pattern[str] = _DTYPE) -> np.dtype[Any]:
    """Return the dtype a record stands for, or raise `ValueError`."""
    if type(record) is not PickledObject or str(record.kind) != "numpy.dtype":
        raise ValueError
    try:
        code, order = record.args[0], record.state[1]
    except (TypeError, IndexError, KeyError):
        raise ValueError from None
    # not by text_of: what it takes may have a dtype in its turn, and so without end
    code, order = (
        part.decode("latin-1") if type(part) is bytes else part
        for part in (code, order)
    )
    if type(code) is not str or order not in _ORDERS or not dtypes.fullmatch(code):
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
    if any(type(part) not in (Global, PickledObject, type(None)) for part in factory):
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

#: The names of what `made` makes values of; anything else becomes a `PickledObject`.
MADE_NAMES = frozenset(_MAKERS)


def made(maker: Global, args: tuple[Any, ...]) -> Any:
    """Return what a call stands for: bytes, a list, a dictionary or a `PickledObject`.

    Nothing is called. A call with arguments that no pickle has is a `PickledObject`,
    too.
    """
    make = _MAKERS.get(str(maker))
    if make is None:
        return PickledObject(maker, args)
    try:
        return make(*args)
    except (TypeError, ValueError):
        return PickledObject(maker, args)
