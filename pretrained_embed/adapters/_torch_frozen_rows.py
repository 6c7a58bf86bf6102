"""Rows of a parameter that no optimiser moves.

A layer of two tables, as `SplitEmbedding` is, keeps frozen rows away from optimisers.
Where other code needs the table to be one parameter of the name ``weight``, because it
ties, saves or adapts it by that name, the frozen rows are put back after each step.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
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
    moments do, moves no frozen one. No values are kept between steps, so what is
    loaded, cast or moved to another device is what stays from then on. Their gradients
    are zeros, so they count in no norm that gradients are clipped to.

    It is a hook of the modules that have the parameter. So it goes with them where
    they are copied or pickled, and is in no state. Rows that the table gets later
    train.

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
        self._indices = torch.empty(0, dtype=torch.int64)
        self._indexed = -1  # how many rows the table had then
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
        self(self.module, ())
        return self

    @staticmethod
    def stop(modules: Iterable[nn.Module]) -> None:
        """Let all rows of modules move again."""
        for module in modules:
            hooks = module._forward_pre_hooks
            for key in [k for k, hook in hooks.items() if isinstance(hook, FrozenRows)]:
                hook: Any = hooks.pop(key)
                hook.frozen = torch.zeros(0, dtype=torch.bool)
                hook._indexed = -1
                _ALIVE.discard(hook)

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """See before each forward that the parameter there is now has our hook."""
        if torch.compiler.is_compiling():
            return
        weight = getattr(self.module, "weight", None)
        if not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            return
        if self._masked is None or self._masked() is not weight:
            own = weakref.ref(self)  # a hook is no owner: models would stay for ever

            def masking(parameter: Tensor) -> None:
                if (rows := own()) is not None:
                    rows._mask_gradient(parameter)

            weight.register_post_accumulate_grad_hook(masking)
            self._masked = weakref.ref(weight)

    def _rows(self, weight: Tensor) -> Tensor:
        """Return the ids of the frozen rows, where the parameter is."""
        if self._indexed != len(weight) or self._indices.device != weight.device:
            frozen = self.frozen[: len(weight)]
            self._indices = frozen.nonzero().squeeze(1).to(weight.device)
            self._indexed = len(weight)
        return self._indices

    def _mask_gradient(self, weight: Tensor) -> None:
        gradient = weight.grad
        if gradient is None:
            return
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            ids = gradient.indices()[0]
            frozen = torch.isin(ids, self._rows(weight))
            gradient.values().masked_fill_(frozen.unsqueeze(1), 0)
            weight.grad = gradient
        else:
            gradient.index_fill_(0, self._rows(weight), 0)

    def _moved_by(self, parameters: set[int]) -> Tensor | None:
        """Return the parameter if it is among those of an optimiser, by their ids."""
        weight = getattr(self.module, "weight", None)
        if not isinstance(weight, nn.Parameter) or hasattr(weight, "full_tensor"):
            raise OptionError(
                "the table with frozen rows was flattened or sharded over processes, "
                "so its rows cannot be kept: leave the input embedding out of what is "
                "sharded, or train all rows, initialise(..., train='all')"
            )
        return weight if id(weight) in parameters else None

    def keep(self, optimizer: Optimizer, parameters: set[int]) -> None:
        """Copy the frozen rows before a step."""
        weight = self._moved_by(parameters)
        if weight is not None:
            rows = self._rows(weight)
            self._kept[id(optimizer)] = weight.detach().index_select(0, rows)

    def restore(self, optimizer: Optimizer) -> None:
        """Put the frozen rows back after a step."""
        kept = self._kept.pop(id(optimizer), None)
        if kept is not None:
            weight = self.module.weight
            with torch.no_grad():
                weight.index_copy_(0, self._rows(weight), kept)


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
