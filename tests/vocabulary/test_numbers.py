"""Vocabularies of whole numbers: 8 bytes a token, and what a `dict` would tell."""

import json
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed import Vocabulary
from pretrained_embed.arrays import PackedTokens, digits_of, numbers_of
from pretrained_embed.errors import (
    CoverageError,
    OptionError,
    UnknownTokenError,
    VocabularyError,
)

int64s = st.integers(-(2**63), 2**63 - 1) | st.integers(-12, 12)
some = st.lists(int64s, min_size=1, max_size=12, unique=True)
#: Spellings that are no number, or that number and no other token.
written = st.from_regex(r"[-+ ]?0?[0-9]{1,20}(\.0)?", fullmatch=True) | st.text(
    max_size=3
)


@given(st.lists(int64s, max_size=200))
def test_digits_are_those_that_python_writes_and_are_read_again(numbers):
    packed = digits_of(np.array(numbers, np.int64))
    assert packed.unpack() == list(map(str, numbers))
    read, good = numbers_of(packed)
    assert good.all()
    assert read.tolist() == numbers


@given(st.lists(written, min_size=1, max_size=30))
def test_only_what_is_written_as_digits_of_writes_it_is_a_number(texts):
    texts = [text for text in texts if text < "\ud800" or text.isascii()] or ["07"]
    read, good = numbers_of(PackedTokens.pack(texts))
    for text, number, is_number in zip(
        texts, read.tolist(), good.tolist(), strict=True
    ):
        try:
            value = int(text)
        except ValueError:
            value = None
        canonical = (
            value is not None and str(value) == text and -(2**63) <= value < 2**63
        )
        assert is_number == canonical
        assert number == (value if canonical else 0)


@settings(max_examples=60)
@given(
    some,
    st.sampled_from([None, "<pad>", "0", "5"]),
    st.sampled_from([None, "<unk>", "-1"]),
    st.lists(int64s, max_size=6),
)
def test_it_tells_what_a_dict_of_the_numbers_would(numbers, pad, unk, asked):
    vocab = Vocabulary(np.array(numbers), pad=pad, unk=unk)
    same = Vocabulary(list(map(str, numbers)), pad=pad, unk=unk)

    assert vocab.tokens == same.tokens
    assert dict(vocab.ids) == dict(same.ids)
    assert list(vocab) == list(same)
    assert (len(vocab), vocab.pad_id, vocab.unk_id) == (
        *(len(same), same.pad_id, same.unk_id),
    )
    assert vocab == same
    assert hash(vocab) == hash(same)
    expected = {int(t): i for t, i in same.ids.items() if t not in ("<pad>", "<unk>")}
    for number in {*asked, *numbers, 0}:
        assert vocab.get(number) == vocab.get(str(number)) == expected.get(number)
        assert (number in vocab) == (number in expected)
    assert vocab.encode(np.array(numbers)).tolist() == [expected[n] for n in numbers]
    assert vocab.numbers[vocab.encode(np.array(numbers))].tolist() == numbers
    for again in (pickle.loads(pickle.dumps(vocab)), vocab.part(np.arange(len(vocab)))):  # noqa: S301  (made here)
        assert again == vocab
        assert np.array_equal(again.numbers, vocab.numbers)
    turned = np.arange(len(vocab))[::-1]
    assert vocab.part(turned).tokens == same.part(turned).tokens
    if unk is not None:
        rows = vocab.encode(np.array(asked, np.int64))
        assert rows.tolist() == [expected.get(n, vocab.unk_id) for n in asked]


@settings(max_examples=40)
@given(st.dictionaries(int64s, st.integers(0, 30), min_size=1, max_size=8))
def test_a_mapping_keeps_its_ids_as_one_of_str_does(ids):
    ids = {number: id for id, number in {v: k for k, v in ids.items()}.items()}
    vocab = Vocabulary(ids, unk="<unk>")
    same = Vocabulary({str(k): v for k, v in ids.items()}, unk="<unk>")

    assert vocab.numbers is not None
    assert vocab.tokens == same.tokens
    assert vocab.holes.tolist() == same.holes.tolist()
    assert [vocab.get(number) for number in ids] == list(ids.values())
    assert vocab.token_rows.packed.unpack() == same.packed.unpack()


def test_arrays_become_ids_of_the_same_shape_and_lists_are_filled_up():
    vocab = Vocabulary(np.array([30, 10, -20]), unk="<unk>")
    batch = np.array([[10, 30], [-20, 99]], np.int32)

    assert vocab.encode(batch).tolist() == [[3, 2], [4, 1]]
    assert vocab.encode(torch.tensor([10, 30])).tolist() == [3, 2]
    assert vocab.encode(np.array([2**64 - 20], np.uint64)).tolist() == [1]
    assert vocab.encode(np.zeros((0, 4), np.int64)).shape == (0, 4)
    assert vocab.encode([10, 30]).tolist() == [3, 2]
    assert vocab.encode([[10], [30, 99]]).tolist() == [[3, 0], [2, 1]]
    assert vocab.encode([[10, 30, 99]], max_length=2, truncate="left").tolist() == (
        [[2, 1]]
    )
    assert vocab.encode(["10 30", ["-20"]]).tolist() == [[3, 2], [4, 0]]
    assert vocab.decode([[3, 0]]) == [["10"]]


def test_what_is_no_number_of_the_vocabulary_is_told():
    vocab = Vocabulary(np.array([30, 10]))
    with pytest.raises(UnknownTokenError, match="the number 7 is not in"):
        vocab.encode(np.array([10, 7]))
    with pytest.raises(UnknownTokenError, match="text 1: the number 7 is not"):
        vocab.encode([[10], [7]])
    with pytest.raises(VocabularyError, match="float64 has no whole numbers"):
        vocab.encode(np.array([0.5]))
    with pytest.raises(OptionError, match="put a single text in a list"):
        vocab.encode("10")
    for other in (True, None, 10.0, 2**70, "010", "+10", " 10", "10.0"):
        assert vocab.get(other) is None
        assert other not in vocab
    text = Vocabulary(["10"])
    assert text.get(10) is None
    assert 10 not in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.array([1, 2, 1]), "the number 1 is at position 0 and again at position 2"),
        (np.array([[1]]), r"shape \(1, 1\) is no list of whole numbers"),
        (np.array([], np.int64), "the vocabulary is empty"),
        (np.array([2**63], np.uint64), "9223372036854775808 at position 0 is more"),
        ({2**63: 0}, "the number 9223372036854775808 is more than int64 holds"),
        ([1, 2], r"whole numbers are given as numpy.array\(numbers\)"),
        ({1: 0, "a": 1}, "a token is a str"),
    ],
)
def test_what_cannot_be_one_is_told(given, told):
    with pytest.raises(VocabularyError, match=told):
        Vocabulary(given)


@pytest.mark.parametrize(
    "given",
    [
        *(np.array([3, 1], np.uint8), torch.tensor([3, 1]), pd.Series([3, 1])),
        *(pd.Series([3, 1], dtype="Int64"), pd.Index([3, 1]), pl.Series([3, 1])),
        *(pa.array([3, 1]), pa.chunked_array([[3], [1]])),
    ],
    ids=lambda given: type(given).__module__,
)
def test_arrays_and_columns_of_other_libraries_are_taken(given):
    assert Vocabulary.of(given).numbers.tolist() == [0, 3, 1]


def test_counts_come_as_an_array_a_mapping_a_counter_or_value_counts():
    array = np.array([7, 9])
    by_array = Vocabulary(array, unk="<unk>", counts=np.array([4, 5]))
    by_mapping = Vocabulary(array, unk="<unk>", counts={9: 5, 7: 4, 1: 1})
    of_series = Vocabulary.of(pd.Series([7, 9, 9]).value_counts())
    assert by_array.counts.tolist() == by_mapping.counts.tolist() == [0, 0, 4, 5]
    assert (of_series.tokens, of_series.counts.tolist()) == (
        ("<pad>", "9", "7"),
        [0, 2, 1],
    )
    with pytest.raises(VocabularyError, match="no whole numbers alone"):
        Vocabulary.of(pd.Series([1, None], dtype="Int64"))


def test_files_give_numbers_where_they_are_asked_for(tmp_path):
    (tmp_path / "items.txt").write_text("40\n-2\n")
    (tmp_path / "items.csv").write_text("item,name\n40,a\n-2,b\n")
    np.save(tmp_path / "items.npy", np.array([40, -2], np.int32))
    pd.DataFrame({"item": [40, -2]}).to_parquet(tmp_path / "items.parquet")

    for name in ("items.txt", "items.csv#item", "items.parquet#item", "items.npy"):
        vocab = Vocabulary.from_file(tmp_path / name, kind="numbers")
        assert vocab.numbers.tolist() == [0, 40, -2]
    assert Vocabulary.from_file(tmp_path / "items.txt").numbers is None
    assert Vocabulary.from_file(tmp_path / "items.npy").numbers is not None


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("1\n007\n", ":2: '007' is no whole number of int64 as it is written here"),
        ("+7\n", r":1: '\+7' is no whole"),
        ("7\n8\n7\n", ":3: the number 7 is already in line 1"),
        ("7\n\n", ":2: '' is no whole number"),
    ],
)
def test_a_line_that_is_no_number_is_named(tmp_path, lines, told):
    (tmp_path / "items.txt").write_text(lines)
    with pytest.raises(VocabularyError, match=told):
        Vocabulary.from_file(tmp_path / "items.txt", kind="numbers")


def test_a_damaged_array_is_our_error(tmp_path):
    np.save(tmp_path / "items.npy", np.arange(100))
    whole = (tmp_path / "items.npy").read_bytes()
    for size in (8, 60, 200):
        (tmp_path / "items.npy").write_bytes(whole[:size])
        with pytest.raises(VocabularyError, match=r"items\.npy"):
            Vocabulary.from_file(tmp_path / "items.npy")


def test_they_take_8_bytes_a_token_and_8_more_once_they_were_looked_up():
    numbers = np.random.default_rng(0).permutation(10**9 + np.arange(200_000))
    tracemalloc.start()
    vocab = Vocabulary(numbers)
    vocab.encode(numbers[:10])
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 17 * len(numbers)
    assert peak < 50 * len(numbers)


ITEMS = np.array([7, 12, -3, 100])
ROWS = np.arange(8, dtype=np.float32).reshape(4, 2)


def node2vec(folder):
    lines = [f"{n} {a:g} {b:g}" for n, (a, b) in zip(ITEMS, ROWS, strict=True)]
    (folder / "nodes.emb").write_text("\n".join(["4 2", *lines, ""]))
    return folder / "nodes.emb"


def word2vec_binary(folder):
    pe.convert(node2vec(folder), folder / "nodes.bin")
    return folder / "nodes.bin"


def parquet(folder):
    frame = pd.DataFrame({"item": ITEMS, "vector": list(ROWS)})
    frame.to_parquet(folder / "items.parquet")
    return folder / "items.parquet"


def csv(folder):
    frame = pd.DataFrame({"item": ITEMS, "d0": ROWS[:, 0], "d1": ROWS[:, 1]})
    frame.to_csv(folder / "items.csv", index=False)
    return folder / "items.csv"


SOURCES = {
    "node2vec": node2vec,
    "word2vec binary": word2vec_binary,
    "parquet": parquet,
    "csv": csv,
    "mapping": lambda _: dict(zip(ITEMS.tolist(), ROWS, strict=True)),
    "arrays": lambda _: (ITEMS, ROWS),
    "tensors": lambda _: (torch.tensor(ITEMS), torch.tensor(ROWS)),
    "series": lambda _: (pd.Series(ITEMS), ROWS),
    "frame": lambda _: pd.DataFrame(ROWS, index=pd.Index(ITEMS, name="item")),
    "vocabulary": lambda _: (Vocabulary(ITEMS, pad=None), ROWS),
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_are_those_of_the_numbers_in_every_kind_of_source(source, tmp_path):
    vocab = Vocabulary(np.array([100, 5, 7]), unk="<unk>")
    matrix = pe.build_matrix(vocab, SOURCES[source](tmp_path), oov="zeros")
    assert matrix[100].tolist() == ROWS[3].tolist()
    assert matrix["7"].tolist() == ROWS[0].tolist()
    assert matrix.coverage.found == 2


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".safetensors", ".parquet"])
def test_a_saved_matrix_has_the_numbers_again(suffix, tmp_path):
    vocab = Vocabulary({7: 3, -12: 1}, unk="<unk>")
    matrix = pe.build_matrix(vocab, (ITEMS, ROWS), oov="normal")
    matrix.save(tmp_path / f"m{suffix}")
    again = pe.load_matrix(tmp_path / f"m{suffix}")
    assert again.vocabulary == vocab
    assert again.vocabulary.numbers.tolist() == vocab.numbers.tolist()
    assert again[7].tolist() == ROWS[0].tolist()
    assert again.vocabulary.encode(np.array([7, -12, 5])).tolist() == [3, 1, 4]


def test_growing_the_vocabulary_moves_no_random_row():
    few = pe.build_matrix(np.array([5, 9, 7]), (ITEMS, ROWS), oov="normal", seed=3)
    more = pe.build_matrix(np.array([1, 9, 7, 5]), (ITEMS, ROWS), oov="normal", seed=3)
    text = pe.build_matrix(["5", "9", "7"], (ITEMS, ROWS), oov="normal", seed=3)
    assert few[5].tolist() == more[5].tolist() == text["5"].tolist()
    assert few[9].tolist() == more[9].tolist()


@pytest.mark.parametrize("other", ["007", "+7", "7.0", " 7", "00000007"])
def test_another_spelling_is_no_number_and_that_is_said(other):
    source = ([other, other, "8"], ROWS[:3])
    matrix = pe.build_matrix(np.array([7, 8]), source, oov="zeros")
    assert matrix.coverage.found == 1
    assert matrix.findings.duplicates == 0
    assert not matrix[7].any()
    (note,) = [n for n in matrix.ledger.findings.notes if "not the number" in n]
    assert f"{other!r}, which are not the number 7" in note
    by_form = ["exact", lambda token: {"7": other}.get(token)]
    matrix = pe.build_matrix(np.array([7, 8]), source, match=by_form)
    assert matrix.coverage.found == 2
    assert not [n for n in matrix.ledger.findings.notes if "not the number" in n]


@pytest.mark.parametrize("other", ["007", "+7", "7.0", " 7"])
def test_where_all_are_spelled_in_another_way_the_error_says_so(other):
    with pytest.raises(CoverageError, match="another way, such as") as caught:
        pe.build_matrix(np.array([7, 8]), ([other, "x"], ROWS[:2]))
    assert repr(other) in str(caught.value)


@settings(max_examples=30)
@given(
    st.lists(st.text(max_size=3) | st.none(), min_size=1, max_size=6, unique=True),
    st.booleans(),
)
def test_a_saved_vocabulary_is_read_as_it_was(tmp_path_factory, tokens, counted):
    ids = {token: id for id, token in enumerate(tokens) if token is not None}
    if not ids:
        return
    first = next(iter(ids))
    vocab = Vocabulary(
        ids,
        pad=None,
        unk="<unk>" if counted else None,
        counts={first: 3} if counted else None,
        lower=counted,
        special_tokens={"mask": first},
        marks="wordpiece",
    )
    assert_saved(vocab, tmp_path_factory.mktemp("saved") / "v.json")


@pytest.mark.parametrize(
    "vocab",
    [
        Vocabulary(["see", "\udcff", ""], unk="<unk>"),
        Vocabulary(["see"], tokenize=list),
        Vocabulary({7: 3, -12: 1}, unk="<unk>", counts={7: 2}),
        Vocabulary(np.array([0, 2**63 - 1]), pad="0"),
    ],
    ids=["text", "tokenize", "numbers with holes", "pad is a number"],
)
def test_pad_unk_holes_and_numbers_are_saved(vocab, tmp_path):
    assert_saved(vocab, tmp_path / "v.json")


def assert_saved(vocab, path):
    vocab.save(path)
    again = Vocabulary.from_file(path)
    assert again == vocab
    assert again.special_tokens == vocab.special_tokens
    assert (again.marks, again.tokenizer.lower) == (vocab.marks, vocab.tokenizer.lower)
    assert (again.pad_id, again.unk_id) == (vocab.pad_id, vocab.unk_id)
    assert (again.counts is None) == (vocab.counts is None)
    assert vocab.counts is None or again.counts.tolist() == vocab.counts.tolist()
    assert (again.numbers is None) == (vocab.numbers is None)
    assert again.tokenizer.name == vocab.tokenizer.name
    assert json.loads(path.read_text())["pretrained_embed_vocabulary"] == 1


def test_another_unk_may_be_asked_for_where_a_saved_one_is_read(tmp_path):
    Vocabulary(["see", "you"]).save(tmp_path / "v.json")
    vocab = Vocabulary.from_file(tmp_path / "v.json", unk="you")
    assert (vocab.unk_id, vocab.pad_id) == (2, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pretrained_embed_vocabulary": 2}, "its version is 2"),
        ({"tokens": ["<pad>", 5]}, "the token of id 1 is 5"),
        ({"tokens": ["<pad>", "a", "a"]}, "stands at two rows, 1 and 2"),
        ({"tokens": 3}, "damaged"),
        ({"pad": "a"}, "pad and unk are not those"),
        ({"counts": [1]}, "counts of shape"),
        ({"special_tokens": None}, "damaged"),
        ({"marks": "x"}, "marks is 'x'"),
        ({"numbers": True, "tokens": ["<pad>", 2**64]}, "damaged"),
        ({"numbers": True, "tokens": ["<pad>", True]}, "the token of id 1 is True"),
    ],
)
def test_a_changed_file_is_our_error(change, told, tmp_path):
    path = tmp_path / "v.json"
    Vocabulary(["a"]).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(pe.errors.PretrainedEmbedError, match=told):
        Vocabulary.from_file(path, kind="saved")
