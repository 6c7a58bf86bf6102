"""The tensor of a model that its tokens are looked up in, and its rows.

A static model has ``embedding.weight`` (sentence-transformers) or ``embeddings``
(model2vec), a language model an input embedding, see below; any other file one matrix
alone. model2vec may have fewer vectors than tokens: token ``i`` then
has vector ``mapping[i]``, and its length is ``weights[i]``::

    row i = embeddings[mapping[i]] * weights[i]

in the wider dtype of the two. ``weights`` come without ``mapping``, too. They make the
vectors that ``StaticModel.encode_as_sequence`` has; ``normalize`` is of sentences, not
of tokens. https://github.com/MinishLab/model2vec

Tensors that have a row for each token are known by how their names end.

The input embedding, (rows, dim): ``embed_tokens.weight`` (Llama, Mistral, Qwen, Gemma,
OPT), ``wte.weight`` (GPT-2), ``word_embeddings.weight`` (BERT, RoBERTa, DistilBERT,
BLOOM, Falcon), ``embed_in.weight`` (GPT-NeoX), ``shared.weight`` (T5, BART),
``word_embedding.weight`` (XLNet), ``tok_embeddings.weight`` (ModernBERT),
``backbone.embeddings.weight`` (Mamba), ``token_embedding.weight`` (CLIP),
``tokens_embed.weight`` (GPT). A model of encoder and decoder may have several.

The output head, if it is stored at all: ``lm_head``, ``lm_head.decoder``,
``embed_out``, ``cls.predictions``, ``cls.predictions.decoder``, ``predictions``,
``predictions.decoder``, ``vocab_projector`` and ``generator_lm_head``, each with
``.weight``, (rows, dim), or ``.bias``, (rows,), and ``final_logits_bias``, (1, rows).

A head that is tied to the input embedding has the same rows, so it comes to the same
whether it is stored, and ``tie_word_embeddings`` need not be known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import Stored
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.table import Rows

_STATIC = ("embedding.weight", "embeddings")
_OTHERS = ("embeddings.weight", "emb_layer.weight", "weight")
_STORED = ("F64", "F32", "F16", "BF16", "I8")


#: Ends of the names of what optimizers keep for each parameter.
_OF_OPTIMIZERS = {
    *("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg"),
    *("acc_delta", "grad_avg", "exp_inf", "sum"),
}
_LISTED = 20  # tensors in an error

#: Names of embeddings, but of those of positions and kinds of tokens.
_EMBEDDING = re.compile(r"(?i)^(?!.*(?:position|(?:pos|type|segment)_?emb)).*emb")
#: Ends of the names of what quantised tables are to be multiplied by.
_SCALES = ("absmax", "SCB", "scale", "scales", "weight_scale", "quant_state")


class Described(Protocol):
    """What is known of a tensor before it is read."""

    @property
    def dtype(self) -> str:
        """The dtype as safetensors names it; another word for one that is not read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes."""


class EmbeddingTensor(NamedTuple):
    """Rows of a model's tokens, and what there is to say of them."""

    rows: Rows
    notes: list[Note]


def pick(names: Collection[str], where: str) -> str:
    """Return the name of the embedding among those of a model's tensors.

    Raises `FormatError` where none tells, or several do.
    """
    for name in (*_STATIC, *_OTHERS):
        if name in names:
            return name
    found = inputs_of_encoder(names) or list(names)
    if len(found) == 1:
        return found[0]
    raise FormatError(
        f"{where}: expected one matrix of floats, or one whose name says that it is an "
        f"input embedding; found {sorted(found)[:10] or 'none'}. Of a model in several "
        "files, name the folder"
    )


def choose(tensors: Mapping[str, Described], where: str, asked: str | None) -> str:
    """Return the name of the tensor that was ``asked`` for, else of the one table.

    Names tell which that is; then that it is the only one, where one that is there
    twice, tied, counts once. Raises `FormatError`, which lists the tensors with their
    shapes, for a name that there is none of, and where several are left.
    """
    tables = {name: t for name, t in tensors.items() if len(t.shape) == 2}
    if asked is None:
        found = _tables(tables)
        what = "several matrices" if found else "no matrix"
        what = f"expected one matrix of floats or one whose name tells, found {what}"
    else:
        found = [asked] if asked in tensors else []
        what = f"no tensor {asked!r}"
    if len(found) != 1:
        own = tables or tensors
        shown = [f"\n  {n!r} {t.shape} {t.dtype}" for n, t in own.items()][:_LISTED]
        more = f"\n  and {len(own) - _LISTED:,} more" if len(own) > _LISTED else ""
        raise FormatError(
            f"{where}: {what}. Name the one to read behind a #, as FILE#NAME; of a "
            f"model in several files, name the folder. It holds"
            f"{''.join(shown) or ' none'}{more}"
        )
    (name,) = found
    dtype, shape = tensors[name].dtype, tensors[name].shape
    if dtype == "I8":
        stem = name.removesuffix("weight").rstrip(".")
        starts = [f"{begin}{dot}" for begin in (stem, name) for dot in "._"]
        beside = [begin + end for begin in starts for end in _SCALES]
        scales = [other for other in beside if other in tensors]
        if scales:
            raise FormatError(
                f"{where}, tensor {name!r}: int8, to be multiplied by {scales[0]!r}, "
                "which is not done: restore it with what quantised it, and save it "
                "as float16"
            )
    if len(shape) != 2 or dtype not in _STORED:
        raise FormatError(
            f"{where}, tensor {name!r}: {dtype or 'objects'} of shape {shape}; what is "
            f"read is a table (rows, dim) of {', '.join(_STORED)}. A quantised or "
            "sparse one has to be restored first, by dequantize() or to_dense()"
        )
    return name


def _tables(tables: Mapping[str, Described]) -> list[str]:
    """Return the names of what may be meant: one, unless none can tell."""
    for name in (*_STATIC, *_OTHERS):
        if name in tables:
            return [name]
    own = {
        name: tensor
        for name, tensor in tables.items()
        if name.rpartition(".")[2] not in _OF_OPTIMIZERS
    }
    found = (
        inputs_of_encoder(own)
        or [name for name in own if _EMBEDDING.search(name)]
        or [name for name in own if "emb" in name.lower()]
        or [name for name, tensor in own.items() if tensor.dtype in _STORED]
        or list(own)
    )
    first: dict[Described, str] = {}
    return [name for name in found if first.setdefault(own[name], name) == name]


def matrices(tensors: Mapping[str, Described]) -> list[str]:
    """Return the names of the tensors that can be an embedding."""
    return [
        name
        for name, tensor in tensors.items()
        if len(tensor.shape) == 2 and tensor.dtype in _STORED
    ]


def load_embedding(
    name: str,
    tensors: Mapping[str, Described],
    load: Callable[[str], AnyArray],
    where: str,
) -> EmbeddingTensor:
    """Return the rows of a tensor, which ``load`` maps, the bits of BF16 as uint16.

    Raises `FormatError` where what goes with it does not fit.
    """
    named = [Note("vectors.from", f"vectors from tensor {name}")]
    notes = named if name else []
    rows: Rows = load(name)
    if tensors[name].dtype == "BF16":
        rows = Stored("bfloat16", rows, None, rows.shape[1], where)
    mapping, weights = (
        load(other) if name in _STATIC and other in tensors else None
        for other in ("mapping", "weights")
    )
    if mapping is None and weights is None:
        return EmbeddingTensor(rows, notes)
    shared, more = shared_rows(rows[: rows.shape[0]], mapping, weights, where)
    return EmbeddingTensor(shared, [*notes, *more])


def shared_rows(
    rows: AnyArray, mapping: AnyArray | None, weights: AnyArray | None, where: str
) -> EmbeddingTensor:
    """Return the rows of a model2vec model: see above.

    Raises `FormatError` where its arrays do not fit each other.
    """
    if mapping is None and weights is None:
        return EmbeddingTensor(rows, [])
    notes = []
    if mapping is not None:
        _check_mapping(mapping, rows.shape[0], where)
        what = f"{len(mapping):,} tokens share {rows.shape[0]:,} vectors"
        notes.append(Note("vectors.shared", what))
    if weights is not None:
        count = rows.shape[0] if mapping is None else len(mapping)
        if weights.shape != (count,) or weights.dtype.kind != "f":
            raise FormatError(
                f"{where}, tensor 'weights': {weights.dtype} of shape {weights.shape}; "
                f"expected {count:,} floats, one for each token"
            )
        what = "each vector times the weight of its token"
        notes.append(Note("vectors.weighted", what))
    return EmbeddingTensor(_TokenRows(rows, mapping, weights), notes)


def _check_mapping(mapping: AnyArray, rows: int, where: str) -> None:
    if mapping.ndim != 1 or mapping.dtype.kind not in "iu":
        raise FormatError(
            f"{where}, tensor 'mapping': {mapping.dtype} of shape {mapping.shape}; "
            "expected a row of integers, one for each token"
        )
    if len(mapping) and not (mapping.min() >= 0 and mapping.max() < rows):
        raise FormatError(
            f"{where}, tensor 'mapping': leads to vectors {mapping.min()} to "
            f"{mapping.max()}, but there are {rows:,}"
        )


class _TokenRows:
    """The row of each token, made of a vector that may serve several and a weight."""

    def __init__(
        self,
        vectors: AnyArray,
        mapping: AnyArray | None,
        weights: AnyArray | None,
    ) -> None:
        self._vectors, self._mapping, self._weights = vectors, mapping, weights
        count = len(vectors) if mapping is None else len(mapping)
        self.shape = (count, *vectors.shape[1:])
        weighted = () if weights is None else (weights.dtype,)
        self.dtype = np.result_type(vectors.dtype, *weighted)

    def __getitem__(self, rows: slice) -> AnyArray:
        vectors = self._vectors[rows if self._mapping is None else self._mapping[rows]]
        if self._weights is None:
            return vectors
        with np.errstate(over="ignore", invalid="ignore"):
            product: AnyArray = vectors * self._weights[rows, None]
        return product


INPUT = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "shared.weight",
    "word_embedding.weight",
    "tok_embeddings.weight",
    "backbone.embeddings.weight",
    "token_embedding.weight",
    "tokens_embed.weight",
)
_HEADS = (
    "lm_head",
    "lm_head.decoder",
    "embed_out",
    "cls.predictions",
    "cls.predictions.decoder",
    "predictions",
    "predictions.decoder",
    "vocab_projector",
    "generator_lm_head",
)
OUTPUT = (
    *(f"{head}.{part}" for head in _HEADS for part in ("weight", "bias")),
    "final_logits_bias",
)


def is_input(name: str) -> bool:
    """Return whether this may be the input embedding."""
    return _ends(name, INPUT)


def inputs_of_encoder(names: Iterable[str]) -> list[str]:
    """Return those names that may be the input embedding: one, unless none can tell.

    What encoder and decoder share comes first, then what is not the decoder's alone.

    >>> inputs_of_encoder(["decoder.wte.weight", "encoder.wte.weight", "head.weight"])
    ['encoder.wte.weight']
    """
    found = [name for name in names if is_input(name)]
    shared = [name for name in found if _ends(name, ("shared.weight",))]
    return shared or [n for n in found if "decoder." not in n] or found


def is_output(name: str) -> bool:
    """Return whether this is a part of the output head."""
    return _ends(name, OUTPUT)


def is_bias(name: str) -> bool:
    """Return whether this has a number for each token, not a row."""
    return name.endswith("bias")


def _ends(name: str, ends: tuple[str, ...]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in ends)
