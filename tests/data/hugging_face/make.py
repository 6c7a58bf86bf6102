"""Make the models beside this file with the libraries that they are of.

Made with model2vec 0.10.0, sentence-transformers 6.2.0, transformers 5.23.0,
tokenizers 0.23.3, safetensors 0.8.0, torch 2.13.0 and numpy 2.4.6::

    python tests/data/hugging_face/make.py

``answers.npz`` has, by the name of each folder, the vectors that the library itself
gives, float32; ``answers.json`` their tokens, in the same order.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, StaticEmbedding, WordEmbeddings
from sentence_transformers.models.tokenizer import WhitespaceTokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HERE = Path(__file__).parent
DIM = 8
WORDS = ["the", "cat", "sat", "on", "##s", "##ing", "été", "mat", "dog", "2", ".", "a"]
#: Files that no reader of the embedding needs.
WASTE = ("README.md", "generation_config.json", ".gitattributes")

answers: dict[str, tuple[list[str], np.ndarray]] = {}


def wordpiece() -> Tokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocab = {word: id for id, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(words[:5])
    return tokenizer


def byte_level() -> Tokenizer:
    words = ["<|endoftext|>", "Ġ", "t", "h", "e", "c", "a", "th", "the", "Ġthe", "Ã©"]
    vocab = {word: id for id, word in enumerate(words)}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the")]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.add_tokens(["new york"])
    return tokenizer


def unigram() -> Tokenizer:
    words = ["<pad>", "</s>", "<unk>", "▁", "▁the", "▁cat", "s", "<0x0A>", "é"]
    pairs = [(word, -float(id)) for id, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(pairs, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([*words[:3], "<extra_id_1>", "<extra_id_0>"])
    return tokenizer


def vectors(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, DIM)).astype(np.float32)


def model2vec(name: str, **options: object) -> None:
    tokenizer = wordpiece()
    table = vectors(tokenizer.get_vocab_size())
    StaticModel(table, tokenizer, normalize=True).save_pretrained(HERE / name)
    if options:
        StaticModel.from_pretrained(HERE / name, **options).save_pretrained(HERE / name)
    model = StaticModel.from_pretrained(HERE / name)
    texts = [w for w in WORDS if not w.startswith("##")]
    rows = model.encode_as_sequence(texts)
    assert all(row.shape == (1, DIM) for row in rows)
    answers[name] = texts, np.concatenate(rows).astype(np.float32)


def sentence_transformers() -> None:
    torch.manual_seed(0)
    static = StaticEmbedding(wordpiece(), embedding_dim=DIM)
    model = SentenceTransformer(modules=[static], device="cpu")
    model.save(str(HERE / "static-embedding"))
    texts = [w for w in WORDS if not w.startswith("##")]
    answers["static-embedding"] = texts, model.encode(texts)

    vocab = ["PADDING_TOKEN", *WORDS]
    table = vectors(len(vocab))
    table[0] = 0
    words = WordEmbeddings(WhitespaceTokenizer(vocab, stop_words=[]), table)
    model = SentenceTransformer(modules=[words, Pooling(DIM)], device="cpu")
    model.save(str(HERE / "word-embeddings"))
    answers["word-embeddings"] = vocab, words.emb_layer.weight.numpy(force=True)


def language_model(
    name: str,
    kind: type[transformers.PreTrainedModel],
    tokenizer: Tokenizer,
    *,
    padding: int = 0,
    dtype: torch.dtype = torch.float32,
    shard: str = "1GB",
    **config: object,
) -> None:
    torch.manual_seed(0)
    rows = tokenizer.get_vocab_size() + padding
    model = kind(kind.config_class(vocab_size=rows, **config)).to(dtype)
    model.save_pretrained(HERE / name, max_shard_size=shard)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.save_pretrained(HERE / name)
    table = model.get_input_embeddings().weight.float().numpy(force=True)
    tokens = fast.convert_ids_to_tokens(list(range(rows - padding)))
    answers[name] = tokens, table[: rows - padding]


def language_models() -> None:
    small = {"hidden_size": DIM, "num_hidden_layers": 1, "num_attention_heads": 2}
    language_model(
        *("bert", transformers.BertForMaskedLM, wordpiece()),
        **(small | {"intermediate_size": 8, "max_position_embeddings": 4}),
        dtype=torch.bfloat16,
    )
    language_model(
        *("gpt2", transformers.GPT2LMHeadModel, byte_level()),
        **{"n_embd": DIM, "n_layer": 1, "n_head": 2, "n_positions": 4},
        padding=20,
    )
    language_model(
        *("llama", transformers.LlamaForCausalLM, unigram()),
        **(small | {"intermediate_size": 8, "max_position_embeddings": 4}),
        dtype=torch.float16,
        shard="1KB",
        tie_word_embeddings=False,
    )
    language_model(
        *("t5", transformers.T5ForConditionalGeneration, unigram()),
        **{"d_model": DIM, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2},
        padding=3,
    )


def main() -> None:
    for folder in HERE.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    model2vec("model2vec")
    model2vec("model2vec-clusters", vocabulary_quantization=5, quantize_to="float16")
    model2vec("model2vec-int8", quantize_to="int8")
    sentence_transformers()
    language_models()
    for path in [*HERE.rglob("*")]:
        if path.name in WASTE:
            path.unlink()
    np.savez(HERE / "answers.npz", **{name: v for name, (_, v) in answers.items()})
    tokens = {name: tokens for name, (tokens, _) in answers.items()}
    text = json.dumps(tokens, ensure_ascii=True, indent=1)
    (HERE / "answers.json").write_text(text + "\n", "ascii")


if __name__ == "__main__":
    main()
