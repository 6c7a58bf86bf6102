"""Vocabularies keep their tokens packed, and are what they would be with `str`."""

import pickle
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import ShapeError, VocabularyError
from pretrained_embed.vocabulary import TokenRows, Vocabulary, token_rows

pieces = ["a", "b", "é", "🙂", "\udcff", "\udc80", "\n", "\0", " ", ""]
texts = st.lists(st.sampled_from(pieces), max_size=3).map("".join)
tokens = st.lists(texts, min_size=1, max_size=12, unique=True)
#: Some are in the vocabulary, some are not, and the last stands for no bytes.
questions = st.lists(texts | st.sampled_from(["\udcc3\udca9", "\ud800"]))


@pytest.fixture(params=["few", "many"], scope="module")
def size(request):
    """Whether tokens are looked up as few are, or as many."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many":
            patch.setattr(token_rows, "_SMALL", 0)
            patch.setattr(token_rows, "_FEW", 0)
        yield


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("packed")


def assert_is(vocab: Vocabulary, expected: list[str | None], asked: list[str]) -> None:
    """Hold everything public about tokens against a list of them."""
    ids = {token: id for id, token in enumerate(expected) if token is not None}
    holes = [id for id, token in enumerate(expected) if token is None]

    assert len(vocab) == len(expected)
    for token in [*ids, *asked]:
        assert vocab.get(token, -1) == ids.get(token, -1)
        assert (token in vocab) == (token in ids)
    assert vocab.strings(np.array([*ids.values()][::-1], np.int64)) == [*ids][::-1]
    assert vocab.packed.unpack() == [token or "" for token in expected]
    assert vocab.holes.tolist() == holes
    assert list(vocab) == list(ids)
    assert vocab.tokens == tuple(expected)
    assert vocab.ids == ids
    assert {vocab[token] for token in vocab.special_tokens.values()} == vocab.specials
    assert f"{len(expected):,} rows" in repr(vocab)
    known = [token for token in ids if token != vocab.pad_token]
    assert vocab.encode([known]).tolist() == [[ids[token] for token in known]]


@given(tokens, st.none() | texts, st.none() | texts, questions)
def test_a_list_has_pad_and_unk_where_a_list_of_str_has_them(
    size, listed, pad, unk, asked
):
    if pad is not None and pad == unk:
        return
    expected = list(listed)
    if pad is not None and pad not in listed:
        expected.insert(0, pad)
    if unk is not None and unk not in listed:
        expected.insert(0 if pad is None else expected.index(pad) + 1, unk)

    vocab = Vocabulary(listed, pad=pad, unk=unk)

    assert_is(vocab, expected, asked)
    assert_is(pickle.loads(pickle.dumps(vocab)), expected, asked)  # noqa: S301  (our own bytes)


@given(tokens, st.none() | texts, st.none() | texts, questions, st.data())
def test_a_mapping_and_packed_rows_are_the_same(size, listed, pad, unk, asked, data):
    if pad is not None and pad == unk:
        return
    spread = st.lists(
        st.integers(0, 20), min_size=len(listed), max_size=len(listed), unique=True
    )
    ids = dict(zip(listed, data.draw(spread), strict=True))
    counts = {token: 3 * id for token, id in ids.items()}
    expected: list[str | None] = [None] * (max(ids.values()) + 1)
    for token, id in ids.items():
        expected[id] = token
    packed = PackedTokens.pack(token or "" for token in expected)
    holes = np.flatnonzero([token is None for token in expected])
    by_row = np.arange(len(expected)) * 3
    if pad is not None and pad not in ids and expected[0] is None:
        expected[0] = pad
    if unk is not None and unk not in ids:
        expected.append(unk)

    mapped = Vocabulary(ids, pad=pad, unk=unk, counts=counts)
    given = Vocabulary(TokenRows(packed, holes), pad=pad, unk=unk, counts=by_row)

    assert_is(mapped, expected, asked)
    assert_is(given, expected, asked)
    assert mapped.counts.tolist() == given.counts.tolist()
    assert (mapped.pad_id, mapped.unk_id) == (given.pad_id, given.unk_id)


@given(st.lists(texts, min_size=2, max_size=12), st.booleans())
def test_what_repeats_is_found_also_where_all_hashes_are_alike(listed, alike):
    first = {token: listed.index(token) for token in listed}
    expected = [(first[t], row) for row, t in enumerate(listed) if first[t] != row]
    with pytest.MonkeyPatch.context() as patch:
        if alike:
            zeros = lambda packed: np.zeros(len(packed), np.uint64)  # noqa: E731  (short)
            patch.setattr(token_rows, "_hashed", zeros)
        rows = TokenRows(PackedTokens.pack(listed))

        assert list(rows.repeats()) == expected
        if expected:
            with pytest.raises(VocabularyError, match=r"stands at two rows, \d+ and"):
                rows.checked()
        else:
            assert rows.find(listed) == first
            assert rows.checked() is rows


@given(st.lists(texts, min_size=1), st.lists(texts))
def test_rows_of_many_tokens_are_found_at_once(listed, asked):
    rows = TokenRows(PackedTokens.pack(listed)).first_of_each()
    expected = [listed.index(token) if token in listed else -1 for token in asked]

    assert rows.rows_of(PackedTokens.pack(asked)).tolist() == expected


def test_a_hole_is_no_empty_token():
    holes = np.array([0, 2])
    rows = TokenRows(PackedTokens.pack(["", "a", "", "b", ""]), holes)

    vocab = Vocabulary(rows, pad=None)

    assert vocab.tokens == (None, "a", None, "b", "")
    assert rows.find(["", "b", "c"]) == {"": 4, "b": 3}


def test_a_part_of_rows_keeps_its_holes_and_copies_none_in_a_row():
    rows = TokenRows(PackedTokens.pack(["", "a", "b", "", "c"]), np.array([0, 3]))

    assert rows.part(np.array([4, 0, 1])).tokens == ("c", None, "a")
    assert rows.part(np.arange(2, 5)).tokens == ("b", None, "c")
    assert np.shares_memory(rows.part(np.arange(2, 5)).packed.data, rows.packed.data)


def test_the_bytes_of_a_vocabulary_cannot_be_changed():
    vocab = Vocabulary({"a": 1}, pad=None)

    for array in (vocab.packed.data, vocab.packed.offsets, vocab.holes):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_rows_need_a_count_each_and_there_must_be_some():
    rows = TokenRows(PackedTokens.pack(["a", "b"]))

    with pytest.raises(ShapeError, match=r"shape \(3,\) for 2 rows"):
        Vocabulary(rows, counts=np.zeros(3, np.int64))
    with pytest.raises(VocabularyError, match="count of token 'b' is -1"):
        Vocabulary(rows, counts=np.array([1, -1]))
    with pytest.raises(VocabularyError, match="empty"):
        Vocabulary(TokenRows(PackedTokens.pack([])))


@pytest.mark.parametrize("listed", [["a", "b"], ["a", "<p>", "b"], ["<u>", "a", "<p>"]])
@pytest.mark.parametrize("pad", ["<p>", None])
@pytest.mark.parametrize("unk", ["<u>", None])
def test_pad_and_unk_go_among_lines_as_into_a_list(scratch, listed, pad, unk):
    counts = {token: 5 + row for row, token in enumerate(listed)}
    lines, counted = scratch / "lines.txt", scratch / "counted.txt"
    lines.write_text("".join(f"{token}\n" for token in listed))
    counted.write_text("".join(f"{token}\t{n}\n" for token, n in counts.items()))

    expected = Vocabulary(listed, pad=pad, unk=unk, counts=counts)
    read = [Vocabulary.from_file(path, pad=pad, unk=unk) for path in (lines, counted)]

    for vocab in read:
        assert vocab.tokens == expected.tokens
        assert vocab.special_tokens == expected.special_tokens
        assert (vocab.pad_id, vocab.unk_id) == (expected.pad_id, expected.unk_id)
    assert read[1].counts.tolist() == expected.counts.tolist()


@pytest.mark.skipif(
    kernel.IMPLEMENTATION != "native",
    reason="the reference kernel makes Python objects of all tokens",
)
def test_a_file_takes_its_bytes_and_eight_a_token(tmp_path):
    count = 100_000
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"token{row:06}\n" for row in range(count)))
    Vocabulary.from_file(path)  # imports what it needs

    tracemalloc.start()
    vocab = Vocabulary.from_file(path, unk="<unk>")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert vocab.unk_id == 1
    assert kept / count < 11 + 8 + 1
    assert peak / count < 12 + 2 * (11 + 8) + 8 + 1


@settings(deadline=None)  # files take their time
@given(st.lists(st.text("a9\t١+", max_size=24), min_size=1))
def test_counts_are_read_as_line_by_line(scratch, lines):
    path = scratch / "counts.txt"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    found = [re.fullmatch("(.+)\t([0-9]{1,18})", line) for line in lines]
    bad = next((row for row, match in enumerate(found, 1) if match is None), None)
    expected = {match[1]: int(match[2]) for match in found if match}

    if bad is not None:
        with pytest.raises(VocabularyError, match=f"counts.txt:{bad}: expected TOKEN"):
            Vocabulary.from_file(path, kind="counts", pad=None)
    elif len(expected) < len(lines):
        with pytest.raises(VocabularyError, match="is already in line"):
            Vocabulary.from_file(path, kind="counts", pad=None)
    else:
        vocab = Vocabulary.from_file(path, kind="counts", pad=None)
        assert dict(zip(vocab.tokens, vocab.counts.tolist(), strict=True)) == expected
