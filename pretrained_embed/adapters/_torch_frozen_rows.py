"""Rows of a parameter that no optimiser moves.

A layer of two tables, such as `SplitEmbedding`, keeps frozen rows away from optimisers.
If other code ties, saves or adapts the table as one parameter ``weight``, the frozen
rows are restored after each step instead.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from pretrained_embed.errors import OptionError


class FrozenRows:
    """Rows of ``module.weight`` (rows, dim) that keep every bit while others train.

    They are copied before each step of a PyTorch optimiser that has the parameter, and
    restored after it, so weight decay and moments do not move them. Their gradients are
    zeros, so they do not count in the norm for gradient clipping.

    A step of an optimiser that is no ``torch.optim.Optimizer``, such as DeepSpeed,
    which updates copies of the parameters, cannot be observed. So the rows are copied
    at each backward, and compared before the next forward, before a step, and before a
    state is taken; rows that moved are restored, with a warning. No values are kept
    longer, so values that are loaded, cast or moved to another device become the frozen
    ones.

    The parameter may be a ``DTensor`` of ``fully_shard``, of which each process keeps
    its own rows. This object is a hook of the modules with the parameter, so it is
    copied and pickled with them, and is in no state. Rows that are added to the table
    later train.

    Parameters
    ----------
    module : torch.nn.Module
        The layer; its parameter may be replaced later.
    frozen : bool Tensor (rows,)
        True for the rows that stay.
    """

    def __init__(self, module: nn.Module, frozen: Tensor) -> None:
        self.module = module
        self.frozen = frozen.cpu()
        self._begin()

    def _begin(self) -> None:
        self._kept: dict[int, Tensor] = {}  # by the id of the optimiser that steps
        self._held: Tensor | None = None  # since the last backward
        self._indices = torch.empty(0, dtype=torch.int64)
        self._indexed: Any = None  # the shape and the place of the table then
        self._masked: Any = None  # a weak reference to the parameter that has our hook
        _ALIVE.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy or a pickle."""
        return {"module": self.module, "frozen": self.frozen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start anew for the module that was copied with it."""
        self.__dict__.update(state)
        self._begin()

    def start(self, modules: Iterable[nn.Module]) -> Self:
        """Become a hook of the modules with the parameter."""
        for module in modules:
            module.register_forward_pre_hook(self)
        self.module.register_state_dict_pre_hook(self._before_saving)
        self.module.register_load_state_dict_post_hook(self._after_loading)
        self(self.module, ())
        return self

    @staticmethod
    def stop(modules: Iterable[nn.Module]) -> None:
        """Let all rows of modules train again."""
        for module in modules:
            for hooks in (
                module._forward_pre_hooks,
                module._state_dict_pre_hooks,
                module._load_state_dict_post_hooks,
            ):
                for key, hook in list(hooks.items()):
                    own: Any = getattr(hook, "__self__", hook)
                    if isinstance(own, FrozenRows):
                        del hooks[key]
                        own.frozen = torch.zeros(0, dtype=torch.bool)
                        own._indexed = own._held = None
                        _ALIVE.discard(own)

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Before each forward, check that the present parameter has the hook."""
        if torch.compiler.is_compiling():
            return
        weight = getattr(self.module, "weight", None)
        if not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            return
        self._put_back(weight)
        self._held = None
        if self._masked is None or self._masked() is not weight:
            # a hook does not own its module, which would never be freed
            own = weakref.ref(self)

            def masking(parameter: Tensor) -> None:
                if (rows := own()) is not None:
                    rows._after_backward(parameter)

            weight.register_post_accumulate_grad_hook(masking)
            self._masked = weakref.ref(weight)

    def _before_saving(self, module: nn.Module, prefix: str, keep_vars: bool) -> None:
        if isinstance(weight := getattr(module, "weight", None), Tensor):
            self._put_back(weight)

    def _after_loading(self, module: nn.Module, keys: Any) -> None:
        self._held = None  # loaded values become the frozen ones

    def _put_back(self, weight: Tensor) -> Tensor | None:
        """Restore frozen rows that moved since the backward, and return them."""
        held, local, ids = self._held, _local(weight), self._rows(weight)
        if held is None or len(ids) != len(held) or local.device != held.device:
            return None
        now = local.index_select(0, ids)
        if now.dtype != held.dtype:
            return None
        if not _same_bits(now, held):
            local.index_copy_(0, ids, held)
            warnings.warn(
                "frozen rows of the table were written to since the last backward, by "
                "something else than a step of a torch.optim.Optimizer (DeepSpeed and "
                "others step copies of the parameters), and were put back. To change "
                "them oneself: model.load_state_dict, or write before the backward",
                UserWarning,
                stacklevel=2,
            )
        return held

    def _rows(self, weight: Tensor) -> Tensor:
        """Return the frozen rows in the local part of the table."""
        local = _local(weight)
        first = _first_row(weight)
        place = local.shape, local.device, first
        if self._indexed != place:
            if local.ndim != 2:
                raise _flattened()
            frozen = self.frozen[first : first + len(local)]
            self._indices = frozen.nonzero().squeeze(1).to(local.device)
            self._indexed = place
        return self._indices

    def _after_backward(self, weight: Tensor) -> None:
        """Set the gradient of frozen rows to zero, and copy the rows."""
        gradient = weight.grad
        if gradient is None:
            return
        gradient = _local(gradient)
        ids = self._rows(weight)
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            frozen = torch.isin(gradient.indices()[0], ids)
            gradient.values().masked_fill_(frozen.unsqueeze(1), 0)
            weight.grad = gradient
        else:
            gradient.index_fill_(0, ids, 0)
        if weight is self._parameter():
            self._put_back(weight)  # a compiled forward did not check
            self._held = _local(weight).index_select(0, ids)

    def _parameter(self) -> Tensor | None:
        weight = getattr(self.module, "weight", None)
        return weight if isinstance(weight, nn.Parameter) else None

    def keep(self, optimizer: Optimizer, parameters: set[int]) -> None:
        """Copy the frozen rows before a step."""
        weight = self._parameter()
        if weight is None:
            raise _flattened()
        if id(weight) in parameters:
            rows = self._put_back(weight)
            if rows is None:
                rows = _local(weight).index_select(0, self._rows(weight))
            self._kept[id(optimizer)] = rows

    def restore(self, optimizer: Optimizer) -> None:
        """Put the frozen rows back after a step."""
        kept = self._kept.pop(id(optimizer), None)
        if kept is not None:
            weight: Any = self.module.weight
            _local(weight).index_copy_(0, self._rows(weight), kept)


def _local(tensor: Tensor) -> Tensor:
    """Return the values of a tensor, or of the local part of a DTensor."""
    here = tensor.detach()
    return here.to_local() if hasattr(here, "to_local") else here


def _first_row(weight: Tensor) -> int:
    """Return the row of the table that is the first local one."""
    if not hasattr(weight, "to_local"):
        return 0
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    placements = weight.placements
    if not all(type(one) in (Shard, Replicate) for one in placements):
        raise _flattened()
    _, offset = compute_local_shape_and_global_offset(
        weight.shape, weight.device_mesh, placements
    )
    return int(offset[0])


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # As integers, so that NaN is equal to NaN, and -0.0 is not 0.0.
    return torch.equal(*(rows.contiguous().view(torch.uint8) for rows in (one, other)))


def _flattened() -> OptionError:
    return OptionError(
        "the table with frozen rows was flattened, or sharded in a way that hides its "
        "rows, as by FullyShardedDataParallel and DeepSpeed ZeRO-3, so they cannot be "
        "kept: use torch.distributed.fsdp.fully_shard, leave the input embedding out "
        "of what is sharded, or train all rows, initialise(..., train='all')"
    )


#: All instances. The hook is on optimisers, not on parameters: only at a step is it
#: known which parameters an optimiser and a module have.
_ALIVE: weakref.WeakSet[FrozenRows] = weakref.WeakSet()


def _before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    if alive := list(_ALIVE):
        groups = optimizer.param_groups
        parameters = {id(p) for group in groups for p in group["params"]}
        for rows in alive:
            rows.keep(optimizer, parameters)


def _after_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    for rows in list(_ALIVE):
        rows.restore(optimizer)


register_optimizer_step_pre_hook(torch.compiler.disable(_before_step))
register_optimizer_step_post_hook(torch.compiler.disable(_after_step))


def _refuse_to_drop(parent: nn.Module, name: str, layer: nn.Module | None) -> None:
    """Refuse to replace a layer with frozen rows by one whose rows would all train.

    A layer that contains the old one, as PEFT wraps it, or has its own frozen rows is
    allowed.
    """
    old = parent._modules.get(name)
    if old is None or layer is None or not _freezes(old):
        return
    if not any(one is old or _freezes(one) for one in layer.modules()):
        raise OptionError(
            f"{name} of {type(parent).__name__} has frozen rows, and all rows of the "
            f"{type(layer).__name__} in its place would train: let all train before, "
            "initialise(model, tokenizer, train='all'), set the layer, and call "
            "initialise again for the new one"
        )


def _freezes(layer: nn.Module) -> bool:
    return any(
        isinstance(hook, FrozenRows) and hook.module is layer
        for hook in layer._forward_pre_hooks.values()
    )


register_module_module_registration_hook(_refuse_to_drop)
