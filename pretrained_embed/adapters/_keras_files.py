"""Weights that Keras filed under the name of another class of ours.

Keras files the weights of a layer under a path made of class names, such as
``layers/split_embedding_1/vars``. So those of a layer that an earlier release made a
`SplitEmbedding`, or whose rows were frozen otherwise, are beside where Keras looks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, BoolArray
from pretrained_embed.errors import OptionError


def stored(store: Any, layer: Any) -> Any:
    """Return the entry of a file where the weights of ``layer`` are.

    It is ``store``, the one that Keras looked up, unless that is empty: then the one
    under the other class that has a table of that size, and the name of the layer if
    there are several.

    Raises `OptionError` where several might be meant.
    """
    path = getattr(store, "_h5_entry_path", None)
    if len(store) or not path:
        return store
    found = [other for other in _beside(path, store) if _fits(store.get(other), layer)]
    named = [other for other in found if _name(store.get(other)) == layer.name]
    chosen = named or found
    if len(chosen) > 1:
        names = ", ".join(repr(_name(store.get(other))) for other in chosen)
        raise OptionError(
            f"the file has no weights of the layer {layer.name!r}, and those of the "
            f"layers {names} would fit: give it the name of the one that is meant"
        )
    return store.get(chosen[0] if chosen else path)


def joined(store: Any) -> tuple[AnyArray, BoolArray]:
    """Return the table (rows, dim) of a `SplitEmbedding`, and which rows train.

    The third of its variables is bool (rows,), true for the rows that train. That of an
    earlier release is int32 (rows,): ``j >= 0`` for row ``j`` of the first, ``~k < 0``
    for row ``k`` of the second.
    """
    trained, frozen, where = (store[key] for key in "012")
    table = np.empty((len(where), trained.shape[1]), trained.dtype)
    if where.dtype == np.bool_:
        table[where], table[~where] = trained, frozen
        return table, where
    trains = where >= 0
    table[trains], table[~trains] = trained[where[trains]], frozen[~where[~trains]]
    return table, trains


def _beside(path: str, store: Any) -> Iterator[str]:
    """Give the paths of layers of the other class, which Keras numbers from 0."""
    folder, _, own = path.rpartition("/")
    other = "embedding" if own.startswith("split_") else "split_embedding"
    first = f"{folder}/{other}" if folder else other
    number, beside = 0, first
    while len(store.get(beside)):
        yield beside
        number += 1
        beside = f"{first}_{number}"


def _fits(store: Any, layer: Any) -> bool:
    shapes = [store[key].shape for key in store.keys()]  # noqa: SIM118  # no mapping
    tables = [shape for shape in shapes if len(shape) == 2]
    return {dim for _, dim in tables} == {layer.output_dim} and layer.input_dim == sum(
        rows for rows, _ in tables
    )


def _name(store: Any) -> Any:
    return store._h5_entry_group.attrs.get("name")
