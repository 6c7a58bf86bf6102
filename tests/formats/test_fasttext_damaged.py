from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from conformance import all_rows
from hypothesis import given
from hypothesis import strategies as st
from tables import piped, stream_of

from formats.fasttext_models import DATA, model
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, TruncatedError

MATRIX = np.arange(10, dtype=np.float32).reshape(5, 2)
TOKENS = ["a", "bc", "déf"]
FILES = ["fasttext/words.bin", "fasttext/pruned.ftz", "fasttext/old.bin"]
FILES += ["floret/four-hashes.bin", "fasttext/quantised-norm-output.ftz"]

#: Where the parts of a model made here begin.
HEAD, DICTIONARY = 92, 92 + sum(len(token.encode()) + 10 for token in TOKENS)


def read(path, raw, *, stream=stream_of):
    """Read all that a file has."""
    path.write_bytes(raw)
    with formats.open_reader(stream(path)) as reader:
        for tokens, vectors in reader.blocks():
            assert len(tokens) == len(vectors)
        reader.compose(["unseen", ""], np.zeros((2, reader.dim), np.float32))


def whole(**changes) -> bytes:
    return model(TOKENS, MATRIX, **{"bucket": 2, "min_n": 2, "max_n": 3} | changes)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("stream", [stream_of, piped])
def test_a_file_cut_anywhere_is_refused(tmp_path, name, stream):
    raw = (DATA / name).read_bytes()
    step = max(1, len(raw) // 60)
    for size in [*range(20, 150), *range(151, len(raw), step), len(raw) - 1]:
        with pytest.raises(FormatError):
            read(tmp_path / "f", raw[:size], stream=stream)


def test_a_cut_file_says_where_and_what_to_do(tmp_path):
    raw = whole()

    for size, what in [
        (60, "ends within its head"),
        (HEAD + 20, r"its dictionary of 3 entries does not fit"),
        (DICTIONARY - 1, "ends within entry 3 of 3|not fit"),
        (DICTIONARY + 3, rf"offset {DICTIONARY + 1}: .* 2 that are left"),
        (DICTIONARY + 40, rf"offset {DICTIONARY + 17}: 5 rows of 40 bytes .* 23 that"),
        (len(raw) - 1, r"3 rows of 24 bytes do not fit into the 23 that are left"),
    ]:
        with pytest.raises(TruncatedError, match=what) as caught:
            read(tmp_path / "f", raw[:size])
        assert str(caught.value).startswith("f")
        assert "get the file again" in str(caught.value)


def test_an_output_matrix_may_be_missing_and_is_spoken_of(tmp_path):
    raw = whole()[: DICTIONARY + 17 + 40]
    (tmp_path / "f").write_bytes(raw)

    with formats.open_reader(stream_of(tmp_path / "f")) as reader:
        tokens, _ = all_rows(reader)

    assert tokens == TOKENS
    assert "the output matrix was left out" in reader.findings.notes[0]


def test_bytes_behind_the_end_are_spoken_of(tmp_path):
    (tmp_path / "f").write_bytes(whole() + b"more")

    with formats.open_reader(stream_of(tmp_path / "f")) as reader:
        all_rows(reader)

    assert reader.findings.notes == ["4 bytes behind its last matrix were not read"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"version": 13}, "of version 13; this release reads versions up to 12"),
        ({"version": -1}, "of version 4294967295"),
        ({"dim": 0}, "numbers of its head do not fit"),
        ({"dim": -2}, "numbers of its head do not fit"),
        ({"dim": 2**31 - 1}, "numbers of its head do not fit"),
        ({"dim": 3}, r"a matrix of shape \(5, 2\); vectors have 3 values"),
        ({"loss": 9}, "numbers of its head do not fit"),
        ({"kind": 0}, "numbers of its head do not fit"),
        ({"entries": 0, "words": 0}, "numbers of its head do not fit"),
        ({"entries": -3, "words": -3}, "numbers of its head do not fit"),
        ({"bucket": -1}, "numbers of its head do not fit"),
        ({"sampling": -1.0}, "numbers of its head do not fit"),
        ({"sampling": float("nan")}, "numbers of its head do not fit"),
        ({"trained_on": -1}, "numbers of its head do not fit"),
        ({"entries": 4}, "numbers of its head do not fit"),
        ({"entries": 2**31 - 1, "words": 2**31 - 1}, "of 2,147,483,647 entries"),
        ({"words": 2, "label_count": 1}, "does not list 2 words and then 1 labels"),
        ({"pruned": 2**62}, "the 4,611,686,018,427,387,904 n-grams that pruning"),
        ({"pruned": -2}, "numbers of its head do not fit"),
        ({"pairs": [(0, 1)]}, "an n-gram has row 1 of 1"),
        ({"pairs": [(0, -1)]}, "an n-gram has row -1 of 1"),
        ({"pairs": [(i, i) for i in range(3)]}, "fewer than its 3 words and 3 buckets"),
    ],
)
def test_numbers_that_cannot_be_are_refused_and_named(tmp_path, changes, what):
    with pytest.raises(FormatError, match=what):
        read(tmp_path / "f", whole(**changes))


@pytest.mark.parametrize(
    ("rows", "dim"),
    [(2**62, 2), (-1, 2), (5, 2**31), (4, 2), (2**63 - 1, 2)],
)
def test_a_matrix_of_a_false_shape_is_refused_unallocated(tmp_path, rows, dim):
    raw = bytearray(whole())
    struct.pack_into("<2q", raw, DICTIONARY + 1, rows, dim)

    with pytest.raises(FormatError, match=r"get (the file|it) again"):
        read(tmp_path / "f", raw)


@pytest.mark.parametrize("length", [256, 2**31 - 1])
def test_n_grams_of_absurd_lengths_are_refused(tmp_path, length):
    with pytest.raises(FormatError, match="numbers of its head do not fit"):
        read(tmp_path / "f", model(TOKENS, MATRIX, bucket=2, min_n=2, max_n=length))


@pytest.mark.parametrize(("at", "number"), [(52, 0), (52, 3), (56, 0), (56, 5)])
def test_hashes_that_floret_does_not_have_are_refused(tmp_path, at, number):
    raw = bytearray((DATA / "floret/four-hashes.bin").read_bytes())
    assert struct.unpack_from("<2i", raw, 52) == (2, 4)
    struct.pack_into("<i", raw, at, number)

    with pytest.raises(FormatError, match="numbers of its head do not fit"):
        read(tmp_path / "f", raw)


@pytest.mark.parametrize("at", [DICTIONARY, DICTIONARY + 17 + 40])
def test_a_flag_that_is_none_is_refused(tmp_path, at):
    raw = bytearray(whole())
    raw[at] = 2

    with pytest.raises(FormatError, match="whether a matrix is quantised is 2"):
        read(tmp_path / "f", raw)


def test_a_quantiser_that_does_not_fit_is_refused(tmp_path):
    raw = bytearray((DATA / "fasttext/quantised.ftz").read_bytes())
    rows = struct.pack("<2q", 455, 10)
    start = raw.index(rows)
    sizes = start + 16
    size = struct.unpack_from("<i", raw, sizes)[0]
    quantiser = sizes + 4 + size

    assert struct.unpack_from("<4i", raw, quantiser) == (10, 4, 3, 1)
    for number in (-455, 0, 1, 454, 456, 2**31 - 1):
        damaged = bytearray(raw)
        struct.pack_into("<i", damaged, sizes, number)
        with pytest.raises(FormatError, match="codes are no whole number for each row"):
            read(tmp_path / "f", damaged)
    for at, number in [
        (sizes, 455),
        *((quantiser, number) for number in (-1, 0, 9, 11, 2**31 - 1)),
        *((quantiser + 4, number) for number in (0, 3, 5)),
        *((quantiser + 8, number) for number in (-3, 0, 2, 4, 2**31 - 1)),
        *((quantiser + 12, number) for number in (0, 2, -1)),
    ]:
        damaged = bytearray(raw)
        struct.pack_into("<i", damaged, at, number)
        with pytest.raises(FormatError, match=r"get (the file|it) again"):
            read(tmp_path / "f", damaged)


@given(data=st.data())
def test_any_change_gives_rows_or_our_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed"
    name = data.draw(st.sampled_from(FILES))
    raw = bytearray((DATA / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 160) | st.integers(0, len(raw) - 1))
        value = data.draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
        raw[place] = value
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]

    with suppress(FormatError):
        read(path, raw)


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_magic_number_give_our_error(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "random"
    head = struct.pack("<2i", 793712314, 12)

    with suppress(FormatError):
        read(path, head + raw)
