"""A tensor that says which rows of a table it is.

``torch.distributed.checkpoint`` saves a tensor that all processes have under one name
once, as one of them has it. It asks a tensor with the methods below for its place in a
larger one instead, and so saves what every process has, and loads whatever rows
another number of processes wants. Optimisers make what they keep for a parameter by
``zeros_like`` and the like: so that is a `Chunk`, too, and is saved with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Chunk(Tensor):
    """Rows ``start`` to ``start + len(self)`` - 1 of a table with ``rows`` rows.

    A tensor of these rows, but that ``size()`` is the size of the table, which is what
    ``torch.distributed.checkpoint`` compares with the one it has saved; ``shape`` is
    that of the rows. What is computed element by element is a chunk again. Saved by
    itself, as by ``torch.save``, it is a plain tensor.
    """

    start: int
    stop: int
    rows: int

    @classmethod
    def of(cls, tensor: Tensor, start: int, stop: int, rows: int) -> Chunk:
        """Return a tensor as rows ``start`` to ``stop`` - 1; it shares its memory."""
        chunk: Chunk = tensor.detach().as_subclass(cls)
        chunk.start, chunk.stop, chunk.rows = start, stop, rows
        return chunk

    @classmethod
    def mark(cls, parameter: Tensor, start: int, stop: int, rows: int) -> None:
        """Make a parameter a chunk, the same object that an optimiser has."""
        if not isinstance(parameter, cls):
            parameter.__class__ = cls
            parameter._is_param = True  # as nn.Parameter asks of a class of its own
            chunk: Any = parameter
            chunk.start, chunk.stop, chunk.rows = start, stop, rows

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``; what has the shape of a chunk is one, unless rows moved."""
        kwargs = kwargs or {}
        one = next((a for a in (*args, *kwargs.values()) if isinstance(a, cls)), None)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if one is None or type(result) is not Tensor or func in _MOVING_ROWS:
            return result
        fits = result.shape == one.shape and result.layout == torch.strided
        if fits or func is Tensor.new_empty:
            result = result.as_subclass(cls)
            result.start, result.stop, result.rows = one.start, one.stop, one.rows
        return result

    def size(self, dim: int | None = None) -> Any:
        """Return the size of the whole table, or of one of its dimensions."""
        whole = torch.Size([self.rows, *self.shape[1:]])
        return whole if dim is None else whole[dim]

    def set_(self, *source: Any) -> Any:
        """Take over a storage, of these rows if ``size()`` is said to be its size."""
        if len(source) == 4:  # as async_save copies a tensor
            storage, offset, size, stride = source
            rows = self.stop - self.start
            return super().set_(storage, offset, (rows, *size[1:]), stride)
        return super().set_(*source)

    def __repr__(self, **options: Any) -> str:
        """Return what a plain tensor of these rows shows."""
        return self.as_subclass(Tensor).__repr__(**options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a copy, a parameter of a parameter."""
        copied: Any = self.detach().clone()
        if isinstance(self, nn.Parameter):
            copied = nn.Parameter(copied, requires_grad=self.requires_grad)
        if self.grad is not None:
            copied.grad = self.grad.clone()
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Be saved as a plain tensor, or a plain parameter."""
        plain = self.detach().as_subclass(Tensor)
        if isinstance(self, nn.Parameter):
            plain = nn.Parameter(plain, requires_grad=self.requires_grad)
        return plain.__reduce_ex__(protocol)

    def __create_write_items__(self, name: str, tensor: Any) -> list[Any]:
        """Return what is to be saved: these rows, at their place."""
        from torch.distributed.checkpoint import metadata, planner

        plain = self.as_subclass(Tensor)
        properties = metadata.TensorProperties.create_from_tensor(plain)
        return [
            planner.WriteItem(
                index=metadata.MetadataIndex(name, chunk.offsets),
                type=planner.WriteItemType.SHARD,
                tensor_data=planner.TensorWriteData(chunk, properties, self.size()),
            )
            for chunk in self.__create_chunk_list__()
        ]

    def __create_chunk_list__(self) -> list[Any]:
        """Return the place of these rows in the table; nothing where there are none."""
        from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

        offsets = torch.Size([self.start, *(0 for _ in self.shape[1:])])
        return [ChunkStorageMetadata(offsets, self.shape)] if len(self) else []

    def __get_tensor_shard__(self, index: Any) -> Tensor:
        """Return the rows at a place of the table: there is but one."""
        return self.detach().as_subclass(Tensor)


#: Functions whose result has other rows, even if it has the shape of a chunk.
_MOVING_ROWS = (
    *(functional.embedding, Tensor.__getitem__, Tensor.index_select),
    *(torch.index_select, Tensor.as_subclass, Tensor.flip, Tensor.sort, torch.sort),
)
