"""Make the saved and the pickled matrices of this folder, as release 0.1 wrote them.

Made by the code of commit 0f0e8c0 (release 0.1) with Python 3.11, numpy 2.4.6, torch
2.13.0 and gensim on x86-64 Linux, in a checkout of that commit, of which only this file
is newer::

    PYTHONPATH=. python tests/data/release_0_1/matrices/make.py

Later code need not run it. Of each kind of matrix, ``NAME.SUFFIX`` is one file that
holds it, ``NAME-CONTAINER`` a folder, ``NAME.pickle`` what ``pickle.dumps`` gives;
``sharded.zip`` holds folders of shards, whose headers are mostly empty.

``expected.json`` and ``expected.npz`` (the vectors) say what is in them. They are
reckoned here by loops over what the sources were drawn from, and the matrices compared
with them before they are saved; only the rows that the policy "normal" drew, of the
kind ``one``, are the package's own.

========== =======================================================================
one        one source, two forms, counts, an unk token, rows drawn for OOV tokens
fill       filled from two sources, with a bad row, duplicates and a doubtful row
concat     two sources side by side, so each has its own part of the ledger
extended   the rows of ``one`` first, then those of the second source
layer      from a layer of PyTorch that was trained, begun with ``one``
advice     with advice for tokens that other forms would find
holes      from a mapping with ids that no token has, with a mask token, without pad
tokenizer  from a ``tokenizer.json``, with marks and special tokens
split      from a vocabulary that lowers its texts and splits them by a function
forms      found by a composition of forms and as a compound, filled from its parts
kept       the rows of ``forms`` first, by forms that are not in the chain of its own
========== =======================================================================
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pretrained_embed as pe

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parents[1] / "vocabulary" / "wordpiece.json"

Rows = dict[str, tuple[int, np.ndarray]]  # token: row of the source, vector


def lower(token: str) -> str:
    return token.lower()


def exact(token: str) -> str:
    return token


FORMS: dict[str, Callable[[str], str]] = {"exact": exact, "lower": lower}


def drawn(seed: int, tokens: Sequence[str], dim: int) -> Rows:
    vectors = np.random.default_rng(seed).normal(size=(len(tokens), dim))
    return {
        token: (row, vector)
        for row, (token, vector) in enumerate(
            zip(tokens, vectors.astype(np.float32), strict=True)
        )
    }


def text(rows: Rows) -> list[str]:
    return [
        " ".join([token, *map(str, vector.tolist())])
        for token, (_, vector) in rows.items()
    ]


FIRST = drawn(1, ["the", "é", "日本", "new york", *(f"w{i}" for i in range(40))], 8)
SECOND = drawn(2, [f"w{i}" for i in range(30, 60)], 8)
THIRD = drawn(3, [f"w{i}" for i in range(10, 60, 2)], 5)
PIECES = json.loads(TOKENIZER.read_bytes())["model"]["vocab"]
PIECES = drawn(4, [p for p in PIECES if len(p) % 2 and p[0] != "["], 8)


def write_sources() -> None:
    Path("first.txt").write_text("".join(f"{line}\n" for line in text(FIRST)))
    Path("second.txt").write_text("".join(f"{line}\n" for line in text(SECOND)))
    Path("third.txt").write_text("".join(f"{line}\n" for line in text(THIRD)))
    Path("pieces.txt").write_text("".join(f"{line}\n" for line in text(PIECES)))
    lines = text(FIRST)
    lines.insert(9, "zz 1 2 3 4 5 6 7 oops")
    lines += ["w3 9 9 9 9 9 9 9 9", "w4 9 9 9 9 9 9 9 9"]  # later rows of tokens
    lines += ["5 9 9 9 9 9 9 9 9"]  # a number for a token
    Path("faulty.txt").write_text("".join(f"{line}\n" for line in lines))


expected: dict[str, dict[str, Any]] = {}
vectors: dict[str, np.ndarray] = {}


def look_up(
    tokens: Sequence[str | None], sources: Sequence[Rows], forms: Sequence[str]
) -> list[tuple[int, str, int, np.ndarray | None]]:
    """Return source, form, row and vector of each token, by trying one by one."""
    found = []
    for token in tokens:
        hit: tuple[int, str, int, np.ndarray | None] = (-1, "", -1, None)
        for number, source in enumerate(sources):
            for form in forms:
                if token is not None and hit[3] is None:
                    row = source.get(FORMS[form](token))
                    if row is not None:
                        hit = (number, form, *row)
        found.append(hit)
    return found


def reckon(
    name: str,
    tokens: Sequence[str | None],
    sources: Sequence[Rows],
    forms: Sequence[str] = ("exact",),
    pad: str | None = "<pad>",
    **more: Any,
) -> None:
    """Say what a matrix is, whose sources fill it one after the other."""
    found = look_up(tokens, sources, forms)
    dim = len(next(iter(sources[0].values()))[1])
    origin = []
    for token, (_, form, _, _) in zip(tokens, found, strict=True):
        if token is None:
            origin.append("UNUSED")
        elif token == pad:
            origin.append("PAD")
        else:
            origin.append(form.upper() or "OOV")
    vectors[name] = np.array(
        [np.zeros(dim) if vector is None else vector for *_, vector in found],
        np.float32,
    )
    expected[name] = {
        "tokens": list(tokens),
        "pad": pad,
        "unk": None,
        "special_tokens": {} if pad is None else {"pad": pad},
        "marks": None,
        "counts": None,
        "lower": False,
        "origin": origin,
        "sources": [source for source, *_ in found],
        "source_rows": [row for _, _, row, _ in found],
        "parts": [],
        "advice": None,
        "duplicates": 0,
        "bad_rows": 0,
        "source_names": ["first.txt"],
        "options": {"match": list(forms), "oov": "zeros", "seed": 0},
        **more,
    }


def of_sources(sources: Sequence[Rows], tokens: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ledger of each source where rows are put together of all."""
    parts = []
    for source in sources:
        found = look_up(tokens, [source], ["exact", "lower"])
        origin = [form.upper() or "OOV" for _, form, _, _ in found]
        origin[0] = "PAD"
        parts.append({"origin": origin, "source_rows": [row for _, _, row, _ in found]})
    return parts


def build(vocabulary: pe.Vocabulary, sources: Any, **options: Any) -> Any:
    options = {"oov": "zeros", "use_store": False, **options}
    return pe.build_matrix(vocabulary, sources, **options)


def matrices() -> dict[str, pe.EmbeddingMatrix]:
    made: dict[str, pe.EmbeddingMatrix] = {}
    words = ["the", "é", "W3", *(f"w{i}" for i in range(5, 36)), "zz", "Zz"]
    plain = ["<pad>", *words]
    both = ["exact", "lower"]

    counts = {word: 3 * number for number, word in enumerate(words, 1)}
    rows = ["<pad>", "<unk>", *words]
    made["one"] = build(
        pe.Vocabulary(words, unk="<unk>", counts=counts),
        "first.txt",
        match="exact,lower",
        oov="normal",
        seed=3,
    )
    reckon(
        "one",
        rows,
        [FIRST],
        both,
        unk="<unk>",
        special_tokens={"pad": "<pad>", "unk": "<unk>"},
        counts=[0, 0, *counts.values()],
        options={"match": both, "oov": "normal", "seed": 3},
    )
    oov = [origin == "OOV" for origin in expected["one"]["origin"]]
    vectors["one"][oov] = made["one"].vectors[oov]
    assert np.abs(vectors["one"][oov]).min() > 0

    made["fill"] = build(
        pe.Vocabulary([*words, "w50", "W51", "new york"]),
        ["faulty.txt", "second.txt"],
        match="exact,lower",
        on_bad_row="skip",
    )
    shifted = {
        token: (row + (row >= 9), vector) for token, (row, vector) in FIRST.items()
    }
    reckon(
        "fill",
        [*plain, "w50", "W51", "new york"],
        [shifted, SECOND],
        both,
        bad_rows=1,
        duplicates=1,  # of what was looked for, W3
        source_names=["faulty.txt", "second.txt"],
    )

    made["concat"] = build(
        pe.Vocabulary(words),
        ["first.txt", "third.txt"],
        match="exact,lower",
        combine="concat",
    )
    reckon("concat", plain, [FIRST, THIRD], both)
    halves = []
    for source, dim in ((FIRST, 8), (THIRD, 5)):
        found = look_up(plain, [source], both)
        halves.append([np.zeros(dim) if v is None else v for *_, v in found])
    vectors["concat"] = np.concatenate(halves, axis=1).astype(np.float32)
    expected["concat"] |= {
        "parts": of_sources([FIRST, THIRD], plain),
        "source_names": ["first.txt", "third.txt"],
    }

    more = ["w59", "the", "w40", "W3", "nowhere", "zz"]
    made["extended"] = build(
        pe.Vocabulary(more), "second.txt", match="exact,lower", extend=made["one"]
    )
    reckon("extended", ["<pad>", *more], [SECOND], both)
    for row, token in enumerate(["<pad>", *more]):
        if token in rows and row:
            there = rows.index(token)
            vectors["extended"][row] = vectors["one"][there]
            expected["extended"]["origin"][row] = expected["one"]["origin"][there]
            expected["extended"]["sources"][row] = 1
            expected["extended"]["source_rows"][row] = there
    expected["extended"]["source_names"] = ["second.txt", "an earlier matrix"]

    import torch

    from pretrained_embed.adapters import torch as pe_torch

    layer = pe_torch.embedding(made["one"])
    with torch.no_grad():
        layer.weight.mul_(2)
    made["layer"] = pe_torch.from_layer(
        layer, made["one"].vocabulary, started_from=made["one"]
    )
    vectors["layer"] = vectors["one"] * 2
    expected["layer"] = {**expected["one"], "options": None}

    shouted = [word.upper() for word in words[4:12]]
    made["advice"] = build(pe.Vocabulary([*words, *shouted]), "first.txt", advise=True)
    tokens = [*plain, *shouted]
    reckon("advice", tokens, [FIRST])
    expected["advice"]["advice"] = {
        token: token.lower() in FIRST
        for token, origin in zip(tokens, expected["advice"]["origin"], strict=True)
        if origin == "OOV"
    }

    ids = {"w1": 2, "[MASK]": 4, "W7": 9, "zz": 11, "日本": 30}
    made["holes"] = build(
        pe.Vocabulary(ids, pad=None, special_tokens={"mask": "[MASK]"}),
        "first.txt",
        match="exact,lower",
        special_oov={"mask": "zeros"},
    )
    by_id = {number: token for token, number in ids.items()}
    sparse = [by_id.get(number) for number in range(31)]
    reckon("holes", sparse, [FIRST], both, pad=None, special_tokens={"mask": "[MASK]"})

    model = json.loads(TOKENIZER.read_bytes())
    vocabulary = pe.Vocabulary.from_file(TOKENIZER)
    numbered = dict(model["model"]["vocab"])
    numbered |= {added["content"]: added["id"] for added in model["added_tokens"]}
    pieces = sorted(numbered, key=numbered.__getitem__)
    special = {
        name: f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")
    }
    special["<extra>"] = "<extra>"
    made["tokenizer"] = build(
        vocabulary, "pieces.txt", special_oov=dict.fromkeys(special, "zeros")
    )
    reckon(
        "tokenizer",
        pieces,
        [PIECES],
        pad="[PAD]",
        unk="[UNK]",
        special_tokens=special,
        marks=vocabulary.marks,
        source_names=["pieces.txt"],
    )

    made["split"] = build(
        pe.Vocabulary(words, tokenize=str.split, lower=True), "first.txt"
    )
    reckon("split", plain, [FIRST], lower=True, tokenize="split")

    chain = ["exact", "strip-accents+lower", "compound"]
    odd = ["w3", "W4", "Ŵ5", "w6-w7", "w30w31", "zz"]
    made["forms"] = build(
        pe.Vocabulary(odd), "first.txt", match=",".join(chain), oov="parts,zeros"
    )
    reckon("forms", ["<pad>", *odd], [FIRST], options={"match": chain})
    for row, word in ((2, "w4"), (3, "w5")):
        source_row, vectors["forms"][row] = FIRST[word]
        expected["forms"]["origin"][row] = chain[1]
        expected["forms"]["sources"][row] = 0
        expected["forms"]["source_rows"][row] = source_row
    for row, one, other in ((4, "w6", "w7"), (5, "w30", "w31")):
        pair = np.array([FIRST[one][1], FIRST[other][1]], np.float64)
        vectors["forms"][row] = pair.mean(axis=0)
    expected["forms"]["origin"][4:6] = ["COMPOUND", "PARTS"]
    expected["forms"]["sources"][4:6] = [0, 0]  # and no row of it

    made["kept"] = build(
        pe.Vocabulary(["w59", "Ŵ5", "w30w31"]), "second.txt", extend=made["forms"]
    )
    reckon("kept", ["<pad>", "w59", "Ŵ5", "w30w31"], [SECOND])
    for row, there in ((2, 3), (3, 5)):
        vectors["kept"][row] = vectors["forms"][there]
        expected["kept"]["origin"][row] = expected["forms"]["origin"][there]
        expected["kept"]["sources"][row] = 1
        expected["kept"]["source_rows"][row] = there
    expected["kept"]["source_names"] = ["second.txt", "an earlier matrix"]
    return made


def label(code: int, matrix: pe.EmbeddingMatrix) -> str:
    """Return the name of a code, of a form of its own that of the form."""
    origin = pe.Origin(code)
    return origin.label(matrix.match) if origin >= 64 else origin.name


def check(name: str, matrix: pe.EmbeddingMatrix) -> None:
    """What is about to be saved is what is said of it."""
    known = expected[name]
    for field in ("tokens", "origin", "sources", "source_rows"):
        have = {
            "tokens": lambda: list(matrix.vocabulary.tokens),
            "origin": lambda: [label(code, matrix) for code in matrix.origin],
            "sources": matrix.sources.tolist,
            "source_rows": matrix.source_rows.tolist,
        }[field]()
        assert have == known[field], (name, field, have, known[field])
    assert matrix.vectors.tobytes() == vectors[name].tobytes(), name
    assert matrix.findings.bad_rows == known["bad_rows"], matrix.findings
    assert matrix.findings.duplicates == known["duplicates"], matrix.findings
    assert dict(matrix.vocabulary.special_tokens) == known["special_tokens"], (
        name,
        matrix.vocabulary.special_tokens,
    )


def main() -> None:
    for old in HERE.iterdir():
        if old.name != "make.py":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_sources()
        made = matrices()
        for name, matrix in made.items():
            check(name, matrix)
            for suffix in (".npz", ".npy", ".h5", ".safetensors"):
                matrix.save(HERE / f"{name}{suffix}")
            if "new york" not in expected[name]["tokens"]:  # it has none with a blank
                path = HERE / f"{name}-sentence-transformers"
                matrix.save(path, format="sentence-transformers")
            (HERE / f"{name}.pickle").write_bytes(pickle.dumps(matrix))
        for name in ("one", "concat"):  # what other tools read: tokens and vectors
            for suffix in (".txt", ".bin", ".kv"):
                made[name].save(HERE / f"{name}{suffix}")
            made[name].save(HERE / f"{name}.glove.txt", format="glove")

        loaded = pe.load_matrix(HERE / "advice.npy")
        (HERE / "advice.loaded.pickle").write_bytes(pickle.dumps(loaded))
        shard = pe.load_shard(HERE / "fill.npz", 1, 2)
        (HERE / "fill.shard.pickle").write_bytes(pickle.dumps(shard))

        sharded = Path("sharded")
        sharded.mkdir()
        for name in ("fill", "concat", "advice", "holes", "extended"):
            made[name].save(sharded / name, shards=2)
        streamed = {
            "match": "exact,lower",
            "on_bad_row": "skip",
            "out": None,
        }
        vocabulary = made["fill"].vocabulary
        sources = ["faulty.txt", "second.txt"]
        for out, shards in (
            (HERE / "fill.streamed.npy", None),
            (HERE / "fill.streamed.h5", None),
            (sharded / "fill.streamed.safetensors", None),
            (sharded / "fill.streamed", 3),
        ):
            streamed["out"] = out
            check("fill", build(vocabulary, sources, **streamed, shards=shards))
        shutil.make_archive(str(HERE / "sharded"), "zip", sharded)
        os.chdir(HERE)
    (HERE / "expected.json").write_text(
        json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    np.savez_compressed(HERE / "expected.npz", **vectors)


if __name__ == "__main__":
    main()
