"""PyTorch's layer of two tables: a trained one and a frozen one."""

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_module_registration_hook

from pretrained_embed.adapters._torch_table import JoinedTable, ReplacedParameter
from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import OptionError, ShapeError

LoadRows = Literal["layer", "file"]


class SplitEmbedding(nn.Module):
    """An embedding of which some rows train; the others never move.

    It is used like ``torch.nn.Embedding``. The trained rows are an inner
    ``torch.nn.Embedding``, which optimisers, ``DistributedDataParallel``, quantisation
    and ``torch.compile`` support. The frozen rows and the mask of trained rows are
    neither parameters nor buffers, but are in the state: averaging weights does not
    move a frozen row or exchange ids.

    Attributes
    ----------
    trained : torch.nn.Embedding
        The rows that train, in the order of their ids, after one spare row.
    frozen : Tensor (frozen rows, dim)
        The others.
    trains : Tensor (rows,), bool
        True for the rows that train.
    weight : Tensor (rows, dim)
        The whole table, joined at each use. Gradients flow through it, so a tied output
        is ``torch.nn.functional.linear(hidden, layer.weight)``. It is a copy: writing
        to it raises `OptionError`. A write that bypasses PyTorch, through ``numpy()``,
        dlpack or the storage, cannot be detected and is lost. While a model is
        compiled, exported, traced or scripted it is a plain tensor.
    num_embeddings, embedding_dim, padding_idx, sparse, scale_grad_by_freq
        As in ``torch.nn.Embedding``; ``max_norm`` is ``None``.
    load_rows : "layer" or "file"
        Which rows train after a state was loaded; see below.

    ``state_dict()`` has the live tensors ``trained.weight``, ``frozen`` and
    ``trains``; `plain_state_dict` returns the plain form. Loading accepts these, those
    of earlier releases (``trained``, ``frozen``, ``slots``) and a plain ``weight``. All
    values come from the file. The rows that train are those of the layer, with a
    ``UserWarning`` if the file has others; with ``load_rows="file"`` they are those of
    the file.

    Parameters
    ----------
    vectors : Tensor (rows, dim)
        The whole table.
    frozen : bool array (rows,)
        True for the rows that stay.
    padding_idx : int, optional
        The pad row, which stays in any case.
    sparse, scale_grad_by_freq : bool, default False
        As in ``torch.nn.Embedding``.
    load_rows : "layer" or "file", default "layer"
        See above.

    Examples
    --------
    >>> layer = pe_torch.embedding(matrix, freeze="found")
    >>> optimizer = torch.optim.AdamW(layer.parameters())
    >>> layer.unfreeze()  # later; the parameter is a new one then
    >>> optimizer = torch.optim.AdamW(layer.parameters())
    """

    def __init__(
        self,
        vectors: Tensor,
        frozen: BoolArray,
        *,
        padding_idx: int | None = None,
        sparse: bool = False,
        scale_grad_by_freq: bool = False,
        load_rows: LoadRows = "layer",
    ):
        super().__init__()
        if load_rows not in ("layer", "file"):
            raise OptionError(f"load_rows={load_rows!r}: give 'layer' or 'file'")
        self.num_embeddings, self.embedding_dim = vectors.shape
        self.padding_idx = padding_idx
        self.load_rows = load_rows
        self.trained = nn.Embedding(
            1,
            self.embedding_dim,
            padding_idx=0,
            sparse=sparse,
            scale_grad_by_freq=scale_grad_by_freq,
            device="meta",  # filled in the next lines
        )
        self._divide(vectors, ~torch.as_tensor(frozen))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ``ids``, integers of any shape: ``(*ids.shape, dim)``."""
        all_train = self.num_embeddings < self.trained.num_embeddings
        if not torch.jit.is_scripting():
            self._prepare(ids)
            if not all_train and _may_count(ids):
                return self._look_up_each_once(ids)
        slots = self._slots.index_select(0, ids.reshape(-1)).view(ids.shape)
        # Frozen ids look up the spare row. It gets no gradient, since sparse optimisers
        # move every row that has one.
        rows = self.trained(slots.clamp(min=0))
        if not all_train:
            frozen = functional.embedding((-slots).clamp(min=0), self.frozen)
            rows = torch.where((slots > 0).unsqueeze(-1), rows, frozen.to(rows.dtype))
        return rows

    @torch.jit.unused  # type: ignore[untyped-decorator]  # torch has no types for it
    def _look_up_each_once(self, ids: Tensor) -> Tensor:
        """Do the same as `forward` with fewer copies, which take most time on a CPU."""
        slots = self._slots.index_select(0, ids.reshape(-1))
        rows = functional.embedding((-slots).clamp(min=0), self.frozen)
        places = (slots > 0).nonzero().squeeze(1)
        trained = self.trained(slots.index_select(0, places))
        rows = rows.to(trained.dtype).index_copy_(0, places, trained)
        return rows.view(*ids.shape, self.embedding_dim)

    @property
    def weight(self) -> Tensor:
        """The whole table (rows, dim), joined; gradients flow through it."""
        ids = torch.arange(self.num_embeddings, device=self.frozen.device)
        if torch.jit.is_scripting():
            return self.forward(ids)
        else:  # noqa: RET505  # what stands here is not scripted
            return self._guarded(ids)

    @torch.jit.unused  # type: ignore[untyped-decorator]  # torch has no types for it
    def _guarded(self, ids: Tensor) -> Tensor:
        if hasattr(self.trained.weight, "full_tensor"):
            raise OptionError(
                "the rows of this layer are sharded: join them with plain_state_dict("
                "get_model_state_dict(model, options=StateDictOptions("
                "full_state_dict=True)))"
            )
        table = self.forward(ids)
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return table
        return table.as_subclass(JoinedTable)

    @property
    def sparse(self) -> bool:
        """Whether gradients are sparse."""
        return self.trained.sparse

    @property
    def scale_grad_by_freq(self) -> bool:
        """Whether gradients are divided by the frequency of an id in the batch."""
        return self.trained.scale_grad_by_freq

    def unfreeze(self) -> None:
        """Let all rows train, except the pad row.

        The parameter is then a new one, so make the optimizer, and wrappers for several
        processes, after this call. An older optimizer raises `OptionError` at its next
        step. ``requires_grad_(True)`` does not unfreeze rows.

        Raises `OptionError` as `freeze_rows` does.
        """
        self.freeze_rows(torch.zeros(self.num_embeddings, dtype=torch.bool))

    def freeze_rows(self, frozen: Tensor | BoolArray) -> None:
        """Freeze the rows where ``frozen``, bool (rows,), is true, and no others.

        The pad row is always frozen. Values do not change. The parameter is then a new
        one: see `unfreeze`.

        Raises `OptionError` for a mask that is not of bools or a layer whose rows are
        sharded or quantised, and `ShapeError` for a mask of another length.
        """
        mask = torch.as_tensor(frozen).to(self.trains.device, copy=True)
        if mask.dtype != torch.bool:
            raise OptionError(f"the mask is of {mask.dtype}: give bools")
        if mask.shape != self.trains.shape:
            raise ShapeError(
                f"the mask has shape {tuple(mask.shape)}, but the layer has "
                f"{self.num_embeddings} rows: give one entry for each row"
            )
        old = self._parameter()
        if self.padding_idx is not None:
            mask[self.padding_idx] = True
        self._divide(self.weight.detach().clone(), ~mask)
        old.__class__ = ReplacedParameter

    def restore_frozen(self, table: Tensor | npt.NDArray[Any]) -> None:
        """Set the frozen rows to those of ``table`` (rows, dim), bit for bit.

        Use it after averaging states in your own loop, which rounds:
        ``average.restore_frozen(layer.weight)``, or with the original matrix,
        ``average.restore_frozen(matrix.vectors)``. Rows of the layer beyond the table,
        such as those of ``multiple_of=``, stay.

        Raises `ShapeError` for a table of another dim or with more rows.
        """
        if table.ndim != 2 or not (
            len(table) <= self.num_embeddings and table.shape[1] == self.embedding_dim
        ):
            raise ShapeError(
                f"the table has shape {tuple(table.shape)}, the layer "
                f"{(self.num_embeddings, self.embedding_dim)}"
            )
        frozen = ~self.trains[: len(table)].cpu()
        rows = (
            table.detach()[frozen.to(table.device)]
            if isinstance(table, Tensor)
            else torch.from_numpy(table[frozen.numpy()])
        )
        with torch.no_grad():
            self.frozen[: len(rows)].copy_(rows)

    def requires_grad_(self, requires_grad: bool = True) -> "SplitEmbedding":
        """Set whether the trained rows train; frozen ones stay frozen.

        A ``UserWarning`` says so if a caller may expect that all rows train.
        """
        if requires_grad:
            warnings.warn(
                f"{len(self.frozen)} rows of this layer stay frozen: call "
                "layer.unfreeze() to let all rows train",
                UserWarning,
                stacklevel=2,
            )
        return super().requires_grad_(requires_grad)

    def to_embedding(self, *, freeze: bool = False) -> nn.Embedding:
        """Return a plain layer with a copy of the whole table."""
        return nn.Embedding.from_pretrained(
            self.weight.detach().clone(),
            freeze=freeze,
            padding_idx=self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
        )

    def _parameter(self) -> nn.Parameter:
        weight = self.trained.weight
        if not isinstance(weight, nn.Parameter):
            raise OptionError("the rows of this layer are quantised: change it before")
        return weight

    def _divide(self, table: Tensor, trains: Tensor) -> None:
        """Split the table (rows, dim), on its final device, by a mask (rows,)."""
        where = trains.to("cpu") if table.is_meta else trains.to(table.device)
        requires_grad = self.trained.weight.requires_grad
        spare = table.new_zeros(1, self.embedding_dim)
        self.trained.weight = nn.Parameter(
            torch.cat([spare, _rows(table, where)]), requires_grad
        )
        self.trained.num_embeddings = len(self.trained.weight)
        self.frozen = _rows(table, ~where)
        self.trains = where.to(table.device)
        self._remember(where)

    def _remember(self, trains: Tensor) -> None:
        """Compute the position of each row, and keep the mask it was computed from.

        ``_slots`` (rows,) int32 is ``j > 0`` for row ``j`` of the trained table and
        ``-k <= 0`` for row ``k`` of the frozen one. It is in no state, because an
        average of it would be the position of another row.
        """
        parts = trains.cumsum(0), 1 - (~trains).cumsum(0)
        self._slots = torch.where(trains, *parts).int()
        self._slots_mask, self._slots_version = self.trains, _version(self.trains)

    def _prepare(self, ids: Tensor) -> None:
        """Update derived values for the mask, which may have been loaded, and ids."""
        # from torch.fx
        if torch.compiler.is_compiling() or not isinstance(ids, Tensor):
            return
        version = _version(self.trains)
        if self.trains is not self._slots_mask or version != self._slots_version:
            self._derive()
        if self._slots.device != ids.device:
            self._slots = self._slots.to(ids.device)
            self.frozen = self.frozen.to(ids.device)

    def _derive(self) -> None:
        if self.trains.is_meta:
            return
        count = int(self.trains.sum())
        tables = self.trained.num_embeddings - 1, len(self.frozen)
        if (count, self.num_embeddings - count) != tables:
            raise ShapeError(
                f"the mask 'trains' was changed: {count} rows of {self.num_embeddings} "
                f"train, but the tables have {tables[0]} rows that train and "
                f"{tables[1]} that do not; use freeze_rows or load_state_dict"
            )
        self._remember(self.trains)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move or cast the tables: ``to()`` and similar methods call this."""
        if not self.trains.is_meta:
            self._prepare(self.trains)
        super()._apply(fn, recurse)
        self.frozen = fn(self.frozen)
        self.trains = fn(self.trains)
        if not self.trains.is_meta:
            self.trains.copy_(self._slots > 0)  # to_empty() leaves arbitrary values
            self._slots_mask, self._slots_version = self.trains, _version(self.trains)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse attributes that would have no effect."""
        if name == "weight":
            raise OptionError(
                "the weight of a SplitEmbedding is computed: set its values with "
                "layer.load_state_dict({'weight': table}), or put another layer in its "
                "place"
            )
        if name == "max_norm" and value is not None:
            raise OptionError(
                "max_norm would move frozen rows: set layer.trained.max_norm, which "
                "limits the rows that train"
            )
        if name in ("sparse", "scale_grad_by_freq"):
            setattr(self.trained, name, value)
        else:
            super().__setattr__(name, value)

    max_norm = None
    norm_type = 2.0

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the saved tensors that are no parameters, if asked for this layer only.

        ``torch.distributed`` asks each module so for the tensors to move, gather and
        broadcast. ``buffers()``, which averages of weights use, does not have them.
        """
        yield from super().named_buffers(prefix, recurse, remove_duplicate)
        if not recurse:
            for name in ("frozen", "trains"):
                yield f"{prefix}.{name}" if prefix else name, getattr(self, name)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in ("frozen", "trains"):
            tensor = getattr(self, name)
            destination[prefix + name] = tensor if keep_vars else tensor.detach()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load a state of any form; see the class.

        The inner layer loads its own part of the state.
        """
        try:
            self._take_over(state_dict, prefix)
        except ShapeError as error:
            error_msgs.append(f"{prefix[:-1] or type(self).__name__}: {error}")
            own = {"trained.weight": self.trained.weight, "frozen": self.frozen}
            for name, tensor in {**own, "trains": self.trains}.items():
                state_dict[prefix + name] = tensor  # there is nothing else to report
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name in ("frozen", "trains"):
            loaded = state_dict.pop(prefix + name, None)
            if loaded is None:
                if strict:
                    missing_keys.append(prefix + name)
            elif loaded.shape != getattr(self, name).shape:
                error_msgs.append(
                    f"size mismatch for {prefix}{name}: {tuple(loaded.shape)} in the "
                    f"file, {tuple(getattr(self, name).shape)} in the layer"
                )
            elif assign:
                setattr(self, name, loaded)
            else:
                with torch.no_grad():
                    getattr(self, name).copy_(loaded)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def _take_over(self, state: dict[str, Any], prefix: str) -> None:
        """Rewrite a state of any form with the keys and the rows of this layer."""
        slots = state.pop(prefix + "slots", None)
        # an earlier release, which kept positions instead of a mask
        if slots is not None:
            state[prefix + "trains"] = slots >= 0
            if prefix + "trained" in state:
                state[prefix + "trained.weight"] = state.pop(prefix + "trained")
        mine = self._slots > 0
        table = state.pop(prefix + "weight", None)
        if table is None:
            parts = _parts(state, prefix)
            if parts is None or parts.trains.shape != mine.shape:
                return
            mask = parts.trains.to(mine.device)
            others = int((mask != mine).sum())
            if not others:
                return
            if self.load_rows == "file":
                old = self._parameter()
                size = self.num_embeddings, self.embedding_dim
                self._divide(self.frozen.new_zeros(size), mask)
                old.__class__ = ReplacedParameter
                return
            warnings.warn(
                f"{prefix}trains: {others} rows train in the file and not in the "
                "layer, or the other way round. Their values were loaded; which rows "
                "train is as it was in the layer. layer.load_rows = 'file' before "
                "loading takes that from the file, too",
                UserWarning,
                stacklevel=2,
            )
            table = parts.join()
        table = _whole(table)
        size = (self.num_embeddings, self.embedding_dim)
        if table.shape != size:
            raise ShapeError(f"the weight has shape {tuple(table.shape)}, not {size}")
        mine = mine.to(table.device)
        spare = table.new_zeros(1, self.embedding_dim)
        state[prefix + "trained.weight"] = torch.cat([spare, table[mine]])
        state[prefix + "frozen"] = table[~mine]
        state[prefix + "trains"] = mine

    def __repr__(self) -> str:
        """Return one line; the inner layer is an implementation detail."""
        return f"{self._get_name()}({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return the text that ``repr`` shows between the brackets."""
        padding = (
            "" if self.padding_idx is None else f"padding_idx={self.padding_idx}, "
        )
        trained = self.trained.num_embeddings - 1
        sparse = ", sparse=True" if self.sparse else ""
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, {padding}"
            f"trained={trained}, frozen={len(self.frozen)}{sparse}"
        )


_NAMES = ("trained.weight", "frozen", "trains")  # in a state


class _SplitState(NamedTuple):
    """The tables of a layer in a state."""

    trained: Tensor  # after a spare row
    frozen: Tensor
    trains: Tensor

    def join(self) -> Tensor:
        """Return the table (rows, dim)."""
        trained = _whole(self.trained)[1:]
        mask = self.trains.to(trained.device)
        if len(trained) != int(mask.sum()) or len(self.frozen) != int((~mask).sum()):
            raise ShapeError(
                f"the mask 'trains' has {int(mask.sum())} rows of {len(mask)} that "
                f"train, but the tables are of {len(trained)} and {len(self.frozen)} "
                "rows: the state is damaged, load an earlier one"
            )
        table = trained.new_empty(len(mask), trained.shape[1])
        table[mask] = trained
        table[~mask] = self.frozen.to(trained.device, trained.dtype)
        return table


def _parts(state: Mapping[str, Any], prefix: str) -> _SplitState | None:
    """Return the tables of ``state`` at ``prefix``, if it has all of them."""
    parts = [state.get(prefix + name) for name in _NAMES]
    if not all(isinstance(part, Tensor) for part in parts):
        return None
    made = _SplitState(*parts)
    return made if made.trains.dtype == torch.bool else None


def plain_state_dict(model: nn.Module | Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a model as if its layers were all ``torch.nn.Embedding``.

    Instead of the three tensors of a `SplitEmbedding` it has one, ``weight`` (rows,
    dim), a copy; all others are those of ``model.state_dict()``. It loads into a model
    with plain layers without this package, and back.

    Parameters
    ----------
    model : torch.nn.Module or dict
        A model, or its state, from ``torch.load`` or gathered by
        ``get_model_state_dict``. If the table is sharded, all processes call this at
        the same time.

    Raises
    ------
    ShapeError
        If the tensors of a layer do not fit each other.

    Examples
    --------
    >>> torch.save(pe_torch.plain_state_dict(model), "model.pt")
    """
    state = model.state_dict() if isinstance(model, nn.Module) else model
    plain: dict[str, Any] = OrderedDict()
    if hasattr(state, "_metadata"):
        plain._metadata = state._metadata  # type: ignore[attr-defined]  # as torch does
    ends = [key.removesuffix("trains") for key in state if key.endswith("trains")]
    layers = {prefix: parts for prefix in ends if (parts := _parts(state, prefix))}
    owners = {prefix + name: prefix for prefix in layers for name in _NAMES}
    for key, value in state.items():
        prefix = owners.get(key)
        if prefix is None:
            plain[key] = value
        elif prefix + "weight" not in plain:
            plain[prefix + "weight"] = layers[prefix].join()
    return plain


def _may_count(ids: Tensor) -> bool:
    """Return whether shapes may depend on values: not in a graph, and slow on a GPU."""
    return (
        type(ids) is Tensor
        and ids.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
    )


def _rows(table: Tensor, mask: Tensor) -> Tensor:
    """Return the rows of a mask (rows,); of a meta tensor, only their shape."""
    if table.is_meta:
        return table.new_empty(int(mask.sum()), table.shape[1])
    return table[mask]


def _whole(tensor: Tensor) -> Tensor:
    """Return a tensor, which ``fully_shard`` may have sharded, as a whole."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _version(tensor: Tensor) -> float:
    """Return how often a tensor was written; NaN, unknown, in inference mode."""
    return math.nan if tensor.is_inference() else tensor._version


def _refuse_as_table(parent: nn.Module, name: str, layer: nn.Module | None) -> None:
    """Refuse to be set as the table of a model of transformers.

    transformers ties, saves and adapts a table by the name ``weight``: a tied head
    would no longer follow it, and saving would omit its rows, both without a message.
    """
    if not isinstance(layer, SplitEmbedding):
        return
    homes = (kind.__module__.partition(".")[0] for kind in type(parent).__mro__)
    if not {"transformers", "transformers_modules"}.isdisjoint(homes) and isinstance(
        getattr(parent, name, None), nn.Embedding
    ):
        raise OptionError(
            f"a SplitEmbedding cannot be the {name} of {type(parent).__name__}: "
            "transformers ties, saves and adapts a table by the name weight, which it "
            "has not. Fill the model's own table, and freeze rows of it: "
            "pretrained_embed.adapters.transformers.initialise(model, tokenizer, "
            "source, train='new')"
        )


register_module_module_registration_hook(_refuse_as_table)
