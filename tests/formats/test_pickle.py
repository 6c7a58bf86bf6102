"""Pickles of plain things that hold vectors, read as data."""

from __future__ import annotations

import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from conformance import all_rows

from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError

TOKENS = ["the", "of", "à"]
TABLE = np.arange(6, dtype=np.float32).reshape(3, 2) / 7

HELD: dict[str, Callable[[], Any]] = {
    "arrays": lambda: dict(zip(TOKENS, TABLE, strict=True)),
    "own arrays": lambda: {t: TABLE[i].copy() for i, t in enumerate(TOKENS)},
    "lists": lambda: dict(zip(TOKENS, TABLE.astype(float).tolist(), strict=True)),
    "default": lambda: collections.defaultdict(list, zip(TOKENS, TABLE, strict=True)),
    "pair": lambda: (TOKENS, TABLE),
    "other pair": lambda: [TABLE, np.array(TOKENS)],
    "named": lambda: {"words": TOKENS, "vectors": TABLE, "dim": 2},
    "numbered": lambda: {"word2idx": {"à": 2, "of": 1, "the": 0}, "emb": TABLE},
}


def rows_of(path: Path | str) -> tuple[list[str], np.ndarray]:
    with formats.open_reader(sources.open_source(path)) as reader:
        assert reader.format == "pickle"
        return all_rows(reader)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", HELD)
def test_tokens_and_vectors_are_found(kind, protocol, tmp_path):
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(HELD[kind](), protocol))

    tokens, vectors = rows_of(path)

    assert (tokens, vectors.tobytes()) == (TOKENS, TABLE.tobytes())


@pytest.mark.parametrize("kind", ["arrays", "lists", "named"])
def test_a_dictionary_that_numpy_saved_is_read(kind, tmp_path):
    np.save(tmp_path / "v.npy", HELD[kind](), allow_pickle=True)

    tokens, vectors = rows_of(tmp_path / "v.npy")

    assert (tokens, vectors.tobytes()) == (TOKENS, TABLE.tobytes())


def test_one_of_several_arrays_is_named(tmp_path):
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps({"words": TOKENS, "a": TABLE, "b": TABLE + 1}))

    with pytest.raises(FormatError, match=r"(?s)several matrices.*'a' \(3, 2\) F32"):
        rows_of(path)
    assert rows_of(f"{path}#b")[1].tobytes() == (TABLE + 1).tobytes()


class Own:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("numpy", [False, True])
def test_an_object_of_a_class_is_named_and_not_made(numpy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("v.npy" if numpy else "v.pkl")
    if numpy:
        np.save(path, np.array([Own()]), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Own()))

    with pytest.raises(FormatError, match=r"(?s)posix\.mkdir.*numpy\.savez"):
        rows_of(path)
    assert not (tmp_path / "ran").exists()


def test_a_frame_of_pandas_says_how_to_write_it_anew(tmp_path):
    pd.DataFrame(TABLE, index=TOKENS).to_pickle(tmp_path / "v.pkl")

    with pytest.raises(FormatError, match=r"(?s)DataFrame.*read_pickle.*to_parquet"):
        rows_of(tmp_path / "v.pkl")


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, {"a": 1}, ["a", "b"]])
def test_a_pickle_without_vectors_is_an_error(value, tmp_path):
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(value))

    with pytest.raises(FormatError, match="no vectors were found"):
        rows_of(path)


def test_damaged_pickles_are_errors_of_ours(tmp_path):
    path = tmp_path / "v.pkl"
    raw = pickle.dumps(HELD["named"]())

    for size in range(2, len(raw) - 1, 3):
        path.write_bytes(raw[:size])
        with pytest.raises(FormatError):
            rows_of(path)


@pytest.mark.parametrize("kind", HELD)
def test_what_joblib_writes_is_read(kind, tmp_path):
    joblib.dump(HELD[kind](), tmp_path / "v.joblib")

    tokens, vectors = rows_of(tmp_path / "v.joblib")

    assert (tokens, vectors.tobytes()) == (TOKENS, TABLE.tobytes())


def test_arrays_of_joblib_lie_within_the_file(tmp_path):
    path = tmp_path / "v.joblib"
    joblib.dump({"words": TOKENS, "vectors": TABLE, "same": [TABLE.T]}, path)
    raw = path.read_bytes()
    assert rows_of(f"{path}#vectors")[1].tobytes() == TABLE.tobytes()
    for size in range(2, len(raw), 7):
        path.write_bytes(raw[:size])
        with pytest.raises(FormatError):
            rows_of(path)
    at = raw.index(b"K\x03K\x02\x86")  # the shape
    path.write_bytes(raw[:at] + b"J\xff\xff\xff\x7fK\x02\x86" + raw[at + 5 :])
    with pytest.raises(FormatError):
        rows_of(path)
    joblib.dump(np.array([{}, "a"], object), path)
    with pytest.raises(FormatError, match="not one of plain numbers or strings"):
        rows_of(path)
