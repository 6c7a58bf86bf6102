"""Live objects of other libraries that have a vocabulary.

Each is recognised by its interface; none of the libraries is imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import OptionError, VocabularyError, brief
from pretrained_embed.vocabulary.checks import strings, whole_numbers
from pretrained_embed.vocabulary.content import PARTS, RawVocabulary, numbered, parts_of
from pretrained_embed.vocabulary.encoding import OwnTokenizer, array, offers
from pretrained_embed.vocabulary.files import json_files, sentencepiece
from pretrained_embed.vocabulary.markers import Marks
from pretrained_embed.vocabulary.number_rows import are_numbers, rows_of_array

#: Attributes of Python tokenizers, and the marks of tokenizers that have them.
_PYTHON_MARKS: dict[str, Marks] = {
    "wordpiece_tokenizer": "wordpiece",
    "sp_model": "sentencepiece",
    "sp_model_kwargs": "sentencepiece",
    "byte_encoder": "byte-level",
}


def of_tokenizers(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Tokenizer``, which is the same as in its file."""
    if not offers(value, "to_str", "get_vocab", "token_to_id"):
        return None
    content = json_files.content_of(json.loads(value.to_str()), "the tokenizer")
    return replace(content, own=json_files.own("a tokenizer of Hugging Face", value))


def of_transformers(value: Any) -> RawVocabulary | None:
    """Return the content of a tokenizer, fast or slow.

    The ids are those of ``get_vocab()``, the special tokens those of its
    ``special_tokens_map``, and the added tokens that are special.
    """
    if not offers(value, "get_vocab", "convert_tokens_to_ids"):
        return None
    said: dict[str, str] = {}
    for name, token in value.special_tokens_map.items():
        part = name.removesuffix("_token")
        if part in PARTS:
            said[part] = str(token)
    added = getattr(value, "added_tokens_decoder", {}).values()
    special = [str(token) for token in added if token.special]
    fast = of_tokenizers(getattr(value, "backend_tokenizer", None))
    return RawVocabulary(
        value.get_vocab(),
        special_tokens=parts_of([*special, *map(str, value.all_special_tokens)], said),
        marks=_python_marks(value) if fast is None else fast.marks,
        own=_own_of_transformers(value),
    )


def _own_of_transformers(tokenizer: Any) -> OwnTokenizer:
    def encode(texts: list[str], keep_pad: bool) -> Sequence[Sequence[int]]:
        found = tokenizer(texts)
        rows: Sequence[Sequence[int]] = found["input_ids"]
        if keep_pad or "attention_mask" not in found:
            return rows
        return [
            json_files.unpadded(row, mask)
            for row, mask in zip(rows, found["attention_mask"], strict=True)
        ]

    return OwnTokenizer(f"{type(tokenizer).__name__} of transformers", encode)


def _python_marks(value: object) -> Marks | None:
    known = (m for name, m in _PYTHON_MARKS.items() if hasattr(value, name))
    return next(known, None)


def of_sentencepiece(value: Any) -> RawVocabulary | None:
    """Return the content of a ``SentencePieceProcessor``, as of its file."""
    if not offers(value, "serialized_model_proto", "id_to_piece"):
        return None
    model = value.serialized_model_proto()
    if not model:
        raise VocabularyError(
            f"the {type(value).__name__} has no model; call Load first"
        )
    name = type(value).__name__
    content = sentencepiece.model_content(model, f"the {name}")
    return replace(content, own=sentencepiece.own(name, value))


def of_lookup(value: Any) -> RawVocabulary | None:
    """Return the content of a layer that turns strings into ids.

    Its vocabulary begins with the mask, if there is one, which is the pad, and an equal
    OOV token for each OOV id. The first of them is unk; the others get a number:
    ``[UNK]``, ``[UNK]:1``, ``[UNK]:2``.
    """
    if not offers(value, "get_vocabulary", "vocabulary_size"):
        return None
    ordinary = value.get_vocabulary(include_special_tokens=False)
    if not len(ordinary):
        raise VocabularyError(
            f"the {type(value).__name__} has no vocabulary; call adapt() or "
            "set_vocabulary() first"
        )
    tokens = strings(value.get_vocabulary())
    first = len(tokens) - len(ordinary)
    head = tokens[:first]
    oov_ids = min(getattr(value, "num_oov_indices", 1), len(head))
    special = {}
    if len(head) > oov_ids:
        special["pad"] = head[0]
    if oov_ids:
        unk = head[-1]
        others = [f"{unk}:{number}" for number in range(1, oov_ids)]
        head[len(head) - oov_ids :] = [unk, *others]
        special |= {"unk": unk, **{token: token for token in others}}
    return RawVocabulary(
        numbered([*head, *tokens[first:]]),
        special_tokens=special,
        own=_own_of_layer(value),
    )


def _own_of_layer(layer: Any) -> OwnTokenizer | None:
    """Return the tokenizer of a layer; ``None`` if it only looks tokens up."""
    name = f"{type(layer).__name__} of Keras"
    if hasattr(layer, "num_oov_indices"):  # its input is tokens
        plain = layer.output_mode == "int" and not layer.invert
        if layer.num_oov_indices < 2 or not plain:
            return None
        return OwnTokenizer(name, unknown=lambda tokens: array(layer(tokens)).tolist())

    def encode(texts: list[str], keep_pad: bool) -> list[list[int]]:
        mode = layer.get_config().get("output_mode", "int")
        if mode != "int":
            raise OptionError(
                f"the {type(layer).__name__} has output_mode {mode!r}, which gives no "
                "ids; give lists of tokens, or make one with output_mode='int'"
            )
        found = layer(texts)
        if offers(found, "to_list"):  # ragged, without padding
            return list(found.to_list())
        rows = array(found)
        if rows.ndim == 1:  # of split=None: a text is one token
            rows = rows[:, np.newaxis]
        return [(row if keep_pad else np.trim_zeros(row, "b")).tolist() for row in rows]

    return OwnTokenizer(name, encode)


def of_keras_tokenizer(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Tokenizer``, whose ids start at 1.

    Id 0 is the padding. It never returns ids from ``num_words`` on; they and their rows
    are left out.
    """
    if not offers(value, "fit_on_texts", "texts_to_sequences"):
        return None
    if not value.word_index:
        raise VocabularyError("the Tokenizer has no words; call fit_on_texts() first")
    limit = value.num_words
    ids = {word: id for word, id in value.word_index.items() if not limit or id < limit}
    unk = value.oov_token
    return RawVocabulary(
        ids,
        counts=value.word_counts,
        special_tokens={} if unk is None else {"unk": unk},
        own=OwnTokenizer(
            "Tokenizer of Keras", lambda texts, _: value.texts_to_sequences(texts)
        ),
    )


def of_dictionary(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Dictionary``.

    The counts are those of all occurrences; a dictionary that was read from text has
    only those of documents.
    """
    if not offers(value, "doc2bow", "filter_extremes"):
        return None
    by_id = value.cfs or value.dfs
    ids = dict(value.token2id)
    counts = {token: by_id[id] for token, id in ids.items() if id in by_id}
    return RawVocabulary(ids, counts=counts or None)


def of_keyed_vectors(value: Any) -> RawVocabulary | None:
    """Return the content of ``KeyedVectors``, with its counts, if there are any."""
    if not offers(value, "get_vecattr", "has_index_for"):
        return None
    ids = numbered(value.index_to_key)
    counts = None
    if "count" in value.expandos:
        counts = {token: value.get_vecattr(token, "count") for token in ids}
    return RawVocabulary(ids, counts=counts)


def of_vectorizer(value: Any) -> RawVocabulary | None:
    """Return the content of a vectorizer; the number of a column is the id.

    Raises `VocabularyError` if it has not been fitted, or an id has no column.
    """
    if not offers(value, "build_analyzer", "fit"):
        return None
    ids = getattr(value, "vocabulary_", None)
    if ids is None:
        raise VocabularyError(
            f"the {type(value).__name__} has no vocabulary_; call fit() first (a "
            "HashingVectorizer never has one)"
        )
    for token, id in ids.items():
        if id >= len(ids):
            raise VocabularyError(
                f"token {brief(token)} has id {id}, beyond the {len(ids)} columns of "
                f"the {type(value).__name__}"
            )
    name = f"{type(value).__name__} of scikit-learn"
    return RawVocabulary(
        dict(ids), own=OwnTokenizer(name, tokenize=value.build_analyzer())
    )


def of_spacy(value: Any) -> RawVocabulary | None:
    """Return the words of a vocabulary, in sorted order.

    The ids of spaCy are hashes. The words are its lexemes: those it was made with, and
    those of texts it has read. ``vocab/strings.json`` of a saved model has all strings,
    labels too.
    """
    if offers(value, "make_doc", "pipe"):
        content = of_spacy(value.vocab)
        return content and replace(content, own=_pipeline(value))
    if not offers(value, "get_vector", "prune_vectors"):
        return None
    words = {lexeme.text for lexeme in value}
    if not words:
        raise VocabularyError(
            "the spaCy vocabulary has no lexemes; let it read texts first"
        )
    return RawVocabulary(sorted(words))


def _pipeline(language: Any) -> OwnTokenizer:
    return OwnTokenizer(
        "a pipeline of spaCy",
        tokenize=lambda text: [token.text for token in language.make_doc(text)],
    )


def of_torchtext(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Vocab``; its default index is that of unk."""
    if not offers(value, "get_itos", "get_stoi", "get_default_index"):
        return None
    tokens = list(value.get_itos())
    _check_ids(tokens, value.get_stoi())
    default = value.get_default_index()
    return _of_list(tokens, default, None)


def of_old_torchtext(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Vocab`` with ``itos``, ``stoi`` and ``freqs``."""
    if not offers(value, "load_vectors", "set_vectors") or not hasattr(value, "itos"):
        return None
    tokens = list(value.itos)
    _check_ids(tokens, value.stoi)
    return _of_list(tokens, getattr(value, "unk_index", None), value.freqs)


def _of_list(tokens: list[str], default: int | None, counts: Any) -> RawVocabulary:
    ids = numbered(tokens)
    special = {}
    if default is not None:
        if not 0 <= default < len(tokens):
            raise VocabularyError(
                f"the default index {default} is that of no token; the vocabulary has "
                f"{len(tokens)}"
            )
        special["unk"] = tokens[default]
    return RawVocabulary(ids, counts=counts, special_tokens=special)


def _check_ids(tokens: list[str], ids: Any) -> None:
    """Raise an error if ``stoi`` and ``itos`` differ."""
    for id, token in enumerate(tokens):
        if ids.get(token) != id:
            raise VocabularyError(
                f"token {brief(token)} has id {id} in itos and {ids.get(token)} in stoi"
            )
    # Looking up an unknown token in the old stoi leaves it there with the id of unk.
    for token, id in ids.items():
        if id >= len(tokens):
            raise VocabularyError(
                f"token {brief(token)} has id {id} in stoi, beyond the {len(tokens)} "
                "tokens of itos"
            )


def of_array(value: object) -> RawVocabulary | None:
    """Return the tokens of an array of ``str`` or ``bytes``, one dimension.

    Or of integers. Bytes are UTF-8; invalid ones become surrogate escapes.
    """
    if not isinstance(value, np.ndarray):
        return None
    if are_numbers(value):
        return RawVocabulary(rows_of_array(value))
    if value.ndim != 1 or value.dtype.kind not in "USOT":
        raise VocabularyError(
            f"an array of {value.dtype} and shape {value.shape} is no list of tokens; "
            "give str or bytes in one dimension"
        )
    return RawVocabulary([_text(token) for token in value.tolist()])


def of_series(value: Any) -> RawVocabulary | None:
    """Return the content of a ``Series``: counts by its index, or tokens."""
    if not offers(value, "value_counts", "to_numpy", "items"):
        return None
    if value.dtype.kind not in "biuf":
        return RawVocabulary([_text(token) for token in value])
    if type(value.index).__name__ == "RangeIndex":  # the index only numbers the rows
        return of_array(_whole(value))
    if value.index.dtype.kind in "iu":
        rows = rows_of_array(_whole(value.index))
        return RawVocabulary(rows, counts=_whole(value))
    tokens = [_text(token) for token in value.index]
    counts = whole_numbers(tokens, value.tolist(), "count")
    return RawVocabulary(tokens, counts=dict(zip(tokens, counts, strict=True)))


def _whole(series: Any) -> AnyArray:
    """Return the integers of a ``Series`` or an index as an array."""
    if series.dtype.kind not in "iu" or series.hasnans:
        raise VocabularyError(
            f"a {type(series).__name__} of {series.dtype} has no whole numbers alone: "
            "leave out what is missing, and give series.astype('int64')"
        )
    return np.asarray(series.to_numpy(np.int64))


def of_tensor(value: Any) -> RawVocabulary | None:
    """Return the integers of a tensor or a column of another library."""
    if offers(value, "to_pylist", "to_numpy"):  # pyarrow columns
        if value.null_count or not str(value.type).startswith(("int", "uint")):
            return RawVocabulary(value.to_pylist())
        return of_array(value.to_numpy(zero_copy_only=False))
    kind = type(value)
    if not hasattr(kind, "__array__") or len(getattr(value, "shape", ())) != 1:
        return None
    found = array(value)
    return of_array(found) if are_numbers(found) else None


def of_frame(value: Any) -> RawVocabulary | None:
    """Return the tokens of a ``DataFrame``, which are its only column of strings.

    Raises `VocabularyError`, which names the columns, if there are none or several.
    """
    if not offers(value, "iterrows", "set_index", "to_numpy"):
        return None
    columns = [
        place
        for place in range(value.shape[1])
        if value.dtypes.iloc[place].kind in "OUT"
        and isinstance(next(iter(value.iloc[:, place]), None), str | bytes)
    ]
    if len(columns) == 1:
        return RawVocabulary([_text(token) for token in value.iloc[:, columns[0]]])
    if not columns and isinstance(next(iter(value.index), None), str):
        raise VocabularyError(
            "a DataFrame without a column of strings: if its index has the tokens, "
            "give frame.index"
        )
    names = [str(value.columns[place]) for place in columns] or [*map(str, value)]
    raise VocabularyError(
        f"a DataFrame with {len(columns) or 'no'} columns of strings: give the one "
        f"that has the tokens, such as frame[{brief(names[0] if names else 'token')}]; "
        f"there are {', '.join(map(brief, names[:10])) or 'none'}"
    )


def _text(token: Any) -> Any:
    return token.decode("utf-8", "surrogateescape") if type(token) is bytes else token


_FAMILIES = (
    of_tokenizers,
    of_transformers,
    of_sentencepiece,
    of_lookup,
    of_keras_tokenizer,
    of_torchtext,
    of_old_torchtext,
    of_dictionary,
    of_keyed_vectors,
    of_vectorizer,
    of_spacy,
    of_array,
    of_frame,
    of_series,
    of_tensor,
)


def read(value: object) -> RawVocabulary | None:
    """Return the content of an object; ``None`` if it has no vocabulary.

    Raises `VocabularyError` for one that is not fitted yet or contradicts itself.
    """
    for family in _FAMILIES:
        if (content := family(value)) is not None:
            return content
    return None
