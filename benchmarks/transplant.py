"""``python -m benchmarks.transplant``: what should the rows of new tokens start from?

A small language model is trained with one tokenizer and moved to another by each kind
of start. Its bits per byte of text that it never saw are taken at once and after a
little training. Everything is made here, of the documentation that Python ships; one
page of results is written.
"""

from __future__ import annotations

import argparse
import math
import pydoc_data.topics
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import pretrained_embed as pe
from benchmarks import machine

OLD_TOKENS, NEW_TOKENS = 700, 2_000
STEPS, AFTER = 300, 40  # of the model, of each moved one
LENGTH, BATCH = 32, 8
RESULT = Path(__file__).parent / "results" / "transplant.md"

#: Arguments of `transplant` by what the page calls them; "DONOR" is a model that was
#: trained with the new tokenizer, for as long as the old one.
STARTS: dict[str, dict[str, Any]] = {
    "random": {"init": "mean", "override": "RANDOM"},
    "mean": {"init": "mean"},
    "pieces": {"init": "pieces"},
    "pieces, norms matched": {"init": "pieces", "match_norms": True},
    "similarity, pieces (GloVe)": {
        "init": "similarity,pieces",
        "static": pe.DEFAULT_SOURCE,
    },
    "omp, pieces (GloVe)": {"init": "omp,pieces", "static": pe.DEFAULT_SOURCE},
    "omp, pieces (donor)": {"init": "omp,pieces", "static": "DONOR"},
}


def texts() -> tuple[str, str]:
    """Return text to train on, and text that is held out."""
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    random.Random(0).shuffle(topics)
    held = len(topics) // 7
    return "\n".join(topics[held:]), "\n".join(topics[:held])[:60_000]


def tokenizer(text: str, size: int) -> Any:
    """Return a byte-level tokenizer learnt from a text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([text], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<end>"
    )


def ids_of(text: str, words: Any) -> torch.Tensor:
    """Return a text as ids, cut into rows (n, LENGTH)."""
    ids = words.backend_tokenizer.encode(text).ids
    whole = len(ids) // LENGTH * LENGTH
    return torch.tensor(ids[:whole]).view(-1, LENGTH)


def train(model: Any, rows: torch.Tensor, steps: int, seed: int) -> None:
    """Train all of a model for some steps."""
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    model.train()
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (BATCH,), generator=order)]
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def bits_per_byte(model: Any, rows: torch.Tensor, words: Any) -> float:
    """Return the bits that the model needs for a byte, but for the first tokens."""
    model.eval()
    nats, size = 0.0, 0
    with torch.no_grad():
        for batch in rows.split(64):
            loss = model(input_ids=batch, labels=batch).loss
            nats += float(loss) * batch[:, 1:].numel()
            texts = words.backend_tokenizer.decode_batch(batch[:, 1:].tolist())
            size += sum(len(text.encode()) for text in texts)
    return nats / size / math.log(2)


def model_for(words: Any, seed: int) -> Any:
    """Return a model that knows nothing."""
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=True,
            eos_token_id=0,
            bos_token_id=None,
        )
    )


def drawn(folder: Path, old: Any, new: Any, seed: int) -> dict[str, Any]:
    """Return rows for new tokens, drawn as the old ones are distributed."""
    table = pe.transplant(folder, None, new, init="mean").vectors
    known = [id for token, id in new.get_vocab().items() if token in old.get_vocab()]
    fresh = [token for token in new.get_vocab() if token not in old.get_vocab()]
    draw = np.random.default_rng(seed).normal(
        table[known].mean(0), table[known].std(0), (len(fresh), table.shape[1])
    )
    return dict(zip(fresh, draw.astype(np.float32), strict=True))


def measure(seed: int, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield bits per byte of each start, at once and after some training."""
    seen, held = texts()
    old = tokenizer(seen[: len(seen) // 2], OLD_TOKENS)
    new = tokenizer(seen, NEW_TOKENS)
    before = model_for(old, seed)
    train(before, ids_of(seen, old), STEPS, seed)
    before.save_pretrained(folder / "old")
    old.save_pretrained(folder / "old")
    score = bits_per_byte(before, ids_of(held, old), old)
    train(before, ids_of(seen, old), AFTER, seed + 1000)
    yield "not moved", score, bits_per_byte(before, ids_of(held, old), old)
    donor = model_for(new, seed + 100)
    train(donor, ids_of(seen, new), STEPS, seed)
    donor.save_pretrained(folder / "donor")
    new.save_pretrained(folder / "donor")
    rows, test = ids_of(seen, new), ids_of(held, new)
    for number, (name, options) in enumerate(STARTS.items()):
        given = dict(options)
        if given.get("override") == "RANDOM":
            given["override"] = drawn(folder / "old", old, new, seed)
        if given.get("static") == "DONOR":
            given["static"] = folder / "donor"
        made = pe.transplant(folder / "old", None, new, **given)
        made.save(folder / f"moved{number}")
        model = transformers.LlamaForCausalLM.from_pretrained(folder / f"moved{number}")
        score = bits_per_byte(model, test, new)
        train(model, rows, AFTER, seed + 1000)
        yield name, score, bits_per_byte(model, test, new)


def main() -> None:
    """Measure all, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="no new seed after")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    load, began = machine.load(), time.perf_counter()
    scores: dict[str, list[tuple[float, float]]] = {}
    seed = 0
    while seed < options.seeds and time.perf_counter() - began < options.seconds:
        with tempfile.TemporaryDirectory() as folder:
            for name, at_once, after in measure(seed, Path(folder)):
                scores.setdefault(name, []).append((at_once, after))
                print(seed, name, f"{at_once:.3f} {after:.3f}", flush=True)
        seed += 1
    head = {
        "command": "python -m benchmarks.transplant",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        "time": f"{time.perf_counter() - began:.0f} s",
        **machine.describe(),
        "load before": load,
        "model": f"Llama, 1 layer of 64, {STEPS} steps of {BATCH} x {LENGTH} tokens; "
        f"{OLD_TOKENS} tokens before, {NEW_TOKENS} after, tied head",
        "text": "the topics of Python's documentation; 60,000 characters held out",
        "seeds": f"{seed}, of the model, the batches and what is drawn",
    }
    page = _page(head, scores)
    print(page)
    options.output.write_text(page)


def _page(head: dict[str, str], scores: dict[str, list[tuple[float, float]]]) -> str:
    lines = [
        "# What rows of new tokens start from",
        "",
        *(f"- {name}: {value}" for name, value in head.items()),
        "",
        "Bits per byte of text that was held out: the mean over seeds, and the least "
        "and the most. Less is better.",
        "",
        f"| start | at once | after {AFTER} steps |",
        "| --- | --- | --- |",
    ]
    for name, pairs in scores.items():
        cells = [
            f"{np.mean(column):.3f} ({min(column):.3f} to {max(column):.3f})"
            for column in zip(*pairs, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
