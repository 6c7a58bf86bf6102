from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from conformance import DIM, ReadingConformance, all_rows, select
from hypothesis import given
from hypothesis import strategies as st
from tables import read_all, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats import Findings
from pretrained_embed.formats.finalfusion import reader as finalfusion

DATA = Path(__file__).parents[1] / "data" / "finalfusion"
FILES = sorted(DATA.glob("*.fifu"))
SUBWORDS = ("bucket", "fasttext", "explicit", "projected")

SIMPLE, ARRAY, BUCKET, QUANTISED, METADATA, NORMS, EXPLICIT, FLORET = (
    *(1, 2, 3, 4, 5, 6, 8, 9),
)

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def answer(path):
    """Return the words of a file, their vectors, and what else is told of it."""
    told = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
    return told["words"], np.load(path.with_name(path.name + ".npy")), told


def opened(path):
    return formats.open_reader(stream_of(path))


# --- Files, written by a few lines of our own


def strings(words):
    raw = [word.encode("utf-8", "surrogateescape") for word in words]
    return b"".join(struct.pack("<I", len(word)) + word for word in raw)


def simple(words):
    return SIMPLE, struct.pack("<Q", len(words)) + strings(words)


def file_of(*chunks, version=0, magic=b"FiFu"):
    """Return a file of (kind, data); ``PAD`` in data becomes padding as is needed."""
    raw = magic + struct.pack("<II", version, len(chunks))
    raw += struct.pack(f"<{len(chunks)}I", *(kind for kind, _ in chunks))
    for kind, data in chunks:
        head, pad, tail = data.partition(PAD)
        padding = 4 - (len(raw) + 12 + len(head)) % 4
        data = head + bytes(padding) + tail if pad else data
        raw += struct.pack("<IQ", kind, len(data)) + data
    return raw


PAD = b"{the padding goes here}"


def array(vectors, kind=10):
    rows, dim = vectors.shape
    return ARRAY, struct.pack("<QII", rows, dim, kind) + PAD + vectors.tobytes()


def quantised(codes, codebook, **fields):
    parts, centroids, width = codebook.shape
    head = {
        **{"projected": 0, "normed": 0, "parts": parts, "dim": parts * width},
        **{"centroids": centroids, "rows": len(codes), "code_kind": 1, "kind": 10},
        **fields,
    }
    data = codebook.astype("<f4").tobytes() + codes.tobytes()
    return QUANTISED, struct.pack("<IIIIIQII", *head.values()) + PAD + data


class TestArray(ReadingConformance):
    def write(self, path, tokens, vectors):
        path.write_bytes(file_of(simple(tokens), array(vectors)))


class TestQuantised(ReadingConformance):
    """Each of the dimensions is a part of its own, with 256 values to choose from."""

    codes = np.random.default_rng(1).integers(
        0, 256, (len(ReadingConformance.tokens), DIM), np.uint8
    )

    @property
    def codebook(self):
        draw = np.random.default_rng(2)
        return draw.normal(size=(DIM, 256, 1)).astype(np.float32)

    @property
    def vectors(self):
        return self.codebook[np.arange(DIM), self.codes, 0]

    def write(self, path, tokens, vectors):
        path.write_bytes(file_of(simple(tokens), quantised(self.codes, self.codebook)))


# --- Files, written by finalfusion


@every_file
def test_words_and_vectors_are_those_that_finalfusion_gives(path):
    words, vectors, _ = answer(path)

    with opened(path) as reader:
        tokens, rows = all_rows(reader)
        wanted = [(word, row, 0) for row, word in enumerate(reversed(words))]
        out, selection = select(reader, wanted)

    assert reader.format == "finalfusion"
    assert tokens == words
    assert selection.source_rows[:-1].tolist() == list(range(len(words)))[::-1]
    assert out[:-1].tobytes() == rows[::-1].tobytes()
    if path.stem == "projected":  # a product of matrices, whose order is BLAS's own
        np.testing.assert_allclose(rows, vectors, atol=1e-6)
    else:
        assert rows.tobytes() == vectors.tobytes()


@every_file
def test_other_words_are_composed_as_finalfusion_composes_them(path):
    told = answer(path)[2]["composed"]
    expected = [told[word] is not None for word in told]

    with opened(path) as reader:
        out = np.full((len(told), reader.dim), 7, np.float32)
        made = reader.compose(list(told), out)

    assert reader.composes == (path.stem in SUBWORDS) == any(expected)
    assert made.tolist() == expected
    for row, vector in enumerate(told.values()):
        wanted = [7] * reader.dim if vector is None else vector
        np.testing.assert_allclose(out[row], wanted, atol=1e-6)


def test_the_same_row_has_the_same_bits_alone_and_among_others():
    with opened(DATA / "projected.fifu") as reader:
        words, rows = all_rows(reader)
        for row, word in enumerate(words):
            assert select(reader, [(word, 0, 0)])[0][0].tobytes() == rows[row].tobytes()


def test_norms_and_metadata_are_told_and_not_applied():
    path = DATA / "simple.fifu"
    _, vectors, told = answer(path)

    with opened(path) as reader:
        all_rows(reader)
        facts = dict(reader.facts)

    assert facts["norms"] == pytest.approx(told["norms"])
    assert facts["metadata"] == {
        "common": {"seed": 1, "text": "café"},
        "numbers": [1.5, 2.0],
    }
    assert facts["vocabulary"] == "simple"
    assert facts["storage"] == "array"
    assert "kept apart" in reader.findings.notes[0]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("bucket", {"vocabulary": "bucket", "min_n": 3, "max_n": 6, "buckets": 16}),
        ("fasttext", {"vocabulary": "fasttext", "min_n": 1, "max_n": 4, "buckets": 30}),
        ("explicit", {"vocabulary": "explicit", "ngrams": 66, "storage": "array"}),
        ("projected", {"vocabulary": "bucket", "storage": "quantised"}),
    ],
)
def test_facts_of_a_file(name, facts):
    with opened(DATA / f"{name}.fifu") as reader:
        assert facts.items() <= dict(reader.facts).items()


def test_a_table_in_memory_is_mapped():
    with opened(DATA / "simple.fifu") as reader:
        vectors = reader.table().vectors

    assert not vectors.flags.writeable
    assert not vectors.flags.owndata


def test_a_composed_sum_of_zero_stays_zero(tmp_path):
    path = tmp_path / "x.fifu"
    head = struct.pack("<QIII", 1, 3, 6, 2) + strings(["a"])
    path.write_bytes(file_of((BUCKET, head), array(np.zeros((5, 2), np.float32))))

    with opened(path) as reader:
        out = np.ones((1, 2), np.float32)
        assert reader.compose(["word"], out).tolist() == [True]

    assert out.tolist() == [[0, 0]]


def test_metadata_that_json_cannot_hold_is_written_out(tmp_path):
    path = tmp_path / "x.fifu"
    toml = b"day = 2020-06-01\nnone = nan\nmany = inf\n"
    path.write_bytes(file_of((METADATA, toml), simple(["a"]), array(ONE)))

    with opened(path) as reader:
        assert json.loads(json.dumps(dict(reader.facts), allow_nan=False))[
            "metadata"
        ] == {"day": "2020-06-01", "none": "NaN", "many": "Infinity"}


ONE = np.ones((1, 2), np.float32)
BOOK = np.zeros((2, 4, 1), np.float32)
CODES = np.zeros((1, 2), np.uint8)


def bucket(words=1, min_n=3, max_n=6, exponent=2):
    return BUCKET, struct.pack("<QIII", words, min_n, max_n, exponent) + strings(["a"])


def explicit(count=1, row=0):
    ngram = strings(["<a>"]) + struct.pack("<Q", row)
    return EXPLICIT, struct.pack("<QQII", 1, count, 3, 6) + strings(["a"]) + ngram


DAMAGED = {
    "version": (file_of(simple(["a"]), array(ONE), version=1), "version 1 is not"),
    "many-chunks": (b"FiFu" + struct.pack("<II", 0, 1 << 31), "should follow"),
    "kind": (file_of(simple(["a"]), array(ONE), (77, b"")), "chunk of kind 77"),
    "two-arrays": (file_of(simple(["a"]), array(ONE), array(ONE)), "chunk of kind 2"),
    "two-storages": (
        file_of(simple(["a"]), array(ONE), quantised(CODES, BOOK)),
        "2 chunks of vectors",
    ),
    "two-vocabularies": (
        file_of(simple(["a"]), simple(["a"]), array(ONE)),
        "2 vocabularies",
    ),
    "no-vectors": (file_of(simple(["a"])), "0 chunks of vectors"),
    "no-vocabulary": (file_of(array(ONE)), "0 vocabularies"),
    "too-few-words": (file_of(simple([]), array(ONE)), "0 words and their n-grams"),
    "too-many-words": (file_of(simple(["a", "b"]), array(ONE)), "2 words and their"),
    "words": (
        file_of((SIMPLE, struct.pack("<Q", 1 << 60)), array(ONE)),
        "1,152,921,504,606,846,976 words in",
    ),
    "word": (
        file_of((SIMPLE, struct.pack("<QI", 1, 1 << 31))),
        "2,147,483,648 bytes should follow",
    ),
    "numbers": (file_of(simple(["a"]), array(ONE, kind=11)), "numbers of type 11"),
    "shape": (
        file_of(simple(["a"]), (ARRAY, struct.pack("<QII", 1 << 63, 9, 10) + PAD)),
        "cannot exist",
    ),
    "rows": (
        file_of(simple(["a"]), (ARRAY, struct.pack("<QII", 1 << 40, 9, 10) + PAD)),
        "should follow",
    ),
    "buckets": (file_of(bucket(), array(ONE)), "have 5 vectors, but 1 are there"),
    "exponent": (file_of(bucket(exponent=64), array(ONE)), "64 as the number"),
    "min-n": (file_of(bucket(min_n=0), array(ONE)), "n-grams of 0 to 6 characters"),
    "max-n": (file_of(bucket(max_n=1 << 31), array(ONE)), "1 to 64 are read"),
    "turned": (file_of(bucket(min_n=6, max_n=3), array(ONE)), "n-grams of 6 to 3"),
    "n-grams": (file_of(explicit(1 << 50), array(ONE)), "n-grams in"),
    "n-gram-row": (file_of(explicit(row=1 << 63), array(ONE)), "the file is damaged"),
    "floret": (file_of((FLORET, b""), array(ONE)), "floret vocabulary, which lists no"),
    "codes": (
        file_of(simple(["a"]), quantised(CODES, BOOK, code_kind=2)),
        "codes of type",
    ),
    "parts": (file_of(simple(["a"]), quantised(CODES, BOOK, parts=0)), "in 0 parts of"),
    "uneven": (
        file_of(simple(["a"]), quantised(CODES, BOOK, dim=3)),
        "3 dimensions in",
    ),
    "centroids": (
        file_of(simple(["a"]), quantised(CODES, BOOK, centroids=257)),
        "257 centroids",
    ),
    "code": (file_of(simple(["a"]), quantised(CODES + 4, BOOK)), "made of centroid 4"),
    "toml": (file_of((METADATA, b"= 1"), simple(["a"]), array(ONE)), "is not TOML"),
    "utf-8": (file_of((METADATA, b"\xff"), simple(["a"]), array(ONE)), "is not TOML"),
    "deep-toml": (
        file_of((METADATA, b"a=" + b"[" * 100_000), simple(["a"]), array(ONE)),
        "is not TOML",
    ),
    "long-toml": (
        file_of((METADATA, b" " * (1 << 21)), simple(["a"]), array(ONE)),
        "metadata of 2,097,152 bytes",
    ),
    "norms": (
        file_of(
            simple(["a"]),
            array(ONE),
            (NORMS, struct.pack("<QI", 2, 10) + PAD + bytes(8)),
        ),
        "2 norms for 1 words",
    ),
    "no-norm": (
        file_of(
            simple(["a"]),
            array(ONE),
            (NORMS, struct.pack("<QI", 1, 10) + PAD + struct.pack("<f", np.nan)),
        ),
        "not all finite",
    ),
    "rest": (file_of(simple(["a"]), array(ONE)) + b"\0", "12 bytes should follow"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name, tmp_path):
    raw, what = DAMAGED[name]
    path = tmp_path / "x.fifu"
    path.write_bytes(raw)

    with pytest.raises(FormatError, match=what) as caught:
        all_rows(opened(path))

    assert "x.fifu" in str(caught.value)


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "cut.fifu"
    for file in FILES:
        raw = file.read_bytes()
        for size in range(4, len(raw), 11):
            path.write_bytes(raw[:size])
            with pytest.raises(FormatError):
                opened(path)
        path.write_bytes(raw[:-1])
        with pytest.raises(TruncatedError):
            opened(path)


def test_a_length_that_is_too_small_for_its_n_grams_is_not_believed(tmp_path):
    """finalfusion-python writes vocabularies of listed n-grams so."""
    kind, data = explicit()
    raw = file_of((kind, data), array(np.ones((2, 2), np.float32)))
    wrong = raw.replace(
        struct.pack("<IQ", kind, len(data)), struct.pack("<IQ", kind, len(data) - 8)
    )
    path = tmp_path / "x.fifu"
    path.write_bytes(wrong)

    with opened(path) as reader:
        tokens, _ = all_rows(reader)
        out = np.zeros((1, 2), np.float32)
        assert reader.compose(["a"], out).tolist() == [True]

    assert wrong != raw
    assert tokens == ["a"]
    assert reader.findings == Findings(rows=1)


RAW = [path.read_bytes() for path in FILES]


@given(st.data())
def test_damaged_files_give_rows_or_our_error(tmp_path_factory, data):
    raw = bytearray(data.draw(st.sampled_from(RAW)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        size = data.draw(st.integers(0, 4))
        raw[at : at + size] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / "damaged.fifu"
    path.write_bytes(raw)

    read_all(finalfusion, path)
