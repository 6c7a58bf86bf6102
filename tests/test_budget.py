"""What is made of a file in memory, counted: little files that ask for much."""

from __future__ import annotations

import gzip
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import h5py
import numpy as np
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors
from pyarrow import parquet

import pretrained_embed as pe
from pretrained_embed import budget, formats, sources
from pretrained_embed.errors import FormatError, OptionError, PretrainedEmbedError
from pretrained_embed.sources.stream import rereadable, with_options
from tests.formats.test_fuzz import all_samples, read_all
from tests.formats.test_magnitude import database
from tests.formats.test_magnitude import table as magnitude_table

KIND = "reading it takes more memory than"
LONG = "x" * 60_000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let little be made of any file, so that the files here can be small."""
    monkeypatch.setattr(budget, "FIXED", 1 << 20)


def peak_of_refusal(path: Path) -> int:
    """Return the most memory that reading a file took until it was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=KIND) as caught:
            formats.open_reader(sources.open_source(path))
        assert budget.ENVIRONMENT in str(caught.value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_two_threads_take_from_one_budget():
    """The second takes while the first has read what is left, and not yet written."""
    shared = budget.Budget("x", 0, 100)
    asked, taken = Event(), Event()

    class Pausing(int):
        def __rsub__(self, left: int) -> int:
            asked.set()
            taken.wait(0.05)  # in vain: the second has to wait for the first
            return left - int(self)

    def second() -> None:
        asked.wait()
        shared.take(30)
        taken.set()

    with ThreadPoolExecutor() as threads:
        threads.submit(second)
        shared.take(Pausing(30))

    assert shared.left == 40
    with pytest.raises(FormatError, match=KIND):
        shared.take(41)


def tokens_of(path: Path) -> int:
    with formats.open_reader(sources.open_source(path)) as reader:
        return sum(len(block.tokens) for block in reader.blocks())


@pytest.mark.parametrize("kind", ["str", "bytes", "numpy"])
def test_one_string_many_times_in_a_pickle(kind, tmp_path):
    made = KeyedVectors(1)
    made.vectors = np.zeros((1_000, 1), np.float32)
    one = {"str": LONG, "bytes": b"x" * 4000, "numpy": np.str_(LONG)}[kind]
    made.index_to_key = [one] * 1_000  # 60 MB of 65 KB, or 4 of 7
    path = tmp_path / "x.kv"
    path.write_bytes(pickle.dumps(made, 4))

    assert peak_of_refusal(path) < 2 * budget.Budget("", path.stat().st_size).total


def test_one_string_many_times_in_hdf5(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vectors", data=np.zeros((900, 2), "f4"))
        made = file.create_dataset("tokens", (900,), h5py.string_dtype())
        made[0] = LONG * 5
        at = h5py.h5d.open(file.id, b"tokens").get_offset()
    raw = bytearray(path.read_bytes())
    raw[at : at + 16 * 900] = raw[at : at + 16] * 900
    path.write_bytes(raw)

    assert peak_of_refusal(path) < 2 * budget.Budget("", len(raw)).total


def test_strings_of_hdf5_that_are_themselves_are_read_in_parts(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vectors", data=np.zeros((5_000, 1), "f4"))
        words = [f"token {n}" for n in range(5_000)]
        file.create_dataset("tokens", data=words, dtype=h5py.string_dtype())

    with formats.open_reader(sources.open_source(path)) as reader:
        assert [token for block in reader.blocks() for token in block.tokens] == words


def test_a_chunk_of_hdf5_is_unpacked_whole(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            *("vectors", (1 << 10, 1600), "f4"),
            **{"chunks": (1 << 10, 1600), "compression": "gzip"},
        )[0, 0] = 1
        file.create_dataset("tokens", data=np.arange(1 << 10).astype("S4"))

    assert peak_of_refusal(path) < 2 << 20


def test_wide_chunks_are_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pretrained_embed.formats.hdf5.data._CHUNK_CACHE", 1000)
    rows = np.arange(40_000, dtype="f4").reshape(10_000, 4)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vectors", data=rows, chunks=(5_000, 1), compression="gzip")
        file.create_dataset("tokens", data=np.arange(10_000).astype("S5"))

    with formats.open_reader(sources.open_source(path)) as reader:
        held = np.concatenate([block.vectors for block in reader.blocks()])
        cache = reader.stored._dataset.id.get_access_plist().get_chunk_cache()

    np.testing.assert_array_equal(held, rows)
    assert cache[1] == 4 * 5_000 * 4


def test_zeros_of_an_npz_that_are_packed_a_thousand_to_one(tmp_path):
    path = tmp_path / "x.npz"
    rows = np.zeros((1 << 10, 1600), "f4")  # 6.5 MB of 10 KB
    np.savez_compressed(path, vectors=rows, tokens=np.arange(1 << 10).astype("U"))

    assert peak_of_refusal(path) < 2 << 20


def test_members_of_an_npz_that_share_their_bytes(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros((3, 2), "f4"), b=np.zeros((3, 2), "f4"))
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 42 : second + 46] = bytes(4)  # both begin where the first does
    path.write_bytes(raw)

    with pytest.raises(FormatError, match="overlaps the one before"):
        formats.open_reader(sources.open_source(path))


def test_one_token_many_times_in_parquet(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1_000, 1), "f4"))
    words = pa.DictionaryArray.from_arrays(np.zeros(1_000, np.int32), [LONG])
    table = pa.table({"token": words})
    parquet.write_table(table, tmp_path / "x.parquet", store_schema=False)

    assert peak_of_refusal(tmp_path / "x.npy") < 2 << 20


def test_one_key_of_spacy_many_times(tmp_path):
    (tmp_path / "strings.json").write_text(json.dumps([LONG[:3000]]))
    from pretrained_embed.formats.spacy.keys import keys_of

    pair = b"\xcf" + int(keys_of([LONG[:3000].encode()])[0]).to_bytes(8, "big") + b"\0"
    raw = b"\xdf" + (2_000).to_bytes(4, "big") + pair * 2_000
    (tmp_path / "key2row").write_bytes(raw)
    with (tmp_path / "vectors").open("wb") as file:
        np.save(file, np.ones((1, 2), "f4"))

    assert peak_of_refusal(tmp_path) < 2 << 20


def test_keys_of_magnitude_are_counted(tmp_path, monkeypatch):
    path = tmp_path / "x.magnitude"
    database(path, *magnitude_table(1, (LONG, [1], 1.0)))
    assert tokens_of(path) == 1

    monkeypatch.setenv(budget.ENVIRONMENT, "50 kB")

    assert peak_of_refusal(path) < 2 << 20


def test_a_file_that_unpacks_to_a_thousand_times_itself_is_not_kept(tmp_path):
    path = tmp_path / "x.npy.gz"
    with gzip.open(path, "wb") as file:
        np.save(file, np.zeros((1 << 10, 1600), "f4"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", gzip.decompress(path.read_bytes()))

    peak_of_refusal(path)
    peak_of_refusal(Path(f"{tmp_path}/x.zip#x.npy"))


def test_the_budget_is_set_by_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez_compressed(
        path, vectors=np.ones((3, 2), "f4"), tokens=np.array(["a", "b", "c"])
    )
    assert tokens_of(path) == 3

    monkeypatch.setenv(budget.ENVIRONMENT, "20")
    with pytest.raises(FormatError, match=r"than the 20 that .*_BUDGET=1GB, or"):
        tokens_of(path)
    monkeypatch.setenv(budget.ENVIRONMENT, "1 MiB")
    assert tokens_of(path) == 3
    for wrong in ("much", "-1", "0"):
        monkeypatch.setenv(budget.ENVIRONMENT, wrong)
        with pytest.raises(OptionError, match=f"{budget.ENVIRONMENT} is '?{wrong}"):
            tokens_of(path)


def test_vectors_that_are_streamed_are_not_counted(tmp_path, monkeypatch):
    monkeypatch.setenv(budget.ENVIRONMENT, "100 kB")
    path = tmp_path / "x.txt.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"".join(b"t%d 1 2 3\n" % n for n in range(20_000)))

    assert tokens_of(path) == 20_000


def refusal(read: Callable[[], object]) -> bool:
    """Whether reading is refused, on a thread of its own, for want of budget."""
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(read).result()
        except PretrainedEmbedError as error:
            return KIND in str(error)
    return False


@pytest.mark.parametrize(
    "sample",
    # a folder of gensim's is no format, but files that are read one by one
    [sample for sample in all_samples() if sample.parent.name != "gensim"],
    ids=lambda p: f"{p.parent.name}-{p.name}",
)
def test_the_budget_of_a_library_is_kept_whoever_reads(sample, monkeypatch):
    little = pe.Library(read_budget=1, stores=False)
    stream = rereadable(pe.Library(stores=False).stream(sample))
    told = with_options(stream, little.read_options)
    refused = refusal(lambda: read_all(formats.open_reader(told)))

    assert refusal(lambda: read_all(little.open(sample))) == refused

    monkeypatch.setenv(budget.ENVIRONMENT, "1")
    assert refusal(lambda: read_all(formats.open_reader(stream))) == refused
    enough = pe.Library(read_budget="1GB", stores=False)
    assert not refusal(lambda: read_all(enough.open(sample)))


def packed_npz(path: Path) -> None:
    words = np.arange(1 << 10).astype("U")
    np.savez_compressed(path, vectors=np.zeros((1 << 10, 1600), "f4"), tokens=words)


def packed_npy(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        np.save(file, np.zeros((1 << 10, 1600), "f4"))


def packed_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        rows = np.zeros((1 << 10, 1600), "f4")
        file.create_dataset("vectors", data=rows, chunks=rows.shape, compression=9)
        file.create_dataset("tokens", data=np.arange(1 << 10).astype("S4"))


def repeated_pickle(path: Path) -> None:
    made = KeyedVectors(1)
    made.vectors = np.zeros((1_000, 1), np.float32)
    made.index_to_key = [LONG] * 1_000
    path.write_bytes(pickle.dumps(made, 4))


def repeated_parquet(path: Path) -> None:
    np.save(path, np.zeros((1_000, 1), "f4"))
    words = pa.DictionaryArray.from_arrays(np.zeros(1_000, np.int32), [LONG])
    table = pa.table({"token": words})
    parquet.write_table(table, path.with_suffix(".parquet"), store_schema=False)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.npz", packed_npz),
        ("x.npy.gz", packed_npy),
        ("x.h5", packed_hdf5),
        ("x.kv", repeated_pickle),
        ("x.npy", repeated_parquet),
    ],
)
def test_what_unpacks_too_far_is_refused_later_and_elsewhere(name, write, tmp_path):
    write(path := tmp_path / name)
    stream = pe.Library(read_budget="100 kB").stream(path)

    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(FormatError, match="100,000 bytes that read_budget allows"),
    ):
        pool.submit(lambda: read_all(formats.open_reader(stream))).result()
