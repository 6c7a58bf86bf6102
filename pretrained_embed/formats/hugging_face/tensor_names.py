"""Names of the tensors that have a row for each token, known by how they end.

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

from collections.abc import Iterable

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
