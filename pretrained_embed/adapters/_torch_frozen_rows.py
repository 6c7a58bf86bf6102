"""Rows of a parameter that no optimiser moves.

A layer of two tables, as `SplitEmbedding` is, keeps frozen rows away from optimisers.
Where other code needs the table to be one parameter of the name ``weight``, because it
ties, saves or adapts it by that name, the frozen rows are put back after each step.
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

    They are copied before each step of an optimiser of PyTorch that has the parameter,
    and put back after it: whatever moves rows without a gradient, as weight decay and
    moments do, moves no frozen one. Their gradients are zeros, so they count in no norm
    that gradients are clipped to.

    What trains without being a ``torch.optim.Optimizer`` cannot be seen while it steps,
    as DeepSpeed, which steps copies of the parameters. So the rows are kept from each
    backward on, and compared with before the next forward, before a step, and before a
    state is taken: moved ones are put back, with a warning. No values are kept
    beyond that, so what is loaded, cast or moved to another device is what stays from
    then on.

    The parameter may be a ``DTensor`` of ``fully_shard``, of which each process keeps
    the rows that it has. It is a hook of the modules that have the parameter. So it
    goes with them where they are copied or pickled, and is in no state. Rows that the
    table gets later train.

    Parameters
    ----------
    module : torch.nn.Module
        The layer; its parameter may be another one later.
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
        """Return what a copy or a pickle has."""
        return {"module": self.module, "frozen": self.frozen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew for the module that was copied with it."""
        self.__dict__.update(state)
        self._begin()

    def start(self, modules: Iterable[nn.Module]) -> Self:
        """Become a hook of the modules that have the parameter."""
        for module in modules:
            module.register_forward_pre_hook(self)
        self.module.register_state_dict_pre_hook(self._before_saving)
        self.module.register_load_state_dict_post_hook(self._after_loading)
        self(self.module, ())
        return self

    @staticmethod
    def stop(modules: Iterable[nn.Module]) -> None:
        """Let all rows of modules move again."""
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
        """See before each forward that the parameter there is now has our hook."""
        if torch.compiler.is_compiling():
            return
        weight = getattr(self.module, "weight", None)
        if not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            return
        self._put_back(weight)
        self._held = None
        if self._masked is None or self._masked() is not weight:
            own = weakref.ref(self)  # a hook is no owner: models would stay for ever

            def masking(parameter: Tensor) -> None:
                if (rows := own()) is not None:
                    rows._after_backward(parameter)

            weight.register_post_accumulate_grad_hook(masking)
            self._masked = weakref.ref(weight)

    def _before_saving(self, module: nn.Module, prefix: str, keep_vars: bool) -> None:
        if isinstance(weight := getattr(module, "weight", None), Tensor):
            self._put_back(weight)

    def _after_loading(self, module: nn.Module, keys: Any) -> None:
        self._held = None  # what was loaded stays

    def _put_back(self, weight: Tensor) -> Tensor | None:
        """Undo what moved frozen rows since the backward, and say so; return them."""
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
        """Return the frozen rows of the part of the table that is here."""
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
        """Take the gradient of frozen rows away, and keep them."""
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
            self._put_back(weight)  # a compiled forward looked for nothing
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
    """Return the values of a tensor, or of the part of a DTensor that is here."""
    here = tensor.detach()
    return here.to_local() if hasattr(here, "to_local") else here


def _first_row(weight: Tensor) -> int:
    """Return which row of the table is the first here."""
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
    # As whole numbers: NaN is NaN, and -0.0 is not 0.0.
    return torch.equal(*(rows.contiguous().view(torch.uint8) for rows in (one, other)))


def _flattened() -> OptionError:
    return OptionError(
        "the table with frozen rows was flattened, or sharded in a way that hides its "
        "rows, as by FullyShardedDataParallel and DeepSpeed ZeRO-3, so they cannot be "
        "kept: use torch.distributed.fsdp.fully_shard, leave the input embedding out "
        "of what is sharded, or train all rows, initialise(..., train='all')"
    )


#: All of them. Optimisers are asked, not parameters: which one has a parameter, and
#: which parameter a module has, is known only when a step is made.
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
    """Refuse a layer in the place of one with frozen rows, which would all train.

    A layer that has the old one inside, as PEFT wraps it, or frozen rows of its own
    may take its place.
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
