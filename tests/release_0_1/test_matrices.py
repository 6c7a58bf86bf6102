"""Matrices that release 0.1 saved or pickled are what they were."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe

FOLDER = Path(__file__).parents[1] / "data" / "release_0_1" / "matrices"
EXPECTED = json.loads((FOLDER / "expected.json").read_bytes())
with np.load(FOLDER / "expected.npz") as _arrays:
    VECTORS = {name: _arrays[name] for name in _arrays.files}

WHOLE = (".npz", ".npy", ".h5", ".safetensors", "-sentence-transformers")
PLAIN = (".txt", ".glove.txt", ".bin", ".kv")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what is in shards."""
    folder = tmp_path_factory.mktemp("sharded")
    shutil.unpack_archive(FOLDER / "sharded.zip", folder)
    return folder


def kind_of(name: str) -> str:
    return name.partition(".")[0].partition("-")[0]


def names(*suffixes: str) -> list[str]:
    """Return the files and folders that end in one of these."""
    found = [path.name for path in FOLDER.iterdir() if path.name.endswith(suffixes)]
    beside = (".rows.safetensors", "expected.npz")
    return sorted(name for name in found if not name.endswith(beside))


def assert_held(matrix: pe.EmbeddingMatrix, kind: str) -> None:
    """Everything about the matrix is what was reckoned when it was made."""
    known, vocabulary = EXPECTED[kind], matrix.vocabulary
    assert matrix.vectors.dtype == np.float32
    assert matrix.vectors.tobytes() == VECTORS[kind].tobytes()
    assert matrix.shape == VECTORS[kind].shape
    assert not matrix.vectors.flags.writeable
    assert list(vocabulary.tokens) == known["tokens"]
    assert vocabulary.pad_token == known["pad"]
    assert vocabulary.unk_token == known["unk"]
    assert dict(vocabulary.special_tokens) == known["special_tokens"]
    assert vocabulary.marks == known["marks"]
    counts = None if vocabulary.counts is None else vocabulary.counts.tolist()
    assert counts == known["counts"]
    assert named(matrix.origin, matrix.match) == known["origin"]
    assert matrix.sources.tolist() == known["sources"]
    assert matrix.source_rows.tolist() == known["source_rows"]
    parts = [
        {"origin": named(part.origin), "source_rows": part.source_rows.tolist()}
        for part in matrix.parts
    ]
    assert parts == known["parts"]
    assert_told(matrix, kind)


def named(origin: Any, match: Sequence[str] = ()) -> list[str]:
    """Return the names of codes, and of forms of a chain's own what they are called."""
    codes = [pe.ledger.Origin(code) for code in origin.tolist()]
    names = [code.name for code in codes]
    return [
        code.label(match) if name.startswith("FORM_") else name
        for code, name in zip(codes, names, strict=True)
    ]


def assert_told(matrix: pe.EmbeddingMatrix, kind: str) -> None:
    """What the ledger is for is still told: findings, sources, coverage, advice."""
    known = EXPECTED[kind]
    assert matrix.findings.bad_rows == known["bad_rows"]
    assert matrix.findings.duplicates == known["duplicates"]
    facts = matrix.source_facts
    assert [one.get("source", one.get("name")) for one in facts] == known[
        "source_names"
    ]
    if known["options"] is None:
        assert matrix.provenance["trained_in"].endswith("Embedding")
    else:
        options = matrix.provenance["options"]
        assert {name: options[name] for name in known["options"]} == known["options"]
    not_found = ("PAD", "UNUSED", "OOV", "PARTS")
    found = [origin for origin in known["origin"] if origin not in not_found]
    assert matrix.coverage.found == len(found)
    for token, origin in zip(known["tokens"], known["origin"], strict=True):
        if token is not None:
            story = matrix.explain(token)
            assert story.token == token
            if origin.isupper():
                assert story.origin == origin.lower()
            else:
                assert origin in story.how
    assert (matrix.advice is None) == (known["advice"] is None)
    if known["advice"] is not None:
        for token, lower in known["advice"].items():
            forms = matrix.advice.forms_for(matrix.vocabulary[token])
            assert ("lower" in forms) == lower, token


@pytest.mark.parametrize("name", names(*WHOLE))
def test_a_file_holds_the_whole_matrix(name: str) -> None:
    assert_held(pe.load_matrix(FOLDER / name), kind_of(name))


SHARDED = [
    *("fill", "concat", "advice", "holes", "extended"),
    *("fill.streamed", "fill.streamed.safetensors"),
]


@pytest.mark.parametrize("name", SHARDED)
def test_shards_hold_the_whole_matrix(name: str, sharded: Path) -> None:
    assert_held(pe.load_matrix(sharded / name), kind_of(name))


@pytest.mark.parametrize("name", [*names(*WHOLE), *SHARDED])
def test_some_rows_are_those_of_the_whole(name: str, sharded: Path) -> None:
    path = (FOLDER if name in names(*WHOLE) else sharded) / name
    known, vectors = EXPECTED[kind_of(name)], VECTORS[kind_of(name)]
    ranks = [pe.load_shard(path, rank, 3) for rank in range(3)]
    middle = pe.load_matrix(path, rows=slice(2, 6))
    match = pe.load_matrix(path).match

    assert [ranks[0].start, ranks[2].stop] == [0, len(vectors)]
    for shard in (*ranks, middle):
        rows = slice(shard.start, shard.stop)
        assert shard.vectors.tobytes() == vectors[rows].tobytes()
        assert list(shard.tokens) == known["tokens"][rows]
        assert named(shard.origin, match) == known["origin"][rows]
        assert shard.sources.tolist() == known["sources"][rows]
        assert shard.source_rows.tolist() == known["source_rows"][rows]


def unpickled(name: str) -> Any:
    return pickle.loads((FOLDER / name).read_bytes())  # noqa: S301  (our own)


PICKLES = [name for name in names(".pickle") if name != "fill.shard.pickle"]


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_the_matrix_it_was(name: str) -> None:
    matrix = unpickled(name)

    again = pickle.loads(pickle.dumps(matrix))  # noqa: S301  (our own)

    assert_held(matrix, kind_of(name))
    assert_held(again, kind_of(name))


def test_a_pickle_is_the_shard_it_was() -> None:
    shard = unpickled("fill.shard.pickle")

    rows = slice(20, 40)
    assert (shard.start, shard.stop, shard.rows) == (20, 40, 40)
    assert shard.vectors.tobytes() == VECTORS["fill"][rows].tobytes()
    assert named(shard.origin) == EXPECTED["fill"]["origin"][rows]
    assert list(shard.tokens) == EXPECTED["fill"]["tokens"][rows]


@pytest.mark.parametrize("name", [*names(".npz"), *PICKLES])
def test_what_was_loaded_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    matrix = unpickled(name) if name in PICKLES else pe.load_matrix(FOLDER / name)

    matrix.save(tmp_path / "m.safetensors")

    assert_held(pe.load_matrix(tmp_path / "m.safetensors"), kind_of(name))


@pytest.mark.parametrize("name", names(*PLAIN))
def test_what_other_tools_read_has_tokens_and_vectors(name: str) -> None:
    kind = kind_of(name)
    matrix = pe.load_matrix(FOLDER / name)

    assert list(matrix.vocabulary.tokens) == EXPECTED[kind]["tokens"]
    assert matrix.vectors.tobytes() == VECTORS[kind].tobytes()
    assert matrix.coverage.found == len(matrix) - 1  # less the pad


@pytest.mark.parametrize("name", [*names(*WHOLE, *PLAIN)])
def test_a_saved_matrix_is_a_source(name: str) -> None:
    kind = kind_of(name)
    known = EXPECTED[kind]
    tokens = [token for token in known["tokens"] if token is not None]
    rows = [known["tokens"].index(token) for token in tokens]
    vocabulary = pe.Vocabulary(tokens, pad=None)

    matrix = pe.build_matrix(
        vocabulary, FOLDER / name, oov="zeros", library=pe.Library(stores=False)
    )

    assert matrix.vectors.tobytes() == VECTORS[kind][rows].tobytes()


@pytest.mark.parametrize("as_path", [True, False])
def test_an_old_matrix_is_extended(as_path: bool) -> None:
    path = FOLDER / "extended.npz"
    old = path if as_path else pe.load_matrix(path)
    tokens, vectors = EXPECTED["extended"]["tokens"], VECTORS["extended"]
    vocabulary = pe.Vocabulary(["w20", "w59", "zz", "missing"])

    matrix = pe.build_matrix(
        vocabulary,
        FOLDER / "one.txt",
        oov="zeros",
        library=pe.Library(stores=False),
        onto=old,
    )

    for token in ("w59", "zz"):
        assert matrix[token].tobytes() == vectors[tokens.index(token)].tobytes()
    row = EXPECTED["one"]["tokens"].index("w20")
    assert matrix["w20"].tobytes() == VECTORS["one"][row].tobytes()
    assert not matrix["missing"].any()
    assert matrix.source_rows[vocabulary["zz"]] == tokens.index("zz")


@pytest.mark.parametrize("suffix", [".npz", "-sentence-transformers", ".pickle"])
def test_texts_are_encoded_as_before(suffix: str) -> None:
    def loaded(kind: str) -> pe.EmbeddingMatrix:
        name = f"{kind}{suffix}"
        return unpickled(name) if name in PICKLES else pe.load_matrix(FOLDER / name)

    one = loaded("one")
    ids = {token: row for row, token in enumerate(EXPECTED["one"]["tokens"])}
    expected = [ids["the"], ids["W3"], ids["<unk>"], ids["w5"]]
    assert one.vocabulary.encode(["the W3 missing w5"]).tolist() == [expected]

    split = loaded("split").vocabulary
    assert split.encode([["w5", "w6"]]).tolist() == [[split["w5"], split["w6"]]]
    if suffix == ".pickle":  # the function came along by its name
        assert split.encode(["THE W5"]).tolist() == [[split["the"], split["w5"]]]
    else:
        with pytest.raises(pe.errors.OptionError, match="lists of tokens"):
            split.encode(["the w5"])
