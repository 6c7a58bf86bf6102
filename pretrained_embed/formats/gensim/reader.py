"""Files that gensim saves for itself: KeyedVectors, Word2Vec, FastText and Doc2Vec.

::

    x.kv, x.model            a pickle of the object (`pickles`)
    x.kv.vectors.npy         a large array (10 Mi numbers or more), kept beside it
    x.model.wv.vectors.npy   the same, of a model's word vectors
    x.kv.gz.vectors.npz      the same where the pickle is compressed

The pickle is read as inert data, and nothing is run. What else hangs on a model, such
as classes and functions of the user's, is a name and no more. Read are the vectors of
words, those of a Doc2Vec model too, as gensim 1 to 4 saved them with Python 2 or 3.
Arrays are mapped where they lie.

FastText models of gensim 4 hold a row for each word and each bucket of n-grams. The
vector of a word is the mean of its own row and those of its n-grams, that of any other
token the mean of its n-grams' rows, both as gensim computes them, to the bit.

https://github.com/piskvorky/gensim/blob/develop/gensim/utils.py, class SaveLoad
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens, joined
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.gensim.arrays import KNOWN, Arrays
from pretrained_embed.formats.gensim.fasttext import (
    WordRows,
    buckets_of,
    hashed_as_before,
)
from pretrained_embed.formats.local import (
    budget_of,
    file_size,
    map_array,
    open_local,
)
from pretrained_embed.formats.pickles import unpickling
from pretrained_embed.formats.pickles.pickled import (
    Digits,
    PickledObject,
    array_of,
    integer_of,
    list_of,
    packed_texts,
    text_of,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.subwords.readers import SubwordTableReader
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.tensors.tokens import in_row_order

NAME = "gensim"

# What gensim has called the same things over the years.
_TOKENS = ("index_to_key", "index2word", "index2entity")
_VECTORS = ("vectors", "syn0")

_AT_ONCE = 4096  # tokens that are packed at a time
_SHOWN = 5  # names that are told of
_OLD_HASH = "its n-grams are hashed as gensim before 3.8 did, other than fastText does"


def open_reader(stream: ByteStream) -> SubwordTableReader:
    """Open a file for reading.

    Raises `FormatError` where it is damaged, where tokens or vectors are kept in
    something else than lists and arrays, or where a file beside it is missing;
    `SourceError` where that cannot be read.
    """
    where = stream.name
    with open_local(stream) as file:
        data = map_array(file, np.uint8, (file_size(file),), 0)
        budget = budget_of(stream, file)
    pickle = unpickling.load(data.data, where, budget)
    root = pickle.value
    if type(root) is not PickledObject or not _is_model(root):
        raise FormatError(f"{where}: a pickle, but not of a model that gensim saved")
    inner = root.attributes.get("wv")
    owner, prefix = (inner, ".wv") if type(inner) is PickledObject else (root, "")
    arrays = Arrays(stream, owner, prefix)
    tokens, holes, numbered = _tokens(owner, where, budget)
    notes: list[Note] = []
    if numbered:
        what = "tokens that were saved as numbers are read as their digits"
        notes.append(Note("tokens.digits", what))

    if others := sorted(pickle.names - KNOWN):
        what = (
            f"it names {', '.join(others[:_SHOWN])}"
            f"{f' and {len(others) - _SHOWN} more' if len(others) > _SHOWN else ''}, "
            "which word vectors do not need: nothing of that was imported or run"
        )
        notes.append(Note("file.left-out", what))

    buckets = buckets_of(owner, arrays, where)
    old_hash = buckets is None and hashed_as_before(owner)
    if old_hash:
        what = f"{_OLD_HASH}, so that no other tokens can be made of them"
        notes.append(Note("tokens.no-subwords", what))
    vectors: Any = next(
        (array for name in _VECTORS if (array := arrays.get(name)) is not None), None
    )
    own = arrays.get("vectors_vocab") if vectors is None else None
    if own is not None and buckets is not None:
        vectors = WordRows(own, tokens, buckets)
    elif own is not None and not integer_of(owner.attributes.get("bucket")):
        vectors = own  # without n-grams a word's own row is all there is
    if vectors is None and old_hash:
        raise FormatError(
            f"{where}: {_OLD_HASH}, and the file has no vectors of whole words. Load "
            "it with gensim 3.8.3, and save its vectors there: "
            "model.wv.save_word2vec_format('vectors.txt')"
        )
    if vectors is None or not len(tokens):
        raise FormatError(
            f"{where}: this {root.kind.name} holds no vectors of words; save them in "
            "gensim with model.wv.save"
        )
    if buckets is not None and vectors.shape[1:] != buckets.table.shape[1:]:
        raise FormatError(
            f"{where}: vectors of shape {vectors.shape}, but those of n-grams have "
            f"shape {buckets.table.shape}; the file is damaged"
        )
    return SubwordTableReader(
        NAME,
        where,
        tokens,
        vectors,
        compose=None if buckets is None else buckets.compose,
        facts=_facts(root, owner, where),
        arrays={HOLES: holes} if len(holes) else {},
        notes=notes,
    )


def _is_model(root: PickledObject) -> bool:
    """Return whether an object is of a class of gensim, or of one made from such."""
    held = root.attributes
    own = type(held.get("wv")) is PickledObject or any(name in held for name in _TOKENS)
    return str(root.kind).startswith("gensim.models.") or own


class _TokensByRow(NamedTuple):
    """The tokens of a model, in the order of their rows."""

    packed: PackedTokens
    holes: Int64Array  # rows that gensim 4 leaves where a token came twice
    numbered: bool  # whether some were numbers


def _tokens(owner: PickledObject, where: str, budget: Budget) -> _TokensByRow:
    """Return the tokens; each may stand there as often as the file likes."""
    attributes = owner.attributes
    held = [attributes[name] for name in _TOKENS if attributes.get(name) is not None]
    keys = list_of(held[0], where, budget) if held else None
    if keys is None:
        keys = _by_index(attributes, held, where)
    parts: list[PackedTokens] = []
    holes: list[int] = []
    numbered = False
    for start in range(0, len(keys), _AT_ONCE):
        block = keys[start : start + _AT_ONCE]
        if {*map(type, block)} == {str}:  # as in nearly all files
            budget.take(sum(map(len, block)))
            parts.append(packed_texts(block))
            continue
        tokens = []
        for row, key in enumerate(block, start):
            number = integer_of(key)
            token = _token(key) if number is None else str(number)
            if token is None:
                raise FormatError(f"{where}: the token of row {row:,} is no string")
            budget.take(OBJECT + len(token))
            if key is None:
                holes.append(row)
            numbered = numbered or number is not None or type(key) is Digits
            tokens.append(token)
        parts.append(packed_texts(tokens))
    return _TokensByRow(joined(parts), np.array(holes, np.int64), numbered)


def _token(key: Any) -> str | None:
    return "" if key is None else str(key) if type(key) is Digits else text_of(key)


def _by_index(attributes: dict[Any, Any], held: list[Any], where: str) -> list[str]:
    """Return the tokens of a dictionary of token to row or ``Vocab``, in row order.

    ``held`` is what was looked at before, and could not be read.
    """
    entries = attributes.get("key_to_index") or attributes.get("vocab")
    if held and (type(entries) is not dict or not entries):
        kind = (
            held[0].kind if type(held[0]) is PickledObject else type(held[0]).__name__
        )
        raise FormatError(
            f"{where}: its tokens are kept in a {kind}, which is not read; make them a "
            "list, and save it again: model.wv.index_to_key = "
            "list(model.wv.index_to_key)"
        )
    entries = entries if type(entries) is dict else {}
    tokens = in_row_order(
        [
            (
                token,
                integer_of(
                    entry.attributes.get("index") if _is_vocab(entry) else entry
                ),
            )
            for token, entry in entries.items()
        ]
    )
    if tokens is None:
        raise FormatError(
            f"{where}: its {len(entries):,} tokens do not have the rows 0 to "
            f"{len(entries) - 1:,}, one each; the file is damaged"
        )
    return tokens


def _is_vocab(entry: Any) -> bool:
    return type(entry) is PickledObject and "index" in entry.attributes


def _facts(
    root: PickledObject, owner: PickledObject, where: str
) -> Mapping[str, object]:
    facts: dict[str, object] = {"model": root.kind.name}
    events = root.attributes.get("lifecycle_events")
    for event in events if type(events) is list else []:
        version = event.get("gensim") if type(event) is dict else None
        if type(version) is str:
            facts["gensim"] = version
    for name in ("min_n", "max_n", "bucket"):
        if (number := integer_of(owner.attributes.get(name))) is not None:
            facts[name] = number
    counted = _count(owner, where)
    if counted is not None:
        facts["occurrences"] = counted
    return facts


def _count(owner: PickledObject, where: str) -> int | None:
    """Return how many words the model was trained on, where it says so."""
    extras = owner.attributes.get("expandos")
    counts = extras.get("count") if type(extras) is dict else None
    if type(counts) is PickledObject and counts.is_array():
        try:
            array = array_of(counts, where)
        except FormatError:  # of objects: no vector depends on it
            return None
        return int(array.sum()) if array.dtype.kind in "iu" else None
    vocab = owner.attributes.get("vocab")
    entries = vocab.values() if type(vocab) is dict else ()
    numbers = [
        integer_of(entry.attributes.get("count"))
        for entry in entries
        if type(entry) is PickledObject
    ]
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None
