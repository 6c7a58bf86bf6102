"""Hugging Face's transformers: the input table of a language model.

The table stays one parameter of the name ``weight`` in the model's own layer. So
everything that transformers and related libraries do by that name works: tying,
resizing, saving, loading, adapting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import pretrained_embed as pe
from pretrained_embed.adapters._arguments import check_float16, checked, missing
from pretrained_embed.adapters._tables import as_array, chosen
from pretrained_embed.arrays import BoolArray, Float32Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.ledger import Ledger, Origin
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import torch
    from torch import Tensor, nn

    from pretrained_embed.adapters._torch_frozen_rows import FrozenRows
except ImportError as error:
    raise missing("PyTorch", "transformers") from error

__all__ = ["initialise"]

#: Which rows train: all or none; those that the source has, or lacks; those of a mask
#: (rows,); those of the listed tokens.
Train = Literal["all", "new", "found"] | npt.NDArray[np.bool_] | Iterable[str] | None

_TRAIN = (
    "give 'all', 'new', 'found', None, a boolean array with one entry for each token "
    "id, or a list of tokens"
)

#: The most rows that a padded table may have beyond the tokens.
_PADDING = 1024

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@checked
def initialise(
    model: nn.Module,
    tokenizer: Any,
    source: Any = None,
    train: Train = "all",
    *,
    tokens: Iterable[str] | None = None,
    match: Any = None,
    oov: Any = "keep",
    seed: int | None = None,
    recipe: pe.Recipe | None = None,
    library: pe.Library | None = None,
    rows: int | None = None,
) -> EmbeddingMatrix | None:
    """Fill the input table of a language model, and choose which rows train.

    Row ``i`` of the table becomes the vector of the tokenizer's token id ``i``, in the
    dtype of the table, in place. A tied head shares the parameter; an untied one is not
    changed. Rows after the last token, of a padded table, are not changed.

    Frozen rows keep every bit with any optimiser of PyTorch, weight decay, averaging
    and gradient clipping, in ``Trainer``, with accelerate and ``fully_shard``, and
    after ``deepcopy``. Changes by an optimiser that is no ``torch.optim.Optimizer``,
    such as DeepSpeed, are undone before the next forward or state, with a warning.
    Loaded values become the frozen ones. The choice of rows is not saved: after
    ``from_pretrained`` call ``initialise(model, tokenizer, train=...)`` again, without
    a source. Rows that ``resize_token_embeddings`` adds train. LoRA on the table moves
    every row; ``trainable_token_indices`` and ``modules_to_save`` do not.

    The row of a pad token that is no other special token becomes zeros, and stays so.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model, on a device, not yet wrapped by PEFT or for several processes.
    tokenizer : tokenizer, Vocabulary or path
        A value that `Vocabulary.of` takes, or the folder or file of a tokenizer.
    source : EmbeddingMatrix, name, path, URL, or a list of them, optional
        The vectors, of the dim of the table: a matrix for the tokenizer's vocabulary,
        or sources as in `build_matrix`. None fills nothing.
    train : "all", "new", "found", None, bool array (rows,) or list of str, \
default "all"
        The rows that train: all; those of tokens that the source lacks, or with
        ``tokens=`` those of these tokens; those of tokens that it has; none, so that
        the table and a tied head get no gradient; those where the array is true; those
        of the listed tokens.
    tokens : list of str, optional
        Look up and fill only the rows of these tokens, such as tokens that were added
        to the tokenizer. The others, also pad, are not changed.
    match, oov, seed, recipe, library : optional
        As in `build_matrix`, with two other defaults. ``match`` is "exact,unmarked", so
        ``Ġthe`` and ``▁the`` are found as "the"; ``oov`` is "keep": a token that is not
        found keeps the row of the model. A ``recipe`` has its own defaults.
    rows : int, optional
        ``rows=len(tokenizer)`` allows a table that is longer than the tokenizer by
        1,024 rows or more.

    Returns
    -------
    EmbeddingMatrix or None
        The new rows of the tokens, float32, with their ledger. None without a source.

    Raises
    ------
    ShapeError
        For a table with fewer rows than the tokenizer, or 1,024 more; vectors of
        another dim; a mask of another length.
    OptionError
        For a model without an input table, or one that is on the meta device,
        quantised, wrapped or sharded; and for unknown values.
    VocabularyError
        For ``tokens`` that the tokenizer does not have.
    CoverageError, SourceError, FormatError
        As `build_matrix`.

    Examples
    --------
    >>> model = LlamaForCausalLM(config)
    >>> initialise(model, tokenizer, "vectors.txt", train="new")

    Fill added tokens, and freeze the rest of the table:

    >>> tokenizer.add_tokens(["▁okapi"])
    >>> model.resize_token_embeddings(len(tokenizer))
    >>> initialise(model, tokenizer, "vectors.txt", "new", tokens=["▁okapi"])
    """
    layer = _input_layer(model)
    weight: Tensor = layer.weight
    vocabulary = _vocabulary(tokenizer)
    _check_rows(len(weight), len(vocabulary), rows)
    asked = None if tokens is None else _part(vocabulary, tokens)
    matrix = None
    if source is not None:
        own = _OwnRows(weight, vocabulary)
        options = {
            "match": match,
            "oov": own if isinstance(oov, str) and oov == "keep" else oov,
            "seed": seed,
            "recipe": recipe,
            "library": library,
        }
        matrix = _matrix(source, vocabulary if asked is None else asked, own, options)
    ledger = Ledger.blank(vocabulary) if matrix is None else matrix.ledger
    trains = _trains(train, ledger, matrix is not None, asked, vocabulary, weight)

    if matrix is not None:
        _fill(weight, matrix, kept=own.given)
    _freeze(model, layer, weight, trains, train)
    return matrix


class _OwnRows:
    """An OOV policy that keeps the model's rows, and records the tokens."""

    __qualname__ = "keep"  # its name in the provenance

    def __init__(self, weight: Tensor, vocabulary: Vocabulary) -> None:
        self._weight = weight
        self._vocabulary = vocabulary
        self.dim = weight.shape[1]
        self.given = np.zeros(len(vocabulary), np.bool_)

    def __call__(
        self, tokens: Sequence[str], statistics: object, dim: int
    ) -> Float32Array:
        self.check(dim)
        ids = [self._vocabulary[token] for token in tokens]
        self.given[ids] = True
        found: Float32Array = self._weight.detach()[ids].float().cpu().numpy()
        return found

    def check(self, dim: int) -> None:
        """Raise `ShapeError` if the dim of the vectors is not that of the table."""
        if dim == self.dim:
            return
        larger = (
            f", or turn these into such: recipe=pe.Recipe(postprocess='pca:{self.dim}')"
            if dim > self.dim
            else ""
        )
        raise ShapeError(
            f"the vectors have dim {dim}, the table of the model {self.dim}: give "
            f"vectors of dim {self.dim}, or make the model with a config of that "
            f"size{larger}"
        )


def _input_layer(model: Any) -> nn.Module:
    """Return the model's own input embedding; raises `OptionError` if it has none."""
    getter: Callable[[], Any] | None = getattr(model, "get_input_embeddings", None)
    if not isinstance(model, nn.Module) or getter is None:
        inner = " model.module, what it wraps" if hasattr(model, "module") else ""
        raise OptionError(
            f"model is of type {type(model).__name__}, which has no "
            f"get_input_embeddings(): give{inner or ' a model of transformers'}"
        )
    try:
        layer = getter()
    except (AttributeError, NotImplementedError):
        layer = None
    weight = getattr(layer, "_parameters", {}).get("weight")
    kind = type(layer).__name__
    if weight is None:
        inner = (
            "initialise the model before it is wrapped, by PEFT or others"
            if any("weight" in name for name, _ in _parameters(layer))
            else "initialise a model that looks up token ids in a table"
        )
        raise OptionError(
            f"the input embedding of {type(model).__name__} is of type {kind}, which "
            f"has no parameter of its own called weight: {inner}"
        )
    if weight.is_meta:
        raise OptionError(
            f"the table of {type(model).__name__} is on the meta device, so it has no "
            "rows yet: load the model, from_pretrained(folder), or give it memory, "
            "model.to_empty(device='cpu')"
        )
    if type(weight.data) is not Tensor or weight.dtype not in _FLOATS:
        what = type(weight.data).__name__ if weight.dtype in _FLOATS else weight.dtype
        raise OptionError(
            f"the table of {type(model).__name__} is a {what}, quantised or sharded: "
            "initialise the model before that"
        )
    if weight.ndim != 2 or not len(weight):
        raise OptionError(
            f"the table of {type(model).__name__} has shape {tuple(weight.shape)}, not "
            "(rows, dim): initialise the model before it is sharded"
        )
    return layer


def _parameters(layer: Any) -> Iterable[tuple[str, Any]]:
    return layer.named_parameters() if isinstance(layer, nn.Module) else ()


def _vocabulary(tokenizer: Any) -> Vocabulary:
    """Return the tokens by id, with a pad only if it is no other special token."""
    if isinstance(tokenizer, str | os.PathLike):
        found = Vocabulary.from_file(os.fspath(tokenizer))
    else:
        found = Vocabulary.of(tokenizer)
    others = [token for name, token in found.special_tokens.items() if name != "pad"]
    return Vocabulary.of(found, pad=None) if found.pad_token in others else found


def _part(vocabulary: Vocabulary, tokens: Iterable[str]) -> Vocabulary:
    """Return some tokens, with their ids."""
    listed = [tokens] if isinstance(tokens, str) else list(tokens)
    for token in listed:
        if token not in vocabulary:
            raise VocabularyError(
                f"tokens lists {brief(token)}, which the tokenizer does not have: "
                f"tokenizer.add_tokens([{brief(token)}])"
            )
    if not listed:
        raise VocabularyError("tokens is empty: list some, or leave it out for all")
    ids = {token: vocabulary[token] for token in listed}
    return Vocabulary(ids, pad=None, marks=vocabulary.marks)


def _check_rows(table: int, tokens: int, rows: int | None) -> None:
    if rows is not None and rows != tokens:
        raise ShapeError(
            f"rows={rows}, but the ids of the tokenizer take {tokens} rows: give "
            "rows=len(tokenizer)"
        )
    if table < tokens:
        raise ShapeError(
            f"the table of the model has {table} rows, but the ids of the tokenizer "
            f"take {tokens}: give the tokenizer of this model, or, if tokens were "
            f"added, call model.resize_token_embeddings({tokens}) before"
        )
    if table - tokens >= _PADDING and rows is None:
        raise ShapeError(
            f"the table of the model has {table} rows, but the ids of the tokenizer "
            f"take {tokens} only: give the tokenizer of this model, or, if it is, "
            "rows=len(tokenizer)"
        )


def _matrix(
    source: Any, vocabulary: Vocabulary, own: _OwnRows, options: dict[str, Any]
) -> EmbeddingMatrix:
    """Return the rows of the tokens; those of a matrix unchanged, if it has them."""
    if isinstance(source, EmbeddingMatrix):
        own.check(source.dim)
        if _same_tokens(source.vocabulary, vocabulary):
            return source
    recipe = options["recipe"]
    if recipe is not None:  # the recipe has both; build_matrix refuses two values
        options["oov"] = None if options["oov"] is own else options["oov"]
    elif options["match"] is None:
        options["match"] = ("exact", "unmarked")
    matrix = pe.build_matrix(vocabulary, source, **options)
    own.check(matrix.dim)
    return matrix


def _same_tokens(one: Vocabulary, other: Vocabulary) -> bool:
    return one is other or (len(one) == len(other) and dict(one.ids) == dict(other.ids))


def _trains(
    train: Any,
    ledger: Ledger,
    looked_up: bool,
    asked: Vocabulary | None,
    vocabulary: Vocabulary,
    weight: Tensor,
) -> BoolArray:
    """Return the mask (rows of the table,) of the rows that train."""
    mask = np.zeros(len(weight), np.bool_)
    size = len(vocabulary)
    if train is None or train is False:
        return mask
    if train is True or (isinstance(train, str) and train == "all"):
        mask[:] = True
    elif isinstance(train, str):
        mask[: len(ledger)] = _by_word(train, ledger, looked_up, asked)
    else:
        array = as_array(train)
        if array is not None and array.shape == mask.shape:  # of padded rows too
            mask[size:] = array[size:]
            train = array[:size]
        elif array is None and not isinstance(train, Iterable):
            raise OptionError(f"train={brief(train)}: {_TRAIN}")
        for token in () if array is not None else (train := list(train)):
            if not isinstance(token, str):
                raise OptionError(f"train lists {brief(token)}: {_TRAIN}")
        mask[:size] = chosen(Ledger.blank(vocabulary), train, "train")
    if looked_up and asked is None and vocabulary.pad_id is not None:
        mask[vocabulary.pad_id] = False
    return mask


def _by_word(
    train: str, ledger: Ledger, looked_up: bool, asked: Vocabulary | None
) -> BoolArray:
    if train not in ("new", "found"):
        raise OptionError(f"train={brief(train)}: {_TRAIN}")
    listed = ledger.origin > Origin.PAD
    if train == "new" and asked is not None:
        rows = np.zeros(len(ledger), np.bool_)
        ids = [id for id in asked.ids.values() if id < len(rows)]
        rows[ids] = True
        return rows
    if not looked_up:
        raise OptionError(
            f"train={train!r} tells rows by what a source has: give source=, or name "
            "the tokens that train, train=[...]"
        )
    found: BoolArray = ledger.origin >= Origin.EXACT
    return found if train == "found" else listed & ~found


def _fill(weight: Tensor, matrix: EmbeddingMatrix, kept: BoolArray) -> None:
    """Write the rows that were found or filled."""
    changed = matrix.origin != Origin.UNUSED
    changed &= ~kept[: len(changed)]
    if weight.dtype == torch.float16:
        check_float16(matrix)
    ids = torch.from_numpy(np.flatnonzero(changed)).to(weight.device)
    vectors = torch.from_numpy(matrix.vectors[changed]).to(weight.device, weight.dtype)
    with torch.no_grad():
        weight.index_copy_(0, ids, vectors)


def _freeze(
    model: nn.Module, layer: nn.Module, weight: Tensor, trains: BoolArray, train: object
) -> None:
    """Let the rows of a mask (rows,) train, and no others."""
    FrozenRows.stop(model.modules())
    weight.requires_grad_(bool(trains.any()))
    if trains.all() or not trains.any():
        return
    sharing = [m for m in model.modules() if m._parameters.get("weight") is weight]
    FrozenRows(layer, torch.from_numpy(~trains)).start(sharing)
