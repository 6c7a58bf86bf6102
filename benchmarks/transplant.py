"""``python -m benchmarks.transplant``: what should the rows of new tokens start from?

A small language model is trained with one tokenizer and moved to another by each kind
of start. Its bits per byte of text that it never saw are taken at once and after a
little training. Everything is made here, of the docstrings of NumPy, SciPy and
scikit-learn (BSD-3-Clause), as they are installed; one page of results is written.
Where mergekit can be imported, its matching pursuit is among the starts.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import math
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import pretrained_embed as pe
from benchmarks import machine

OLD_TOKENS, NEW_TOKENS = 600, 1_500
STEPS, AFTER = 150, 25  # of the model, of each moved one
LENGTH, BATCH = 48, 8
LAYERS, DIM = 2, 128
PACKAGES = ("numpy", "scipy", "sklearn")
RESULT = Path(__file__).parent / "results" / "transplant.md"

#: Arguments of `transplant` by what the page calls them; "DONOR" is a model that was
#: trained with the new tokenizer, for as long as the old one. An ``override`` names a
#: function of this module that makes the rows of new tokens.
STARTS: dict[str, dict[str, Any]] = {
    "random": {"init": "mean", "override": "drawn"},
    "transformers' resize_token_embeddings": {"init": "mean", "override": "resized"},
    "mean": {"init": "mean"},
    "pieces": {"init": "pieces"},
    "pieces, norms matched": {"init": "pieces", "match_norms": True},
    "similarity, pieces (GloVe)": {
        "init": "similarity,pieces",
        "static": pe.DEFAULT_SOURCE,
    },
    "omp, pieces (GloVe)": {"init": "omp,pieces", "static": pe.DEFAULT_SOURCE},
    "omp, pieces (donor)": {"init": "omp,pieces", "static": "DONOR"},
    "mergekit's omp, 64 tokens (donor)": {"init": "mean", "override": "pursued"},
}

#: Student's t for an interval of 95 %, by one less than the number of seeds.
STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}


def texts() -> tuple[str, str]:
    """Return text to train on, and text that is held out, of other files."""
    seen, held = [], []
    for package in PACKAGES:
        spec = find_spec(package)
        folder = Path(str(spec and spec.origin)).parent
        for path in sorted(folder.rglob("*.py")):
            if "tests" in path.parts:
                continue
            kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
            tree = ast.walk(ast.parse(path.read_bytes()))
            said = [
                ast.get_docstring(node) or "" for node in tree if type(node) in kinds
            ]
            text = "\n".join(one for one in said if len(one) > 200)
            number = hashlib.sha256(str(path.relative_to(folder)).encode()).digest()[0]
            (held if number % 10 == 0 else seen).append(text)
    return "\n".join(seen)[:2_000_000], "\n".join(held)[:40_000]


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
            hidden_size=DIM,
            intermediate_size=2 * DIM,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=True,
            eos_token_id=0,
            bos_token_id=None,
        )
    )


class Move:
    """A model that is to be moved, and the rows that other methods give new tokens."""

    def __init__(self, folder: Path, old: Any, new: Any, seed: int) -> None:
        self.folder, self.new, self.seed = folder, new, seed
        self.table = pe.load_matrix(folder / "old").vectors
        at, now = old.get_vocab(), new.get_vocab()
        self.fresh = [token for token in now if token not in at]
        shared = [token for token in now if token in at]
        self.old_ids = [at[token] for token in shared]
        self.ids = [now[token] for token in shared]

    def drawn(self) -> Any:
        """Return rows drawn as the old ones are distributed, each number by itself."""
        draw = np.random.default_rng(self.seed)
        size = len(self.fresh), self.table.shape[1]
        return draw.normal(self.table.mean(0), self.table.std(0), size)

    def resized(self) -> Any:
        """Return the rows that transformers adds, drawn around the mean."""
        torch.manual_seed(self.seed)
        model = transformers.LlamaForCausalLM.from_pretrained(self.folder / "old")
        model.resize_token_embeddings(len(self.table) + len(self.fresh))
        rows = model.get_input_embeddings().weight[len(self.table) :]
        return rows.detach().numpy()

    def pursued(self) -> Any:
        """Return the rows that mergekit's matching pursuit makes, with the donor."""
        from mergekit.tokensurgeon import batch_omp

        donor = torch.tensor(pe.load_matrix(self.folder / "donor").vectors)
        wanted = donor[[self.new.get_vocab()[token] for token in self.fresh]]
        places, weights = batch_omp(wanted, donor[self.ids], 64)
        rows = torch.tensor(self.table)[self.old_ids]
        return torch.einsum("bk,bkd->bd", weights, rows[places]).numpy()

    def rows(self, name: str) -> dict[str, Any]:
        """Return rows by token."""
        made = getattr(self, name)().astype(np.float32)
        return dict(zip(self.fresh, made, strict=True))


class Material(NamedTuple):
    """What all seeds have in common."""

    seen: str
    held: str
    old: Any
    new: Any

    @classmethod
    def make(cls) -> Material:
        """Return text, and tokenizers that were learnt from it."""
        seen, held = texts()
        half = len(seen) // 2
        old, new = seen[:half], seen[half:]
        return cls(seen, held, tokenizer(old, OLD_TOKENS), tokenizer(new, NEW_TOKENS))


def measure(
    seed: int, folder: Path, material: Material
) -> Iterator[tuple[str, float, float]]:
    """Yield bits per byte of each start, at once and after some training."""
    seen, held, old, new = material
    before = model_for(old, seed)
    known = ids_of(seen, old)
    train(before, known, STEPS, seed)
    before.save_pretrained(folder / "old")
    old.save_pretrained(folder / "old")
    score = bits_per_byte(before, ids_of(held, old), old)
    train(before, known, AFTER, seed + 1000)
    yield "not moved", score, bits_per_byte(before, ids_of(held, old), old)
    donor = model_for(new, seed + 100)
    train(donor, ids_of(seen, new), STEPS, seed)
    donor.save_pretrained(folder / "donor")
    new.save_pretrained(folder / "donor")
    rows, test = ids_of(seen, new), ids_of(held, new)
    move = Move(folder, old, new, seed)
    for number, (name, options) in enumerate(STARTS.items()):
        given = dict(options)
        if given.get("override") == "pursued" and find_spec("mergekit") is None:
            continue
        if "override" in given:
            given["override"] = move.rows(given["override"])
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
    parser.add_argument("--seconds", type=float, default=1500, help="no new seed after")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    load, began = machine.load(), time.perf_counter()
    scores: dict[str, list[tuple[float, float]]] = {}
    material = Material.make()
    seed = 0
    while seed < options.seeds and time.perf_counter() - began < options.seconds:
        with tempfile.TemporaryDirectory() as folder:
            for name, at_once, after in measure(seed, Path(folder), material):
                scores.setdefault(name, []).append((at_once, after))
                print(seed, name, f"{at_once:.3f} {after:.3f}", flush=True)
        seed += 1
    head = {
        "command": "python -m benchmarks.transplant",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        "time": f"{time.perf_counter() - began:.0f} s",
        **machine.describe(),
        "load before": load,
        "model": f"Llama, {LAYERS} layers of {DIM}, {STEPS} steps of {BATCH} x "
        f"{LENGTH} tokens; {OLD_TOKENS} tokens before, {NEW_TOKENS} after, tied head",
        "text": f"docstrings of {', '.join(_said(name) for name in PACKAGES)} (all "
        "BSD-3-Clause); 40,000 characters of other files held out",
        "seeds": f"{seed}, of the model, the batches and what is drawn",
    }
    page = _page(head, scores)
    print(page)
    options.output.write_text(page)


def _said(package: str) -> str:
    name = "scikit-learn" if package == "sklearn" else package
    return f"{name} {metadata.version(name)}"


def _cell(values: Any) -> str:
    """Return a mean, and half of the interval of 95 % around it."""
    numbers = np.array(values)
    if len(numbers) < 2:
        return f"{numbers.mean():.3f}"
    width = STUDENT.get(len(numbers) - 1, 2.0) * numbers.std(ddof=1)
    return f"{numbers.mean():.3f} ± {width / math.sqrt(len(numbers)):.3f}"


def _page(head: dict[str, str], scores: dict[str, list[tuple[float, float]]]) -> str:
    lines = [
        "# What rows of new tokens start from",
        "",
        *(f"- {name}: {value}" for name, value in head.items()),
        "",
        "Bits per byte of text that was held out: the mean over seeds, and the "
        "interval of 95 % around it (Student's t). Less is better. The last column is "
        "the difference to the start from the mean, seed by seed, after training.",
        "",
        f"| start | at once | after {AFTER} steps | less than mean |",
        "| --- | --- | --- | --- |",
    ]
    mean = np.array(scores["mean"])
    for name, pairs in scores.items():
        columns = np.array(pairs)
        cells = [_cell(columns[:, 0]), _cell(columns[:, 1])]
        cells.append(_cell(mean[:, 1] - columns[:, 1]))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
