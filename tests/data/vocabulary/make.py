"""Make the vocabularies of this folder, and keep what their own libraries say of them.

Made with Python 3.11 on x86-64 Linux, in two virtual environments, as transformers has
given up its slow tokenizers::

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 transformers==5.23.0 \\
        spacy==3.8.18 gensim==4.4.0
    python make.py now
    pip install transformers==4.46.3 sentencepiece==0.2.3 protobuf==7.36.2
    python make.py before

``answers.json`` has, for each file or folder: ``ids``, the id of each token; ``pad``,
``unk`` and ``mask``, the ids of these, null for none; and what is in ``counts``, if the
library counts.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

TEXTS = [
    "Hope to see you soon, and nice to see you again.",
    "The cat sat on the mat; the dog saw the cat, again and again.",
    "Café naïve, 日本 and 🙂: walking, walked, walks.",
] * 5
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

answers: dict[str, Any] = {}


def answer(name: str, ids: dict[str, int], **more: Any) -> None:
    answers[name] = {"ids": ids, "pad": None, "unk": None, "mask": None, **more}


def tokenizer_files() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    byte_level = pre_tokenizers.ByteLevel.alphabet()
    pipelines = {
        "wordpiece": (
            models.WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(vocab_size=80, special_tokens=BERT),
            pre_tokenizers.BertPreTokenizer(),
            decoders.WordPiece(),
        ),
        "bpe": (
            models.BPE(),
            trainers.BpeTrainer(
                vocab_size=300,
                special_tokens=["<|endoftext|>"],
                initial_alphabet=byte_level,
            ),
            pre_tokenizers.ByteLevel(),
            decoders.ByteLevel(),
        ),
        "unigram": (
            models.Unigram(),
            trainers.UnigramTrainer(
                vocab_size=60,
                special_tokens=["<pad>", "<unk>", "</s>"],
                unk_token="<unk>",
            ),
            pre_tokenizers.Metaspace(),
            decoders.Metaspace(),
        ),
        "wordlevel": (
            models.WordLevel(unk_token="?"),
            trainers.WordLevelTrainer(special_tokens=["?", "_"]),
            pre_tokenizers.Whitespace(),
            None,
        ),
    }
    for name, (model, trainer, pre_tokenizer, decoder) in pipelines.items():
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizer
        if decoder:
            tokenizer.decoder = decoder
        tokenizer.train_from_iterator(TEXTS, trainer)
        tokenizer.add_special_tokens(["<extra>"])
        tokenizer.add_tokens(["new york"])
        if name == "wordlevel":
            tokenizer.enable_padding(pad_token="_", pad_id=tokenizer.token_to_id("_"))
        tokenizer.save(str(HERE / f"{name}.json"))
        special = {
            "wordpiece": {"pad": 0, "unk": 1, "mask": 4},
            "unigram": {"pad": 0, "unk": 1},
            "wordlevel": {"pad": 1, "unk": 0},
        }
        answer(f"{name}.json", tokenizer.get_vocab(), **special.get(name, {}))


def sentencepiece_files() -> None:
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    for kind, size, pad_id in (("unigram", 50, -1), ("bpe", 60, 3), ("char", 40, -1)):
        SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_prefix=str(HERE / f"sp-{kind}"),
            model_type=kind,
            vocab_size=size,
            pad_id=pad_id,
            user_defined_symbols=["<user>"],
            control_symbols=["<control>"],
            normalization_rule_name="identity",  # or its tables are 240 kB
            hard_vocab_limit=False,
            minloglevel=2,
        )
        model = SentencePieceProcessor(model_file=str(HERE / f"sp-{kind}.model"))
        ids = {model.id_to_piece(id): id for id in range(model.get_piece_size())}
        pad = None if model.pad_id() < 0 else model.pad_id()
        for suffix in (".model", ".vocab"):
            answer(f"sp-{kind}{suffix}", ids, pad=pad, unk=model.unk_id())


def transformers_folder(name: str, tokenizer: Any) -> None:
    tokenizer.save_pretrained(HERE / name)
    special = tokenizer.special_tokens_map
    ids = {
        part: tokenizer.convert_tokens_to_ids(special[f"{part}_token"])
        for part in ("pad", "unk", "mask")
        if f"{part}_token" in special
    }
    answer(name, tokenizer.get_vocab(), **ids)


def folders_now() -> None:
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_file=str(HERE / "wordpiece.json"),
        pad_token="<|pad|>",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
    transformers_folder("fast", fast)


def folders_before() -> None:
    from transformers import (
        BertTokenizer,
        GPT2Tokenizer,
        LlamaTokenizer,
        XLMRobertaTokenizer,
    )

    byte_level = json.loads((HERE / "bpe.json").read_text("utf-8"))["model"]
    work = HERE / "work"
    work.mkdir()
    (work / "vocab.json").write_text(json.dumps(byte_level["vocab"]), "utf-8")
    merges = [" ".join(merge) for merge in byte_level["merges"]]
    (work / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), "utf-8")
    (work / "vocab.txt").write_text("\n".join([*BERT, "the", "##s", "cat"]), "utf-8")
    model = str(HERE / "sp-unigram.model")

    gpt2 = GPT2Tokenizer(str(work / "vocab.json"), str(work / "merges.txt"))
    gpt2.add_special_tokens({"pad_token": "<pad>"})
    transformers_folder("slow-gpt2", gpt2)
    transformers_folder("slow-bert", BertTokenizer(str(work / "vocab.txt")))
    transformers_folder(
        "slow-llama", LlamaTokenizer(model, legacy=False, pad_token="<fill>")
    )
    transformers_folder("slow-xlmr", XLMRobertaTokenizer(model))
    shutil.rmtree(work)


def spacy_folder() -> None:
    import spacy
    from spacy.vocab import Vocab

    vocab = Vocab()
    for word in ("cat", "the", "日本"):
        vocab[word]  # looking a word up makes it a lexeme
    (HERE / "spacy").mkdir(exist_ok=True)
    vocab.to_disk(HERE / "spacy" / "vocab", exclude=["lookups"])
    strings = json.loads((HERE / "spacy/vocab/strings.json").read_text("utf-8"))
    assert strings == sorted(spacy.strings.StringStore(strings))
    for extra in ("vectors", "vectors.cfg", "key2row"):
        (HERE / "spacy/vocab" / extra).unlink(missing_ok=True)
    ids = {"<pad>": 0, **{text: id for id, text in enumerate(strings, 1)}}
    answer("spacy", ids, pad=0)


def gensim_file() -> None:
    from gensim.corpora import Dictionary

    dictionary = Dictionary(text.split() for text in TEXTS[:3])
    dictionary.save_as_text(HERE / "gensim.txt")
    counts = {token: dictionary.dfs[id] for token, id in dictionary.token2id.items()}
    answer("gensim.txt", dictionary.token2id, counts=counts)


def main() -> None:
    os.chdir(HERE)
    if sys.argv[1:] == ["now"]:
        tokenizer_files()
        sentencepiece_files()
        folders_now()
        spacy_folder()
        gensim_file()
    else:
        answers.update(json.loads(Path("answers.json").read_text("utf-8")))
        folders_before()
    text = json.dumps(answers, ensure_ascii=False, separators=(",", ":"))
    Path("answers.json").write_text(text.replace('"ids":{', '\n"ids":{'), "utf-8")


if __name__ == "__main__":
    main()
