"""Small language models of six kinds, made here, and a tokenizer for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

DIM = 16

#: Half of the words are in the source, half are not.
WORDS = [
    *("the", "cat", "dog", "runs", "sees", "a", "red", "house"),
    *("qwe", "asd", "zxc", "rty", "fgh", "vbn", "uio", "jkl"),
]
FOUND = WORDS[:8]
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", *("Ġ" + word for word in WORDS)]

#: As large as a table that is padded to a multiple of 8.
ROWS = 24


def tokenizer(pad: str = "<pad>") -> Any:
    words = {token: id for id, token in enumerate(TOKENS)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=pad,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def vectors() -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(5).normal(size=(len(FOUND), DIM))
    return dict(zip(FOUND, numbers.astype(np.float32), strict=True))


def write_vectors(path: Any) -> Any:
    lines = [
        " ".join([word, *map(repr, vector.tolist())])
        for word, vector in vectors().items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


_COMMON = {"vocab_size": ROWS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA = {
    "hidden_size": DIM,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def _llama(tied: bool) -> Any:
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**_COMMON, **_LLAMA, tie_word_embeddings=tied)
    )


def _qwen(tied: bool) -> Any:
    return transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**_COMMON, **_LLAMA, tie_word_embeddings=tied)
    )


def _gemma(tied: bool) -> Any:
    return transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(
            **_COMMON, **_LLAMA, tie_word_embeddings=tied, sliding_window=8
        )
    )


def _gpt2(tied: bool) -> Any:
    config = transformers.GPT2Config(
        **_COMMON,
        n_embd=DIM,
        n_layer=1,
        n_head=2,
        n_positions=16,
        tie_word_embeddings=tied,
    )
    return transformers.GPT2LMHeadModel(config)


def _bert(tied: bool) -> Any:
    config = transformers.BertConfig(
        **_COMMON,
        hidden_size=DIM,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        tie_word_embeddings=tied,
    )
    return transformers.BertForMaskedLM(config)


def _t5(tied: bool) -> Any:
    config = transformers.T5Config(
        vocab_size=ROWS,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
        d_model=DIM,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        tie_word_embeddings=tied,
    )
    return transformers.T5ForConditionalGeneration(config)


KINDS: dict[str, Callable[[bool], Any]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "gemma": _gemma,
    "bert": _bert,
    "t5": _t5,
    "qwen": _qwen,
}


def model_of(kind: str, tied: bool = True, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    model = KINDS[kind](tied)
    for module in model.modules():  # so that two runs of it are alike
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


#: A batch, its end padded.
BATCH = torch.tensor([[1, 4, 12, 5, 13, 2, 0], [1, 6, 7, 14, 15, 8, 2]])


def loss_of(model: Any) -> Any:
    return model(input_ids=BATCH, labels=BATCH).loss


def logits_of(model: Any) -> Any:
    model.eval()
    with torch.no_grad():
        return model(input_ids=BATCH, labels=BATCH).logits


def table_of(model: Any) -> Any:
    return model.get_input_embeddings().weight.detach()
