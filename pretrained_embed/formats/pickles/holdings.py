"""What a pickle holds that is of use: tables of vectors, and lists of tokens.

Dictionaries, lists, tuples and the attributes of objects are gone through, and what is
found is called by the way to it: ``state_dict.encoder.embedding.weight``. Of a module
of PyTorch, names are those of its state dict.

The vectors are one table, or a dictionary from token to vector. Tokens are looked for
beside them: a list with one for each row, or a dictionary from token to row or from row
to token, as ``(itos, stoi, vectors, dim)`` of torchtext has both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.bits import Stored
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.foreign import TOKENS
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.npy.header import ROWS_TO_NPZ
from pretrained_embed.formats.pickles.pickled import (
    Digits,
    PickledObject,
    array_of,
    integer_of,
    list_of,
    objects_of,
    packed_texts,
    text_of,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.safetensors.header import DTYPES
from pretrained_embed.formats.table import HOLES, Rows
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import (
    Described,
    choose,
    load_embedding,
)
from pretrained_embed.formats.tensors.tokens import (
    in_row_order,
    refuse_layout,
    tokens_beside,
)

_Tensor = TypeVar("_Tensor", bound=Described)

#: Names of what maps tokens to rows, beside those of lists of tokens.
_TOKENS = (
    *TOKENS,
    *("itos", "stoi", "idx2word", "word2idx", "id2word", "word2id", "token2id"),
    *("id2token", "word_index", "index_word", "key_to_index", "token_to_id"),
    *("token_to_idx", "idx_to_token", "w2i", "i2w"),
)
#: What layers call arrays of one dimension: these are no tokens.
_PARAMETERS = {"weight", "bias", "running_mean", "running_var"}
#: Attributes of a module of PyTorch that are no part of a name.
_OF_MODULE = ("_parameters", "_buffers", "_modules")
#: dtypes of NumPy, as safetensors names them.
_OF_NUMPY = {
    np.dtype(dtype.numpy).str[1:]: name
    for name, dtype in DTYPES.items()
    if dtype.numpy and name != "BF16"
}
_DEEPEST, _LONGEST = 32, 1000  # steps to a value, and characters of its name
_NUMBERS, _LISTS = (float, int), (list, tuple)


class ArrayTensor(NamedTuple):
    """What is known of an array of NumPy that lies in a pickle."""

    dtype: str  # as safetensors names it; nothing for strings and objects
    shape: tuple[int, ...]
    array: PickledObject


def array_tensor(value: PickledObject, where: str) -> ArrayTensor:
    """Return what is known of an array."""
    try:
        array = array_of(value, where)
    except FormatError:  # of strings or objects, which may be tokens
        return ArrayTensor("", (0,), value)
    name = _OF_NUMPY.get(array.dtype.str[1:], array.dtype.name)
    return ArrayTensor(name, array.shape, value)


class Holdings(NamedTuple, Generic[_Tensor]):
    """What was found, each by the way to it."""

    root: Any  # what was gone through
    tensors: dict[str, _Tensor]
    tokens: dict[str, Any]  # what may be one: a list, or a dictionary
    mappings: dict[str, _Mapping]


class _Mapping(NamedTuple):
    """A dictionary from token to vector."""

    vectors: dict[str, Any]  # tensors, or lists of numbers
    dtype: str


def find(
    root: Any,
    describe: Callable[[Any], _Tensor | None],
    where: str,
    budget: Budget,
) -> Holdings[_Tensor]:
    """Go through a pickle; ``describe`` tells what an array is, ``None`` of no such.

    Each value is gone through once, wherever else it stands.
    """
    found: Holdings[_Tensor] = Holdings(root, {}, {}, {})
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    seen: set[int] = set()
    while waiting:
        path, value = waiting.pop()
        name = ".".join(path)
        if len(path) > _DEEPEST or len(name) > _LONGEST:
            continue
        tensor = describe(value)
        if tensor is not None:
            budget.take(4 * OBJECT + len(name))
            found.tensors.setdefault(name, tensor)
            if not tensor.dtype:  # strings, or objects that may be some
                found.tokens.setdefault(name, value)
            held = objects_of(value) if not tensor.dtype else None
            if held is not None and held and text_of(held[0]) is None:
                del found.tensors[name], found.tokens[name]
                waiting.append((path, held[0] if len(held) == 1 else held))
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        mapping = _mapping(value, describe) if type(value) is dict else None
        if mapping is not None:
            found.mappings[name] = mapping
            continue
        if _may_be_tokens(value):
            found.tokens.setdefault(name, value)
            if type(value) in _LISTS:
                continue
        held = [
            (step, one)
            for step, one in _inside(value)
            if type(one) in (dict, list, tuple, PickledObject)
        ]
        budget.take(len(held) * 4 * OBJECT)
        waiting += [((*path, *step), one) for step, one in reversed(held)]
    return found


def _inside(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what a value holds, each with the steps to it."""
    if type(value) is PickledObject:
        yield from (((str(at),), one) for at, one in enumerate(value.args))
        for name, one in value.attributes.items():
            yield (() if name in _OF_MODULE else (str(name),)), one
    elif type(value) is dict:
        yield from (((str(name),), one) for name, one in value.items())
    elif type(value) in (list, tuple):
        yield from (((str(at),), one) for at, one in enumerate(value))


def _may_be_tokens(value: Any) -> bool:
    """Whether the first thing that is there would be one of a list of tokens."""
    if type(value) in _LISTS:
        return bool(value) and text_of(value[0]) is not None
    if type(value) is not dict or not value:
        return False
    token, row = next(iter(value.items()))
    return integer_of(row) is not None or (type(token) is Digits and type(row) is str)


def _mapping(
    value: dict[str, Any], describe: Callable[[Any], Described | None]
) -> _Mapping | None:
    """Return a dictionary from token to vector; ``None`` where it is none."""
    if not value or value.keys() <= _PARAMETERS:
        return None
    vectors: dict[str, Any] = {}
    form = None
    for token, one in value.items():
        if type(one) in _LISTS:
            if len(one) < 2 or not all(type(number) in _NUMBERS for number in one):
                return None
            vector, own = one, ("F64", (len(one),))
        else:
            vector = describe(one)
            if vector is None or len(vector.shape) != 1 or not vector.dtype:
                return None
            own = vector.dtype, vector.shape
        form = form or own
        if own != form:
            return None
        vectors[token] = vector
    return _Mapping(vectors, own[0])


class _Stacked:
    """Vectors of one dtype and dim as rows, put together as they are asked for."""

    def __init__(self, vectors: Sequence[AnyArray]) -> None:
        self._vectors = vectors
        self.shape = (len(vectors), *vectors[0].shape)
        self.dtype = vectors[0].dtype

    def __getitem__(self, rows: slice) -> AnyArray:
        return np.stack(self._vectors[rows])


def open_table(
    format: str,
    stream: ByteStream,
    layout: KnownLayout | None,
    found: Holdings[_Tensor],
    load: Callable[[_Tensor], AnyArray],
    budget: Budget,
) -> TableReader:
    """Return a reader of the vectors that were found.

    ``load`` gives the array of a tensor that was found, the bits of BF16 as uint16.
    Raises `FormatError` where several could be the table, or none, and
    where no tokens are found.
    """
    where, asked = stream.name, stream.fragment
    if type(found.root) is PickledObject and found.root.kind.name == "DataFrame":
        raise _frame(where)
    of_numbers = found.mappings or any(one.dtype for one in found.tensors.values())
    root = found.root
    if type(root) is PickledObject and root.is_array() and not of_numbers:
        raise FormatError(
            f"{where}: an array of Python objects; nothing of it was run. If you trust "
            "it, and each row is a token and a vector, write it anew:\n"
            f"    rows = numpy.load({where!r}, allow_pickle=True)\n"
            f"    {ROWS_TO_NPZ}"
        )
    if not found.tensors and not found.mappings:
        raise _nothing_found(found.root, where)
    tables = [name for name, tensor in found.tensors.items() if len(tensor.shape) == 2]
    named = asked if asked in found.mappings else None
    if named is None and asked is None and not tables and len(found.mappings) == 1:
        (named,) = found.mappings
    if named is not None:
        refuse_layout(layout, where, "the file itself")
        held = found.mappings[named]
        budget.take(sum(4 * OBJECT + len(token) for token in held.vectors))
        rows: Rows = _Stacked(
            [
                np.array(one, np.float64) if type(one) in _LISTS else load(one)
                for one in held.vectors.values()
            ]
        )
        if held.dtype == "BF16":
            rows = Stored("bfloat16", rows, None, rows.shape[1], where)
        what = f"vectors from the mapping {named!r}"
        notes = [Note("vectors.from", what)] if named else []
        return TableReader(
            format, where, packed_texts([*map(str, held.vectors)]), rows, notes=notes
        )
    name = choose(found.tensors, where, asked)
    embedding = load_embedding(
        name, found.tensors, lambda name: load(found.tensors[name]), where
    )
    if stream.tokens_path is None:
        own = _tokens(found.tokens, embedding.rows.shape[0], where, budget)
        if own is not None:
            refuse_layout(layout, where, "the file itself")
            return TableReader(
                format,
                where,
                own.packed,
                embedding.rows,
                arrays=own.arrays,
                notes=[
                    *embedding.notes,
                    Note("tokens.from", f"tokens from {own.name!r} of the file"),
                ],
            )
    return tokens_beside(format, stream, embedding, layout)


class _Tokens(NamedTuple):
    name: str
    packed: PackedTokens
    arrays: dict[str, AnyArray]  # holes, if there are some


def _tokens(
    found: Mapping[str, Any], rows: int, where: str, budget: Budget
) -> _Tokens | None:
    """Return the tokens of so many rows, where a file has them and no two kinds fit."""
    fitting: list[tuple[str, list[str]]] = []
    for name, value in found.items():
        if type(value) is dict:
            held = _in_order(value, rows)
        else:
            held = list_of(value, where, budget)
        if held is not None and len(held) == rows:
            texts = [text for one in held if (text := text_of(one)) is not None]
            if len(texts) == rows:
                fitting.append((name, texts))
    known = [one for one in fitting if one[0].rpartition(".")[2] in _TOKENS]
    lists = [one for one in fitting if one[0] in ("0", "1")]  # of a tuple
    for chosen in (known, lists, fitting):
        if chosen and (chosen is not fitting or len(fitting) == 1):
            name, texts = chosen[0]
            budget.take(sum(map(len, texts)) + OBJECT * rows)
            return _Tokens(name, packed_texts(texts), {})
    for name, value in found.items():
        if type(value) is dict and name.rpartition(".")[2] in _TOKENS:
            sparse = _sparse(value, rows)
            if sparse is not None:
                texts, holes = sparse
                budget.take(sum(map(len, texts)) + OBJECT * rows)
                return _Tokens(name, packed_texts(texts), {HOLES: holes})
    return None


def _in_order(value: dict[str, Any], rows: int) -> list[str] | None:
    """Return the tokens of a dictionary that has one for each of so many rows."""
    if len(value) != rows:
        return None
    return in_row_order(_by_row(value))


def _by_row(value: dict[str, Any]) -> list[tuple[str, object]]:
    """Return tokens and rows, whichever of the two is the key."""
    if all(type(key) is Digits for key in value):
        turned = ((text_of(text), key) for key, text in value.items())
        return [("" if text is None else text, _row(key)) for text, key in turned]
    return [(str(token), integer_of(row)) for token, row in value.items()]


def _row(digits: str) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) < 19 else None


def _sparse(value: dict[str, Any], rows: int) -> tuple[list[str], AnyArray] | None:
    """Return a token for each row and the rows without; ``None`` where it cannot be."""
    if len(value) >= rows:
        return None
    texts = [""] * rows
    empty = np.ones(rows, np.bool_)
    for token, row in _by_row(value):
        if type(row) is not int or not 0 <= row < rows or not empty[row]:
            return None
        texts[row], empty[row] = token, False
    return texts, np.flatnonzero(empty)


def _nothing_found(root: Any, where: str) -> FormatError:
    """Return the error for a pickle without vectors that can be read."""
    what = (
        f"an object of {root.kind}"
        if type(root) is PickledObject
        else f"a {type(root).__name__}"
    )
    return FormatError(
        f"{where}: a pickle of {what}, in which no vectors were found; nothing of it "
        "was run. If you trust it, load it with what wrote it, and save tokens and "
        "vectors alone:\n    tokens, vectors = ...\n    numpy.savez('vectors.npz', "
        "tokens=tokens, vectors=vectors)"
    )


def _frame(where: str) -> FormatError:
    """Return the error for a frame, whose blocks only pandas puts together."""
    return FormatError(
        f"{where}: a pickle of a DataFrame, which is not read. If you trust it, write "
        "it anew:\n    import pandas\n    pandas.read_pickle('frame.pkl').to_parquet("
        "'frame.parquet')"
    )
