r"""Files of ``torch.save``: a pickle, and the storages it refers to.

The table is read from a tensor, a state dict, a checkpoint or a module; `holdings`
finds it. Of several tables the input embedding is taken if the names show it, else the
one that the source names, ``FILE#NAME``. The tokens are in the file, or beside it.

Since PyTorch 1.6 the file is a zip, of which no member is packed::

    NAME/data.pkl     the pickle; for a storage it has a persistent id
    NAME/data/KEY     the bytes of a storage
    NAME/byteorder    "little" or "big"; before 2.1 not there, and little
    NAME/version
    id = ("storage", class, KEY, device, count)

Before, and with ``_use_new_zipfile_serialization=False``, the parts follow each other,
in little-endian order on any machine::

    file = pickle:0x1950a86a20f9469cfc6c pickle:1001 pickle:machine pickle:object
           pickle:[KEY, ...] *(count:int64 numbers)      in the order of the keys
    id   = ("storage", class, KEY, device, count, None)

A tensor is a call of a function of ``torch._utils`` with a storage, the offset of the
tensor in it, its shape, and its strides in numbers. Several tensors may share numbers,
as tied weights and views do. No function is called: a call is read as a name with its
arguments. Checksums of members are compared, except those that are 0, since PyTorch can
omit them.

https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, torch/_utils.py
"""

from __future__ import annotations

import zipfile
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.budget import Budget
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import (
    LocalFile,
    Zipped,
    array_bytes,
    budget_of,
    crc32,
    file_size,
    map_array,
    native_integers,
    open_local,
)
from pretrained_embed.formats.marks import TORCH
from pretrained_embed.formats.pickles import unpickling
from pretrained_embed.formats.pickles.holdings import array_tensor, find, open_table
from pretrained_embed.formats.pickles.pickled import (
    ELSEWHERE,
    Global,
    PickledObject,
    array_of,
    text_of,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.safetensors.header import DTYPES
from pretrained_embed.formats.table_reader import TableReader

NAME = "torch"

_PICKLE, _VERSION, _ORDER = "data.pkl", "version", "byteorder"
_CONSTANTS = "constants.pkl"  # of a TorchScript module
_PROTOCOL = 1001  # of the file format before zip

#: Classes of storages: dtypes as in safetensors, and the size of a number in bytes.
_STORAGES = {
    "Float": ("F32", 4),
    "Double": ("F64", 8),
    "Half": ("F16", 2),
    "BFloat16": ("BF16", 2),
    "Char": ("I8", 1),
    "Byte": ("U8", 1),
    "Short": ("I16", 2),
    "Int": ("I32", 4),
    "Long": ("I64", 8),
    "Bool": ("BOOL", 1),
    "Untyped": ("U8", 1),
    "ComplexFloat": ("C64", 8),
    "ComplexDouble": ("complex128", 16),
    "QInt8": ("quantised int8", 1),
    "QUInt8": ("quantised uint8", 1),
    "QInt32": ("quantised int32", 4),
    "QUInt4x2": ("quantised uint4", 1),
    "QUInt2x4": ("quantised uint2", 1),
}
#: dtypes that a tensor names itself, since there is no storage class.
_NAMED = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
}
_TENSORS = {
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
}
_PARAMETERS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
_TYPED = {
    "torch._tensor._rebuild_from_type_v2",
    "torch._tensor._rebuild_from_type",
    "torch.tensor._rebuild_from_type",
}
#: Functions of tensors that are no table of plain numbers, with descriptions.
_OTHERS = {
    "_rebuild_qtensor": "quantised",
    "_rebuild_sparse_tensor": "sparse",
    "_rebuild_nested_tensor": "nested",
    "_rebuild_wrapper_subclass": "a wrapper",
    "_rebuild_meta_tensor_no_storage": "without numbers",
    "_rebuild_device_tensor_from_numpy": "of another device",
}
_WRAPPED = 4  # parameters in parameters


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> TableReader:
    """Open a file for reading; ``rows`` of a layout says how many rows have a token.

    Raises `FormatError` if it is damaged, if several tensors could be the table or
    none, and if no tokens are found.
    """
    with open_local(stream) as file:
        budget = budget_of(stream, file)
        held = TorchFile(file, stream.name, budget)
        found = find(held.root, held.describe, stream.name, budget)
        try:
            return open_table(NAME, stream, layout, found, held.load, budget)
        except FormatError as error:
            if not held.is_script:
                raise
            raise FormatError(
                f"{error}. This is a TorchScript module: its tensors are read, and its "
                "code is not run"
            ) from error


class StoredTensor(NamedTuple):
    """The facts about a tensor in a pickle. Equal ones have the same numbers."""

    dtype: str  # as in safetensors, or in words
    shape: tuple[int, ...]
    storage: str = ""
    start: int = 0  # the number of the storage that is the first
    strides: tuple[int, ...] = ()  # in numbers
    array: PickledObject | None = None  # of NumPy, which lies in the pickle


class _Storage(NamedTuple):
    begin: int  # position in the file
    size: int  # bytes
    crc32: int = 0  # if one was written


class TorchFile:
    """An open file of ``torch.save``; raises `FormatError` if it is damaged."""

    def __init__(self, file: LocalFile, where: str, budget: Budget) -> None:
        self._file = file
        self._where = where
        self._big_endian = False
        file.seek(0)
        is_zip = file.read(2) == b"PK"
        self._data = map_array(file, np.uint8, (file_size(file),), 0)
        self.is_script = False
        self._storages: dict[str, _Storage] = {}
        self._compared: set[str] = set()  # those with correct checksums
        pickle = self._of_zip(budget) if is_zip else self._of_old(budget)
        self.root, self.names = pickle.value, pickle.names

    def describe(self, value: Any) -> StoredTensor | None:
        """Return the description of a tensor or an array; ``None`` for others."""
        if type(value) is not PickledObject:
            return None
        for _ in range(_WRAPPED):
            kind, args = str(value.kind), value.args
            if kind in _PARAMETERS and args and type(args[0]) is PickledObject:
                value = args[0]
            elif kind in _TYPED and len(args) > 2 and type(args[0]) is Global:
                value = PickledObject(
                    args[0], args[2] if type(args[2]) is tuple else ()
                )
            else:
                break
        if value.is_array():
            array = array_tensor(value, self._where)
            return StoredTensor(array.dtype, array.shape, array=value)
        kind, name = str(value.kind), value.kind.name
        if kind in _TENSORS:
            return _tensor(value.args, own_dtype=kind.endswith("v3"))
        if name in _OTHERS and value.kind.module == "torch._utils":
            args = value.args
            if name == "_rebuild_meta_tensor_no_storage":
                args = args[:1] + args  # the shape after the dtype
            if name == "_rebuild_sparse_tensor" and args and type(args[-1]) is tuple:
                args = args[-1]
            return StoredTensor(_OTHERS[name], _sizes(args[2:3]) or ())
        return None

    def load(self, tensor: StoredTensor) -> AnyArray:
        """Return a tensor as in the file, with the bits of BF16 as uint16.

        Raises `FormatError` if it is not in the file.
        """
        where = f"{self._where}, a tensor of shape {tensor.shape}"
        if tensor.array is not None:
            return array_of(tensor.array, self._where)
        known = DTYPES.get(tensor.dtype)
        if known is None or known.numpy is None:
            raise FormatError(f"{where}: {tensor.dtype} is not read")
        dtype = np.dtype(known.numpy)
        if self._big_endian:
            dtype = dtype.newbyteorder(">")
        storage = self._storages.get(tensor.storage)
        if storage is None:
            raise FormatError(
                f"{where}: the file has no storage {tensor.storage!r}; get it again"
            )
        if storage.crc32 and tensor.storage not in self._compared:
            data = self._data[storage.begin :][: storage.size]
            if crc32(data.data) != storage.crc32:
                raise FormatError(
                    f"{where}: storage {tensor.storage!r} fails its checksum; get the "
                    "file again"
                )
            self._compared.add(tensor.storage)
        array_bytes(tensor.shape, dtype.itemsize, where)
        count = int(np.prod(tensor.shape, dtype=object))
        steps = zip(tensor.shape, tensor.strides, strict=True)
        span = 1 + sum((size - 1) * step for size, step in steps) if count else 0
        held = storage.size // dtype.itemsize
        if tensor.start + span > held or count > held:
            raise FormatError(
                f"{where}, {tensor.strides} numbers apart from {tensor.start:,} on, "
                f"does not lie once in the {held:,} of its storage; the file is "
                "damaged, or the tensor an expanded one: save tensor.contiguous()"
            )
        return native_integers(
            np.ndarray(
                tensor.shape,
                dtype,
                self._data,
                storage.begin + tensor.start * dtype.itemsize,
                tuple(step * dtype.itemsize for step in tensor.strides),
            )
        )

    def _of_zip(self, budget: Budget) -> unpickling.Pickle:
        with Zipped(self._file, self._where) as archive:
            pickles = [
                name.removesuffix(_PICKLE)
                for name in archive.members
                if name.endswith(f"/{_PICKLE}") and name.count("/") == 1
            ]
            if len(pickles) != 1:
                raise FormatError(
                    f"{self._where}: {len(pickles)} pickles at its top; a file of "
                    "torch.save has one"
                )
            folder = pickles[0]
            self.is_script = folder + _CONSTANTS in archive.members
            order = archive.members.get(folder + _ORDER)
            if order is not None:
                said = bytes(self._member(archive, order))[:8].strip()
                if said not in (b"little", b"big"):
                    raise archive.damaged(f"its byte order is {said!r}")
                self._big_endian = said == b"big"
            data = self._member(archive, archive.members[folder + _PICKLE])
            pickle = unpickling.load(data, self._where, budget, persistent=True)
            for id in pickle.ids:
                key, _, _ = _storage(id)
                info = archive.members.get(f"{folder}data/{key}")
                if info is not None and key not in self._storages:
                    place = self._place(archive, info)
                    self._storages[key] = _Storage(place, info.file_size, info.CRC)
            return pickle

    def _member(self, archive: Zipped, info: zipfile.ZipInfo) -> memoryview:
        place = self._place(archive, info)
        member = self._data.data[place : place + info.file_size]
        if info.CRC and crc32(member) != info.CRC:
            raise archive.damaged(f"member {info.filename!r} fails its checksum")
        return member

    def _place(self, archive: Zipped, info: zipfile.ZipInfo) -> int:
        if info.compress_type != zipfile.ZIP_STORED:
            raise FormatError(
                f"{self._where}: member {info.filename!r} is packed, which torch.save "
                "does to none; unpack the zip, and pack it again without compression: "
                "zip -0 -r NEW.pt FOLDER"
            )
        return archive.place(info)

    def _of_old(self, budget: Budget) -> unpickling.Pickle:
        data, at = self._data.data, 0

        def following(*, persistent: bool = False) -> unpickling.Pickle:
            nonlocal at
            pickle = unpickling.load(
                data[at:], self._where, budget, persistent=persistent
            )
            at += pickle.size
            return pickle

        magic, protocol, _ = (following().value for _ in range(3))
        if magic != TORCH or protocol != _PROTOCOL:
            raise FormatError(
                f"{self._where}: a file of torch.save of version {protocol!r}, and "
                f"{_PROTOCOL} is read; load it with PyTorch and save it again"
            )
        pickle = following(persistent=True)
        widths = {key: width for key, _, width in map(_storage, pickle.ids)}
        keys = following().value
        for key in keys if type(keys) is list else []:
            text = text_of(key)
            count = int.from_bytes(data[at : at + 8], "little", signed=True)
            width = widths.get(text or "")
            if text is None or width is None or text in self._storages:
                raise FormatError(
                    f"{self._where}: storage {key!r} is of no tensor; the file is "
                    "damaged"
                )
            at += 8
            if not 0 <= count * width <= len(data) - at:
                raise FormatError(
                    f"{self._where}: storage {text!r} of {count:,} numbers does not "
                    "lie within the file; get it again"
                )
            self._storages[text] = _Storage(at, count * width)
            at += count * width
        return pickle


def _storage(id: Any) -> tuple[str, str, int]:
    """Return the key, the dtype and the size in bytes of a number of a storage."""
    match id:
        case ("storage", Global() as kind, str(key), _, int(), *rest) if rest in (
            [],
            [None],
        ) and kind.name.endswith("Storage"):
            dtype, width = _STORAGES.get(
                kind.name.removesuffix("Storage"), (kind.name, 1)
            )
            return key, dtype, width
    return "", "of no storage", 1


def _tensor(args: tuple[Any, ...], *, own_dtype: bool) -> StoredTensor | None:
    """Return the tensor of a call with these arguments; ``None`` for others."""
    match args:
        case (PickledObject() as storage, int(start), tuple(), tuple(), *rest):
            shape, strides = _sizes(args[2:3]), _sizes(args[3:4])
        case _:
            return None
    if storage.kind != ELSEWHERE or shape is None or strides is None or start < 0:
        return None
    if len(shape) != len(strides):
        return None
    key, dtype, _ = _storage(storage.args[0])
    if own_dtype:
        named = rest[2] if len(rest) > 2 else None
        name = named.name if isinstance(named, Global) else "of no dtype"
        dtype = _NAMED.get(name, name)
    if type(rest[-1]) is dict and rest[-1].get("neg"):
        dtype = f"{dtype} of the other sign"
    return StoredTensor(dtype, shape, key, start, strides)


def _sizes(held: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Return a tuple of sizes; ``None`` for another value."""
    if len(held) == 1 and type(held[0]) is PickledObject:  # torch.Size
        held = held[0].args
    if len(held) != 1 or type(held[0]) is not tuple:
        return None
    fine = all(type(size) is int and 0 <= size < 1 << 63 for size in held[0])
    return held[0] if fine else None
