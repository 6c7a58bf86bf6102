"""Inputs whose structure is mutated, for everything that reads files of others.

A file that is cut up where its format cuts it, and put together with a field, an opcode
or a member that is wrong, gets further than one with a wrong byte. Each entry of
`FUZZERS` makes such inputs of one kind and gives them to what reads them. ::

    PYTHONPATH=. python tests/fuzz_structure.py --seconds 600

Input ``i`` depends on the seed and on ``i`` alone: what failed is printed with the
arguments that repeat it. ``test_fuzz_structure.py`` runs some of each.

What comes of an input is a value or an error of this package. No error may have for its
cause what means a fault of ours, and none may be for want of memory where a gigabyte is
to spare. The slowest input of each kind is told.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import pickletools
import re
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed import (
    PretrainedEmbedError,
    Vocabulary,
    build_matrix,
    formats,
    load_matrix,
    sources,
)
from pretrained_embed.build.extract import Outcome
from pretrained_embed.errors import SourceError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.formats.store import directory, open_store, write_store
from pretrained_embed.library import catalog
from tests.conformance import index_of

DATA = Path(__file__).parent / "data"
OURS = (AssertionError, AttributeError, NameError)
SPARE = 1 << 30  # bytes that a process has for one input, in a run of its own

#: Numbers that fields of a format are set to.
EDGES = [0, 1, 2, 3, 7, 8, 16, 255, 256, 1000, 65535, 65536, 1 << 20, (1 << 24) - 1]
EDGES += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1]
#: Values that stand anywhere in JSON.
ODD: list[Any] = [None, True, 0, -1, 1.5, 1e308, "", "x", "\ud800", [], {}, [[]], [{}]]
ODD += [1 << 31, 1 << 63, 1 << 70, -(1 << 70), "\0", "a" * 5000, {"a": {}}, [0] * 50]


class Failure(Exception):
    """An input that becomes something else than a value or an error of ours."""


class Seed(NamedTuple):
    """A file, and those that have to lie beside it."""

    name: str
    content: bytes
    beside: dict[str, bytes] = {}  # noqa: RUF012  (never changed)


@cache
def seeds(*names: str, beside: str = "{}.*") -> list[Seed]:
    """Return files of the tests' data; ``beside`` are those that go with each."""
    return [
        Seed(
            path.name,
            path.read_bytes(),
            {
                other.name: other.read_bytes()
                for other in path.parent.glob(beside.format(path.name))
                if other != path and other.is_file()
            },
        )
        for path in (DATA / name for name in names)
    ]


# --- What reads them


def put(folder: Path, seed: Seed, content: bytes) -> Path:
    """Write an input, and what lies beside it."""
    for name, other in seed.beside.items():
        (folder / name).write_bytes(other)
    path = folder / seed.name
    path.write_bytes(content)
    return path


def read_vectors(path: Path) -> None:
    """Do everything that can be done with a file of vectors."""
    with formats.open_reader(sources.open_source(path)) as reader:
        if reader.dim > 1 << 16 or (reader.count or 0) > 1 << 20:
            return  # whoever reads so many numbers has asked for them
        for block in reader.blocks(on_bad_row="skip"):
            if block.vectors.shape != (len(block.tokens), reader.dim):
                raise Failure(f"{block.vectors.shape} for {len(block.tokens)} tokens")
        out = np.zeros((3, reader.dim), np.float32)
        index = index_of([("the", 0, 0), ("a", 1, 0), ("missing", 2, 0)])
        reader.select(index, out, on_bad_row="skip")
        if reader.composes:
            reader.compose(["missing", ""], out[:2])


def read_vocabulary(path: Path) -> None:
    """Read tokens and their ids, and texts with them."""
    vocabulary = Vocabulary.from_file(path)
    if len(vocabulary) < 1 << 16:
        list(vocabulary)


def read_saved(path: Path) -> None:
    """Load a matrix, and ask it where its rows come from."""
    matrix = load_matrix(path)
    matrix.explain(list(matrix.vocabulary)[:3])
    matrix.coverage.to_json()


# --- Mutations that several kinds share


def edge(random: Random, size: int, order: str = "little") -> bytes:
    """Return an edge number of so many bytes."""
    number = random.choice([*EDGES, random.getrandbits(8 * size)])
    return (number & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]  # "little" or "big"


def with_fields(random: Random, raw: bytes, places: list[int], order: str) -> bytes:
    """Set numbers at some of these places, or behind them, to edges or each other."""
    data = bytearray(raw)
    for _ in range(random.choice([1, 1, 2, 4])):
        size = random.choice([1, 2, 4, 8])
        at = random.choice(places) + random.choice([0, 0, size, 2 * size])
        other = random.choice(places)
        value = random.choice([edge(random, size, order), raw[other : other + size]])
        if at + size <= len(data):
            data[at : at + len(value)] = value
    return bytes(data)


def pieces_mutated(random: Random, pieces: list[bytes]) -> list[bytes]:
    """Leave out, repeat or swap some of the pieces of a file."""
    pieces = list(pieces)
    for _ in range(random.choice([1, 1, 2])):
        if not pieces:
            break
        at, other = random.randrange(len(pieces)), random.randrange(len(pieces))
        what = random.randrange(4)
        if what == 0:
            del pieces[at]
        elif what == 1:
            pieces.insert(at, pieces[other])
        elif what == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        else:
            pieces[at:at] = [pieces[other]] * random.choice([2, 50, 1000])
    return pieces


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all (container, key) of parsed JSON."""
    waiting = [value]
    while waiting:
        held = waiting.pop()
        keys = list(held) if isinstance(held, dict) else range(len(held))
        for key in keys:
            yield held, key
            if isinstance(held[key], dict | list):
                waiting.append(held[key])


def json_mutated(random: Random, raw: bytes) -> bytes:
    """Return JSON with some of its values changed."""
    try:
        root = [json.loads(raw)]
    except ValueError:  # it was mutated before
        return raw
    for _ in range(random.choice([1, 1, 2, 3])):
        places = list(places_of(root))
        if not places:
            break
        held, key = random.choice(places)
        what = random.randrange(6)
        if what == 0:
            held[key] = random.choice(ODD)
        elif what == 1:
            del held[key]
        elif what == 2:
            other, name = random.choice(places)
            with_other = other[name] if name in other or isinstance(other, list) else 0
            held[key] = json.loads(json.dumps(with_other))
        elif what == 3 and isinstance(held, dict):
            name = random.choice(["", "a", "model", "vocab", "\ud800"])
            held[name] = json.loads(json.dumps(held[key]))
        elif what == 4:
            held[key] = [held[key]]
        else:
            held[key] = {"a": held[key]}
    if not root:
        return b""
    text = json.dumps(root[0])
    if random.random() < 0.05:
        depth = random.choice([100, 5000, 200_000])
        return b"[" * depth + text.encode() + b"]" * random.choice([0, depth])
    if random.random() < 0.1:  # a key that stands twice
        text = text.replace("{", '{"model": 1, ', 1)
    return text.encode("utf-8", "surrogatepass")


# --- The kinds


def fuzz_pickle(random: Random, folder: Path) -> None:
    """Mutate the opcodes of gensim's files."""
    names = [
        f"gensim/{release}/{name}"
        for release in ("1.0", "3.8", "4.4")
        for name in ("words.kv", "words.model", "beside.kv", "subwords.model")
        if (DATA / "gensim" / release / name).exists()
    ]
    seed = random.choice(seeds(*names))
    read_vectors(put(folder, seed, opcodes_mutated(random, seed.content)))


def opcodes_mutated(random: Random, raw: bytes) -> bytes:
    """Leave out, repeat and change some opcodes of a pickle."""
    opcodes = list(opcodes_of(raw))
    for _ in range(random.choice([1, 1, 2, 4])):
        at = random.randrange(len(opcodes))
        what = random.randrange(5)
        if what == 0:
            opcodes[at : at + random.choice([1, 2, 9])] = []
        elif what == 1:
            opcodes[at:at] = [random.choice(opcodes)] * random.choice([1, 2, 300])
        elif what == 2:
            opcodes[at] = random.choice(opcodes)
        elif what == 3:
            opcodes[at] = opcodes[at][:1] + edge(random, max(0, len(opcodes[at]) - 1))
        else:
            made = random.choice(pickletools.opcodes).code.encode("latin-1")
            opcodes[at:at] = [made + random.choice([b"", b"a\nb\n", edge(random, 4)])]
        if not opcodes:
            break
    return b"".join(opcodes)


@cache
def opcodes_of(raw: bytes) -> tuple[bytes, ...]:
    """Cut a pickle into its opcodes."""
    starts = [place or 0 for _, _, place in pickletools.genops(raw)]
    return tuple(raw[a:b] for a, b in zip(starts, [*starts[1:], len(raw)], strict=True))


@cache
def plain_pickles() -> list[Seed]:
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    words = ["the", "a", "of"]
    held: list[Any] = [dict(zip(words, table, strict=True)), (words, table)]
    held += [{"itos": words, "vectors": table.T}, [{"word2id": {"the": 2}, "v": table}]]
    held += [{"the": [0.5, 1.5], "a": [2.0, 3.0]}, {"o": np.array(words, object)}]
    made = [Seed("x.pkl", pickle.dumps(v, n)) for v in held for n in (2, 3, 4, 5)]
    for value in held[:3]:
        file = io.BytesIO()
        np.save(file, np.array([value, None], object)[:1], allow_pickle=True)
        made.append(Seed("x.npy", file.getvalue()))
    return made


def fuzz_plain_pickle(random: Random, folder: Path) -> None:
    """Mutate the opcodes of dictionaries, lists and arrays, bare and in ``.npy``."""
    seed = random.choice(plain_pickles())
    start = seed.content.find(b"\n") + 1 if seed.name.endswith("npy") else 0
    raw = seed.content[:start] + opcodes_mutated(random, seed.content[start:])
    path = put(folder, seed, raw)
    read_vectors(Path(f"{path}{random.choice(['', '', '#vectors', '#0'])}"))


def fuzz_torch(random: Random, folder: Path) -> None:
    """Mutate what torch.save wrote: its pickles, its members, and its storages."""
    seed = random.choice(seeds("checkpoints/state.pt", "checkpoints/old.pt"))
    path = put(folder, seed, torch_mutated(random, seed.content))
    folder.joinpath(f"{path.stem}.tokens").write_text("the\na\nof\nb\n")
    read_vectors(
        Path(f"{path}{random.choice(['', '#embedding.weight', '#half.weight'])}")
    )


def torch_mutated(random: Random, raw: bytes) -> bytes:
    """Mutate a file of torch.save, a zip or one pickle behind the other."""
    if not raw.startswith(b"PK"):
        ends = [len(raw) - at for at in pickles_of(raw)]
        parts = [raw[a:b] for a, b in zip([0, *ends], [*ends, len(raw)], strict=True)]
        at = random.randrange(2, len(parts))
        if at < len(parts) - 1:
            parts[at] = opcodes_mutated(random, parts[at])
        else:
            places = [*range(0, len(parts[at]), 8)]
            parts[at] = with_fields(random, parts[at], places, "little")
        return b"".join(parts)

    def changed(name: str, content: bytes) -> tuple[str, bytes]:
        if name.endswith("data.pkl"):
            return name, opcodes_mutated(random, content)
        other = random.choice([name, name + "0", "state/data/" + "9" * 30, "../x"])
        return other, random.choice([b"", content * 2, content[:5], b"big"])

    return members_changed(random, raw, ("data.pkl",), changed)


def pickles_of(raw: bytes) -> Iterator[int]:
    """Yield how many bytes are left behind each pickle that a file begins with."""
    file = io.BytesIO(raw)
    for _ in range(5):  # magic, version, machine, object, keys
        list(pickletools.genops(file))
        yield len(raw) - file.tell()


def members_changed(
    random: Random,
    raw: bytes,
    often: tuple[str, ...],
    changed: Callable[[str, bytes], tuple[str, bytes]],
) -> bytes:
    """Return a zip of which one member is another, its directory and checksums right.

    Half the time that is one whose name ends as ``often`` has it.
    """
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        held = [(name, archive.read(name)) for name in archive.namelist()]
    first = [at for at, (name, _) in enumerate(held) if name.endswith(often)]
    at = random.choice(random.choice([first, range(len(held))]))
    what = random.randrange(12)
    if what == 0:
        del held[at]
    elif what == 1:
        held.append((held[at][0], b"twice"))
    else:
        held[at] = changed(*held[at])
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)  # of two members of one name
        for name, content in held:
            archive.writestr(name, content)
    return made.getvalue()


def fuzz_keras(random: Random, folder: Path) -> None:
    """Mutate models of Keras: configs, vocabularies, groups and their attributes."""
    names = ("model.keras", "model.keras", "model.h5", "model.weights.h5")
    seed = random.choice(seeds(*(f"checkpoints/{name}" for name in names), beside="no"))
    marks = (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"\x0c\0", b"\x08\0")

    def hdf5(content: bytes) -> bytes:
        starts = [at for mark in marks for at in all_of(content, mark)]
        places = [at + step for at in starts for step in range(2, 60, 2)]
        return with_fields(random, content, places, "little")

    def changed(name: str, content: bytes) -> tuple[str, bytes]:
        if name.endswith(".json"):
            return name, json_mutated(random, content)
        if name.endswith(".h5"):
            return name, hdf5(content)
        return name, random.choice([b"", b"\xff\n", content + content, b"\n" * 5000])

    raw = seed.content
    if seed.name.endswith(".keras"):
        raw = members_changed(random, raw, ("config.json", ".h5"), changed)
    else:
        raw = hdf5(raw)
    path = put(folder, seed, raw)
    if seed.name.endswith(".keras") and random.random() < 0.3:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / "unzipped")
        path = folder / "unzipped"
    if random.random() < 0.2:
        shards = {"weight_map": {"/a/vars": path.name, "/b/vars": [path.name]}}
        listed = folder / "x.weights.json"
        listed.write_bytes(json_mutated(random, json.dumps(shards).encode()))
        path = listed
    path.with_suffix(".tokens").write_text("the\na\nof\nb\n")
    read_vectors(Path(f"{path}{random.choice(['', '#emb_a', '#emb_b'])}"))


def fuzz_gguf(random: Random, folder: Path) -> None:
    """Put GGUF files together of entries and tensors of which some are wrong."""

    def text(value: bytes) -> bytes:
        size = len(value) if random.random() < 0.97 else random.choice(EDGES)
        return size.to_bytes(8, "little") + value

    def number(value: int, size: int) -> bytes:
        if random.random() < 0.04:
            return edge(random, size)
        return value.to_bytes(size, "little")

    def entry(name: bytes, kind: int, value: bytes) -> bytes:
        return text(name) + number(kind, 4) + value

    tokens = [b"the", b"a", b"of", "\u00e0".encode()]
    listed = number(8, 4) + number(len(tokens), 8) + b"".join(map(text, tokens))
    nested = (number(9, 4) + number(1, 8)) * random.choice([1, 2, 5000])
    entries = [
        entry(b"general.architecture", 8, text(b"llama")),
        entry(b"general.alignment", 4, number(32, 4)),
        entry(b"tokenizer.ggml.tokens", 9, listed),
        entry(b"tokenizer.ggml.scores", 9, number(6, 4) + number(4, 8) + bytes(16)),
    ]
    if random.random() < 0.1:
        entries.append(entry(b"x", 9, nested))
    types = [(0, 2), (1, 2), (30, 2), (8, 32), (2, 32), (random.randrange(40), 256)]
    tensors = []
    for name in (b"token_embd.weight", b"output.weight"):
        kind, dim = random.choice(types)
        sizes = number(dim, 8) + number(len(tokens), 8)
        place = number(random.choice([0, 32, 64]), 8)
        tensors.append(text(name) + number(2, 4) + sizes + number(kind, 4) + place)
    if random.random() < 0.2:
        entries = pieces_mutated(random, entries)
        tensors = pieces_mutated(random, tensors)
    head = b"GGUF" + number(3, 4) + number(len(tensors), 8) + number(len(entries), 8)
    raw = head + b"".join(entries) + b"".join(tensors)
    raw += bytes(-len(raw) % 32) + random.randbytes(random.choice([64, 2000, 5000]))
    path = folder / "x.gguf"
    path.write_bytes(raw)
    read_vectors(Path(f"{path}{random.choice(['', '#output.weight'])}"))


def fuzz_model(random: Random, folder: Path) -> None:
    """Mutate folders of models whose weights are files of torch.save."""
    shutil.copytree(DATA / "hugging_face" / "bert", folder, dirs_exist_ok=True)
    folder.joinpath("model.safetensors").unlink()
    raw = (DATA / "checkpoints" / random.choice(["state.pt", "old.pt"])).read_bytes()
    if random.random() < 0.6:
        raw = torch_mutated(random, raw)
    (folder / "vocab.json").write_text('{"the": 0, "a": 1, "of": 2, "b": 3}')
    (folder / "tokenizer.json").unlink(missing_ok=True)
    name = random.choice(["pytorch_model.bin", "pytorch_model-1.bin"])
    (folder / name).write_bytes(raw)
    if name != "pytorch_model.bin":
        index = {"weight_map": {"embedding.weight": name, "tied.weight": name}}
        content = json_mutated(random, json.dumps(index).encode())
        (folder / "pytorch_model.bin.index.json").write_bytes(content)
    read_vectors(Path(f"{folder}{random.choice(['', '#embedding.weight'])}"))


def fuzz_tar(random: Random, folder: Path) -> None:
    """Mutate headers of a tar, their checksums right."""
    rows = b"the 0.1 0.2\nof 0.3 0.4\n"
    made = io.BytesIO()
    form = random.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for name in random.sample(["v.txt", "README", "d/" + "n" * 90, "x"], 2):
            member = tarfile.TarInfo(name)
            member.size = len(rows)
            keys = ["size", "path", "GNU.sparse.map", "GNU.sparse.size", "mtime"]
            keys += ["GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.realsize"]
            values = ["9" * 100, "1", "0", "-1", "1e9", "0,24", "a\0b", "x" * 300, ""]
            if form == tarfile.PAX_FORMAT and random.random() < 0.5:
                chosen = random.sample(keys, random.choice([1, 2, 3]))
                member.pax_headers = {key: random.choice(values) for key in chosen}
            file.addfile(member, io.BytesIO(rows))
    raw = made.getvalue()
    blocks = [raw[at : at + 512] for at in range(0, len(raw), 512)]
    at = random.randrange(min(len(blocks), 6))
    header = bytearray(blocks[at])
    fields = [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8)]
    fields += [(345, 155), (386, 12), (482, 1), (483, 12)]
    for start, size in random.sample(fields, random.choice([0, 1, 2])):
        digits = random.choice([b"7" * size, b"-1", b"", b"\x80" + edge(random, 8)])
        kinds = [bytes([random.choice(b"0123456789LKxgSDVNX\0")]), b"\xff" * size]
        header[start : start + size] = random.choice([digits, *kinds])[:size].ljust(
            size, b"\0"
        )
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    blocks[at] = bytes(header)
    if random.random() < 0.4:
        blocks = pieces_mutated(random, blocks)
    path = folder / "x.tar"
    path.write_bytes(b"".join(blocks))
    member_name = random.choice(["", "", "#v.txt", "#x"])
    read_vectors(Path(f"{path}{member_name}"))


@cache
def npz_seeds() -> list[Seed]:
    made = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        tokens = np.array(["the", "a", "of"])
        save(file, vectors=np.ones((3, 2), np.float32), tokens=tokens)
        made.append(Seed("x.npz", file.getvalue()))
    return [*made, *seeds("release_0_1/matrices/fill.npz", beside="none")]


def fuzz_zip(random: Random, folder: Path) -> None:
    """Mutate the directory of a zip, and the headers in front of members."""
    seed = random.choice(npz_seeds())
    raw = seed.content
    marks = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
    starts = sorted({at for mark in marks for at in all_of(raw, mark)})
    fields = [start + at for start in starts for at in range(4, 46, 2)]
    if random.random() < 0.3:
        ends = [*starts[1:], len(raw)]
        parts = [raw[a:b] for a, b in zip(starts, ends, strict=True)]
        raw = b"".join(pieces_mutated(random, parts))
    elif random.random() < 0.3:
        raw = raw.replace(b"'<f4'", random.choice([b"'<f9'", b"'|O8'", b"'<U4'"]))
        shape = random.choice([b"(9" + b"9" * 17 + b",)", b"(3, -2)", b"(" * 6])
        raw = raw.replace(b"(3, 2)", shape)
    else:
        raw = with_fields(random, raw, fields, "little")
    path = put(folder, seed, raw)
    read_vectors(Path(f"{path}{random.choice(['', '', '#vectors.npy'])}"))


def all_of(raw: bytes, mark: bytes) -> list[int]:
    """Return where a mark stands."""
    found, at = [], raw.find(mark)
    while at >= 0:
        found.append(at)
        at = raw.find(mark, at + 1)
    return found


def fuzz_json(random: Random, folder: Path) -> None:
    """Mutate the JSON files of tokenizers, models, spaCy and catalogs."""
    kind = random.randrange(4)
    if kind == 0:
        seed = random.choice(seeds("hugging_face/bert/tokenizer.json", beside="*.json"))
        seed = random.choice(
            [seed, seed._replace(name="vocab.json", content=b'{"a": 0, "b": 1}')]
        )
        read_vocabulary(put(folder, seed, json_mutated(random, seed.content)))
    elif kind == 1:
        given = random.choice(seeds("release_0_1/cache/catalog.json", beside="none"))
        catalog.read(put(folder, given, json_mutated(random, given.content)))
    elif kind == 2:
        folders = ["bert", "model2vec", "static-embedding", "word-embeddings", "t5"]
        mutated_folder(random, DATA / "hugging_face" / random.choice(folders), folder)
        reading = random.choice([read_vectors, read_vocabulary])
        reading(folder)
    else:
        source = DATA / "spacy" / random.choice(["default", "floret"])
        mutated_folder(random, source, folder)
        read_vectors(folder)


def mutated_folder(random: Random, source: Path, target: Path) -> None:
    """Copy a folder; one of its files is mutated, after its kind."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    chosen = random.choice(files)
    for path in files:
        content = path.read_bytes()
        if path == chosen and content.startswith((b"{", b"[")):
            content = json_mutated(random, content)
        elif path == chosen and path.suffix == ".safetensors":
            content = header_mutated(random, content)
        elif path == chosen:
            content = with_fields(
                random, content, [*range(min(64, len(content)))], "big"
            )
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)


def header_mutated(random: Random, raw: bytes) -> bytes:
    """Mutate the header of a safetensors file, its length right."""
    size = int.from_bytes(raw[:8], "little")
    header = json_mutated(random, raw[8 : 8 + size])
    length = len(header).to_bytes(8, "little")
    return random.choice([length, length, edge(random, 8)]) + header + raw[8 + size :]


def fuzz_safetensors(random: Random, folder: Path) -> None:
    """Mutate headers of safetensors files."""
    seed = random.choice(seeds("release_0_1/matrices/fill.safetensors", beside="none"))
    path = put(folder, seed, header_mutated(random, seed.content))
    random.choice([read_vectors, read_saved])(path)


@cache
def models() -> list[Seed]:
    names = [path.name for path in (DATA / "vocabulary").glob("*.model")]
    return seeds(*(f"vocabulary/{name}" for name in names), beside="none")


def fuzz_protobuf(random: Random, folder: Path) -> None:
    """Mutate the fields of SentencePiece's models."""
    seed = random.choice(models())
    fields = list(proto_fields(seed.content))
    for _ in range(random.choice([1, 1, 3])):
        at = random.randrange(len(fields))
        number, wire, value = fields[at]
        what = random.randrange(5)
        if what == 0:
            number = random.choice([0, 1, 2, 3, 200, 1 << 28])
        elif what == 1:
            wire = random.randrange(8)
        elif what == 2:
            value = random.choice([b"", b"\xff" * 12, value * 3, value[:-1]])
        elif what == 3 and wire == 2:  # the message in it, its parts mutated
            parts = [field(*part) for part in proto_fields(value)]
            value = b"".join(pieces_mutated(random, parts))
        else:
            fields.insert(at, fields[random.randrange(len(fields))])
        fields[at] = number, wire, value
    read_vocabulary(put(folder, seed, b"".join(field(*each) for each in fields)))


def proto_fields(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, wire type and content of each field, as far as they go."""
    at = 0
    while at < len(raw):
        key, at = varint_at(raw, at)
        begin = at
        if key & 7 == 2:
            size, begin = varint_at(raw, at)
            at = begin + size
        elif key & 7 == 0:
            _, at = varint_at(raw, at)
        else:
            at += 8 if key & 7 == 1 else 4
        yield key >> 3, key & 7, raw[begin:at]


def varint_at(raw: bytes, at: int) -> tuple[int, int]:
    """Return a number, and where it ends."""
    number = shift = 0
    while at < len(raw):
        number |= (raw[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if raw[at - 1] < 128:
            break
    return number, at


def varint(number: int) -> bytes:
    """Return the bytes of a number."""
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def field(number: int, wire: int, value: bytes) -> bytes:
    """Return the bytes of a field."""
    size = varint(len(value)) if wire == 2 else b""
    return varint(number << 3 | wire) + size + value


@cache
def hdf5_seeds() -> list[Seed]:
    import h5py

    made = []
    for options in ({}, {"chunks": (2, 2), "compression": "gzip"}):
        for libver in ("earliest", "latest"):
            file = io.BytesIO()
            with h5py.File(file, "w", libver=libver) as root:
                rows = np.ones((4, 2), np.float32)
                root.create_dataset("vectors", data=rows, **options)
                words = ["the", "a", "of", "to"]
                root.create_dataset("tokens", data=words, dtype=h5py.string_dtype())
            made.append(Seed("x.h5", file.getvalue()))
    return [*made, *seeds("hdf5/mini.h5", "release_0_1/matrices/fill.h5", beside="no")]


def fuzz_hdf5(random: Random, folder: Path) -> None:
    """Mutate messages, heaps and trees of HDF5 files."""
    seed = random.choice(hdf5_seeds())
    marks = (b"\x89HDF", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"FRHP", b"OCHK")
    starts = [at for mark in marks for at in all_of(seed.content, mark)]
    places = [at + step for at in starts for step in range(4, 200, 2)]
    raw = with_fields(random, seed.content, places, "little")
    path = put(folder, seed, raw)
    random.choice([read_vectors, read_saved])(path)


BINARY = (
    *("fasttext/skipgram.bin", "fasttext/quantised.ftz", "fasttext/pruned.ftz"),
    *("floret/four-hashes.bin", "finalfusion/explicit.fifu", "finalfusion/normed.fifu"),
    *("finalfusion/quantised.fifu", "finalfusion/bucket.fifu"),
    *("magnitude/plain.magnitude", "magnitude/subwords.magnitude"),
)


def fuzz_binary(random: Random, folder: Path) -> None:
    """Mutate the numbers in the heads of binary files, and in pages of databases."""
    seed = random.choice(seeds(*BINARY, beside="none"))
    order, step = ("big", 4096) if "magnitude" in seed.name else ("little", 1 << 30)
    heads = range(0, len(seed.content), step)
    places = [at + place for at in heads for place in range(0, 160, 2)]
    raw = with_fields(random, seed.content, places, order)
    read_vectors(put(folder, seed, raw))


def fuzz_parquet(random: Random, folder: Path) -> None:
    """Mutate the pages and the footer of a Parquet file of tokens."""
    seed = parquet_seed()
    size = len(seed.content)
    footer = int.from_bytes(seed.content[-8:-4], "little")
    places = [*range(4, 60), *range(size - 8 - footer, size - 1)]
    raw = bytearray(seed.content)
    for _ in range(random.choice([1, 2, 4])):
        raw[random.choice(places)] = random.choice([0, 1, 21, 0x7F, 0x80, 0xFF])
    path = put(folder, seed, bytes(raw))
    read_vectors(path.with_suffix(".npy"))


@cache
def parquet_seed() -> Seed:
    import pyarrow as pa
    from pyarrow import parquet

    made, matrix = io.BytesIO(), io.BytesIO()
    parquet.write_table(pa.table({"token": ["the", "a", "of"] * 3}), made)
    np.save(matrix, np.ones((9, 2), np.float32))
    return Seed("x.parquet", made.getvalue(), {"x.npy": matrix.getvalue()})


@cache
def table_seeds() -> list[Seed]:
    """Tables of Arrow: ours and others', Parquet, files and streams, packed and not."""
    import pyarrow as pa
    from pyarrow import feather, ipc, parquet

    words = pa.array(["the", "a", "of"] * 3)
    rows = [[0.5, float(number)] for number in range(9)]
    columns = {
        "lists": pa.table({"w": words, "v": pa.array(rows, pa.list_(pa.float32()))}),
        "coded": pa.table({"w": words.dictionary_encode(), "x": [0.5] * 9}),
    }
    made = []
    for table in columns.values():
        for codec in ("none", "zstd"):
            file = io.BytesIO()
            parquet.write_table(table, file, row_group_size=4, compression=codec)
            made.append(Seed("x.parquet", file.getvalue()))
        for codec in ("uncompressed", "lz4"):
            file = io.BytesIO()
            feather.write_feather(table, file, codec, chunksize=4)
            made.append(Seed("x.arrow", file.getvalue()))
        file = io.BytesIO()
        with ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, 4)
        made.append(Seed("x.arrows", file.getvalue()))
    matrix = load_matrix(DATA / "release_0_1" / "matrices" / "fill.npz")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("own.parquet", "own.arrow"):
            matrix.save(Path(folder) / name)
            made.append(Seed(name, (Path(folder) / name).read_bytes()))
    return made


def fuzz_tables(random: Random, folder: Path) -> None:
    """Mutate pages, messages and footers of tables of Arrow."""
    seed = random.choice(table_seeds())
    size = len(seed.content)
    raw = bytearray(seed.content)
    if random.random() < 0.5:  # numbers of a flatbuffer lie at multiples of four
        raw = bytearray(with_fields(random, bytes(raw), [*range(8, size, 4)], "little"))
    for _ in range(random.choice([0, 1, 2, 4])):
        raw[random.randrange(4, size)] = random.choice([0, 1, 21, 0x7F, 0x80, 0xFF])
    if random.random() < 0.1:
        del raw[random.randrange(size) :]
    path = put(folder, seed, bytes(raw))
    random.choice([read_vectors, read_saved, read_vocabulary])(path)


def fuzz_rows(random: Random, folder: Path) -> None:
    """Mutate CSV, JSON and JSON lines."""
    rows = [{"w": word, "v": [0.5, -1e-3]} for word in ("the", "a", 'q"', "é")]
    kind = random.randrange(4)
    if kind == 0:
        text = b'word,d0,d1\r\n"the",0.5,1\r\n"a ""b""",-1e-3,nan\r\nof,1,2\r\n'
        pieces = re.split(rb'([",\r\n]|[0-9.]+)', text)
        raw = b"".join(pieces_mutated(random, pieces))
    elif kind == 1:
        lines = [json_mutated(random, json.dumps(row).encode()) for row in rows]
        raw = b"\n".join(lines)
    elif kind == 2:
        raw = json_mutated(random, json.dumps(rows).encode())
    else:
        vectors = {row["w"]: row["v"] for row in rows}
        raw = json_mutated(random, json.dumps(vectors).encode())
    if random.random() < 0.2:
        raw = raw[: random.randrange(len(raw) + 1)]
    read_vectors(put(folder, Seed("x", b""), raw))


def fuzz_records(random: Random, folder: Path) -> None:
    """Mutate the records of a build's work, right by CRC, and a store's directory."""
    if random.random() < 0.5:
        findings = {"rows": 3, "bad_rows": 0, "suspicious_rows": 0, "duplicates": 0}
        doubts = [[1, 2, "what", None], [1, None, "what", "text.bad-number"]]
        extracts = [{"file": "a", "size": 8, "crc32": 5}]
        facts = {
            "key": "k",
            "findings": {**findings, "doubts": doubts, "notes": ["note"]},
            **{"read": 9, "blank_end": 0, "skips": True, "extracts": extracts},
        }
        text = json_mutated(random, json.dumps(facts).encode())
        record = b"%08x\n" % zlib.crc32(text) + text
        place = SafePath.at(folder, SourceError, "")
        outcome = Outcome.from_record(record, "k", place)
        for extract in outcome.extracts if outcome else []:
            extract.is_whole()
        return
    store, mark = store_seed(), directory.MARK
    end = len(store) - len(mark) - 8
    begin = end - int.from_bytes(store[end : end + 8], "little")
    known = json_mutated(random, store[begin:end])
    path = folder / "x.store"
    length = len(known).to_bytes(8, "little")
    path.write_bytes(store[:begin] + known + length + mark)
    with open_store(path) as reader:
        list(reader.blocks())


@cache
def store_seed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        text, made = Path(folder) / "x.txt", Path(folder) / "x.store"
        text.write_bytes(b"the 0.1 0.2\nof 0.3 0.4\n")
        with formats.open_reader(sources.open_source(text)) as reader:
            write_store(made, reader, lambda: Statistics.of(np.ones((2, 2))))
        return made.read_bytes()


def fuzz_states(random: Random, folder: Path) -> None:
    """Mutate the arrays and the metadata of saved matrices, well-formed else."""
    names = ["fill", "advice", "concat", "extended", "forms", "holes"]
    seed = seeds(f"release_0_1/matrices/{random.choice(names)}.npz", beside="none")[0]
    with np.load(io.BytesIO(seed.content)) as held:
        arrays = dict(held)
    for _ in range(random.choice([1, 1, 2])):
        name = random.choice(list(arrays))
        array = arrays[name]
        what = random.randrange(6)
        if name == "metadata":
            text = json_mutated(random, array.tobytes())
            arrays[name] = np.frombuffer(text, np.uint8)
        elif what == 0:
            del arrays[name]
            if not arrays:
                return
        elif what == 1:
            arrays[name] = array[: len(array) // 2] if array.ndim else array
        elif what == 2:
            arrays[name] = arrays[random.choice(list(arrays))]
        elif what == 3 and array.size and array.ndim:
            array = array.copy()
            place = random.randrange(array.size)
            number = random.choice([-1, 0, 127, 1 << 30, -(1 << 62)])
            array.flat[place] = np.array(number).astype(array.dtype)
            arrays[name] = array
        elif what == 4:
            arrays[name] = array.astype(random.choice(["f4", "i8", "u1", "f8", ">i4"]))
        else:
            arrays[name] = array[None]
    file = io.BytesIO()
    np.savez(file, **arrays)
    path = put(folder, seed, file.getvalue())
    read_saved(path)
    build_matrix(["the", "a"], path)


#: What is mutated, and what makes one input of it and reads that in a folder.
FUZZERS: dict[str, Callable[[Random, Path], None]] = {
    "pickle": fuzz_pickle,
    "plain pickle": fuzz_plain_pickle,
    "torch": fuzz_torch,
    "keras": fuzz_keras,
    "gguf": fuzz_gguf,
    "model": fuzz_model,
    "tar": fuzz_tar,
    "zip": fuzz_zip,
    "json": fuzz_json,
    "safetensors": fuzz_safetensors,
    "protobuf": fuzz_protobuf,
    "hdf5": fuzz_hdf5,
    "binary": fuzz_binary,
    "parquet": fuzz_parquet,
    "tables": fuzz_tables,
    "rows": fuzz_rows,
    "records": fuzz_records,
    "states": fuzz_states,
}


def check(name: str, seed: int, number: int) -> str:
    """Try one input; return what became of it. Raises `Failure`."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        try:
            FUZZERS[name](Random(f"{seed} {name} {number}"), Path(folder))
        except PretrainedEmbedError as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, OURS) or "not enough memory" in str(cause):
                    raise Failure(f"{error!r} because of {cause!r}") from error
                cause = cause.__cause__
            return type(error).__name__
        except Exception as error:
            raise Failure(repr(error)[:500]) from error
    return "read"


def fuzz(name: str, seconds: float, seed: int, first: int) -> int:
    """Try inputs of a kind for some seconds, and tell what they became.

    Returns how many failed.
    """
    became: dict[str, int] = {}
    slowest, number = (0.0, first), first
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.process_time()
        try:
            what = check(name, seed, number)
        except Failure as failure:
            repeat = f"--seed {seed} --only {name} --first {number}"
            sys.stderr.write(f"fuzz_structure.py {repeat}: {failure}\n")
            traceback.print_exception(failure.__cause__, limit=-4)
            what = "FAILED"
        slowest = max(slowest, (time.process_time() - begun, number))
        became[what] = became.get(what, 0) + 1
        number += 1
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(became.items()))
    sys.stdout.write(
        f"{name}: {number - first:,} inputs: {told}; the slowest, number "
        f"{slowest[1]}, took {slowest[0]:.1f} s\n"
    )
    sys.stdout.flush()
    return became.get("FAILED", 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--only", choices=FUZZERS, help="this kind alone")
    parser.add_argument("--first", type=int, default=0, help="number of an input")
    options = parser.parse_args()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 2 * SPARE, -1))
    names = [options.only] if options.only else [*FUZZERS]
    each = options.seconds / len(names)
    failed = sum(fuzz(name, each, options.seed, options.first) for name in names)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
