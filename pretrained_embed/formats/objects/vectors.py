"""Rows of vectors in memory, from arrays, tensors, layers and models.

Arrays are taken as they are, in any order and byte order, and tensors on the CPU too:
the reader holds them, and reads a slab of them at a time. A tensor on another device is
copied to memory once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import Stored
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats.columns import rows_of_lists
from pretrained_embed.formats.findings import Doubt, Note
from pretrained_embed.formats.objects.classes import is_a, named
from pretrained_embed.formats.table import Rows


class RowsInMemory(NamedTuple):
    """Rows, and those of them that are malformed."""

    rows: Rows
    faults: list[Doubt]
    notes: list[Note]


#: Classes of layers and models, by how their table is asked for.
_TORCH = ("torch.Module",)
_KERAS = ("keras.Layer", "tf_keras.Layer")
_EMBEDDINGS = ("keras.Embedding", "tf_keras.Embedding")
_FLAX = ("flax.Module", "equinox.Module")


def holds_rows(value: Any) -> bool:
    """Tell whether an object holds rows without tokens: see `rows_of`."""
    if is_a(value, "builtins.list", "builtins.tuple"):
        return bool(value) and not isinstance(value[0], str | bytes | int)
    return is_layer(value) or (hasattr(value, "shape") and len(value.shape) == 2)


def is_layer(value: object) -> bool:
    """Tell whether an object is a layer or a model of a framework."""
    return is_a(value, *_TORCH, *_KERAS, *_FLAX)


def rows_of(value: Any, where: str) -> RowsInMemory:
    """Return the rows of an array, a tensor, a layer, a model or a list of rows.

    Raises `FormatError` for what has another shape, or no numbers.
    """
    if is_layer(value):
        value = _table_of(value, where)
    if is_a(value, "torch.Tensor"):
        return RowsInMemory(*_of_tensor(value, where))
    if is_a(value, "builtins.list", "builtins.tuple"):
        return rows_of_vectors(value, where)
    if is_a(value, "numpy.MaskedArray") and np.ma.is_masked(value):
        raise FormatError(
            f"{where}: numbers of the array are masked; fill them, array.filled(0), "
            "or leave their rows out"
        )
    array = np.asarray(value)
    if array.dtype == object and array.ndim == 1:
        return rows_of_vectors(array.tolist(), where)
    return RowsInMemory(*of_array(array, where))


def of_array(array: AnyArray, where: str) -> tuple[Rows, list[Doubt], list[Note]]:
    """Return the rows of an array (rows, dim).

    Raises `FormatError` for another shape and for what are no numbers.
    """
    if array.ndim != 2:
        raise FormatError(
            f"{where}: vectors of shape {array.shape}; expected (rows, dim)"
        )
    if array.dtype.name == "bfloat16":  # of ml_dtypes, as JAX and Keras have it
        halves = array.view(np.uint16)
        return Stored("bfloat16", halves, None, halves.shape[1], where), [], []
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "fiu" or (kind == "f" and size > 8) or (kind != "f" and size > 2):
        raise FormatError(
            f"{where}: vectors are {array.dtype}; expected float16, float32, float64, "
            "bfloat16, or integers of 8 or 16 bits, which float32 holds as they are: "
            "give array.astype('float32')"
        )
    return array, [], []


def rows_of_vectors(
    vectors: Sequence[Any], where: str, tokens: Sequence[Any] | None = None
) -> RowsInMemory:
    """Return the rows of a list of vectors: arrays, tensors or lists of numbers.

    One that has another length than most, or something else than numbers, is malformed.
    ``tokens`` are for what is said of it. Numbers of Python become float32 at once.
    """
    if not len(vectors):
        raise FormatError(f"{where}: no rows")
    arrays = [_vector(vector) for vector in vectors]
    nothing = np.empty(0, np.float32)
    flat = [nothing if array is None else array for array in arrays]
    present = np.array([array is not None for array in arrays])
    lengths = np.array([len(array) for array in flat], np.int64)
    if not present.any():
        raise FormatError(
            f"{where}: {brief(vectors[0])} is no vector, and so are the others; a "
            "vector is a list or an array of numbers"
        )
    _, faults = rows_of_lists(
        nothing, np.cumsum(lengths) - lengths, lengths, present, where
    )
    bad = {fault.row for fault in faults}
    dim = int(lengths[next(row for row in range(len(flat)) if row not in bad)])
    told = [
        fault
        if tokens is None
        else fault._replace(what=f"token {brief(tokens[fault.row])}: {fault.what}")
        for fault in faults
    ]
    return RowsInMemory(VectorRows(flat, dim, bad), told, [])


class VectorRows:
    """Rows that are an array each. See `Rows`. Malformed ones are zeros."""

    def __init__(self, vectors: list[AnyArray], dim: int, bad: set[int]) -> None:
        zeros = np.zeros(dim, np.float32)
        for row in bad:
            vectors[row] = zeros
        self._vectors = vectors
        self.shape = len(vectors), dim
        self.dtype = np.result_type(*{vector.dtype for vector in vectors})

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows, as a new array."""
        chosen = self._vectors[rows]
        if not chosen:
            return np.empty((0, self.shape[1]), self.dtype)
        return np.stack(chosen)


def _vector(given: Any) -> AnyArray | None:
    """Return one vector as an array of floats; ``None`` for what is none."""
    if given is None or isinstance(given, str | bytes):
        return None
    if is_a(given, "torch.Tensor"):
        given = given.detach().cpu()
        if str(given.dtype) == "torch.bfloat16":
            given = given.float()
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError):  # ragged, or of another kind
        return None
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        return None
    if isinstance(given, list | tuple) or array.dtype.kind != "f":
        # as numbers that are written out: to binary64, and from there to binary32
        with np.errstate(over="ignore"):
            return array.astype(np.float64).astype(np.float32)
    return array if array.dtype.itemsize <= 8 else None


def _of_tensor(tensor: Any, where: str) -> tuple[Rows, list[Doubt], list[Note]]:
    if tensor.ndim != 2:
        raise FormatError(
            f"{where}: vectors of shape {tuple(tensor.shape)}; expected (rows, dim)"
        )
    halves = str(tensor.dtype) == "torch.bfloat16"
    try:
        tensor = tensor.detach().cpu()
        if halves:
            bits = tensor.view(sys.modules["torch"].int16).numpy()
            kept = Stored("bfloat16", bits.view(np.uint16), None, bits.shape[1], where)
            return kept, [], []
        array = tensor.numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise FormatError(
            f"{where}: a tensor of {tensor.dtype} on {tensor.device}, "
            f"{tensor.layout}, is no array of numbers; give it dense and as "
            "tensor.float()"
        ) from error
    return of_array(array, where)


def _table_of(layer: Any, where: str) -> Any:
    """Return the table (rows, dim) of a layer, or the input embedding of a model."""
    if is_a(layer, *_KERAS):
        if not hasattr(type(layer), "embeddings") and not is_a(layer, *_EMBEDDINGS):
            raise _no_table(layer, where)
        if getattr(layer, "quantization_mode", None):
            raise FormatError(
                f"{where}: the layer is quantised, {layer.quantization_mode}, and its "
                "numbers are no vectors without their scale; give the layer as it was "
                "before"
            )
        weights = layer.get_weights()
        if not weights:
            raise FormatError(
                f"{where}: the layer has no weights yet; build it first, layer.build()"
            )
        return weights[0]
    if is_a(layer, *_FLAX):
        for name in ("embedding", "weight"):
            if (held := getattr(layer, name, None)) is not None:
                return np.asarray(held)
        raise _no_table(layer, where)
    if hasattr(layer, "get_input_embeddings"):  # a model of transformers
        try:
            layer = layer.get_input_embeddings()
        except NotImplementedError as error:
            raise _no_table(layer, where) from error
    weight = getattr(layer, "weight", None)
    if weight is None:
        raise _no_table(layer, where)
    return weight


def _no_table(layer: object, where: str) -> FormatError:
    return FormatError(
        f"{where}: a {named(layer)} has no table of its own; give the layer that has "
        "it, such as model.embedding, or its weight"
    )
