"""A table that is joined for reading and refuses writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from pretrained_embed.errors import OptionError


class JoinedTable(Tensor):
    """The joined table (rows, dim) of a layer of two tables, for reading.

    It is a copy, so writes would be lost. Every write through PyTorch raises
    `OptionError`: item assignment, in-place methods, ``out=``, ``torch.nn.init``,
    ``requires_grad``, hooks on the gradient; on the table and on its views, such as
    ``.data``, ``.detach()`` and slices. Setting a value that is already there is
    allowed, since many programs zero a pad row that is zero. The result of an
    operation, such as ``clone()``, is a plain tensor.
    """

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func`` unless it writes to a table."""
        kwargs = kwargs or {}
        target: Any = args[0] if args else next(iter(kwargs.values()), None)
        written = [*_tables(kwargs.get("out"))]
        if _writes(func):
            written += _tables(target)
        with torch._C.DisableTorchFunctionSubclass():
            if written:
                return _write(func, args, kwargs, written)
            if _is_about_gradients(func, target):
                _refuse(func)
            if func is Tensor.__deepcopy__:  # refused for any computed tensor
                return target.detach().clone()
            if func is Tensor.__reduce_ex__:  # saved as a plain tensor
                return target.as_subclass(Tensor).__reduce_ex__(*args[1:])
            result = func(*args, **kwargs)
            return _marked(result, [*_tables(args), *_tables(kwargs.values())])

    @property
    def _is_param(self) -> bool:
        # isinstance(..., nn.Parameter) asks this before it is registered.
        raise lost("registering it as a parameter or another attribute of a module")


class ReplacedParameter(nn.Parameter):
    """The former parameter of a layer, after other rows were frozen.

    An optimiser that still has it would train it without effect: asking for the
    gradient raises an error.
    """

    @property
    def grad(self) -> NoReturn:
        """Raise `OptionError`."""
        raise OptionError(
            "other rows of the layer were frozen since, and so its parameter is a new "
            "one: make the optimizer anew, of layer.parameters()"
        )


#: Operators that write, although their name does not end in one underscore.
_WRITING = {"__set__", "__delete__", "__setitem__"} | {
    f"__i{name}__"
    for name in (
        *("add", "sub", "mul", "truediv", "div", "floordiv", "mod", "pow"),
        *("and", "or", "xor", "lshift", "rshift", "matmul"),
    )
}
#: Functions that ask for a gradient or whether there will be one, as optimisers do.
_ASKING = (Tensor.grad.__get__, Tensor.retains_grad.__get__)
#: Functions that may set a value that is already there.
_SETTING = {"__setitem__", "fill_", "zero_", "constant_"}


def _writes(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name in _WRITING


def _write(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    written: list[JoinedTable],
) -> Any:
    """Allow a write that changes nothing, or raise an error."""
    if func.__name__ not in _SETTING:
        _refuse(func)
    before = [table.detach().clone() for table in written]
    with torch.no_grad():
        result = func(*args, **kwargs)
    if not all(map(_same_bits, before, written)):
        _refuse(func)
    return result


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # As bytes: -0.0 is not 0.0, and NaN is equal to NaN.
    return torch.equal(*(t.detach().reshape(-1).view(torch.uint8) for t in (a, b)))


def _is_about_gradients(func: Callable[..., Any], table: Any) -> bool:
    """Return whether ``func`` needs a gradient that only the parameters get."""
    if not isinstance(table, JoinedTable) or not table.requires_grad:
        return False
    if func in _ASKING:
        return not table.retains_grad
    return getattr(func, "__name__", "").startswith("register_")


def _tables(value: Any) -> Iterator[JoinedTable]:
    if isinstance(value, JoinedTable):
        yield value
    elif isinstance(value, tuple | list) or type(value) is type({}.values()):
        for part in value:
            yield from _tables(part)


def _marked(result: Any, tables: list[JoinedTable]) -> Any:
    """Return the result of a function, in which views of a table are tables too."""
    if isinstance(result, tuple | list) and type(result) in (tuple, list):
        return type(result)(_marked(part, tables) for part in result)
    if type(result) is not Tensor or result.layout != torch.strided:
        return result
    memory = result.untyped_storage()._cdata
    shared = any(table.untyped_storage()._cdata == memory for table in tables)
    return result.as_subclass(JoinedTable) if shared else result


def _refuse(func: Callable[..., Any]) -> NoReturn:
    name = getattr(func, "__name__", "")
    if name.startswith("__"):  # of a property, named by its class
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    raise lost(name)


def lost(what: str) -> OptionError:
    """Return the error for a write, ``what``, that would be lost."""
    return OptionError(
        "the weight of a SplitEmbedding is computed, put together when it is read, so "
        f"{what} would be lost. To set rows: layer.load_state_dict({{'weight': "
        "table}). To train or freeze rows: layer.unfreeze(), layer.freeze_rows(mask), "
        "layer.requires_grad_(). To optimise: layer.parameters(). Tied output: "
        "torch.nn.functional.linear(hidden, layer.weight). A tensor of its own: "
        "layer.weight.detach().clone(). A plain layer: layer.to_embedding()"
    )
