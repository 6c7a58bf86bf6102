"""A pickle of plain things that hold vectors, and a ``.npy`` of such.

``{"king": array, ...}``, ``{"words": [...], "vectors": matrix}``, ``(words, matrix)``
and whatever `holdings` finds in dictionaries, lists and attributes; ``numpy.save`` of a
dictionary makes an array of objects, of which one pickle is all that follows the
header. Objects of classes are names and what belongs to them: nothing is run.
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import budget_of, file_size, map_array, open_local
from pretrained_embed.formats.marks import NPY
from pretrained_embed.formats.pickles import unpickling
from pretrained_embed.formats.pickles.holdings import (
    ArrayTensor,
    array_tensor,
    find,
    open_table,
)
from pretrained_embed.formats.pickles.pickled import PickledObject, array_of, objects_of
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table_reader import TableReader

NAME = "pickle"

_LENGTH = {1: slice(8, 10), 2: slice(8, 12), 3: slice(8, 12)}


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> TableReader:
    """Open a file for reading; ``rows`` of a layout is how many have a token.

    Raises `FormatError` where it is damaged, where several arrays could be the table,
    or none, and where no tokens are found.
    """
    where = stream.name
    with open_local(stream) as file:
        budget = budget_of(stream, file)
        data = map_array(file, np.uint8, (file_size(file),), 0).data
    if bytes(data[:6]) == NPY:
        place = _LENGTH.get(data[6], slice(0))
        data = data[place.stop + int.from_bytes(data[place], "little") :]
    root = unpickling.load(data, where, budget).value
    if type(root) is PickledObject and root.is_array():
        held = objects_of(root) or [root]
        root = held[0] if len(held) == 1 else root

    def describe(value: object) -> ArrayTensor | None:
        if isinstance(value, PickledObject) and value.is_array():
            return array_tensor(value, where)
        return None

    def load(tensor: ArrayTensor) -> AnyArray:
        return array_of(tensor.array, where)

    return open_table(
        NAME, stream, layout, find(root, describe, where, budget), load, budget
    )
